"""Between networks and coder: table indexes, symbols and reconstructed latents, in integers.

All arrays are (height, width, M). Everything happens in int64 far below its limits: |y|, |mean| <
2**31, gains < 2**31, symbols within 16 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from intnet.backends.rounding import round_shift
from intnet.model_file import MAX_INDEXED, Scaling
from intnet.program import DTYPES, Array, Port

Int32Array = npt.NDArray[np.int32]
SYMBOL_MAX = 2**15 - 1


def mean_and_index(outputs: Sequence[Array], port: Port) -> tuple[Array, Array]:
    """Both, from what a program makes: these two, or index alone. port: of y_hat."""
    if len(outputs) == 1:
        return np.zeros(outputs[0].shape, DTYPES[port.dtype]), outputs[0]
    mean, index = outputs
    return mean, index


def table_dtype(tables: int) -> Any:
    """Of table indexes: u8 wherever a program chooses them."""
    return np.uint8 if tables <= MAX_INDEXED else np.uint16


def table_indexes(index: Array, scaling: Scaling, quality: int, tables: int) -> Array:
    """Table of each symbol: round_shift(index + index_offset[quality], index_shift), clipped."""
    shifted = index.astype(np.int64) + scaling.index_offset[quality]
    clipped: Array = np.clip(round_shift(shifted, scaling.index_shift), 0, tables - 1)
    found: Array = clipped.astype(table_dtype(tables))
    return found


def quantise(y: Array, mean: Array, indexes: Array, scaling: Scaling, quality: int) -> Int32Array:
    """Symbols of an encoder: (y - mean) * gain rounded toward zero beyond the table's dead zone.

    A decoder never needs this; any symbols make a valid stream.
    """
    residual = (y.astype(np.int64) - mean) * scaling.gain[quality]
    offset = scaling.dead_zone.astype(np.int64) << (scaling.gain_shift - 16)
    magnitude = (np.abs(residual) + offset[indexes]) >> scaling.gain_shift
    symbols: Array = np.where(residual < 0, -magnitude, magnitude)
    return np.clip(symbols, -SYMBOL_MAX, SYMBOL_MAX).astype(np.int32)


def dequantise(
    symbols: Int32Array, mean: Array, scaling: Scaling, quality: int, port: Port
) -> Array:
    """y_hat = clip(mean + round_shift(symbol * inverse_gain, inverse_shift)), in port's dtype."""
    scaled = symbols.astype(np.int64) * scaling.inverse_gain[quality]
    y_hat: Array = mean + round_shift(scaled, scaling.inverse_shift)
    return np.clip(y_hat, port.lo, port.hi).astype(DTYPES[port.dtype])
