"""A step of a program as calls of the drivers.

Outputs are placed by phases, each a convolution of its own:

- A transposed convolution of stride s has s * s: output row Y with (Y + top) mod s = p reads the
  taps ky = p, p + s, ...; tap p + r * s lies at input row (Y + top - p) / s - r.
- Any other convolution is its only phase. After a space_to_depth it is a strided one whose taps
  are the block. Before a depth_to_space of block b, its outputs go to b rows, and the b * c of a
  row lie side by side there.
"""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from intnet.backends.execute import Rows, Step
from intnet.backends.reshape import same_rows
from intnet.backends.simd import drivers, extents, pack
from intnet.backends.simd.drivers import Grid, Layer, Panels
from intnet.backends.threads import spread
from intnet.program import (
    DTYPES,
    Add,
    Array,
    Conv,
    ConvTranspose,
    DepthToSpace,
    Lut,
    SpaceToDepth,
)

NOTHING = np.empty(0, np.uint8)


class Phase(NamedTuple):
    """One convolution: rows and columns p, q of each block of outputs. Arrays as in `pack`."""

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
    channels: int  # of a position that lie side by side
    rows: Array  # output row of each channel, int64 (N,)
    places: Array  # its place among those of its row, int64 (N,)
    lanes: Array  # of `pack.lanes`
    targets: dict[tuple[int, int], Array]  # of `pack.targets`, by bytes of a row and of an output


PACKED: WeakKeyDictionary[Step, dict[str, Packed | None]] = WeakKeyDictionary()
TABLES: WeakKeyDictionary[Lut, Array] = WeakKeyDictionary()  # copies of those that are no C arrays


def packed(module: ModuleType, step: Step, dtype: np.dtype[np.generic]) -> Packed | None:
    """Weights and parameters of a step, made once; None for the plain loops.

    dtype: of its first input. Two threads may both make them; they are equal, the last is kept.
    """
    made = PACKED.setdefault(step, {})
    name = module.ISA.name
    if name not in made:
        conv = next((op for op in step.ops if isinstance(op, Conv | ConvTranspose)), None)
        kind = conv and kind_of(module, conv, dtype)
        made[name] = pack_step(module, step, conv, kind, dtype) if conv and kind else None
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


def pack_step(
    module: ModuleType, step: Step, conv: Conv | ConvTranspose, kind: str,
    dtype: np.dtype[np.generic],
) -> Packed:  # fmt: skip
    """Every phase packed."""
    first, last, n = step.ops[0], step.ops[-1], len(conv.bias)
    conv = raised(conv, 2 ** (8 * dtype.itemsize), 127 if kind == "u8" else 2**15 - 1)
    stride, up, across, weight = conv.stride, 1, 1, conv.weight
    stretches = np.arange(n)[None]
    if isinstance(first, SpaceToDepth):
        stride = b = first.block
        weight = weight.reshape(n, -1, b, b).transpose(0, 2, 3, 1)  # n, c, dy, dx -> n, dy, dx, c
    taps = [(0, 0, weight)]
    if isinstance(conv, ConvTranspose):
        stride, up, across = 1, conv.stride, conv.stride
        taps = [(p, q, weight[:, p::up, q::up][:, ::-1, ::-1])
                for p in range(up) for q in range(up)]  # fmt: skip
    elif isinstance(last, DepthToSpace):
        up = across = b = last.block
        stretches = np.arange(n).reshape(-1, b, b).transpose(1, 2, 0).reshape(b, -1)
    lanes = pack.lanes(module.ISA, list(stretches))
    phases = tuple(phase(module, conv, kind, part, lanes, p, q) for p, q, part in taps)
    rows, places = np.indices(stretches.shape).reshape(2, n)[:, np.argsort(stretches, axis=None)]
    high = pack.is_high(conv.shift)
    return Packed(
        conv, kind, phases, high, stride, up, across, stretches.shape[1], rows, places, lanes, {}
    )  # fmt: skip


