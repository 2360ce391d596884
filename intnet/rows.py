"""Which rows, or columns, of its inputs an operation reads: networks in strips and windows."""

from __future__ import annotations

from collections.abc import Callable

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
ROWS, COLUMNS = 0, 1


def needed(op: Op, begin: int, end: int, height: int, axis: int = ROWS) -> Span:
    """Rows of an input of `height` rows that output rows [begin, end) are computed from.

    Never decreasing in begin and in end. Empty where padding is all that is read. With axis
    COLUMNS, read columns and width for rows and height, here and below.
    """
    lo, hi = SPANS[type(op)](op, begin, end, axis) if type(op) in SPANS else (begin, end)
    lo, hi = min(max(lo, 0), height), min(max(hi, 0), height)
    if isinstance(op, Pad):  # the edges repeat the nearest row
        lo, hi = min(lo, height - 1), max(hi, 1)
    return lo, max(lo, hi)


def conv(op: Conv, begin: int, end: int, axis: int) -> Span:
    """Row r reads r * stride - top + ky."""
    first = begin * op.stride - op.padding[axis]
    return first, (end - 1) * op.stride - op.padding[axis] + op.weight.shape[1 + axis]


def conv_transpose(op: ConvTranspose, begin: int, end: int, axis: int) -> Span:
    """Row r reads the y with y * stride + ky - top = r."""
    top, kernel_y = op.padding[axis], op.weight.shape[1 + axis]
    return -((kernel_y - 1 - begin - top) // op.stride), (end - 1 + top) // op.stride + 1


def depth_to_space(op: DepthToSpace, begin: int, end: int, _axis: int) -> Span:
    """Row r reads r // block."""
    return begin // op.block, -(-end // op.block)


def space_to_depth(op: SpaceToDepth, begin: int, end: int, _axis: int) -> Span:
    """Row r reads r * block and the block - 1 after it."""
    return begin * op.block, end * op.block


def pad(op: Pad, begin: int, end: int, axis: int) -> Span:
    """Row r reads r - top."""
    return begin - op.padding[axis], end - op.padding[axis]


def crop(op: Crop, begin: int, end: int, axis: int) -> Span:
    """Row r reads r + top."""
    return begin + op.padding[axis], end + op.padding[axis]


SPANS: dict[type[Op], Callable[..., Span]] = {
    Conv: conv, ConvTranspose: conv_transpose, DepthToSpace: depth_to_space,
    SpaceToDepth: space_to_depth, Pad: pad, Crop: crop,
}  # fmt: skip
