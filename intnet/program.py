"""Integer programs: a network as a list of typed operations, the heart of the project.

A program is data. Backends execute it, `bounds` proves that no accumulator overflows, the model
file stores it. Tensors are channel-last (height, width, channel). Every tensor has a `Port`: its
dtype, channel count and an interval [lo, hi] that its values never leave.

Requantisation, the only rounding in the system (ties toward plus infinity):

    requantise(acc) = clip((acc * multiplier[c] + (1 << (shift[c] - 1))) >> shift[c], lo, hi)

with `>>` the arithmetic shift and the product in 64 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

DTYPES: dict[str, type[np.integer[Any]]] = {
    "u8": np.uint8, "s8": np.int8, "s16": np.int16, "s32": np.int32,
}  # fmt: skip

Array = npt.NDArray[Any]
Edges = tuple[int, int, int, int]  # top, left, bottom, right


@dataclass(frozen=True)
class Port:
    """A tensor's type: name, dtype, channels and the interval [lo, hi] of its values."""

    name: str
    dtype: str
    channels: int
    lo: int
    hi: int

    @property
    def magnitude(self) -> int:
        """The largest |x|."""
        return max(abs(self.lo), abs(self.hi))


@dataclass(frozen=True, eq=False)
class Op:
    """One operation: `name` is the tensor it makes, `inputs` the tensors it reads."""

    kind: ClassVar[str]
    arity: ClassVar[int | None] = 1  # None: one or more
    name: str
    inputs: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Clipped(Op):
    """An operation that ends in clip(value, lo, hi) and gives dtype."""

    dtype: str
    lo: int
    hi: int


@dataclass(frozen=True, eq=False)
class Conv(Clipped):
    """Cross-correlation, zeros outside the picture, then requantise.

    acc[y, x, n] = bias[n] + sum over ky, kx, i of
        weight[n, ky, kx, i] * in[y * stride + ky - top, x * stride + kx - left, g(n) * I + i]
    weight: s8 or s16 (N, KY, KX, I), I = channels / groups, g(n) = n // (N / groups)
    bias: s32 (N,); multiplier, shift: s32 (N,)
    Output height = (height + top + bottom - KY) // stride + 1; width alike.
    """

    kind = "conv"
    stride: int
    padding: Edges
    groups: int
    weight: Array
    bias: Array
    multiplier: Array
    shift: Array


@dataclass(frozen=True, eq=False)
class ConvTranspose(Clipped):
    """Transposed convolution, cropped, then requantise.

    acc[Y, X, n] = bias[n] + sum over y, x, ky, kx, i with y * stride + ky - top = Y and
        x * stride + kx - left = X of weight[n, ky, kx, i] * in[y, x, i]
    Output height = (height - 1) * stride + KY - top - bottom; width alike. Groups as in Conv.
    """

    kind = "conv_transpose"
    stride: int
    padding: Edges
    groups: int
    weight: Array
    bias: Array
    multiplier: Array
    shift: Array


@dataclass(frozen=True, eq=False)
class Requantise(Clipped):
    """requantise(in) per channel. multiplier, shift: s32 (channels,)."""

    kind = "requantise"
    multiplier: Array
    shift: Array


@dataclass(frozen=True, eq=False)
class Lut(Clipped):
    """table[in - lowest value of the input's dtype]; input u8 or s8, table s32 (256,)."""

    kind = "lut"
    table: Array


@dataclass(frozen=True, eq=False)
class Add(Clipped):
    """clip(a + b, lo, hi); equal shapes."""

    kind = "add"
    arity = 2


@dataclass(frozen=True, eq=False)
class Mul(Clipped):
    """requantise(a * b) per channel; equal shapes. multiplier, shift: s32 (channels,)."""

    kind = "mul"
    arity = 2
    multiplier: Array
    shift: Array


@dataclass(frozen=True, eq=False)
class Div(Clipped):
    """clip(floor((2 * n + b) / (2 * b)), lo, hi), n = a * 2**left_shift; equal shapes.

    The quotient rounded to nearest, ties toward plus infinity; b >= 1 by its port.
    """

    kind = "div"
    arity = 2
    left_shift: int


@dataclass(frozen=True, eq=False)
class DepthToSpace(Op):
    """out[y * block + dy, x * block + dx, c] = in[y, x, (c * block + dy) * block + dx]."""

    kind = "depth_to_space"
    block: int


@dataclass(frozen=True, eq=False)
class SpaceToDepth(Op):
    """Inverse of depth_to_space; height and width must be multiples of block."""

    kind = "space_to_depth"
    block: int


@dataclass(frozen=True, eq=False)
class Concat(Op):
    """Channels of every input in order; equal dtypes, heights and widths."""

    kind = "concat"
    arity = None


@dataclass(frozen=True, eq=False)
class Slice(Op):
    """Channels begin <= c < end."""

    kind = "slice"
    begin: int
    end: int


@dataclass(frozen=True, eq=False)
class Pad(Op):
    """Added rows and columns: `zero` holds zeros, `edge` repeats the nearest sample."""

    kind = "pad"
    padding: Edges
    mode: str


@dataclass(frozen=True, eq=False)
class Crop(Op):
    """Removed rows and columns."""

    kind = "crop"
    padding: Edges


KINDS: dict[str, type[Op]] = {
    op.kind: op
    for op in (
        Conv, ConvTranspose, Requantise, Lut, Add, Mul, Div, DepthToSpace, SpaceToDepth,
        Concat, Slice, Pad, Crop,
    )
}  # fmt: skip
TENSORS = ("weight", "bias", "multiplier", "shift", "table")  # fields that are arrays


@dataclass(frozen=True, eq=False)
class Program:
    """A named program: typed inputs, operations in order, names of its outputs."""

    name: str
    inputs: tuple[Port, ...]
    ops: tuple[Op, ...]
    outputs: tuple[str, ...]