def raised(conv: Conv | ConvTranspose, magnitude: int, largest: int) -> Conv | ConvTranspose:
    """The same convolution with every shift more than 32, if its numbers have room for it.

    acc * multiplier * 2**k / 2**(shift + k) is the same number, and so is what it is rounded to.
    2**k goes to the multiplier, or to weights and bias. magnitude: no |input| is larger; largest:
    no |weight| may be larger.
    """
    up = np.maximum(pack.WORD + 1 - conv.shift.astype(np.int64), 0)
    shift = (conv.shift + up).astype(np.int32)
    multiplier = conv.multiplier.astype(np.int64) << up
    if multiplier.max() < 2**31:
        return replace(conv, multiplier=multiplier.astype(np.int32), shift=shift)
    weight = conv.weight.astype(np.int64) << up[:, None, None, None]
    bias = conv.bias.astype(np.int64) << up
    sums = np.abs(weight).sum((1, 2, 3)) * magnitude + np.abs(bias)
    if np.abs(weight).max() > largest or sums.max() >= 2**31:
        return conv
    return replace(
        conv, weight=weight.astype(np.int16), bias=bias.astype(np.int32), shift=shift
    )  # fmt: skip


def phase(
    module: ModuleType, conv: Conv | ConvTranspose, kind: str, weight: Array, lanes: Array,
    p: int, q: int,
) -> Phase:  # fmt: skip
    """One phase. weight: its taps (N, KY, KX, I). lanes: of `pack.lanes`."""
    bias = conv.bias
    if kind == "u8":  # wraps as the sums do; the total is the one that was proved to fit
        offset = module.ISA.u8_offset * weight.astype(np.int64).sum((1, 2, 3))
        bias = (bias + offset).astype(np.int32)
    weight = pack.taken(weight, lanes)
    n, ky, kx, inputs = weight.shape
    if kind == "depthwise":
        weights = pack.depthwise_weights(module.ISA, weight[..., 0])
    else:
        weights = pack.weights(module.ISA, kind, weight.reshape(n, ky, kx * inputs))
    parameters = pack.parameters(
        module.ISA, *(pack.taken(x, lanes) for x in (bias, conv.multiplier, conv.shift)),
        high=pack.is_high(conv.shift),
    )  # fmt: skip
    return Phase(p, q, kx, weights, parameters)


def compute(module: ModuleType, step: Step, ready: Packed, inputs: list[Rows], out: Rows) -> None:
    """Fill out with rows of a step."""
    conv, last = ready.conv, step.ops[-1]
    limits = (last.lo, last.hi) if isinstance(last, Add) else (0, 0)
    table = zero_entry(last, conv.dtype) if isinstance(last, Lut) else 0
    layer = Layer(
        module.panels()[ready.kind], int(ready.high), ready.channels, out.array.itemsize,
        conv.lo, conv.hi, *limits, table, int(ready.kind == "depthwise"),
    )  # fmt: skip
    x = inputs[0].array
    if x.dtype == np.int8:
        x = x.astype(np.int16)
    scratch = np.empty(0, np.uint8 if ready.kind == "u8" else np.int16)
    direct = int(x.dtype == scratch.dtype and x.shape[2] * x.itemsize % 4 == 0)
    addend = raw(same_rows(inputs[-1], out)) if isinstance(last, Add) else NOTHING
    targets = targets_of(module, ready, out.array)
    for phase in ready.phases:
        grid, rows = placed(ready, phase, inputs[0], out)
        if rows <= 0 or grid.width <= 0:
            continue
        flat = ready.kind != "depthwise" and conv.padding == (0, 0, 0, 0)
        flat &= phase.weights.shape[1] == phase.kernel_x == grid.stride == 1
        flat &= isinstance(conv, Conv)
        driver = drivers.point_rows if flat else drivers.kernel_rows
        samples = x.reshape(1, x.size) if flat else x.reshape(len(x), x.shape[1] * x.shape[2])
        side = Panels(phase.weights, phase.parameters, targets)
        extents.check(layer, grid, rows, samples, scratch, side, raw(out.array), addend, flat=flat)
        work = rows * grid.width * phase.weights.size
        spread(
            driver, rows, work, layer, grid, samples, direct, scratch, side, raw(out.array), addend
        )


def targets_of(module: ModuleType, ready: Packed, out: Array) -> Array:
    """Where the registers of every panel are stored in rows of an output; kept."""
    row_bytes, size = out.shape[1] * out.shape[2] * out.itemsize, out.itemsize
    if (row_bytes, size) not in ready.targets:
        start = ready.rows * row_bytes + ready.places * size
        ready.targets[row_bytes, size] = pack.targets(module.ISA, ready.lanes, start)
    return ready.targets[row_bytes, size]


def zero_entry(op: Lut, dtype: str) -> int:
    """Address of the table's entry for 0, the table being read by values of a dtype."""
    table = op.table if op.table.flags.carray else TABLES.setdefault(op, op.table.copy())
    return int(table.ctypes.data) - 4 * int(np.iinfo(DTYPES[dtype]).min)


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
