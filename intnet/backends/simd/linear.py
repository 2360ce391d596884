"""A step of a program as calls of the drivers.

Outputs are placed by phases, each a convolution of its own:

- A transposed convolution of stride s has s * s: output row Y with (Y + top) mod s = p reads the
  taps ky = p, p + s, ...; tap p + r * s lies at input row (Y + top - p) / s - r.
- A convolution before a depth_to_space of block b has b: phase p makes the rows Y mod b = p. The
  b * c outputs of an input position lie side by side there.
- Any other convolution is its only phase. After a space_to_depth it is a strided one whose taps
  are the block.
"""

from __future__ import annotations

from types import ModuleType
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from intnet.backends.execute import Rows, Step
from intnet.backends.reshape import same_rows
from intnet.backends.simd import drivers, pack
from intnet.backends.simd.drivers import Grid, Layer
from intnet.backends.threads import spread
from intnet.program import Add, Array, Conv, ConvTranspose, DepthToSpace, SpaceToDepth

NOTHING = np.empty(0, np.uint8)


class Phase(NamedTuple):
    """One convolution: rows and columns p, q of each block of outputs; see `pack.Panels`."""

    p: int
    q: int
    kernel_x: int
    weights: Array
    parameters: Array


class Packed(NamedTuple):
    """A step ready for one instruction set."""

    conv: Conv | ConvTranspose
    kind: str  # of its panel
    phases: tuple[Phase, ...]
    high: bool
    stride: int  # of the convolution of a phase
    up: int  # output rows to the next one of a phase
    across: int  # output columns to the next position of a phase
    channels: int  # outputs of a position


PACKED: WeakKeyDictionary[Step, dict[str, Packed | None]] = WeakKeyDictionary()


def packed(module: ModuleType, step: Step, dtype: np.dtype[np.generic]) -> Packed | None:
    """Weights and parameters of a step, made once; None for the plain loops.

    dtype: of its first input. Two threads may both make them; they are equal, the last is kept.
    """
    made = PACKED.setdefault(step, {})
    name = module.ISA.name
    if name not in made:
        conv = next((op for op in step.ops if isinstance(op, Conv | ConvTranspose)), None)
        kind = conv and kind_of(module, conv, dtype)
        made[name] = pack_step(module, step, conv, kind) if conv and kind else None
    return made[name]


def kind_of(
    module: ModuleType, conv: Conv | ConvTranspose, dtype: np.dtype[np.generic]
) -> str | None:
    """The panel that serves a convolution."""
    if dtype == np.int32:
        return None
    if conv.groups > 1:
        n, _, _, inputs = conv.weight.shape
        return "depthwise" if inputs == 1 and n == conv.groups and isinstance(conv, Conv) else None
    if dtype == np.uint8 and conv.weight.dtype == np.int8 and "u8" in module.ISA.dots:
        return "u8"
    return "s16"


def pack_step(module: ModuleType, step: Step, conv: Conv | ConvTranspose, kind: str) -> Packed:
    """Every phase packed."""
    high = int(conv.shift.min()) >= pack.WORD
    first, last, n = step.ops[0], step.ops[-1], len(conv.bias)
    stride, up, across, channels = conv.stride, 1, 1, n
    weight = conv.weight
    if isinstance(first, SpaceToDepth):
        stride = b = first.block
        weight = weight.reshape(n, -1, b, b).transpose(0, 2, 3, 1)  # n, c, dy, dx -> n, dy, dx, c
    if isinstance(conv, ConvTranspose):
        stride, up, across = 1, conv.stride, conv.stride
        phases = tuple(
            phase(module, conv, kind, weight[:, p::up, q::up][:, ::-1, ::-1], np.arange(n), p, q)
            for p in range(up) for q in range(up)
        )  # fmt: skip
    elif isinstance(last, DepthToSpace):
        up = across = b = last.block
        channels = n // b
        order = np.arange(n).reshape(-1, b, b).transpose(1, 2, 0).reshape(b, channels)
        phases = tuple(phase(module, conv, kind, weight, order[p], p, 0) for p in range(b))
    else:
        phases = (phase(module, conv, kind, weight, np.arange(n), 0, 0),)
    return Packed(conv, kind, phases, high, stride, up, across, channels)


