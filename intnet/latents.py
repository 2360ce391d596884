"""Between networks and coder: table indexes, symbols and reconstructed latents, in integers.

All arrays are (height, width, M). Everything happens in int64 far below its limits: |y|, |mean| <
2**31, gains < 2**31, symbols within 16 bits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from intnet.backends.rounding import round_shift
from intnet.model_file import Scaling
from intnet.program import DTYPES, Array, Port

Int32Array = npt.NDArray[np.int32]
SYMBOL_MAX = 2**15 - 1


def table_indexes(
    index: Array, scaling: Scaling, quality: int, tables: int
) -> npt.NDArray[np.uint8]:
    """Table of each symbol: round_shift(index + index_offset[quality], index_shift), clipped."""
    shifted = index.astype(np.int64) + scaling.index_offset[quality]
    clipped: Array = np.clip(round_shift(shifted, scaling.index_shift), 0, tables - 1)
    return clipped.astype(np.uint8)


def quantise(
    y: Array, mean: Array, indexes: npt.NDArray[np.uint8], scaling: Scaling, quality: int
) -> Int32Array:
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
