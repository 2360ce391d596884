"""Parts of a program's outputs from parts of its input, bit-identical to the whole.

An operation reads near what it makes. So the part of the input that an area of the outputs is
computed from, run as if it were all, gives that area as it is in the whole; what lies nearer to the
cut is wrong and cut off.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from intnet import strips
from intnet.model_file import Y_STRIDE, Z_STRIDE, Model
from intnet.program import Conv, Program, SpaceToDepth
from intnet.rows import COLUMNS, ROWS, Span, needed
from intnet.shapes import Size, shapes
from intnet.tiles import Grid

Cells = npt.NDArray[np.int64]


class Area(NamedTuple):
    """Rows and columns of a tensor."""

    rows: Span
    columns: Span

    @property
    def slices(self) -> tuple[slice, slice]:
        """For arrays."""
        return slice(*self.rows), slice(*self.columns)

    @property
    def size(self) -> Size:
        """Height and width."""
        return self.rows[1] - self.rows[0], self.columns[1] - self.columns[0]

    def within(self, outer: Area) -> Area:
        """The same area, counted from the top left of another."""
        (top, _), (left, _) = outer
        return Area(
            (self.rows[0] - top, self.rows[1] - top),
            (self.columns[0] - left, self.columns[1] - left),
        )

    def scaled(self, times: int) -> Area:
        """In cells of a grid that is finer by `times`."""
        (top, bottom), (left, right) = self
        return Area((top * times, bottom * times), (left * times, right * times))

    def reduced(self, times: int) -> Area:
        """In cells of a grid that is coarser by `times`."""
        (top, bottom), (left, right) = self
        return Area((top // times, -(-bottom // times)), (left // times, -(-right // times)))

    def around(self, side: int, size: Size) -> Area:
        """Grown to multiples of side, at most a tensor of `size`."""
        found = [
            (begin // side * side, min(-(-end // side) * side, length))
            for (begin, end), length in zip(self, size, strict=True)
        ]
        return Area(*found)


class Windows(NamedTuple):
    """What an area of a picture is decoded from.

    y, z: areas of the two tensors, from which networks compute. y_tiles, z_tiles: what is decoded
    for them, whole tiles.
    """

    y: Area
    y_tiles: Area
    z: Area
    z_tiles: Area


def windows(model: Model, grid: Grid, area: Area) -> Windows:
    """Those of an area of a picture that has tiles."""
    size = grid.height, grid.width
    y_size, z_size = strips.grid(size, Y_STRIDE), strips.grid(size, Z_STRIDE)
    y = source(model.programs["synthesis"], area, y_size)
    y_tiles = y.around(grid.side * Z_STRIDE // Y_STRIDE, y_size)
    z = y_tiles.reduced(Z_STRIDE // Y_STRIDE)
    if "prior" in model.programs:
        z = source(model.programs["prior"], y_tiles, z_size)
    return Windows(y, y_tiles, z, z.around(grid.side, z_size))


def source(program: Program, area: Area, size: Size) -> Area:
    """The part of the one input, of `size`, that an area of every output is computed from.

    At least a cell, and aligned to the strides on the way. All of it where sizes of the part
    would not fit.
    """
    lengths = shapes(program, {program.inputs[0].name: size})
    spans: list[Span] = []
    for axis, span in zip((ROWS, COLUMNS), area, strict=True):
        begin, end = backward(program, np.array(span[0]), np.array(span[1]), lengths, axis)
        spans.append((int(begin), int(end)))
    steps = (op.stride if isinstance(op, Conv) else op.block
             for op in program.ops if isinstance(op, Conv | SpaceToDepth))  # fmt: skip
    found = Area(*spans).around(math.prod(steps), size)
    return found if fits(program, found.size, size) else Area((0, size[0]), (0, size[1]))


def backward(
    program: Program, begin: Cells, end: Cells, lengths: dict[str, Size], axis: int
) -> tuple[Cells, Cells]:
    """`source` along one axis, of many spans [begin, end) at once."""
    spans = dict.fromkeys(program.outputs, (begin, end))
    for op in reversed(program.ops):
        if op.name in spans:
            for name in op.inputs:
                first, last = needed(op, *spans[op.name], lengths[name][axis], axis)
                had = spans.get(name, (first, last))
                spans[name] = np.minimum(first, had[0]), np.maximum(last, had[1])
    name = program.inputs[0].name
    first, last = spans.get(name, (np.zeros_like(begin), np.ones_like(end)))
    first = np.minimum(first, lengths[name][axis] - 1)
    return first, np.maximum(last, first + 1)


def fits(program: Program, part: Size, whole: Size) -> bool:
    """Outputs of a part are larger than it by what those of the whole are."""
    name = program.inputs[0].name
    try:
        sizes = (shapes(program, {name: size}) for size in (part, whole))
        pairs = [[made[output] for output in program.outputs] for made in sizes]
    except ValueError:
        return False
    return all(
        got * b == made * a
        for made_part, made_whole in zip(*pairs, strict=True)
        for got, made, a, b in zip(made_part, made_whole, part, whole, strict=True)
    )


def reached(program: Program, spans: list[Span], size: Size, axis: int, times: int) -> list[Span]:
    """The cells of the outputs, along an axis, that are computed from some of each input span.

    All are searched at once: a picture of 2**24 rows has 2**18 tiles.
    """
    lengths = shapes(program, {program.inputs[0].name: size})

    def first(after: Cells, end: int) -> Cells:
        """The first cells that read beyond `after`; end: 0 or 1, of the spans they read."""
        low, high = np.zeros_like(after), np.full_like(after, size[axis] * times)
        while (searching := low < high).any():
            middle = (low + high) // 2
            beyond = backward(program, middle, middle + 1, lengths, axis)[end] > after
            high = np.where(searching & beyond, middle, high)
            low = np.where(searching & ~beyond, middle + 1, low)
        return low

    begins, ends = np.array(spans, np.int64).T
    found = first(begins, 1), first(ends - 1, 0)
    return list(zip(*(cells.tolist() for cells in found), strict=True))
