"""A linear operation of a program as calls of the drivers.

A transposed convolution of stride s is s * s convolutions of stride 1, one for each phase of the
output: output row Y with (Y + top) mod s = p reads the taps ky = p, p + s, ..., tap p + r * s at
input row (Y + top - p) / s - r.
"""

from __future__ import annotations

from types import ModuleType
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from intnet.backends.simd import drivers, pack
from intnet.backends.simd.drivers import Grid, Layer
from intnet.backends.threads import spread
from intnet.program import Array, Conv, ConvTranspose, Op

NOTHING = np.empty(0, np.uint8)


class Phase(NamedTuple):
    """A convolution that makes output rows row, row + step, ... and columns alike.

    top, left: of that convolution. weights: see `pack.Panels`.
    """

    row: int
    column: int
    top: int
    left: int
    kernel_x: int
    weights: Array


class Packed(NamedTuple):
    """An operation ready for one instruction set."""

    kind: str  # of its panel
    phases: tuple[Phase, ...]
    parameters: Array
    high: bool


PACKED: WeakKeyDictionary[Op, dict[str, Packed]] = WeakKeyDictionary()


def kind_of(module: ModuleType, op: Conv | ConvTranspose, x: Array) -> str | None:
    """The panel that serves an operation, None for the plain loops."""
    if x.dtype == np.int32:
        return None
    if op.groups > 1:
        n, _, _, inputs = op.weight.shape
        return "depthwise" if inputs == 1 and n == op.groups and isinstance(op, Conv) else None
    if x.dtype == np.uint8 and op.weight.dtype == np.int8 and "u8" in module.PANELS:
        return "u8"
    return "s16"


def packed(module: ModuleType, op: Conv | ConvTranspose, kind: str) -> Packed:
    """Weights and parameters of an operation, made once for each instruction set.

    Two threads may both make them; they are equal, and the last one is kept.
    """
    made = PACKED.setdefault(op, {})
    name = f"{module.ISA.name} {kind}"
    if name not in made:
        phases = conv_phases if isinstance(op, Conv) else transpose_phases
        parameters, high = pack.parameters(module.ISA, op.bias, op.multiplier, op.shift)
        made[name] = Packed(kind, phases(module, op, kind), parameters, high)
    return made[name]


def conv_phases(module: ModuleType, op: Conv, kind: str) -> tuple[Phase, ...]:
    """A convolution is its own only phase."""
    n, ky, kx, inputs = op.weight.shape
    if kind == "depthwise":
        weights = pack.depthwise_weights(module.ISA, op.weight[..., 0])
    else:
        weights = pack.weights(module.ISA, kind, op.weight.reshape(n, ky, kx * inputs))
    return (Phase(0, 0, op.padding[0], op.padding[1], kx, weights),)


def transpose_phases(module: ModuleType, op: ConvTranspose, kind: str) -> tuple[Phase, ...]:
    """One convolution for each phase of rows and columns."""
    s, (top, left, _, _) = op.stride, op.padding
    phases = []
    for p in range(s):
        for q in range(s):
            weight = op.weight[:, p::s, q::s][:, ::-1, ::-1]
            n, ky, kx, inputs = weight.shape
            row, column = (p - top) % s, (q - left) % s
            phases.append(Phase(
                row, column, ky - 1 - (row + top - p) // s, kx - 1 - (column + left - q) // s, kx,
                pack.weights(module.ISA, kind, weight.reshape(n, ky, kx * inputs)),
            ))  # fmt: skip
    return tuple(phases)


def linear(
    module: ModuleType, op: Conv | ConvTranspose, kind: str, x: Array, out: Array,
    addend: Array | None = None, sum_limits: tuple[int, int] = (0, 0),
) -> None:  # fmt: skip
    """Fill out with an operation of x and, if there is an addend (s16, shape of out), with
    clip(result + addend, *sum_limits)."""
    ready = packed(module, op, kind)
    height, width, channels = out.shape
    position = channels * out.itemsize
    layer = Layer(
        module.PANELS[kind], int(ready.high), channels, out.itemsize, op.lo, op.hi, *sum_limits,
        int(kind == "depthwise"),
    )  # fmt: skip
    scratch = np.empty(0, np.uint8 if kind == "u8" else np.int16)
    if x.dtype == np.int8:
        x = x.astype(np.int16)
    direct = x.dtype == scratch.dtype and x.shape[2] * x.itemsize % 4 == 0
    step = op.stride if isinstance(op, ConvTranspose) else 1
    for phase in ready.phases:
        rows = -(-(height - phase.row) // step)
        columns = -(-(width - phase.column) // step)
        if rows <= 0 or columns <= 0:
            continue
        grid = Grid(
            phase.kernel_x, 1 if step > 1 else op.stride, phase.top, phase.left, columns,
            (phase.row * width + phase.column) * position, step * width * position,
            step * position, 0,
        )  # fmt: skip
        runs, groups = phase.weights.shape[1:3]
        flat = runs == phase.kernel_x == grid.stride == step == 1 and x.shape[:2] == out.shape[:2]
        driver = drivers.point_rows if flat and kind != "depthwise" else drivers.kernel_rows
        spread(
            driver, rows, rows * columns * channels * runs * groups * 4, layer, grid, x,
            int(direct), scratch, phase.weights, ready.parameters, raw(out),
            NOTHING if addend is None else raw(addend),
        )  # fmt: skip


def raw(x: Array) -> Array:
    """The bytes of a contiguous array, flat."""
    return x.reshape(-1).view(np.uint8)
