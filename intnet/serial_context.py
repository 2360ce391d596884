"""Serial context programs, checked: the prior of a latent sees those decoded before it.

A context program has the inputs `y_hat` (decoded latents) and `features` (of the hyper-latents),
both on the grid of y, and the outputs mean and index, or index alone: its mean is zero. A masked
convolution reads `y_hat`: its weights are zero from its own position on, in raster order. Every
other operation acts on one position at a time (Minnen et al. 2018, "Joint Autoregressive and
Hierarchical Priors").

READ ME FIRST
1. So the outputs at a position need only what lies before it, and may be computed as soon as that
   is decoded. Positions with equal column + slope * row, slope = kernel width // 2 + 1, form a
   *front*: none of them sees another, all that they see lies in fronts before.
2. Symbols are coded front by front, within a front by row, within a position by channel.
3. `gathered` is the same program with the masked convolution as a 1x1 convolution of the taps that
   it sees, side by side. It runs on the positions of a front as a picture n positions high; its
   sums are those of the masked convolution less products with zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from intnet.errors import ModelError
from intnet.ports import infer
from intnet.program import (
    Add,
    Concat,
    Conv,
    Div,
    Lut,
    Mul,
    Op,
    Port,
    Program,
    Requantise,
    Slice,
)

Y_HAT, FEATURES = "y_hat", "features"
POINTWISE = (Requantise, Lut, Add, Mul, Div, Concat, Slice)
Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Serial:
    """A context program that was checked.

    gathered: its inputs are (n, 1, taps * M) and (n, 1, features), its outputs (n, 1, M).
    taps: (row, column) of each, relative to the position, in raster order. slope: see above.
    """

    gathered: Program
    taps: tuple[tuple[int, int], ...]
    slope: int

    @property
    def y_port(self) -> Port:
        """Decoded latents: dtype, M and interval; zeros belong to it, being outside the picture."""
        port = self.gathered.inputs[0]
        return replace(port, channels=port.channels // len(self.taps))


class Margin(NamedTuple):
    """Zeros around the latents that taps may see: rows above, columns on either side."""

    top: int
    side: int


def margin(serial: Serial) -> Margin:
    """How far the taps reach."""
    rows, columns = zip(*serial.taps, strict=True)
    return Margin(-min(rows), max(map(abs, columns)))


def serial(program: Program) -> Serial:
    """Check a context program. Raises ModelError naming op, got and allowed."""
    where = f"program {program.name!r}"
    ports = infer(program)
    names = [port.name for port in program.inputs]
    if names != [Y_HAT, FEATURES] or len(program.outputs) not in (1, 2):
        raise ModelError(f"{where}: must have inputs {Y_HAT!r}, {FEATURES!r}, one or two outputs")
    channels = program.inputs[0].channels
    for name in program.outputs:
        if ports[name].channels != channels:
            raise ModelError(f"{where}, output {name!r}: {ports[name].channels} channels, "
                             f"must be the {channels} of {Y_HAT!r}")  # fmt: skip
    masked = [op for op in program.ops if Y_HAT in op.inputs]
    if len(masked) != 1 or Y_HAT in program.outputs:
        raise ModelError(f"{where}: {len(masked)} operations read {Y_HAT!r}, must be one")
    for op in program.ops:
        if op is not masked[0]:
            check_pointwise(op, where)
    conv, taps = check_masked(masked[0], where)
    y_port = program.inputs[0]
    seen = replace(y_port, channels=channels * len(taps), lo=min(y_port.lo, 0),
                   hi=max(y_port.hi, 0))  # fmt: skip
    ops = tuple(side_by_side(conv, taps) if op is conv else op for op in program.ops)
    gathered = Program(program.name, (seen, program.inputs[1]), ops, program.outputs)
    if len(program.outputs) == 1:
        gathered = with_mean(gathered, y_port)
    return Serial(gathered, taps, conv.weight.shape[2] // 2 + 1)


def with_mean(program: Program, y_port: Port) -> Program:
    """A program that makes index alone, and with it a mean of zero: a sum of nothing."""
    (index,), m = program.outputs, y_port.channels
    name = next(name for name in (f"mean.{n}" for n in range(len(program.ops) + 3))
                if name not in infer(program))  # fmt: skip
    weight, zeros, ones = (np.full(shape, value, dtype) for shape, value, dtype in (
        ((m, 1, 1, m), 0, np.int8), (m, 0, np.int32), (m, 1, np.int32)
    ))  # fmt: skip
    mean = Conv(name, (index,), y_port.dtype, 0, 0, 1, (0, 0, 0, 0), 1, weight, zeros, ones, ones)
    return replace(program, ops=(*program.ops, mean), outputs=(name, index))


def check_pointwise(op: Op, where: str) -> None:
    """An operation whose output at a position reads that position alone."""
    if isinstance(op, Conv):
        if op.weight.shape[1:3] == (1, 1) and op.stride == 1 and op.padding == (0, 0, 0, 0):
            return
        raise ModelError(f"{where}, op {op.name!r}: must be a 1x1 convolution of stride 1")
    if not isinstance(op, POINTWISE):
        allowed = ", ".join(["1x1 conv", *(kind.kind for kind in POINTWISE)])
        raise ModelError(f"{where}, op {op.name!r}: {op.kind}, must be one of {allowed}")


def check_masked(op: Op, where: str) -> tuple[Conv, tuple[tuple[int, int], ...]]:
    """The convolution that reads y_hat, and its taps before the position itself."""
    at = f"{where}, op {op.name!r}"
    if not isinstance(op, Conv):
        raise ModelError(f"{at}: {op.kind} reads {Y_HAT!r}, must be conv")
    _, ky, kx, _ = op.weight.shape
    down, right = ky // 2, kx // 2
    if op.stride != 1 or op.groups != 1 or op.padding != (down, right, down, right):
        raise ModelError(f"{at}: must have stride 1, one group and padding of half its kernel")
    places = [(row - down, column - right) for row in range(ky) for column in range(kx)]
    taps = tuple(place for place in places if place < (0, 0))  # raster order
    for row, column in places[len(taps) :]:
        if op.weight[:, row + down, column + right].any():
            raise ModelError(f"{at}: weights at row {row}, column {column} of its position, "
                             f"must be zero from 0, 0 on")  # fmt: skip
    if not taps or ky % 2 == 0 or kx % 2 == 0:
        raise ModelError(f"{at}: kernel {ky}x{kx}, must have odd sides and see something")
    return op, taps


def side_by_side(conv: Conv, taps: tuple[tuple[int, int], ...]) -> Conv:
    """The masked convolution as a 1x1 convolution of its taps."""
    n, ky, kx, channels = conv.weight.shape
    weight = conv.weight.reshape(n, 1, 1, ky * kx * channels)[..., : len(taps) * channels]
    return replace(conv, padding=(0, 0, 0, 0), weight=np.ascontiguousarray(weight))


def fronts(height: int, width: int, slope: int) -> Iterator[tuple[Positions, Positions]]:
    """Rows and columns of the positions of each front, in order.

    >>> [list(zip(r.tolist(), c.tolist())) for r, c in fronts(2, 3, 2)]
    [[(0, 0)], [(0, 1)], [(0, 2), (1, 0)], [(1, 1)], [(1, 2)]]
    """
    for front in range(width + slope * (height - 1)):
        rows = np.arange(max(0, -((width - 1 - front) // slope)), min(height, front // slope + 1))
        if rows.size:
            yield rows, front - slope * rows
