"""Symbols of y and z, coded tile by tile; rows come from top to bottom, as the networks make them.

Tiles of a row are coded side by side, in threads.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

import rangecoder
from intnet.backends import threads
from intnet.errors import StreamError
from intnet.latents import Int32Array
from intnet.program import Array
from intnet.tiles import UNIT, Grid

Y_STRIDE = 16
Edges = tuple[bool, bool]
Lost = dict[int, str]  # tile -> why
SYMBOL_COST = 512  # multiply-accumulates that take as long as one symbol


def lanes_of(minor: int, symbols: int) -> int:
    """Lanes of a payload of so many symbols in a stream of version 1.minor."""
    return rangecoder.lanes_for(symbols) if minor else 1


@contextlib.contextmanager
def stage(name: str, grid: Grid, number: int, lost: Lost | None = None) -> Iterator[None]:
    """A malformed payload is a StreamError that names tile and stage, or a tile that is lost."""
    try:
        yield
    except rangecoder.PayloadError as error:
        tile = f", {grid.name(number)}" if grid.tiles > 1 else ""
        words = f"stream{tile}, stage {name}: {error}"
        if lost is None:
            raise StreamError(words) from None
        lost[number] = words


def z_indexes(shape: tuple[int, ...]) -> npt.NDArray[np.uint16]:
    """Every hyper-latent channel has its own table."""
    return np.ascontiguousarray(
        np.broadcast_to(np.arange(shape[2], dtype=np.uint16), shape)
    ).ravel()


def encode_z(z: Array, grid: Grid, tables: rangecoder.Tables | None) -> list[bytes]:
    """The payloads of z (rows, columns, channels), int32 in its symbols' range.

    tables: None where z has no channels; payloads are empty then, here and below.
    """
    if tables is None:
        return [b""] * grid.tiles
    parts = [np.ascontiguousarray(z[area], np.int32) for area in grid.areas(UNIT)]
    return [
        rangecoder.encode(x.ravel(), z_indexes(x.shape), tables, rangecoder.lanes_for(x.size))
        for x in parts
    ]


def decode_z(
    payloads: list[bytes], grid: Grid, tables: rangecoder.Tables | None, minor: int
) -> Int32Array:
    """z (rows, columns, channels) of int32. Raises StreamError."""
    rows, columns = (-(-side // UNIT) for side in grid[:2])
    z = np.empty((rows, columns, tables.n_tables if tables else 0), np.int32)
    for number, (area, payload) in enumerate(zip(grid.areas(UNIT), payloads, strict=True)):
        with stage("z", grid, number):
            z[area] = decode_tile_of_z(payload, z[area].shape[:2], tables, minor)
    return z


def decode_tile_of_z(
    payload: bytes, size: tuple[int, ...], tables: rangecoder.Tables | None, minor: int
) -> Int32Array:
    """z of a tile of `size`. Raises PayloadError."""
    if tables is None:
        if payload:
            raise rangecoder.PayloadError(f"payload of {len(payload)} bytes, model has no z: 0")
        return np.empty((*size, 0), np.int32)
    shape = *size, tables.n_tables
    lanes = lanes_of(minor, math.prod(shape))
    found: Int32Array = rangecoder.decode(payload, z_indexes(shape), tables, lanes)
    return found.reshape(shape)


class Rows:
    """Where the next rows of y lie among the rows of tiles."""

    def __init__(self, grid: Grid) -> None:
        self.bands = grid.spans(grid.height, Y_STRIDE)
        self.columns = grid.spans(grid.width, Y_STRIDE)
        self.done = self.band = 0  # rows; rows of tiles

    def take(self, rows: int) -> Iterator[tuple[slice, int, bool, bool]]:
        """Cut the next rows where tiles end.

        Yields which of them, the row of tiles, and whether they are its first and its last ones.
        Raises ValueError for more rows than there are.
        """
        at = 0
        while at < rows:
            if self.band == len(self.bands):
                raise ValueError(f"y: {rows - at} rows more than the {self.done} of the picture")
            band, (begin, end) = self.band, self.bands[self.band]
            some, first = min(rows - at, end - self.done), self.done == begin
            self.done += some
            self.band += self.done == end
            yield slice(at, at + some), band, first, self.done == end
            at += some

    def size(self, band: int, column: int) -> int:
        """Positions of a tile."""
        (top, bottom), (left, right) = self.bands[band], self.columns[column]
        return (bottom - top) * (right - left)

    def each(self, code: Callable[[int], None], symbols: int) -> None:
        """Call code(column) for every tile of a row, in threads; symbols: of all, as a cost."""

        def some(begin: int, end: int) -> None:
            for column in range(begin, end):
                code(column)

        threads.spread(some, len(self.columns), symbols * SYMBOL_COST)


class SymbolEncoder:
    """Codes rows of symbols of y (rows, columns, channels)."""

    def __init__(self, grid: Grid, tables: rangecoder.Tables) -> None:
        self.rows, self.tables = Rows(grid), tables
        self.open: list[rangecoder.Encoder] = []
        self.payloads: list[bytes] = []

    def push(self, symbols: Int32Array, tables: Array) -> None:
        """The next rows of symbols and of the table of each."""
        columns = self.rows.columns
        for rows, band, first, last in self.rows.take(len(symbols)):
            if first:
                sizes = (self.rows.size(band, c) * symbols.shape[2] for c in range(len(columns)))
                self.open = [
                    rangecoder.Encoder(self.tables, rangecoder.lanes_for(size)) for size in sizes
                ]

            def code(column: int, rows: slice = rows) -> None:
                part = rows, slice(*columns[column])
                self.open[column].push(symbols[part].ravel(), tables[part].ravel())

            self.rows.each(code, symbols[rows].size)
            if last:
                self.payloads += [encoder.finish() for encoder in self.open]


class SymbolDecoder:
    """Decodes rows of symbols of y, as `SymbolEncoder` coded them. Methods raise StreamError.

    lost: tiles whose symbols are 0; those that turn out to be damaged are added, and nothing is
    raised.
    """

    def __init__(
        self, payloads: Sequence[bytes], grid: Grid, tables: rangecoder.Tables, minor: int,
        lost: Lost | None = None,
    ) -> None:  # fmt: skip
        self.rows, self.grid, self.tables, self.minor = Rows(grid), grid, tables, minor
        self.payloads, self.lost = payloads, lost
        self.open: dict[int, rangecoder.Decoder] = {}

    def pull(self, tables: Array) -> Int32Array:
        """The symbols of the next rows, from the table of each."""
        columns = self.rows.columns
        symbols = np.zeros(tables.shape, np.int32)
        for rows, band, first, last in self.rows.take(len(tables)):

            def code(column: int, rows: slice = rows, band: int = band, edges: Edges = (first, last)
            ) -> None:  # fmt: skip
                part = rows, slice(*columns[column])
                self.tile(band, column, tables[part], symbols[part], edges)

            self.rows.each(code, symbols[rows].size)
        return symbols

    def tile(
        self, band: int, column: int, tables: Array, symbols: Int32Array, edges: Edges
    ) -> None:
        """Fill symbols: the next rows of a tile; edges: whether they are its first, its last."""
        number = band * len(self.rows.columns) + column
        if self.lost and number in self.lost:
            return
        with stage("y", self.grid, number, self.lost):
            if edges[0]:
                lanes = lanes_of(self.minor, self.rows.size(band, column) * tables.shape[2])
                payload = self.payloads[number]
                self.open[number] = rangecoder.Decoder(payload, self.tables, lanes)
            symbols[...] = self.open[number].pull(tables.ravel()).reshape(symbols.shape)
            if edges[1]:
                self.open.pop(number).finish()
            return
        self.open.pop(number, None)
        symbols[...] = 0
