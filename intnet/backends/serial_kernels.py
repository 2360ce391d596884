"""Fronts of a serial context model, compiled; `numba_serial` makes the arguments."""

from __future__ import annotations

from typing import Any, NamedTuple

from intnet.backends.numba_latents import index_rows, symbol_rows, value_rows
from intnet.backends.shared_work import offer
from intnet.program import Array
from rangecoder.compile import jit
from rangecoder.decoding import VALID, decode_batch


class Grid(NamedTuple):
    """The latents and what is seen of them. taps: int64 (n, 2), row and column.

    padded: s16 (height + top, width + 2 * side, M).
    """

    height: int
    width: int
    slope: int
    taps: Array
    top: int
    side: int
    padded: Array


class Networks(NamedTuple):
    """Layers of `shared_work` and their buffers.

    masked: the layer that reads the latents. runs: int64 (layers, taps), where runs begin.
    rest: for `offer`. features: s16 (height, width, channels). scratch: s16, flat. places: (3, 2),
    first sample in scratch and samples to the next position of features, mean and index.
    """

    control: Array
    layers: Array
    jobs: Array
    masked: int
    runs: Array
    rest: int
    features: Array
    scratch: Array
    places: Array


class Latents(NamedTuple):
    """The arithmetic of one quality, arguments of the kernels of `numba_latents`."""

    index_offset: Array
    index_shift: int
    last_table: int
    gain: Array
    gain_offset: Array
    gain_shift: int
    inverse_gain: Array
    inverse_shift: int
    lo: int
    hi: int


class Front(NamedTuple):
    """Mean, index and latents of the positions of a front: s16 (most, 1, M)."""

    means: Array
    indexes: Array
    values: Array


class Coded(NamedTuple):
    """All symbols and their tables in coding order, (height * width, 1, M) and flat."""

    symbols: Array
    tables: Array
    flat_symbols: Array
    flat_tables: Array


@jit
def take_rows(scratch: Array, place: Array, count: int, target: Array) -> None:
    """Samples of a front out of the scratch. target: (count or more, 1, channels)."""
    for k in range(count):
        source, t = scratch[place[0] + k * place[1] :], target[k, 0]
        for c in range(t.size):
            t[c] = source[c]


@jit
def give_rows(
    features: Array, row: int, column: int, slope: int, count: int, scratch: Array, place: Array
) -> None:
    """Features of a front into the scratch."""
    for k in range(count):
        source, target = features[row + k, column - k * slope], scratch[place[0] + k * place[1] :]
        for c in range(source.size):
            target[c] = source[c]


@jit
def predict_rows(
    grid: Grid, nets: Networks, front: Front, row: int, column: int, count: int
) -> None:
    """Mean and index of a front that begins at (row, column)."""
    _, stride, channels = grid.padded.shape
    for tap in range(len(grid.taps)):
        y, x = row + grid.top + grid.taps[tap, 0], column + grid.side + grid.taps[tap, 1]
        nets.runs[nets.masked, tap] = grid.padded.ctypes.data + (y * stride + x) * channels * 2
    give_rows(nets.features, row, column, grid.slope, count, nets.scratch, nets.places[0])
    for layer in range(len(nets.layers)):
        offer(nets.control.ctypes.data, nets.layers, nets.jobs, layer, count, nets.rest)
    take_rows(nets.scratch, nets.places[1], count, front.means)
    take_rows(nets.scratch, nets.places[2], count, front.indexes)


@jit
def keep_rows(grid: Grid, front: Front, row: int, column: int, count: int) -> None:
    """The latents of a front to their positions."""
    for k in range(count):
        source = front.values[k, 0]
        target = grid.padded[row + k + grid.top, column - k * grid.slope + grid.side]
        for c in range(source.size):
            target[c] = source[c]


@jit
def gather_rows(y: Array, row: int, column: int, slope: int, count: int, target: Array) -> None:
    """The encoder's latents of a front."""
    for k in range(count):
        source, t = y[row + k, column - k * slope], target[k, 0]
        for c in range(t.size):
            t[c] = source[c]


@jit
def front_rows(
    grid: Grid, nets: Networks, latents: Latents, front: Front, coded: Coded, y: Array,
    decoder: Any,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """Every front; (status, symbols, detail) of the decoder.

    y: s16 (height, width, M) to encode, or empty to decode.
    """
    at, channels = 0, grid.padded.shape[2]
    for number in range(grid.width + grid.slope * (grid.height - 1)):
        row = max(0, -((grid.width - 1 - number) // grid.slope))
        count = min(grid.height, number // grid.slope + 1) - row
        if count <= 0:
            continue
        column, here = number - row * grid.slope, at * channels
        predict_rows(grid, nets, front, row, column, count)
        symbols, tables = coded.symbols[at:], coded.tables[at:]
        index_rows(0, count, front.indexes, latents.index_offset, latents.index_shift,
                   latents.last_table, tables)  # fmt: skip
        if y.size:
            gather_rows(y, row, column, grid.slope, count, front.values)
            symbol_rows(0, count, front.values, front.means, tables, latents.gain,
                        latents.gain_offset, latents.gain_shift, symbols)  # fmt: skip
        else:
            words, first_lane, cdf, start, minimum, lookup, states = decoder
            end = here + count * channels
            status, done, detail = decode_batch(
                words, coded.flat_tables[here:end], (first_lane + here) % len(states), cdf, start,
                minimum, lookup, states, coded.flat_symbols[here:end],
            )  # fmt: skip
            if status != VALID:
                return status, here + done, detail
        value_rows(0, count, symbols, front.means, latents.inverse_gain, latents.inverse_shift,
                   latents.lo, latents.hi, front.values)  # fmt: skip
        keep_rows(grid, front, row, column, count)
        at += count
    return VALID, at * channels, 0
