"""How a picture is cut into strips of rows, and the sizes of tensors that go with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from intnet.model_file import Y_STRIDE, Z_STRIDE
from intnet.program import Array
from intnet.shapes import Size

STRIP = 2**20  # pixels in a strip, as far as 64 rows allow


def cells(side: int, stride: int) -> int:
    """ceil(side / stride)."""
    return -(-side // stride)


def grid(size: Size, stride: int) -> Size:
    """Rows and columns of cells of so many pixels a side."""
    return cells(size[0], stride), cells(size[1], stride)


def strip_rows(width: int) -> int:
    """Picture rows of a strip, a multiple of 64; its pixels are those of the padded picture."""
    return max(1, STRIP // (cells(width, Z_STRIDE) * Z_STRIDE**2)) * Z_STRIDE


def input_sizes(size: Size) -> dict[str, Size]:
    """Of the input of every program, for a picture of (height, width)."""
    z = grid(size, Z_STRIDE)
    return {
        "analysis": (z[0] * Z_STRIDE, z[1] * Z_STRIDE),
        "hyper_analysis": (z[0] * Z_STRIDE // Y_STRIDE, z[1] * Z_STRIDE // Y_STRIDE),
        "prior": z,
        "synthesis": grid(size, Y_STRIDE),
    }


def rows_of(z: Array, width: int) -> Iterator[Array]:
    """Rows of z in the strips of a picture of that width."""
    step = strip_rows(width) // Z_STRIDE
    return (z[begin : begin + step] for begin in range(0, len(z), step))


def aligned(parts: Iterable[Sequence[Array]]) -> Iterator[list[Array]]:
    """Rows of several tensors, as many of each; those of one that is ahead wait."""
    waiting: list[Array] = []
    for part in parts:
        pairs = zip(waiting or [t[:0] for t in part], part, strict=True)
        whole = [np.concatenate((old, new)) if len(old) else new for old, new in pairs]
        ready = min(map(len, whole))
        waiting = [t[ready:] for t in whole]
        yield [np.ascontiguousarray(t[:ready]) for t in whole]


def regrouped(parts: Iterable[Sequence[Array]], heights: Iterable[int]) -> Iterator[list[Array]]:
    """Rows of several tensors, as many of each, cut anew: so many rows in each part."""
    source, waiting = iter(parts), list[list[Array]]()
    for height in heights:
        while sum(len(part[0]) for part in waiting) < height:
            waiting.append(list(next(source)))
        whole = [np.concatenate(rows) for rows in zip(*waiting, strict=True)]
        yield [np.ascontiguousarray(t[:height]) for t in whole]
        waiting = [[t[height:].copy() for t in whole]]
    for _ in source:  # what checks itself at its end
        pass