def phase(
    module: ModuleType, conv: Conv | ConvTranspose, kind: str, weight: Array, order: Array,
    p: int, q: int,
) -> Phase:  # fmt: skip
    """One phase: the output channels of `order`. weight: (N, KY, KX, I)."""
    weight = weight[order]
    n, ky, kx, inputs = weight.shape
    if kind == "depthwise":
        weights = pack.depthwise_weights(module.ISA, weight[..., 0])
    else:
        weights = pack.weights(module.ISA, kind, weight.reshape(n, ky, kx * inputs))
    bias = conv.bias[order]
    if kind == "u8":  # wraps as the sums do; the total is the one that was proved to fit
        offset = module.ISA.u8_offset * weight.astype(np.int64).sum((1, 2, 3))
        bias = (bias + offset).astype(np.int32)
    parameters = pack.parameters(
        module.ISA, bias, conv.multiplier[order], conv.shift[order],
        high=int(conv.shift.min()) >= pack.WORD,
    )  # fmt: skip
    return Phase(p, q, kx, weights, parameters)


def compute(module: ModuleType, step: Step, ready: Packed, inputs: list[Rows], out: Rows) -> None:
    """Fill out with rows of a step."""
    conv, last = ready.conv, step.ops[-1]
    summed = isinstance(last, Add)
    limits = (last.lo, last.hi) if isinstance(last, Add) else (0, 0)
    layer = Layer(
        module.panels()[ready.kind], int(ready.high), ready.channels, out.array.itemsize,
        conv.lo, conv.hi, *limits, int(ready.kind == "depthwise"),
    )  # fmt: skip
    x = inputs[0].array
    if x.dtype == np.int8:
        x = x.astype(np.int16)
    scratch = np.empty(0, np.uint8 if ready.kind == "u8" else np.int16)
    direct = int(x.dtype == scratch.dtype and x.shape[2] * x.itemsize % 4 == 0)
    addend = raw(same_rows(inputs[-1], out)) if summed else NOTHING
    for phase in ready.phases:
        grid, rows = placed(ready, phase, inputs[0], out)
        if rows <= 0 or grid.width <= 0:
            continue
        flat = ready.kind != "depthwise" and conv.padding == (0, 0, 0, 0)
        flat &= phase.weights.shape[1] == phase.kernel_x == grid.stride == ready.up == 1
        driver = drivers.point_rows if flat else drivers.kernel_rows
        samples = x.reshape(1, x.size) if flat else x.reshape(len(x), x.shape[1] * x.shape[2])
        work = rows * grid.width * phase.weights.size
        spread(
            driver, rows, work, layer, grid, samples, direct, scratch, phase.weights,
            phase.parameters, raw(out.array), addend,
        )  # fmt: skip


def placed(ready: Packed, phase: Phase, x: Rows, out: Rows) -> tuple[Grid, int]:
    """The grid of a phase and its number of rows, both relative to the arrays at hand."""
    conv, (top, left) = ready.conv, ready.conv.padding[:2]
    height, width, channels = out.array.shape
    row, column = phase.p, phase.q
    if isinstance(conv, ConvTranspose):
        kernel_y = phase.weights.shape[1]
        top += out.first - conv.stride * x.first
        row, column = (phase.p - top) % conv.stride, (phase.q - left) % conv.stride
        top = kernel_y - 1 - (row + top - phase.p) // conv.stride
        left = phase.kernel_x - 1 - (column + left - phase.q) // conv.stride
    else:
        top += x.first - out.first // ready.up * ready.stride
    bytes_ = channels * out.array.itemsize
    grid = Grid(
        x.array.shape[2], phase.kernel_x, ready.stride, top, left,
        -(-(width - column) // ready.across),
        (row * width + column) * bytes_, ready.up * width * bytes_, ready.across * bytes_,
    )  # fmt: skip
    return grid, -(-(height - row) // ready.up)


def raw(x: Array) -> Array:
    """The bytes of a contiguous array, flat."""
    return x.reshape(-1).view(np.uint8)
