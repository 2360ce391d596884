"""Operations that only move samples: no arithmetic, so both backends share them.

Each fills rows first, first + 1, ... of its output from the rows at hand.
"""

from __future__ import annotations

import numpy as np

from intnet.backends.execute import Compute, Rows
from intnet.program import Array, Concat, Crop, DepthToSpace, Op, Pad, Slice, SpaceToDepth


def same_rows(x: Rows, out: Rows) -> Array:
    """The rows of x with the numbers of those of out."""
    return x.array[out.first - x.first :][: len(out.array)]


def depth_to_space(op: DepthToSpace, inputs: list[Rows], out: Rows) -> None:
    """(h, w, c * block * block) -> (h * block, w * block, c); whole blocks of rows."""
    (x,), b = inputs, op.block
    begin = out.first // b - x.first
    rows = x.array[begin : begin + len(out.array) // b]
    h, w, channels = rows.shape
    blocks = rows.reshape(h, w, channels // b**2, b, b)  # y, x, c, dy, dx
    out.array.reshape(h, b, w, b, -1)[:] = blocks.transpose(0, 3, 1, 4, 2)


def space_to_depth(op: SpaceToDepth, inputs: list[Rows], out: Rows) -> None:
    """(h * block, w * block, c) -> (h, w, c * block * block)."""
    (x,), b, (h, w, _) = inputs, op.block, out.array.shape
    begin = out.first * b - x.first
    blocks = x.array[begin : begin + h * b].reshape(h, b, w, b, -1)  # y, dy, x, dx, c
    out.array.reshape(h, w, -1, b, b)[:] = blocks.transpose(0, 2, 4, 1, 3)


def concat(op: Concat, inputs: list[Rows], out: Rows) -> None:
    """Channels of every input in order."""
    np.concatenate([same_rows(x, out) for x in inputs], axis=2, out=out.array)


def slice_channels(op: Slice, inputs: list[Rows], out: Rows) -> None:
    """Channels begin <= c < end."""
    out.array[:] = same_rows(inputs[0], out)[:, :, op.begin : op.end]


def pad(op: Pad, inputs: list[Rows], out: Rows) -> None:
    """Added rows and columns."""
    (x,), (top, left, _, right) = inputs, op.padding
    rows = np.arange(out.first, out.first + len(out.array)) - top
    nearest = np.clip(rows, 0, x.height - 1)
    inner = x.array[nearest - x.first]
    if op.mode == "zero":
        inner[rows != nearest] = 0
    edges = ((0, 0), (left, right), (0, 0))
    out.array[:] = np.pad(inner, edges, mode="constant" if op.mode == "zero" else "edge")


def crop(op: Crop, inputs: list[Rows], out: Rows) -> None:
    """Removed rows and columns."""
    (x,), (top, left, _, _), (h, w, _) = inputs, op.padding, out.array.shape
    begin = out.first + top - x.first
    out.array[:] = x.array[begin : begin + h, left : left + w]


OPERATIONS: dict[type[Op], Compute] = {
    DepthToSpace: depth_to_space, SpaceToDepth: space_to_depth, Concat: concat,
    Slice: slice_channels, Pad: pad, Crop: crop,
}  # fmt: skip
