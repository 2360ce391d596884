"""Parts of a program's outputs from parts of its input, bit-identical to the whole.

An operation reads near what it makes. So the part of the input that an area of the outputs is
computed from, run as if it were all, gives that area as it is in the whole; what lies nearer to the
cut is wrong and cut off.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from intnet.program import Conv, Program, SpaceToDepth
from intnet.rows import COLUMNS, ROWS, Span, needed
from intnet.shapes import Size, shapes


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

    def around(self, side: int, size: Size) -> Area:
        """Grown to multiples of side, at most a tensor of `size`."""
        found = [
            (begin // side * side, min(-(-end // side) * side, length))
            for (begin, end), length in zip(self, size, strict=True)
        ]
        return Area(*found)


def source(program: Program, area: Area, size: Size) -> Area:
    """The part of the one input, of `size`, that an area of every output is computed from.

    At least a cell, and aligned to the strides on the way. All of it where sizes of the part
    would not fit.
    """
    lengths = shapes(program, {program.inputs[0].name: size})
    spans = (backward(program, span, lengths, axis)
             for axis, span in zip((ROWS, COLUMNS), area, strict=True))  # fmt: skip
    steps = (op.stride if isinstance(op, Conv) else op.block
             for op in program.ops if isinstance(op, Conv | SpaceToDepth))  # fmt: skip
    found = Area(*spans).around(math.prod(steps), size)
    return found if fits(program, found.size, size) else Area((0, size[0]), (0, size[1]))


def backward(program: Program, area: Span, lengths: dict[str, Size], axis: int) -> Span:
    """`source` along one axis."""
    spans = dict.fromkeys(program.outputs, area)
    for op in reversed(program.ops):
        if op.name in spans:
            for name in op.inputs:
                begin, end = needed(op, *spans[op.name], lengths[name][axis], axis)
                had = spans.get(name, (begin, end))
                spans[name] = min(begin, had[0]), max(end, had[1])
    name = program.inputs[0].name
    begin, end = spans.get(name, (0, 1))
    begin = min(begin, lengths[name][axis] - 1)
    return begin, max(end, begin + 1)


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


def reached(program: Program, span: Span, size: Size, axis: int, times: int) -> Span:
    """The cells of the outputs, along an axis, that are computed from some of span of the input."""
    lengths = shapes(program, {program.inputs[0].name: size})

    def first(after: int, end: int) -> int:
        """The first cell that reads beyond `after`; end: 0 or 1, of the span it reads."""
        low, high = 0, size[axis] * times
        while low < high:
            middle = (low + high) // 2
            if backward(program, (middle, middle + 1), lengths, axis)[end] > after:
                high = middle
            else:
                low = middle + 1
        return low

    return first(span[0], 1), first(span[1] - 1, 0)
