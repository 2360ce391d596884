"""Loops around tiles: which inputs and outputs each panel of an operation takes.

READ ME FIRST
1. A driver fills a `job` for a range [begin, end) of output rows and calls the tiles by
   address. Everything that tiles touch lies in arrays that the driver holds until its end.
2. Inputs are read where they are when a group of 4 bytes never leaves a position; else rows pass
   through a scratch that holds the zeros around the picture and, for ISAs without a product of
   u8, wider samples. There is no im2col: kernel rows overlap in the scratch.
3. Rows are independent: any split over threads gives the same bits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import types

from intnet.backends.simd.job import (
    ADDEND,
    ADDEND_STEP,
    GROUPS,
    HI,
    HIGH,
    JOB_WORDS,
    LO,
    N_RUNS,
    OFFSET,
    OUT,
    OUT_BYTES,
    OUT_STEP,
    PARAMETERS,
    POSITIONS,
    RUNS,
    STEP,
    SUM_HI,
    SUM_LO,
    TABLE,
    TAP_STEP,
    TARGETS,
    WEIGHTS,
)
from intnet.backends.simd.values import I64
from intnet.program import Array
from rangecoder.compile import intrinsic, jit

BLOCK = 96  # positions whose inputs stay in a near cache while all panels pass over them
DEPTHWISE_BLOCK = 24  # each panel reads a part of every cache line: all lines stay in the nearest
SLACK = 64  # samples: what a group or a register reads beyond the last channel


class Layer(NamedTuple):
    """What the tiles of one layer share.

    tiles: address of the compiled panel. high: all shifts > 32 and stored less 32.
    channels, out_bytes: of an output position. lo, hi: of the requantisation.
    sum_lo, sum_hi: of the addition. table: address of its entry for 0, or 0. depthwise: 0 or 1.
    """

    tiles: int
    high: int
    channels: int
    out_bytes: int
    lo: int
    hi: int
    sum_lo: int
    sum_hi: int
    table: int
    depthwise: int


class Grid(NamedTuple):
    """Where output row r, column c of a layer lies and what it reads.

    It reads rows r * stride - top + ky, columns c * stride - left + kx. width: columns.
    Bytes from the start of the outputs: origin + r * row_step + c * column_step. What is added lies
    in order. inputs: channels that it reads.
    """

    inputs: int
    kernel_x: int
    stride: int
    top: int
    left: int
    width: int
    origin: int
    row_step: int
    column_step: int


@intrinsic
def call(context: Any, address: Any, job: Any) -> Any:
    """Call the tiles at an address with the address of a job."""

    def codegen(ctx: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [I64])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), [args[1]])
        return ctx.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


class Panels(NamedTuple):
    """What the tiles of one layer read besides samples; see `pack`."""

    weights: Array
    parameters: Array
    targets: Array


@jit
def start_job(layer: Layer, side: Panels, runs: Array, step: int, out_step: int) -> Array:
    """A job with everything that all panels of a layer share."""
    job = np.zeros(JOB_WORDS, np.int64)
    job[RUNS], job[STEP] = runs.ctypes.data, step
    job[N_RUNS], job[GROUPS] = side.weights.shape[1], side.weights.shape[2]
    job[OUT_STEP], job[OUT_BYTES], job[ADDEND_STEP] = out_step, layer.out_bytes, layer.channels * 2
    job[HIGH], job[LO], job[HI], job[TABLE] = layer.high, layer.lo, layer.hi, layer.table
    job[SUM_LO], job[SUM_HI] = layer.sum_lo, layer.sum_hi
    return job


@jit
def run_panels(layer: Layer, job: Array, side: Panels, count: int, out: int, addend: int) -> None:
    """All channels of `count` positions. out, addend: addresses of the first one, 0 for none."""
    weights, parameters, targets = side
    columns = weights.shape[3]
    weights_bytes = weights[0].size * weights.itemsize
    job[POSITIONS], job[OUT] = count, out
    for panel in range(len(weights)):
        channel = panel * columns
        job[OFFSET] = channel * 2 * layer.depthwise
        job[WEIGHTS] = weights.ctypes.data + panel * weights_bytes
        job[PARAMETERS] = parameters.ctypes.data + panel * parameters.shape[1] * 4
        job[TARGETS] = targets.ctypes.data + panel * targets.shape[1] * 8
        job[ADDEND] = addend + channel * 2 if addend else 0
        call(layer.tiles, job.ctypes.data)


@jit
def widen(source: Array, target: Array, count: int) -> None:
    """The first samples of source, maybe in more bits."""
    for i in range(count):
        target[i] = source[i]


@jit
def point_rows(
    begin: int, end: int, layer: Layer, grid: Grid, x: Array, direct: int, scratch: Array,
    side: Panels, out: Array, addend: Array,
) -> None:  # fmt: skip
    """1x1 convolution with stride 1: positions in one line where outputs lie in one, else by rows.

    x: (1, h * w * inputs). scratch: an empty array of the type that tiles read; direct: it is that
    of x and a position fills whole groups. out, addend: uint8, flat; addend empty for none.
    """
    inputs, samples, line = grid.inputs, x[0], grid.width
    if grid.row_step == grid.width * grid.column_step:
        line *= end - begin
    runs = np.zeros(1, np.int64)
    job = start_job(layer, side, runs, inputs * scratch.itemsize, grid.column_step)
    block = np.zeros(BLOCK * inputs + SLACK, scratch.dtype)
    for start in range(begin * grid.width, end * grid.width, line):
        to = out.ctypes.data + grid.origin + start // grid.width * grid.row_step
        for k in range(start, start + line, BLOCK):
            count = min(BLOCK, start + line - k)
            source = samples[(k - grid.top * grid.width) * inputs :]
            runs[0] = source.ctypes.data
            if not direct:
                runs[0] = block.ctypes.data
                widen(source, block, count * inputs)
            at = 0
            if addend.size:
                at = addend.ctypes.data + k * layer.channels * 2
            run_panels(layer, job, side, count, to + (k - start) * grid.column_step, at)
    block[0], runs[0] = 0, 0  # holds the arrays until here


@jit
def load_row(x: Array, y: int, left: int, target: Array) -> None:
    """Row y of x from sample -left on, zeros outside the picture."""
    height, width = x.shape
    before = min(target.size, max(0, left))
    skip = min(width, max(0, -left))
    filled = min(target.size - before, width - skip) if 0 <= y < height else 0
    for i in range(before):
        target[i] = 0
    inner = target[before:]
    if filled > 0:
        widen(x[y][skip:], inner, filled)
    for i in range(max(0, filled), inner.size):
        inner[i] = 0


@jit
def kernel_rows(
    begin: int, end: int, layer: Layer, grid: Grid, x: Array, direct: int, scratch: Array,
    side: Panels, out: Array, addend: Array,
) -> None:  # fmt: skip
    """Convolution of any kernel and stride; arguments as in point_rows, x: (h, w * inputs).

    The rows that a kernel spans lie in a ring of kernel_y rows, each copied once.
    """
    inputs, kernel_y = grid.inputs, side.weights.shape[1]
    step = grid.stride * inputs * scratch.itemsize
    runs = np.zeros(kernel_y + 1, np.int64)
    job = start_job(layer, side, runs, step, grid.column_step)
    job[TAP_STEP] = inputs * 2
    samples = ((grid.width - 1) * grid.stride + grid.kernel_x) * inputs + SLACK
    ring = np.zeros((max(1, kernel_y), samples), scratch.dtype)
    held = np.full(kernel_y, -(2**62), np.int64)
    block = DEPTHWISE_BLOCK if layer.depthwise else BLOCK
    for row in range(begin, end):
        above = row * grid.stride - grid.top
        for y in range(above, above + kernel_y):
            if held[y % kernel_y] != y:
                load_row(x, y, grid.left * inputs, ring[y % kernel_y])
                held[y % kernel_y] = y
        for k in range(0, grid.width, block):
            for ky in range(kernel_y):
                slot = (above + ky) % kernel_y
                runs[ky] = ring.ctypes.data + slot * samples * ring.itemsize + k * step
            at = 0
            if addend.size:
                position = row * grid.width + k
                at = addend.ctypes.data + position * layer.channels * 2
            to = out.ctypes.data + grid.origin + row * grid.row_step + k * grid.column_step
            run_panels(layer, job, side, min(block, grid.width - k), to, at)
    ring[0, 0], runs[0] = 0, 0  # holds the arrays until here
