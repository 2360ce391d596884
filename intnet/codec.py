"""The codec: the only file that joins networks and range coder.

encode: x -> y -> z;  z coded with static tables;  prior(z) -> mean, table index per symbol;
        symbols of y coded with those tables
decode: z -> prior -> the same tables -> symbols -> y_hat -> x_hat
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

import rangecoder
from intnet import backends, container, latents
from intnet.errors import ModelError, StreamError
from intnet.model_file import QUALITIES, Y_STRIDE, Z_STRIDE, Model
from intnet.program import DTYPES, Array, Port

Pixels = npt.NDArray[np.uint8]


class Analysed(NamedTuple):
    """A picture seen through the encoder's networks; every quality is coded from it.

    y, mean, scale_index: (ceil(h / 16), ceil(w / 16), M); z: (ceil(h / 64), ceil(w / 64), Z).
    """

    y: Array
    z: Array
    mean: Array
    scale_index: Array
    height: int
    width: int
    grey: bool


class Decoded(NamedTuple):
    """Samples uint8 (h, w, 1 or 3) and the header they came with."""

    pixels: Pixels
    header: container.Header


def cells(side: int, stride: int) -> int:
    """ceil(side / stride)."""
    return -(-side // stride)


def run(model: Model, program: str, x: Array, backend: str) -> list[Array]:
    """Outputs, in order, of a program with one input."""
    p = model.programs[program]
    outputs = backends.load(backend).run(p, {p.inputs[0].name: x})
    return [outputs[name] for name in p.outputs]


def prior(model: Model, z: Array, height: int, width: int, backend: str) -> list[Array]:
    """[mean, index] on the grid of y."""
    rows, columns = cells(height, Y_STRIDE), cells(width, Y_STRIDE)
    return [np.ascontiguousarray(t[:rows, :columns]) for t in run(model, "prior", z, backend)]


def analyse(pixels: Pixels, model: Model, backend: str = "numba") -> Analysed:
    """Run the encoder's networks on uint8 samples (h, w, 1 or 3). Raises ValueError for others."""
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3):
        got = f"{pixels.dtype} {pixels.shape}"
        raise ValueError(f"pixels: {got}, must be uint8 (height, width, 1 or 3)")
    height, width, channels = pixels.shape
    if min(height, width) < 1 or height * width > container.MAX_PIXELS:
        raise ValueError(f"pixels: {width}x{height}, must be 1 to {container.MAX_PIXELS} pixels")
    pad = ((0, -height % Z_STRIDE), (0, -width % Z_STRIDE), (0, 0))
    x = np.broadcast_to(
        np.pad(pixels, pad, mode="edge"), (height + pad[0][1], width + pad[1][1], 3)
    )
    (y,) = run(model, "analysis", np.ascontiguousarray(x), backend)
    (z,) = run(model, "hyper_analysis", y, backend)
    mean, index = prior(model, z, height, width, backend)
    y = np.ascontiguousarray(y[: mean.shape[0], : mean.shape[1]])
    return Analysed(y, z, mean, index, height, width, channels == 1)


def z_indexes(z_shape: tuple[int, ...]) -> npt.NDArray[np.uint16]:
    """Every hyper-latent channel has its own table."""
    return np.ascontiguousarray(
        np.broadcast_to(np.arange(z_shape[2], dtype=np.uint16), z_shape)
    ).ravel()


def y_symbols(
    a: Analysed, model: Model, quality: int
) -> tuple[latents.Int32Array, npt.NDArray[np.uint8]]:
    """Symbols of y and the table of each, on the grid of y."""
    tables = latents.table_indexes(
        a.scale_index, model.scaling, quality, len(model.y_tables.minimum)
    )
    return latents.quantise(a.y, a.mean, tables, model.scaling, quality), tables


