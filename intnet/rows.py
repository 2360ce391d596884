"""Which rows, or columns, of its inputs an operation reads: networks in strips and windows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from intnet.program import (
    Conv,
    ConvTranspose,
    Crop,
    DepthToSpace,
    Op,
    Pad,
    SpaceToDepth,
)

Span = tuple[int, int]  # rows [begin, end)
Index = TypeVar("Index", int, npt.NDArray[np.int64])  # a row, or many spans' at once
ROWS, COLUMNS = 0, 1


def needed(op: Op, begin: Index, end: Index, height: int, axis: int = ROWS) -> tuple[Index, Index]:
    """Rows of an input of `height` rows that output rows [begin, end) are computed from.

    Never decreasing in begin and in end. Empty where padding is all that is read. With axis
    COLUMNS, read columns and width for rows and height, here and below.
    """
    span: tuple[Index, Index] = begin, end
    if type(op) in SPANS:
        span = SPANS[type(op)](op, begin, end, axis)
    edge = isinstance(op, Pad)  # its edges repeat the nearest row
    lo, hi = clip(span[0], 0, height - edge), clip(span[1], int(edge), height)
    return lo, hi + clip(lo - hi, 0, height)  # the later of both


def clip(x: Index, lo: int, hi: int) -> Index:
    """Within [lo, hi]."""
    if isinstance(x, np.ndarray):
        return np.clip(x, lo, hi)
    return min(max(x, lo), hi)


def conv(op: Conv, begin: Index, end: Index, axis: int) -> tuple[Index, Index]:
    """Row r reads r * stride - top + ky."""
    first = begin * op.stride - op.padding[axis]
    return first, (end - 1) * op.stride - op.padding[axis] + op.weight.shape[1 + axis]


def conv_transpose(op: ConvTranspose, begin: Index, end: Index, axis: int) -> tuple[Index, Index]:
    """Row r reads the y with y * stride + ky - top = r."""
    top, kernel_y = op.padding[axis], op.weight.shape[1 + axis]
    return -((kernel_y - 1 - begin - top) // op.stride), (end - 1 + top) // op.stride + 1


def depth_to_space(op: DepthToSpace, begin: Index, end: Index, _axis: int) -> tuple[Index, Index]:
    """Row r reads r // block."""
    return begin // op.block, -(-end // op.block)


def space_to_depth(op: SpaceToDepth, begin: Index, end: Index, _axis: int) -> tuple[Index, Index]:
    """Row r reads r * block and the block - 1 after it."""
    return begin * op.block, end * op.block


def pad(op: Pad, begin: Index, end: Index, axis: int) -> tuple[Index, Index]:
    """Row r reads r - top."""
    return begin - op.padding[axis], end - op.padding[axis]


def crop(op: Crop, begin: Index, end: Index, axis: int) -> tuple[Index, Index]:
    """Row r reads r + top."""
    return begin + op.padding[axis], end + op.padding[axis]


SPANS: dict[type[Op], Callable[..., Any]] = {
    Conv: conv, ConvTranspose: conv_transpose, DepthToSpace: depth_to_space,
    SpaceToDepth: space_to_depth, Pad: pad, Crop: crop,
}  # fmt: skip
