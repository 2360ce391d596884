"""Operations that only move samples: no arithmetic, so both backends share them.

Each gives a fresh C-contiguous array of its input's dtype.
"""

from __future__ import annotations

import numpy as np

from intnet.backends.execute import Operation
from intnet.program import Array, Concat, Crop, DepthToSpace, Op, Pad, Slice, SpaceToDepth
from intnet.shapes import Size


def depth_to_space(op: DepthToSpace, inputs: list[Array], size: Size) -> Array:
    """(h, w, c * block * block) -> (h * block, w * block, c)."""
    h, w, channels = inputs[0].shape
    c, b = channels // op.block**2, op.block
    blocks = inputs[0].reshape(h, w, c, b, b)  # y, x, c, dy, dx
    return blocks.transpose(0, 3, 1, 4, 2).copy().reshape(*size, c)


def space_to_depth(op: SpaceToDepth, inputs: list[Array], size: Size) -> Array:
    """(h * block, w * block, c) -> (h, w, c * block * block)."""
    (h, w), c, b = size, inputs[0].shape[2], op.block
    blocks = inputs[0].reshape(h, b, w, b, c)  # y, dy, x, dx, c
    return blocks.transpose(0, 2, 4, 1, 3).copy().reshape(h, w, c * b * b)


def concat(op: Concat, inputs: list[Array], size: Size) -> Array:
    """Channels of every input in order."""
    return np.concatenate(inputs, axis=2)


def slice_channels(op: Slice, inputs: list[Array], size: Size) -> Array:
    """Channels begin <= c < end."""
    return inputs[0][:, :, op.begin : op.end].copy()


def pad(op: Pad, inputs: list[Array], size: Size) -> Array:
    """Added rows and columns."""
    top, left, bottom, right = op.padding
    edges = ((top, bottom), (left, right), (0, 0))
    return np.pad(inputs[0], edges, mode="constant" if op.mode == "zero" else "edge")


def crop(op: Crop, inputs: list[Array], size: Size) -> Array:
    """Removed rows and columns."""
    top, left, _, _ = op.padding
    return inputs[0][top : top + size[0], left : left + size[1]].copy()


OPERATIONS: dict[type[Op], Operation] = {
    DepthToSpace: depth_to_space, SpaceToDepth: space_to_depth, Concat: concat,
    Slice: slice_channels, Pad: pad, Crop: crop,
}  # fmt: skip
