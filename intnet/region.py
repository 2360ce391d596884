"""A part of a picture, from the tiles that it needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

import rangecoder
from intnet import backends, chunks, codec, container, memory, planes, tile_coding
from intnet.container import Entry, Header
from intnet.latents import Int32Array
from intnet.limits import DEFAULT, Limits
from intnet.model_file import Y_STRIDE, Z_STRIDE, Model
from intnet.options import DecoderOptions
from intnet.program import DTYPES, Array
from intnet.shapes import Size
from intnet.tile_coding import stage
from intnet.windows import Area, Windows, windows


def decode(
    stream: bytes,
    models: Iterable[Model],
    area: Area,
    backend: str = "numba",
    limits: Limits = DEFAULT,
) -> codec.Decoded:
    """Samples uint8 (rows, columns, 1 to 4) of an area of the picture, as `codec.decode` has them.

    Of other tiles than those that the area is computed from not even checksums are looked at, and
    a CRC of all samples cannot be. A stream of one tile is decoded whole.
    Raises ValueError for an area that is empty or not within the picture, StreamError and
    ModelError as `codec.decode` does.
    """
    if container.minor_version(stream) != container.MINOR_TILED:
        check_area(area, container.peek(stream, limits))
        whole = codec.decode(stream, models, backend, limits)
        return whole._replace(pixels=np.ascontiguousarray(whole.pixels[area.slices]))
    header, entries, chunk_bytes = container.unpack_head(stream, limits)
    container.check_length(entries, chunk_bytes, len(stream))
    header = header._replace(chunks=chunks.unpack(stream[entries[-1].end :]))
    check_area(area, header)
    model, size = codec.choose(models, header.model_id), (header.height, header.width)
    codec.check_sizes(model, size, ("prior", "synthesis"))
    found = windows(model, header.grid, area)
    options = DecoderOptions(backend, limits)
    memory.check_region(model, header, area.size, found, len(stream), options)
    samples = Part(stream, header, entries, model, backend, found).samples(area)
    transparency = planes.transparency_of(header)
    if transparency is not None:
        samples = np.concatenate([samples, transparency[area.slices][..., None]], 2)
    return codec.Decoded(samples, header)


def check_area(area: Area, header: Header) -> None:
    """Within the picture, and not empty. Raises ValueError."""
    for what, (begin, end), length in zip(
        ("rows", "columns"), area, (header.height, header.width), strict=True
    ):
        if not 0 <= begin < end <= length:
            raise ValueError(f"region: {what} {begin} to {end}, must be within 0 to {length}")


class Part(NamedTuple):
    """Stages of decoding, each for the window of its tensor."""

    stream: bytes
    header: Header
    entries: list[Entry]
    model: Model
    backend: str
    windows: Windows

    def tiles(self, area: Area, stride: int) -> Iterator[tuple[int, Area]]:
        """Numbers and areas of the tiles in an area that is made of whole tiles."""
        for number, (rows, columns) in enumerate(self.header.grid.areas(stride)):
            tile = Area((rows.start, rows.stop), (columns.start, columns.stop))
            (top, left), (bottom, right) = zip(*tile.within(area), strict=True)
            if top >= 0 and left >= 0 and bottom <= area.size[0] and right <= area.size[1]:
                yield number, tile

    def samples(self, area: Area) -> codec.Pixels:
        """Of an area of the picture."""
        (x_hat,) = codec.run(self.model, "synthesis", self.y_hat(), self.backend)
        found = x_hat[area.within(self.windows.y.scaled(Y_STRIDE)).slices]
        return np.ascontiguousarray(planes.luma(found) if self.header.grey else found)

    def y_hat(self) -> Array:
        """y_hat of the window of y."""
        area, tiles, *_ = self.windows
        mean, index = self.prior()
        scaling, quality, y_tables = self.model.scaling, self.header.quality, self.model.y_tables
        latents = backends.load(self.backend).latents
        tables = latents.table_indexes(index, scaling, quality, y_tables.n_tables)
        symbols = np.empty(tables.shape, np.int32)
        for number, tile in self.tiles(tiles, Y_STRIDE):
            payload = container.payload_of(self.stream, self.header, number, self.entries, "y")
            part = tables[tile.within(tiles).slices]
            lanes = tile_coding.lanes_of(self.header.minor, part.size)
            with stage("y", self.header.grid, number):
                found = rangecoder.decode(payload, part.ravel(), y_tables, lanes)
            symbols[tile.within(tiles).slices] = found.reshape(part.shape)
        inner = area.within(tiles).slices
        symbols, mean = (np.ascontiguousarray(t[inner]) for t in (symbols, mean))
        y_port = codec.port(self.model, "synthesis")
        y_hat: Array = latents.dequantise(symbols, mean, scaling, quality, y_port)
        return y_hat

    def prior(self) -> list[Array]:
        """Mean and index of the tiles of y."""
        made = codec.run(self.model, "prior", self.z(), self.backend)
        cells = self.windows.z.scaled(Z_STRIDE // Y_STRIDE)
        inner = self.windows.y_tiles.within(cells).slices
        return [np.ascontiguousarray(t[inner]) for t in made]

    def z(self) -> Array:
        """z of its window."""
        area, tiles = self.windows.z, self.windows.z_tiles
        z_port = codec.port(self.model, "prior")
        z = np.empty((*tiles.size, z_port.channels), np.int32)
        for number, tile in self.tiles(tiles, Z_STRIDE):
            z[tile.within(tiles).slices] = tile_of_z(
                self.stream, self.header, self.entries, self.model, number, tile.size
            )
        found: Array = np.array(z[area.within(tiles).slices], DTYPES[z_port.dtype])
        return found


def tile_of_z(
    stream: bytes, header: Header, entries: list[Entry], model: Model, number: int, size: Size
) -> Int32Array:
    """z of a tile of `size`, within the prior's input port. Raises StreamError."""
    payload = container.payload_of(stream, header, number, entries, "z")
    with stage("z", header.grid, number):
        found = tile_coding.decode_tile_of_z(payload, size, model.z_tables, header.minor)
    codec.check_symbols_of_z(found, codec.port(model, "prior"))
    return found
