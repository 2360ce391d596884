"""The codec: the only file that joins networks and range coder.

encode: x -> y -> z;  z coded with static tables;  prior(z) -> mean, table index per symbol;
        symbols of y coded with those tables
decode: z -> prior -> the same tables -> symbols -> y_hat -> x_hat

Everything but pixels and z passes in strips of rows, y too unless a picture is coded more than
once, so that memory grows with the width of a picture alone; see `backends.execute`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

import rangecoder
from intnet import alpha, backends, chunks, container, memory, planes, tile_coding, tiles
from intnet.backends.execute import Stream
from intnet.chunks import Chunk, Chunks
from intnet.errors import ModelError, StreamError
from intnet.latents import Int32Array
from intnet.limits import DEFAULT, Limits
from intnet.model_file import PROGRAMS, QUALITIES, Y_STRIDE, Z_STRIDE, Model, check_size
from intnet.options import DecoderOptions, EncoderOptions
from intnet.program import DTYPES, Array, Port
from intnet.strips import aligned, cells, input_sizes, rows_of, strip_rows

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


def run(model: Model, program: str, x: Array, backend: str) -> list[Array]:
    """Outputs, in order, of a program with one input, checked and run as a whole."""
    p = model.programs[program]
    outputs = backends.load(backend).run(p, {p.inputs[0].name: x})
    return [outputs[name] for name in p.outputs]


def check_sizes(model: Model, size: tuple[int, int], programs: Iterable[str]) -> None:
    """Raise ModelError where one of the programs does not fit a picture of `size`."""
    inputs = input_sizes(size)
    for name in programs:
        check_size(model.programs[name], name, inputs[name])


def stream_of(model: Model, program: str, size: tuple[int, int], backend: str) -> Stream:
    """A program with one input of `size`, to be fed strips."""
    p = model.programs[program]
    return Stream(p, {p.inputs[0].name: size}, backends.load(backend).BACKEND)


def push(stream: Stream, x: Array) -> list[Array]:
    """Feed a program with one input; its outputs in order."""
    outputs = stream.push({stream.program.inputs[0].name: x})
    return [outputs[name] for name in stream.program.outputs]


def prior_strips(
    model: Model, z: Iterable[Array], height: int, width: int, backend: str
) -> Iterator[tuple[Array, Array]]:
    """Rows of mean and index on the grid of y, from top to bottom: some for each part of z.

    One may be made from fewer rows of z than the other, and so be ahead of it; its rows wait.
    """
    left, columns = cells(height, Y_STRIDE), cells(width, Y_STRIDE)
    size = cells(height, Z_STRIDE), cells(width, Z_STRIDE)
    stream = stream_of(model, "prior", size, backend)
    for mean, index in aligned([t[:, :columns] for t in push(stream, rows)] for rows in z):
        yield mean[:left], index[:left]
        left -= min(left, len(mean))


def prior(model: Model, z: Array, height: int, width: int, backend: str) -> list[Array]:
    """[mean, index] of a whole picture on the grid of y."""
    strips = prior_strips(model, rows_of(z, width), height, width, backend)
    return [np.concatenate(rows) for rows in zip(*strips, strict=True)]


def analyse(pixels: Pixels, model: Model, backend: str = "numba") -> Analysed:
    """Run the encoder's networks on uint8 samples (h, w, 1 to 4). Raises ValueError for others.

    Two channels are grey and alpha, four are RGB and alpha; alpha is kept as it is.
    Raises ModelError for a model that does not fit this size of picture.
    """
    strips, height, width, grey, transparency = analysing(pixels, model, backend)
    y_port, z, done = port(model, "hyper_analysis"), [], 0
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
    check_sizes(model, (height, width), PROGRAMS)
    strips = analysis_strips(colours, model, backend)
    data = None if transparency is None else alpha.encode(transparency)
    return Analysing(strips, height, width, channels == 1, data)


def analysis_strips(pixels: Pixels, model: Model, backend: str) -> Iterator[tuple[Array, Array]]:
    """Rows of y and z of uint8 samples (h, w, 1 or 3), from top to bottom; z comes later."""
    height, width, _ = pixels.shape
    rows, columns = (Z_STRIDE * cells(side, Z_STRIDE) for side in (height, width))
    analysis = stream_of(model, "analysis", (rows, columns), backend)
    hyper = stream_of(model, "hyper_analysis", (rows // Y_STRIDE, columns // Y_STRIDE), backend)
    left = cells(height, Y_STRIDE)
    for begin in range(0, rows, strip_rows(width)):
        end = min(rows, begin + strip_rows(width))
        (y,) = push(analysis, planes.padded(pixels, begin, end))
        (z,) = push(hyper, y)
        yield np.ascontiguousarray(y[:left, : cells(width, Y_STRIDE)]), z
        left -= min(left, len(y))


def symbol_strips(
    a: Analysed | Analysing, model: Model, quality: int, backend: str, z: list[Array]
) -> Iterator[tuple[Int32Array, npt.NDArray[np.uint8], Array]]:
    """Rows of symbols of y, of the table of each, and of their means. z: gets its rows."""
    latents, y = backends.load(backend).latents, []

    def z_rows() -> Iterator[Array]:
        for y_part, z_part in a.strips:
            check_z(z_part)
            y.append(y_part)
            z.append(z_part)
            yield z_part

    strips = prior_strips(model, z_rows(), a.height, a.width, backend)
    for rows, mean, index in aligned((y.pop(), *pair) for pair in strips):
        tables = latents.table_indexes(index, model.scaling, quality, model.y_tables.n_tables)
        yield latents.quantise(rows, mean, tables, model.scaling, quality), tables, mean


def y_symbols(
    a: Analysed, model: Model, quality: int, backend: str = "numba"
) -> tuple[Int32Array, npt.NDArray[np.uint8]]:
    """Symbols of a whole picture and the table of each, on the grid of y."""
    strips = zip(*symbol_strips(a, model, quality, backend, []), strict=True)
    symbols, tables, _ = (np.concatenate(rows) for rows in strips)
    return symbols, tables


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
    encoder, size, crc = tile_coding.SymbolEncoder(grid, model.y_tables), (a.height, a.width), 0
    backend, verify = options.backend, options.verify
    picture = Reconstruction(model, quality, size, a.grey, backend) if verify else None
    z_rows: list[Array] = []
    for symbols, tables, mean in symbol_strips(a, model, quality, backend, z_rows):
        encoder.push(symbols, tables)
        if picture:
            crc = zlib.crc32(picture.push(symbols, mean).data, crc)
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
    """The decoder's last network, fed rows of symbols; gives rows of samples.

    size: (height, width) of the picture.
    """

    def __init__(
        self, model: Model, quality: int, size: tuple[int, int], grey: bool, backend: str
    ) -> None:
        self.model, self.quality, self.grey = model, quality, grey
        self.latents, self.left, self.width = backends.load(backend).latents, *size
        grid = cells(size[0], Y_STRIDE), cells(size[1], Y_STRIDE)
        self.synthesis = stream_of(model, "synthesis", grid, backend)

    def push(self, symbols: Int32Array, mean: Array) -> Pixels:
        """The samples that the next rows of symbols and means complete: uint8 (rows, w, 1 or 3)."""
        scaling, y_port = self.model.scaling, port(self.model, "synthesis")
        y_hat = self.latents.dequantise(symbols, mean, scaling, self.quality, y_port)
        (x_hat,) = push(self.synthesis, y_hat)
        x_hat = x_hat[: self.left, : self.width]
        self.left -= len(x_hat)
        return np.ascontiguousarray(planes.luma(x_hat) if self.grey else x_hat)


def port(model: Model, program: str) -> Port:
    """The input port of a program with one input."""
    return model.programs[program].inputs[0]


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
    check_sizes(model, (header.height, header.width), ("prior", "synthesis"))
    z = decode_z([tile.z for tile in stream.tiles], model, header.grid, header.minor)
    y = [tile.y for tile in stream.tiles]
    decoder = tile_coding.SymbolDecoder(y, header.grid, model.y_tables, header.minor)
    return reconstructed(header, z, decoder, model, backend)


def reconstructed(
    header: container.Header,
    z: Array,
    decoder: tile_coding.SymbolDecoder,
    model: Model,
    backend: str,
) -> Iterator[Pixels]:
    """Rows of samples from z and the symbols of y that decoder gives."""
    size, latents = (header.height, header.width), backends.load(backend).latents
    picture = Reconstruction(model, header.quality, size, header.grey, backend)
    strips = prior_strips(model, rows_of(z, header.width), *size, backend)
    for mean, index in strips:
        tables = latents.table_indexes(
            index, model.scaling, header.quality, model.y_tables.n_tables
        )
        yield picture.push(decoder.pull(tables), mean)


def decode_z(payloads: list[bytes], model: Model, grid: tiles.Grid, minor: int) -> Array:
    """Hyper-latents (ceil(h / 64), ceil(w / 64), Z) within the prior's input port."""
    z_port = port(model, "prior")
    z = tile_coding.decode_z(payloads, grid, model.z_tables, minor)
    check_symbols_of_z(z, z_port)
    return z.astype(DTYPES[z_port.dtype])


def check_symbols_of_z(z: Int32Array, z_port: Port) -> None:
    """Within the prior's input port. Raises StreamError."""
    if z.min() < z_port.lo or z.max() > z_port.hi:
        got = f"{z.min()}..{z.max()}"
        raise StreamError(f"stream, stage z: symbols {got}, must be in {z_port.lo}..{z_port.hi}")
