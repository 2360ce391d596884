"""A part of a picture, from the tiles that it needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

import rangecoder
from intnet import backends, chunks, codec, container, memory, planes, strips, tile_coding
from intnet.container import Entry, Header
from intnet.limits import DEFAULT, Limits
from intnet.model_file import Y_STRIDE, Z_STRIDE, Model
from intnet.program import DTYPES, Array
from intnet.shapes import Size
from intnet.tile_coding import stage
from intnet.windows import Area, source


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
        whole = codec.decode(stream, models, backend, limits)
        check_area(area, whole.header)
        return whole._replace(pixels=np.ascontiguousarray(whole.pixels[area.slices]))
    header, entries, chunk_bytes = container.unpack_head(stream, limits)
    check_area(area, header)
    model = codec.choose(models, header.model_id)
    end = entries[-1].end
    header = header._replace(chunks=chunks.unpack(stream[end : end + chunk_bytes]))
    memory.check_region(model, header, area.size, len(stream), backend, limits)
    samples = Part(stream, header, entries, model, backend).samples(area)
    transparency = planes.transparency_of(header)
    if transparency is not None:
        samples = np.concatenate([samples, transparency[area.slices][..., None]], 2)
    return codec.Decoded(samples, header)


def check_area(area: Area, header: Header) -> None:
    """Within the picture, and not empty."""
    for what, (begin, end), length in zip(
        ("rows", "columns"), area, (header.height, header.width), strict=True
    ):
        if not 0 <= begin < end <= length:
            raise ValueError(f"region: {what} {begin} to {end}, must be within 0 to {length}")


class Part:
    """Stages of decoding, each for an area of its tensor."""

    def __init__(
        self, stream: bytes, header: Header, entries: list[Entry], model: Model, backend: str
    ) -> None:
        self.stream, self.header, self.entries = stream, header, entries
        self.model, self.backend = model, backend
        self.latents = backends.load(backend).latents
        self.size = header.height, header.width
        codec.check_sizes(model, self.size, ("prior", "synthesis"))

    def tensor_size(self, stride: int) -> Size:
        """Height and width of z or y."""
        return strips.grid(self.size, stride)

    def tiles(self, area: Area, stride: int) -> Iterator[tuple[int, Area]]:
        """Numbers and areas of the tiles in an area that is made of whole tiles."""
        for number, (rows, columns) in enumerate(self.header.grid.areas(stride)):
            tile = Area((rows.start, rows.stop), (columns.start, columns.stop))
            (top, left), (bottom, right) = zip(*tile.within(area), strict=True)
            if top >= 0 and left >= 0 and bottom <= area.size[0] and right <= area.size[1]:
                yield number, tile

    def samples(self, area: Area) -> codec.Pixels:
        """Of an area of the picture."""
        cells = source(self.model.programs["synthesis"], area, self.tensor_size(Y_STRIDE))
        (x_hat,) = codec.run(self.model, "synthesis", self.y_hat(cells), self.backend)
        found = x_hat[area.within(cells.scaled(Y_STRIDE)).slices]
        return np.ascontiguousarray(planes.luma(found) if self.header.grey else found)

    def y_hat(self, area: Area) -> Array:
        """Of an area of y."""
        side = self.header.tile * Z_STRIDE // Y_STRIDE
        tiles = area.around(side, self.tensor_size(Y_STRIDE))
        mean, index = self.prior(tiles)
        scaling, quality, y_tables = self.model.scaling, self.header.quality, self.model.y_tables
        tables = self.latents.table_indexes(index, scaling, quality, y_tables.n_tables)
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
        y_hat: Array = self.latents.dequantise(symbols, mean, scaling, quality, y_port)
        return y_hat

    def prior(self, area: Area) -> list[Array]:
        """Mean and index of an area of y."""
        cells = source(self.model.programs["prior"], area, self.tensor_size(Z_STRIDE))
        made = codec.run(self.model, "prior", self.z(cells), self.backend)
        inner = area.within(cells.scaled(Z_STRIDE // Y_STRIDE)).slices
        return [np.ascontiguousarray(t[inner]) for t in made]

    def z(self, area: Area) -> Array:
        """Of an area of z."""
        tiles = area.around(self.header.tile, self.tensor_size(Z_STRIDE))
        z_port = codec.port(self.model, "prior")
        z = np.empty((*tiles.size, z_port.channels), np.int32)
        for number, tile in self.tiles(tiles, Z_STRIDE):
            payload = container.payload_of(self.stream, self.header, number, self.entries, "z")
            with stage("z", self.header.grid, number):
                z[tile.within(tiles).slices] = tile_coding.decode_tile_of_z(
                    payload, tile.size, self.model.z_tables, self.header.minor
                )
        codec.check_symbols_of_z(z, z_port)
        found: Array = np.array(z[area.within(tiles).slices], DTYPES[z_port.dtype])
        return found
