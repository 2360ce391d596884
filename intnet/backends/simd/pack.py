"""Weights and parameters in the order in which a tile reads them; made once per operation.

A panel computes NR lanes, register by register. `lanes` says which output channel each lane is;
lanes that are none have zero weights. Then

    weights: int8 or int16 (panels, runs, groups, NR, values of a group)
    parameters: int32 (panels, 5 * NR): bias, multiplier, shift, 2**(shift - 1). If every shift is
        more than 32, the last two are those of the high word, shift - 32 and 2**(shift - 33); else
        the last one is int64 in the order of `Isa.halves`, register by register
    targets: int64 (panels, 1 + 2 * registers): how many lanes are outputs; bytes from a position to
        the outputs of each register; how many lanes of each register are outputs

The first two begin at a multiple of 64 bytes.
"""

from __future__ import annotations

import numpy as np

from intnet.backends.simd.emit import GROUP_BYTES
from intnet.backends.simd.isa import Isa
from intnet.program import Array

WORD = 32


def aligned(shape: tuple[int, ...], dtype: type[np.integer]) -> Array:
    """Zeros that begin at a multiple of 64 bytes."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    buffer = np.zeros(size + 64, np.uint8)
    start = -buffer.ctypes.data % 64
    return buffer[start : start + size].view(dtype).reshape(shape)


def lanes(isa: Isa, stretches: list[Array]) -> Array:
    """The channel of each lane, -1 for none; int64 (panels * NR,).

    stretches: channels whose outputs lie side by side; each begins with a register.
    """
    made: list[Array] = []
    for stretch in stretches:
        made += [stretch, np.full(-len(stretch) % isa.lanes, -1)]
    total = sum(len(part) for part in made)
    return np.concatenate([*made, np.full(-total % isa.columns, -1)])


def taken(values: Array, order: Array) -> Array:
    """Rows of values in the order of `lanes`, zeros for lanes that are none."""
    picked = values[np.maximum(order, 0)]
    picked[order < 0] = 0
    return picked


def weights(isa: Isa, kind: str, weight: Array) -> Array:
    """weight: (lanes, runs, k); kind: "u8" or "s16"."""
    dtype = np.int8 if kind == "u8" else np.int16
    n, runs, k = weight.shape
    size = GROUP_BYTES // np.dtype(dtype).itemsize  # values of a group
    groups = -(-k // size)
    padded = np.zeros((n, runs, groups * size), dtype)
    padded[:, :, :k] = weight
    ordered = padded.reshape(n // isa.columns, isa.columns, runs, groups, size).transpose(
        0, 2, 3, 1, 4
    )
    packed = aligned(ordered.shape, dtype)
    packed[:] = ordered
    return packed


def depthwise_weights(isa: Isa, weight: Array) -> Array:
    """weight: (lanes, KY, KX) -> int16 (panels, KY, KX, NR, 1)."""
    n, ky, kx = weight.shape
    ordered = weight.reshape(n // isa.columns, isa.columns, ky, kx).transpose(0, 2, 3, 1)
    packed = aligned((*ordered.shape, 1), np.int16)
    packed[..., 0] = ordered
    return packed


def is_high(shift: Array) -> bool:
    """Whether outputs come from the high words of products alone."""
    return int(shift.min()) > WORD


def parameters(isa: Isa, bias: Array, multiplier: Array, shift: Array, *, high: bool) -> Array:
    """Of each lane; high: `is_high`. A shift of 0 marks a lane that is none."""
    columns, there = isa.columns, shift > 0
    less = np.where(there, shift.astype(np.int64) - WORD * high, 0)
    rounding = np.where(there, np.int64(1) << np.maximum(less - 1, 0), 0)
    rows = np.array([bias, multiplier, less, rounding if high else bias], np.int32)
    packed = aligned((rows.shape[1] // columns, 5 * columns), np.int32)
    packed[:, : 4 * columns] = rows.reshape(4, -1, columns).swapaxes(0, 1).reshape(len(packed), -1)
    if not high:
        first, second = isa.halves()
        by_register = rounding.reshape(-1, isa.lanes)[:, first + second].reshape(-1, columns)
        packed[:, 3 * columns :] = by_register.view(np.int32)
    return packed


def targets(isa: Isa, order: Array, start: Array) -> Array:
    """order: of `lanes`. start: bytes from a position to the output of each channel."""
    counts = (order >= 0).reshape(-1, isa.vectors, isa.lanes).sum(2)
    places = start[np.maximum(order[:: isa.lanes], 0)].reshape(-1, isa.vectors)
    return np.hstack([counts.sum(1, keepdims=True), places, counts]).astype(np.int64)
