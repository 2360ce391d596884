"""`intnet.latents`, compiled: the same names, the same integers, threads over rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from intnet.backends import rounding
from intnet.backends.threads import spread
from intnet.latents import SYMBOL_MAX, Int32Array, table_dtype
from intnet.model_file import Scaling
from intnet.program import DTYPES, Array, Port
from rangecoder.compile import jit

round_shift = jit(rounding.round_shift)
GRAIN = 8  # multiply-accumulates that a sample is worth, for `spread`


def table_indexes(index: Array, scaling: Scaling, quality: int, tables: int) -> Array:
    """As `latents.table_indexes`."""
    out = np.empty(index.shape, table_dtype(tables))
    offset = np.ascontiguousarray(scaling.index_offset[quality])
    spread(index_rows, len(out), out.size * GRAIN, index, offset, scaling.index_shift, tables - 1,
           out)  # fmt: skip
    return out


def quantise(y: Array, mean: Array, indexes: Array, scaling: Scaling, quality: int) -> Int32Array:
    """As `latents.quantise`."""
    out = np.empty(y.shape, np.int32)
    offset = scaling.dead_zone.astype(np.int64) << (scaling.gain_shift - 16)
    gain = np.ascontiguousarray(scaling.gain[quality])
    spread(symbol_rows, len(out), out.size * GRAIN, y, mean, indexes, gain, offset,
           scaling.gain_shift, out)  # fmt: skip
    return out


def dequantise(
    symbols: Int32Array, mean: Array, scaling: Scaling, quality: int, port: Port
) -> Array:
    """As `latents.dequantise`."""
    out = np.empty(mean.shape, DTYPES[port.dtype])
    gain = np.ascontiguousarray(scaling.inverse_gain[quality])
    spread(value_rows, len(out), out.size * GRAIN, symbols, mean, gain, scaling.inverse_shift,
           port.lo, port.hi, out)  # fmt: skip
    return out


@jit
def index_rows(
    begin: int, end: int, index: Array, offset: Array, shift: int, last: int, out: Array
) -> None:
    """Table of each symbol. index, out: (h, w, M). offset: int32 (M,)."""
    for row in range(begin, end):
        for column in range(index.shape[1]):
            i, o = index[row, column], out[row, column]
            for c in range(offset.size):
                table = round_shift(np.int64(i[c]) + np.int64(offset[c]), np.int64(shift))
                o[c] = min(max(table, 0), last)


@jit
def symbol_rows(
    begin: int, end: int, y: Array, mean: Array, indexes: Array, gain: Array, offset: Array,
    shift: int, out: Array,
) -> None:  # fmt: skip
    """Symbols. y, mean, indexes, out: (h, w, M). gain: int32 (M,). offset: int64 (tables,)."""
    for row in range(begin, end):
        for column in range(y.shape[1]):
            a, m, t, o = y[row, column], mean[row, column], indexes[row, column], out[row, column]
            for c in range(gain.size):
                residual = (np.int64(a[c]) - np.int64(m[c])) * np.int64(gain[c])
                magnitude = min((abs(residual) + offset[t[c]]) >> shift, SYMBOL_MAX)
                o[c] = -magnitude if residual < 0 else magnitude


@jit
def value_rows(
    begin: int, end: int, symbols: Array, mean: Array, gain: Any, shift: int, lo: int, hi: int,
    out: Array,
) -> None:  # fmt: skip
    """Reconstructed latents. symbols, mean, out: (h, w, M). gain: int32 (M,)."""
    for row in range(begin, end):
        for column in range(mean.shape[1]):
            s, m, o = symbols[row, column], mean[row, column], out[row, column]
            for c in range(gain.size):
                scaled = round_shift(np.int64(s[c]) * np.int64(gain[c]), np.int64(shift))
                o[c] = min(max(np.int64(m[c]) + scaled, lo), hi)