def code(
    a: Analysed, model: Model, quality: int, backend: str = "numba", *, verify: bool = False
) -> bytes:
    """The stream of an analysed picture at a quality 0..63.

    verify: also decode, and store the CRC-32 of the samples in the stream.
    """
    if not 0 <= quality < QUALITIES:
        raise ValueError(f"quality: {quality}, must be in 0..{QUALITIES - 1}")
    symbols, tables = y_symbols(a, model, quality)
    z_payload = rangecoder.encode(
        a.z.astype(np.int32).ravel(), z_indexes(a.z.shape), model.z_tables
    )
    y_payload = rangecoder.encode(symbols.ravel(), tables.ravel(), model.y_tables)
    crc = None
    if verify:
        size = a.height, a.width
        pixels = reconstruct(symbols, a.mean, model, quality, size, a.grey, backend)
        crc = zlib.crc32(pixels.data)
    header = container.Header(model.model_id, quality, a.width, a.height, a.grey, crc)
    return container.pack(container.Stream(header, z_payload, y_payload))


def encode(
    pixels: Pixels, model: Model, quality: int = 32, backend: str = "numba", *, verify: bool = False
) -> bytes:
    """uint8 samples (h, w, 1 or 3) to a stream. Raises ValueError for other samples or quality."""
    return code(analyse(pixels, model, backend), model, quality, backend, verify=verify)


def reconstruct(
    symbols: latents.Int32Array, mean: Array, model: Model, quality: int,
    size: tuple[int, int], grey: bool, backend: str,
) -> Pixels:  # fmt: skip
    """Samples of a picture of size (height, width) from its symbols."""
    y_hat = latents.dequantise(symbols, mean, model.scaling, quality, port(model, "synthesis"))
    (x_hat,) = run(model, "synthesis", y_hat, backend)
    x_hat = x_hat[: size[0], : size[1]]
    return np.ascontiguousarray(luma(x_hat) if grey else x_hat)


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
    """Stream to samples. Raises StreamError for anything that `encode` would not have written."""
    header, z_payload, y_payload = container.unpack(stream, max_pixels)
    model = choose(models, header.model_id)
    size = header.height, header.width
    z = decode_z(z_payload, model, size)
    mean, index = prior(model, z, *size, backend)
    tables = latents.table_indexes(
        index, model.scaling, header.quality, len(model.y_tables.minimum)
    )
    symbols = decode_payload("y", y_payload, tables.ravel(), model.y_tables).reshape(mean.shape)
    pixels = reconstruct(symbols, mean, model, header.quality, size, header.grey, backend)
    if header.pixel_crc is not None and zlib.crc32(pixels.data) != header.pixel_crc:
        got = zlib.crc32(pixels.data)
        raise StreamError(
            f"stream: decoded samples have CRC {got:08x}, encoder saw {header.pixel_crc:08x}"
        )
    return Decoded(pixels, header)


def decode_z(payload: bytes, model: Model, size: tuple[int, int]) -> Array:
    """Hyper-latents (ceil(h / 64), ceil(w / 64), Z) within the prior's input port."""
    z_port = port(model, "prior")
    shape = (*(cells(side, Z_STRIDE) for side in size), z_port.channels)
    z = decode_payload("z", payload, z_indexes(shape), model.z_tables)
    if z.min() < z_port.lo or z.max() > z_port.hi:
        got = f"{z.min()}..{z.max()}"
        raise StreamError(f"stream, stage z: symbols {got}, must be in {z_port.lo}..{z_port.hi}")
    return z.reshape(shape).astype(DTYPES[z_port.dtype])


def decode_payload(
    stage: str, payload: bytes, indexes: Array, tables: rangecoder.Tables
) -> latents.Int32Array:
    """Symbols of one payload; a malformed one is a StreamError that names the stage."""
    try:
        return rangecoder.decode(payload, indexes, tables)
    except rangecoder.PayloadError as error:
        raise StreamError(f"stream, stage {stage}: {error}") from None
