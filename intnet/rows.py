"""Which rows of its inputs an operation reads: what lets networks run in strips.

Nothing here knows columns: strips have the full width.
"""

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


def needed(op: Op, begin: int, end: int, height: int) -> Span:
    """Rows of an input of `height` rows that output rows [begin, end) are computed from.

    Never decreasing in begin and in end. Empty where padding is all that is read.
    """
    lo, hi = SPANS[type(op)](op, begin, end) if type(op) in SPANS else (begin, end)
    lo, hi = min(max(lo, 0), height), min(max(hi, 0), height)
    if isinstance(op, Pad):  # the edges repeat the nearest row
        lo, hi = min(lo, height - 1), max(hi, 1)
    return lo, max(lo, hi)


def conv(op: Conv, begin: int, end: int) -> Span:
    """Row r reads r * stride - top + ky."""
    first = begin * op.stride - op.padding[0]
    return first, (end - 1) * op.stride - op.padding[0] + op.weight.shape[1]


def conv_transpose(op: ConvTranspose, begin: int, end: int) -> Span:
    """Row r reads the y with y * stride + ky - top = r."""
    top, kernel_y = op.padding[0], op.weight.shape[1]
    return -((kernel_y - 1 - begin - top) // op.stride), (end - 1 + top) // op.stride + 1


def depth_to_space(op: DepthToSpace, begin: int, end: int) -> Span:
    """Row r reads r // block."""
    return begin // op.block, -(-end // op.block)


def space_to_depth(op: SpaceToDepth, begin: int, end: int) -> Span:
    """Row r reads r * block and the block - 1 after it."""
    return begin * op.block, end * op.block


def pad(op: Pad, begin: int, end: int) -> Span:
    """Row r reads r - top."""
    return begin - op.padding[0], end - op.padding[0]


def crop(op: Crop, begin: int, end: int) -> Span:
    """Row r reads r + top."""
    return begin + op.padding[0], end + op.padding[0]


SPANS: dict[type[Op], Callable[..., Span]] = {
    Conv: conv, ConvTranspose: conv_transpose, DepthToSpace: depth_to_space,
    SpaceToDepth: space_to_depth, Pad: pad, Crop: crop,
}  # fmt: skip
