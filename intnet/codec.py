"""The codec: the only file that joins networks and range coder.

encode: x -> y -> z;  z coded with static tables;  prior(z) -> mean, table index per symbol;
        symbols of y coded with those tables
decode: z -> prior -> the same tables -> symbols -> y_hat -> x_hat

Everything but pixels and z passes in strips of rows, y too unless a picture is coded more than
once, so that memory grows with the width of a picture alone; see `backends.execute`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

import rangecoder
from intnet import (
    alpha,
    chunks,
    container,
    latent_coding,
    memory,
    networks,
    planes,
    tile_coding,
    tiles,
)
from intnet.chunks import Chunk, Chunks
from intnet.context import Coded
from intnet.errors import ModelError, StreamError
from intnet.latents import Int32Array
from intnet.limits import DEFAULT, Limits
from intnet.model_file import QUALITIES, Y_STRIDE, Z_STRIDE, Model
from intnet.options import DecoderOptions, EncoderOptions
from intnet.program import DTYPES, Array
from intnet.strips import aligned, cells, rows_of

Pixels = npt.NDArray[np.uint8]


class Analysed(NamedTuple):
    """A picture seen through the encoder's networks; every quality is coded from it.

    y: (ceil(h / 16), ceil(w / 16), M); z: (ceil(h / 64), ceil(w / 64), Z); alpha: data of its
    chunk, if there is any.
    """

    y: Array
    z: Array
    height: int
    width: int
    grey: bool
    alpha: bytes | None = None

    @property
    def strips(self) -> Iterator[tuple[Array, Array]]:
        """Rows of y and z."""
        y, done = self.y, 0
        for z in rows_of(self.z, self.width):
            rows = len(z) * Z_STRIDE // Y_STRIDE
            yield y[done : done + rows], z
            done += rows


class Analysing(NamedTuple):
    """As Analysed, while it happens: strips are rows of y and z, which can be passed over once."""

    strips: Iterator[tuple[Array, Array]]
    height: int
    width: int
    grey: bool
    alpha: bytes | None = None


class Decoded(NamedTuple):
    """Samples uint8 (h, w, 1 to 4), as encoded, and the header they came with."""

    pixels: Pixels
    header: container.Header


def analyse(pixels: Pixels, model: Model, backend: str = "numba") -> Analysed:
    """Run the encoder's networks on uint8 samples (h, w, 1 to 4). Raises ValueError for others.

    Two channels are grey and alpha, four are RGB and alpha; alpha is kept as it is.
    Raises ModelError for a model that does not fit this size of picture.
    """
    strips, height, width, grey, transparency = analysing(pixels, model, backend)
    (y_port,), z, done = networks.outputs_of(model, "analysis"), [], 0
    size = cells(height, Y_STRIDE), cells(width, Y_STRIDE), y_port.channels
    y = np.empty(size, DTYPES[y_port.dtype])
    for y_rows, z_rows in strips:
        y[done : done + len(y_rows)] = y_rows
        z.append(z_rows)
        done += len(y_rows)
    return Analysed(y, np.concatenate(z), height, width, grey, transparency)


def analysing(pixels: Pixels, model: Model, backend: str) -> Analysing:
    """As `analyse`, which it is the beginning of: checks are made, no network has run yet."""
    planes.check(pixels)
    colours, transparency = planes.split(pixels)
    height, width, channels = colours.shape
    networks.check_sizes(model, (height, width), model.family)
    strips = networks.analysis_strips(colours, model, backend)
    data = None if transparency is None else alpha.encode(transparency)
    return Analysing(strips, height, width, channels == 1, data)


def strips_to_code(
    a: Analysed | Analysing, model: Model, backend: str, z: list[Array]
) -> Iterator[list[Array]]:
    """Rows of y and of the outputs of the prior. z: gets its rows."""
    y = []

    def z_rows() -> Iterator[Array]:
        for y_part, z_part in a.strips:
            check_z(z_part)
            y.append(y_part)
            z.append(z_part)
            yield z_part

    strips = networks.prior_strips(model, z_rows(), a.height, a.width, backend)
    return aligned((y.pop(), *outputs) for outputs in strips)


def y_symbols(
    a: Analysed, model: Model, quality: int, backend: str = "numba"
) -> tuple[Int32Array, Array]:
    """Symbols of a whole picture and the table of each, on the grid of y.

    A context, and what it chooses, is that of tiles as `encode` makes them.
    """
    encoder = latent_coding.Encoder(
        model, quality, tiles.grid_of(a.height, a.width, tiles.DEFAULT), backend
    )
    found = list(encoder.rows(strips_to_code(a, model, backend, [])))
    return np.concatenate([c.symbols for c in found]), np.concatenate([c.tables for c in found])


def code(
    a: Analysed | Analysing,
    model: Model,
    quality: int,
    backend: str = "numba",
    *,
    verify: bool = False,
    tile: int = tiles.DEFAULT,
    ancillary: Chunks = (),
) -> bytes:
    """The stream of an analysed picture at a quality 0..63. Raises ValueError, ModelError.

    Keywords: those of `EncoderOptions`.
    """
    return coded(a, model, quality, EncoderOptions(backend, verify, tile, ancillary))


def coded(a: Analysed | Analysing, model: Model, quality: int, options: EncoderOptions) -> bytes:
    """As `code`."""
    if not 0 <= quality < QUALITIES:
        raise ValueError(f"quality: {quality}, must be in 0..{QUALITIES - 1}")
    chunks.check(options.ancillary)
    had = () if a.alpha is None else (Chunk(chunks.ALPHA, a.alpha),)
    extra = (*had, *options.ancillary)
    grid = tiles.grid_of(a.height, a.width, options.tile, always=bool(extra))
    networks.check_tiles(model, grid)
    backend, verify, crc = options.backend, options.verify, 0
    encoder = latent_coding.Encoder(model, quality, grid, backend)
    picture = Reconstruction(model, (a.height, a.width), a.grey, backend) if verify else None
    z_rows: list[Array] = []
    for part in encoder.rows(strips_to_code(a, model, backend, z_rows)):
        if picture:
            crc = zlib.crc32(picture.push(part.y_hat).data, crc)
    minor = container.MINOR_TILED if grid.side else container.MINOR
    header = container.Header(
        model.model_id, quality, a.width, a.height, a.grey, crc if verify else None, minor,
        grid.side, extra,
    )  # fmt: skip
    z = np.concatenate(z_rows)
    payloads = zip(tile_coding.encode_z(z, grid, model.z_tables), encoder.payloads, strict=True)
    return container.pack(container.Stream(header, [container.Tile(z, y) for z, y in payloads]))


def check_z(z: Array) -> None:
    """Every hyper-latent is a symbol. Raises ModelError: it is the model that made others."""
    if not z.size:
        return
    got, limits = (int(z.min()), int(z.max())), (rangecoder.SYMBOL_MIN, rangecoder.SYMBOL_MAX)
    if got[0] < limits[0] or got[1] > limits[1]:
        raise ModelError(
            f"model: z: {got[0]}..{got[1]}, must be in {limits[0]}..{limits[1]} to be coded"
        )


def encode(
    pixels: Pixels,
    model: Model,
    quality: int = 32,
    backend: str = "numba",
    *,
    verify: bool = False,
    tile: int = tiles.DEFAULT,
    ancillary: Chunks = (),
) -> bytes:
    """uint8 samples (h, w, 1 to 4) to a stream; see `analyse` and `code`.

    Raises ValueError for other samples, quality, tile or chunks.
    """
    a = analysing(pixels, model, backend)  # y as a whole is never held
    return coded(a, model, quality, EncoderOptions(backend, verify, tile, ancillary))


class Reconstruction:
    """The decoder's last network, fed rows of y_hat; gives rows of samples.

    size: (height, width) of the picture.
    """

    def __init__(self, model: Model, size: tuple[int, int], grey: bool, backend: str) -> None:
        self.grey, (self.left, self.width) = grey, size
        grid = cells(size[0], Y_STRIDE), cells(size[1], Y_STRIDE)
        self.synthesis = networks.stream_of(model, "synthesis", grid, backend)

    def push(self, y_hat: Array) -> Pixels:
        """The samples that the next rows of y_hat complete: uint8 (rows, w, 1 or 3)."""
        (x_hat,) = networks.push(self.synthesis, y_hat)
        x_hat = x_hat[: self.left, : self.width]
        self.left -= len(x_hat)
        return np.ascontiguousarray(planes.luma(x_hat) if self.grey else x_hat)


def choose(models: Iterable[Model], model_id: bytes) -> Model:
    """The model a stream was made with. Raises ModelError naming the ids at hand."""
    at_hand = list(models)
    for model in at_hand:
        if model.model_id == model_id:
            return model
    ids = ", ".join(f"{m.model_id.hex()} ({m.name})" for m in at_hand) or "none"
    raise ModelError(f"stream: made with model {model_id.hex()}; at hand: {ids}")


def decode(
    stream: bytes,
    models: Iterable[Model],
    backend: str = "numba",
    limits: Limits = DEFAULT,
) -> Decoded:
    """Stream to samples. Raises StreamError for anything that `encode` would not have written.

    Raises ModelError where the model is not at hand or does not fit this size of picture,
    StreamError or IntnetError where the picture exceeds the limits.
    """
    header, strips = decode_strips(stream, models, DecoderOptions(backend, limits))
    pixels, done = planes.canvas(header), 0
    for rows in strips:
        pixels[done : done + len(rows), :, : rows.shape[2]] = rows
        done += len(rows)
    return Decoded(pixels, header)


def decode_strips(
    stream: bytes, models: Iterable[Model], options: DecoderOptions
) -> tuple[container.Header, Iterator[Pixels]]:
    """The header, and rows of colours (rows, w, 1 or 3) from top to bottom, as `decode` has them.

    Raises as that does, some of it from the iterator: only at its end all colours have been
    checked. Alpha is not looked at.
    """
    parsed = container.unpack(stream, options.limits)
    model = choose(models, parsed.header.model_id)
    memory.check_decoding(model, parsed.header, len(stream), options)
    return parsed.header, checked(decoded_strips(parsed, model, options.backend), parsed.header)


def checked(strips: Iterator[Pixels], header: container.Header) -> Iterator[Pixels]:
    """The same rows. Raises StreamError at their end, where their CRC is not that of the header."""
    crc = 0
    for rows in strips:
        crc = zlib.crc32(rows.data, crc)
        yield rows
    check_pixel_crc(crc, header)


def check_pixel_crc(crc: int, header: container.Header) -> None:
    """The CRC of the samples is what the encoder saw, where it did. Raises StreamError."""
    if header.pixel_crc not in (None, crc):
        raise StreamError(
            f"stream: decoded samples have CRC {crc:08x}, encoder saw {header.pixel_crc:08x}"
        )


def decoded_strips(stream: container.Stream, model: Model, backend: str) -> Iterator[Pixels]:
    """Rows of samples from top to bottom. Raises StreamError naming tile and stage that fail.

    Raises ModelError, before anything is decoded, for a model that does not fit this size.
    """
    header = stream.header
    networks.check_decoder_sizes(model, header)
    z = decode_z([tile.z for tile in stream.tiles], model, header.grid, header.minor)
    y = [tile.y for tile in stream.tiles]
    return reconstructed(latent_coding.Decoder(model, header, y, backend), z)


def coded_strips(decoder: latent_coding.Decoder, z: Array) -> Iterator[Coded]:
    """Rows of latents from z and what the decoder has of y."""
    model, header, backend = decoder.model, decoder.header, decoder.backend
    rows, size = rows_of(z, header.width), (header.height, header.width)
    return decoder.rows(networks.prior_strips(model, rows, *size, backend))


def reconstructed(
    decoder: latent_coding.Decoder, z: Array, seen: Callable[[Coded], None] = lambda _: None
) -> Iterator[Pixels]:
    """Rows of samples from z and what the decoder has of y. seen: is shown the latents."""
    header = decoder.header
    size = header.height, header.width
    picture = Reconstruction(decoder.model, size, header.grey, decoder.backend)
    for part in coded_strips(decoder, z):
        seen(part)
        yield picture.push(part.y_hat)


def decode_z(payloads: list[bytes], model: Model, grid: tiles.Grid, minor: int) -> Array:
    """Hyper-latents (ceil(h / 64), ceil(w / 64), Z) within the prior's input port."""
    z = tile_coding.decode_z(payloads, grid, model.z_tables, minor)
    return checked_z(z, model)


def checked_z(z: Int32Array, model: Model) -> Array:
    """In the dtype of the prior's input port, and within it. Raises StreamError."""
    if not z.size:
        return z
    z_port = networks.port(model, "prior")
    if z.min() < z_port.lo or z.max() > z_port.hi:
        got = f"{z.min()}..{z.max()}"
        raise StreamError(f"stream, stage z: symbols {got}, must be in {z_port.lo}..{z_port.hi}")
    return z.astype(DTYPES[z_port.dtype])
