"""The codec: the only file that joins networks and range coder.

encode: x -> y -> z;  z coded with static tables;  prior(z) -> mean, table index per symbol;
        symbols of y coded with those tables
decode: z -> prior -> the same tables -> symbols -> y_hat -> x_hat

Everything but pixels, y and z passes in strips of rows, so that memory grows with the width of a
picture alone; see `backends.execute`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

import rangecoder
from intnet import alpha, backends, chunks, container, tile_coding, tiles
from intnet.backends.execute import Stream
from intnet.chunks import Chunk, Chunks
from intnet.errors import ModelError, StreamError
from intnet.latents import Int32Array
from intnet.model_file import PROGRAMS, QUALITIES, Y_STRIDE, Z_STRIDE, Model, check_size
from intnet.program import DTYPES, Array, Port

Pixels = npt.NDArray[np.uint8]
STRIP = 2**20  # pixels in a strip, as far as 64 rows allow


class Analysed(NamedTuple):
    """A picture seen through the encoder's networks; every quality is coded from it.

    y: (ceil(h / 16), ceil(w / 16), M); z: (ceil(h / 64), ceil(w / 64), Z); alpha: (h, w), if any.
    """

    y: Array
    z: Array
    height: int
    width: int
    grey: bool
    alpha: Pixels | None = None


class Decoded(NamedTuple):
    """Samples uint8 (h, w, 1 to 4), as encoded, and the header they came with."""

    pixels: Pixels
    header: container.Header


def cells(side: int, stride: int) -> int:
    """ceil(side / stride)."""
    return -(-side // stride)


def run(model: Model, program: str, x: Array, backend: str) -> list[Array]:
    """Outputs, in order, of a program with one input, checked and run as a whole."""
    p = model.programs[program]
    outputs = backends.load(backend).run(p, {p.inputs[0].name: x})
    return [outputs[name] for name in p.outputs]


def check_sizes(model: Model, size: tuple[int, int], programs: Iterable[str]) -> None:
    """Raise ModelError where one of the programs does not fit a picture of `size`."""
    z = cells(size[0], Z_STRIDE), cells(size[1], Z_STRIDE)
    inputs = {
        "analysis": (z[0] * Z_STRIDE, z[1] * Z_STRIDE),
        "hyper_analysis": (z[0] * Z_STRIDE // Y_STRIDE, z[1] * Z_STRIDE // Y_STRIDE),
        "prior": z,
        "synthesis": (cells(size[0], Y_STRIDE), cells(size[1], Y_STRIDE)),
    }
    for name in programs:
        check_size(model.programs[name], name, inputs[name])


def strip_rows(width: int) -> int:
    """Picture rows of a strip, a multiple of 64."""
    return max(1, STRIP // (width * Z_STRIDE)) * Z_STRIDE


def stream_of(model: Model, program: str, size: tuple[int, int], backend: str) -> Stream:
    """A program with one input of `size`, to be fed strips."""
    p = model.programs[program]
    return Stream(p, {p.inputs[0].name: size}, backends.load(backend).BACKEND)


def push(stream: Stream, x: Array) -> list[Array]:
    """Feed a program with one input; its outputs in order."""
    outputs = stream.push({stream.program.inputs[0].name: x})
    return [outputs[name] for name in stream.program.outputs]


def prior_strips(
    model: Model, z: Array, height: int, width: int, backend: str
) -> Iterator[tuple[Array, Array]]:
    """Rows of mean and index on the grid of y, from top to bottom, as many of one as of the other.

    One may be made from fewer rows of z than the other, and so be ahead of it; its rows wait.
    """
    rows, columns = cells(height, Y_STRIDE), cells(width, Y_STRIDE)
    stream, step = stream_of(model, "prior", z.shape[:2], backend), strip_rows(width) // Z_STRIDE
    done, waiting = 0, [np.empty(0, np.int32)] * 2
    for begin in range(0, len(z), step):
        made = (t[:, :columns] for t in push(stream, z[begin : begin + step]))
        pairs = zip(waiting, made, strict=True)
        both = [np.concatenate((old, new)) if len(old) else new for old, new in pairs]
        ready = min(rows - done, *map(len, both))
        mean, index = (np.ascontiguousarray(t[:ready]) for t in both)
        waiting = [t[ready:] for t in both]
        done += ready
        yield mean, index


def prior(model: Model, z: Array, height: int, width: int, backend: str) -> list[Array]:
    """[mean, index] of a whole picture on the grid of y."""
    strips = prior_strips(model, z, height, width, backend)
    return [np.concatenate(rows) for rows in zip(*strips, strict=True)]


def analyse(pixels: Pixels, model: Model, backend: str = "numba") -> Analysed:
    """Run the encoder's networks on uint8 samples (h, w, 1 to 4). Raises ValueError for others.

    Two channels are grey and alpha, four are RGB and alpha; alpha is kept as it is.
    Raises ModelError for a model that does not fit this size of picture.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 2, 3, 4):
        got = f"{pixels.dtype} {pixels.shape}"
        raise ValueError(f"pixels: {got}, must be uint8 (height, width, 1 to 4)")
    pixels, transparency = split(pixels)
    height, width, channels = pixels.shape
    if min(height, width) < 1 or height * width > container.MAX_PIXELS:
        raise ValueError(f"pixels: {width}x{height}, must be 1 to {container.MAX_PIXELS} pixels")
    if max(height, width) > container.MAX_SIDE:
        raise ValueError(f"pixels: {width}x{height}, must be 1 to {container.MAX_SIDE} on a side")
    check_sizes(model, (height, width), PROGRAMS)
    rows, columns = (Z_STRIDE * cells(side, Z_STRIDE) for side in (height, width))
    analysis = stream_of(model, "analysis", (rows, columns), backend)
    hyper = stream_of(model, "hyper_analysis", (rows // Y_STRIDE, columns // Y_STRIDE), backend)
    y_port = port(model, "hyper_analysis")
    grid = cells(height, Y_STRIDE), cells(width, Y_STRIDE)
    y, z, done = np.empty((*grid, y_port.channels), DTYPES[y_port.dtype]), [], 0
    for begin in range(0, rows, strip_rows(width)):
        (part,) = push(analysis, padded(pixels, begin, min(rows, begin + strip_rows(width))))
        y[done : done + len(part)] = part[: grid[0] - done, : grid[1]]
        done += len(part)
        z += push(hyper, part)
    return Analysed(y, np.concatenate(z), height, width, channels == 1, transparency)


def split(pixels: Pixels) -> tuple[Pixels, Pixels | None]:
    """(h, w, 1 or 3) of grey or RGB, and alpha (h, w) if there is any."""
    if pixels.shape[2] in (1, 3):
        return pixels, None
    return pixels[..., :-1], np.ascontiguousarray(pixels[..., -1])


def padded(pixels: Pixels, begin: int, end: int) -> Pixels:
    """Rows [begin, end) as RGB; edges repeat below the picture and up to 64 * n columns."""
    height, width, channels = pixels.shape
    if end <= height and width % Z_STRIDE == 0 and channels == 3:
        return pixels[begin:end]
    rows = pixels[min(begin, height - 1) : end]
    edges = (0, end - begin - len(rows)), (0, -width % Z_STRIDE), (0, 0)
    return np.broadcast_to(np.pad(rows, edges, mode="edge"), (end - begin, width + edges[1][1], 3))


def symbol_strips(
    a: Analysed, model: Model, quality: int, backend: str
) -> Iterator[tuple[Int32Array, npt.NDArray[np.uint8], Array]]:
    """Rows of symbols of y, of the table of each, and of their means."""
    latents, done = backends.load(backend).latents, 0
    for mean, index in prior_strips(model, a.z, a.height, a.width, backend):
        tables = latents.table_indexes(index, model.scaling, quality, model.y_tables.n_tables)
        y = a.y[done : done + len(mean)]
        yield latents.quantise(y, mean, tables, model.scaling, quality), tables, mean
        done += len(mean)


def y_symbols(
    a: Analysed, model: Model, quality: int, backend: str = "numba"
) -> tuple[Int32Array, npt.NDArray[np.uint8]]:
    """Symbols of a whole picture and the table of each, on the grid of y."""
    strips = zip(*symbol_strips(a, model, quality, backend), strict=True)
    symbols, tables, _ = (np.concatenate(rows) for rows in strips)
    return symbols, tables


def code(
    a: Analysed,
    model: Model,
    quality: int,
    backend: str = "numba",
    *,
    verify: bool = False,
    tile: int = tiles.DEFAULT,
    ancillary: Chunks = (),
) -> bytes:
    """The stream of an analysed picture at a quality 0..63.

    verify: also decode, and store the CRC-32 of the samples in the stream. tile: pixels along a
    side of what is coded on its own, a multiple of 64; 0: the whole picture at once. ancillary:
    chunks that go with the picture, an ICC profile or EXIF.
    """
    if not 0 <= quality < QUALITIES:
        raise ValueError(f"quality: {quality}, must be in 0..{QUALITIES - 1}")
    check_z(a.z)
    extra = ancillary
    if a.alpha is not None:
        extra = (Chunk(chunks.ALPHA, alpha.encode(a.alpha)), *ancillary)
    grid = tiles.grid_of(a.height, a.width, tile, always=bool(extra))
    encoder, size, crc = tile_coding.SymbolEncoder(grid, model.y_tables), (a.height, a.width), 0
    picture = Reconstruction(model, quality, size, a.grey, backend) if verify else None
    for symbols, tables, mean in symbol_strips(a, model, quality, backend):
        encoder.push(symbols, tables)
        if picture:
            crc = zlib.crc32(picture.push(symbols, mean).data, crc)
    minor = container.MINOR_TILED if grid.side else container.MINOR
    header = container.Header(
        model.model_id, quality, a.width, a.height, a.grey, crc if verify else None, minor,
        grid.side, extra,
    )  # fmt: skip
    payloads = zip(tile_coding.encode_z(a.z, grid, model.z_tables), encoder.payloads, strict=True)
    return container.pack(container.Stream(header, [container.Tile(z, y) for z, y in payloads]))


def check_z(z: Array) -> None:
    """Every hyper-latent is a symbol. Raises ModelError: it is the model that made others."""
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

    Raises ValueError for other samples, quality or tile.
    """
    a = analyse(pixels, model, backend)
    return code(a, model, quality, backend, verify=verify, tile=tile, ancillary=ancillary)


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
        return np.ascontiguousarray(luma(x_hat) if self.grey else x_hat)


def luma(x: Pixels) -> Pixels:
    """(R + 2 G + B + 2) >> 2 of (h, w, 3): the one sample of grey pictures."""
    r, g, b = (x[..., i : i + 1].astype(np.int32) for i in range(3))
    return ((r + 2 * g + b + 2) >> 2).astype(np.uint8)


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
    max_pixels: int = container.MAX_PIXELS,
) -> Decoded:
    """Stream to samples. Raises StreamError for anything that `encode` would not have written.

    Raises ModelError where the model is not at hand or does not fit this size of picture.
    """
    parsed = container.unpack(stream, max_pixels)
    header, model = parsed.header, choose(models, parsed.header.model_id)
    pixels = canvas(header)
    done = crc = 0
    for rows in decoded_strips(parsed, model, backend):
        pixels[done : done + len(rows), :, : rows.shape[2]] = rows
        done += len(rows)
        crc = zlib.crc32(rows.data, crc)
    if header.pixel_crc is not None and crc != header.pixel_crc:
        raise StreamError(
            f"stream: decoded samples have CRC {crc:08x}, encoder saw {header.pixel_crc:08x}"
        )
    return Decoded(pixels, header)


def canvas(header: container.Header) -> Pixels:
    """Samples uint8 (h, w, 1 to 4): of the picture's size, alpha filled in, the rest not yet.

    Raises StreamError for alpha that is malformed.
    """
    colours, transparency = 1 if header.grey else 3, transparency_of(header)
    if transparency is None:
        return np.empty((header.height, header.width, colours), np.uint8)
    pixels = np.empty((header.height, header.width, colours + 1), np.uint8)
    pixels[..., colours] = transparency
    return pixels


def transparency_of(header: container.Header) -> Pixels | None:
    """Alpha (h, w), if there is any. Raises StreamError."""
    data = chunks.of_type(header.chunks, chunks.ALPHA)
    return None if data is None else alpha.decode(data, header.height, header.width)


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
    for mean, index in prior_strips(model, z, *size, backend):
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
