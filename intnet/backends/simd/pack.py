"""Weights and parameters in the order in which a tile reads them; made once per operation.

Panel p holds the output channels p * NR .. p * NR + NR - 1, the last one padded with zeros.

    weights: int8 or int16 (panels, runs, groups, NR, values of a group)
    parameters: int32 (panels, 5 * NR): bias, multiplier, shift (less 32 if all are 32 or more),
        then rounding as int64 in the order of `Isa.halves`, register by register

Both begin at a multiple of 64 bytes.
"""

from __future__ import annotations

import numpy as np

from intnet.backends.simd.emit import GROUP_BYTES, Isa
from intnet.program import Array

WORD = 32


def aligned(shape: tuple[int, ...], dtype: type[np.integer]) -> Array:
    """Zeros that begin at a multiple of 64 bytes."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    buffer = np.zeros(size + 64, np.uint8)
    start = -buffer.ctypes.data % 64
    return buffer[start : start + size].view(dtype).reshape(shape)


def weights(isa: Isa, kind: str, weight: Array) -> Array:
    """weight: (N, runs, k); kind: "u8" or "s16"."""
    dtype = np.int8 if kind == "u8" else np.int16
    n, runs, k = weight.shape
    size = GROUP_BYTES // np.dtype(dtype).itemsize  # values of a group
    panels, groups = -(-n // isa.columns), -(-k // size)
    padded = np.zeros((panels * isa.columns, runs, groups * size), dtype)
    padded[:n, :, :k] = weight
    ordered = padded.reshape(panels, isa.columns, runs, groups, size).transpose(0, 2, 3, 1, 4)
    packed = aligned(ordered.shape, dtype)
    packed[:] = ordered
    return packed


def depthwise_weights(isa: Isa, weight: Array) -> Array:
    """weight: (N, KY, KX) -> int16 (panels, KY, KX, NR, 1)."""
    n, ky, kx = weight.shape
    panels = -(-n // isa.columns)
    packed = aligned((panels, ky, kx, isa.columns, 1), np.int16)
    padded = np.zeros((panels * isa.columns, ky, kx), np.int16)
    padded[:n] = weight
    packed[..., 0] = padded.reshape(panels, isa.columns, ky, kx).transpose(0, 2, 3, 1)
    return packed


def parameters(isa: Isa, bias: Array, multiplier: Array, shift: Array, *, high: bool) -> Array:
    """Panels.parameters; high: every shift is at least 32."""
    n, columns = len(bias), isa.columns
    panels = -(-n // columns)
    rows = np.zeros((3, panels * columns), np.int32)
    rows[:, :n] = bias, multiplier, shift - WORD if high else shift
    rounding = np.zeros(panels * columns, np.int64)
    rounding[:n] = np.int64(1) << (shift.astype(np.int64) - 1)
    first, second = isa.halves()
    by_register = rounding.reshape(-1, isa.lanes)[:, first + second].reshape(panels, columns)
    packed = aligned((panels, 5 * columns), np.int32)
    packed[:, : 3 * columns] = rows.reshape(3, panels, columns).swapaxes(0, 1).reshape(panels, -1)
    packed[:, 3 * columns :] = by_register.view(np.int32)
    return packed
