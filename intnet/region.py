"""A part of a picture, from the tiles that it needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from intnet import chunks, codec, container, latent_coding, memory, networks, planes, tile_coding
from intnet.container import Entry, Header
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
    model = codec.choose(models, header.model_id)
    networks.check_decoder_sizes(model, header)
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
        (x_hat,) = networks.run(self.model, "synthesis", self.y_hat(), self.backend)
        found = x_hat[area.within(self.windows.y.scaled(Y_STRIDE)).slices]
        return np.ascontiguousarray(planes.luma(found) if self.header.grey else found)

    def y_hat(self) -> Array:
        """y_hat of the window of y."""
        area, tiles, *_ = self.windows
        outputs, y_port = self.prior(), networks.port(self.model, "synthesis")
        y_hat = np.empty((*tiles.size, y_port.channels), DTYPES[y_port.dtype])
        decoder = latent_coding.Decoder(self.model, self.header, (), self.backend)
        for number, tile in self.tiles(tiles, Y_STRIDE):
            payload = container.payload_of(self.stream, self.header, number, self.entries, "y")
            part = tile.within(tiles).slices
            with stage("y", self.header.grid, number):
                y_hat[part] = decoder.intact(payload, [t[part] for t in outputs]).y_hat
        return np.ascontiguousarray(y_hat[area.within(tiles).slices])

    def prior(self) -> list[Array]:
        """Outputs of the prior, of the tiles of y."""
        made = networks.prior_outputs(self.model, self.z(), self.backend)
        cells = self.windows.z.scaled(Z_STRIDE // Y_STRIDE)
        inner = self.windows.y_tiles.within(cells).slices
        return [t[inner] for t in made]

    def z(self) -> Array:
        """z of its window."""
        area, tiles = self.windows.z, self.windows.z_tiles
        z = networks.blank_z(self.model, tiles.size)
        for number, tile in self.tiles(tiles, Z_STRIDE):
            z[tile.within(tiles).slices] = tile_of_z(
                self.stream, self.header, self.entries, self.model, number, tile.size
            )
        return np.ascontiguousarray(z[area.within(tiles).slices])


def tile_of_z(
    stream: bytes, header: Header, entries: list[Entry], model: Model, number: int, size: Size
) -> Array:
    """z of a tile of `size`, within the prior's input port. Raises StreamError."""
    payload = container.payload_of(stream, header, number, entries, "z")
    with stage("z", header.grid, number):
        found = tile_coding.decode_tile_of_z(payload, size, model.z_tables, header.minor)
    return codec.checked_z(found, model)
