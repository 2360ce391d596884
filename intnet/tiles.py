"""Tiles of a picture: what a stream codes each on its own.

The networks see the whole picture, whatever its tiles; only the two payloads of symbols begin anew
in each. So tiles change no sample, and any of them can be decoded, or lost, without the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

UNIT = 64  # pixels: a tile begins with a hyper-latent
MAX_SIDE = 2**16 - 1  # units
DEFAULT = 1024  # pixels

Span = tuple[int, int]  # begin, end


class Grid(NamedTuple):
    """Squares of side * 64 pixels from the top left, cut at the right and at the bottom.

    height, width: of the picture, pixels. side: units of 64 pixels; 0: one tile, the picture.
    """

    height: int
    width: int
    side: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of tiles; not from lists of them: the name of every tile asks for it."""
        step = self.side * UNIT or max(self.height, self.width)
        return -(-self.height // step), -(-self.width // step)

    @property
    def tiles(self) -> int:
        """How many."""
        rows, columns = self.shape
        return rows * columns

    def spans(self, length: int, stride: int) -> list[Span]:
        """The tiles along a side of so many pixels, in cells of stride (64, 16, 1) pixels."""
        cells = -(-length // stride)
        step = self.side * UNIT // stride or cells
        return [(begin, min(begin + step, cells)) for begin in range(0, cells, step)]

    def areas(self, stride: int) -> Iterator[tuple[slice, slice]]:
        """Rows and columns of every tile, in cells of stride pixels, row by row."""
        for top, bottom in self.spans(self.height, stride):
            for left, right in self.spans(self.width, stride):
                yield slice(top, bottom), slice(left, right)

    def name(self, number: int) -> str:
        """A tile as errors name it."""
        row, column = divmod(number, self.shape[1])
        return f"tile {number} (row {row}, column {column})"


def grid_of(height: int, width: int, tile: int, *, always: bool = False) -> Grid:
    """The grid for tiles of so many pixels a side; 0: one tile. Raises ValueError for others.

    always: also where one tile is the picture, which then says its side.
    """
    if tile % UNIT or not 0 <= tile <= MAX_SIDE * UNIT:
        raise ValueError(f"tile: {tile} pixels, must be a multiple of {UNIT}, 0 for one tile, "
                         f"at most {MAX_SIDE * UNIT}")  # fmt: skip
    cells = min(-(-max(height, width) // UNIT), MAX_SIDE)
    whole = tile == 0 or tile // UNIT >= cells
    return Grid(height, width, (cells if always else 0) if whole else tile // UNIT)
