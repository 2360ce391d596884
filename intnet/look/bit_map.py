"""Where the bits of a stream go: what its symbols cost, at the places that they describe."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import rangecoder
from intnet import codec, container, latent_coding, memory, networks, tile_coding
from intnet.context import Coded
from intnet.limits import DEFAULT, Limits
from intnet.model_file import Y_STRIDE, Z_STRIDE, Model
from intnet.options import DecoderOptions
from intnet.program import Array

Floats = npt.NDArray[np.float64]
RATIO = Z_STRIDE // Y_STRIDE  # positions of y along a side of one of z


class BitMap(NamedTuple):
    """Bits (ceil(h / 16), ceil(w / 16)) of the symbols of y, and of those of z, at each position.

    A position is 16x16 pixels. z has one for 64x64 pixels, whose bits are spread evenly over the
    positions of y in it. pixels: the decoded colours, uint8 (h, w, 1 or 3).
    """

    y: Floats
    z: Floats
    pixels: codec.Pixels
    stream: container.Stream

    @property
    def bits(self) -> Floats:
        """Of both."""
        total: Floats = self.y + self.z
        return total

    @property
    def bpp(self) -> Floats:
        """Bits per pixel at each position, by the pixels that the picture has there."""
        sides = (spans(length, Y_STRIDE) for length in self.pixels.shape[:2])
        found: Floats = self.bits / np.outer(*sides)
        return found

    def tiles(self) -> list[dict[str, Any]]:
        """Of every tile, row by row: bytes of its payloads, and bits of the symbols in them."""
        grid = self.stream.header.grid
        return [
            {
                "row": number // grid.shape[1], "column": number % grid.shape[1],
                "z_bytes": len(tile.z), "z_bits": float(self.z[area].sum()),
                "y_bytes": len(tile.y), "y_bits": float(self.y[area].sum()),
            }
            for number, (tile, area) in enumerate(
                zip(self.stream.tiles, grid.areas(Y_STRIDE), strict=True)
            )
        ]  # fmt: skip


def measure(
    data: bytes, models: Iterable[Model], backend: str = "numba", limits: Limits = DEFAULT
) -> BitMap:
    """Decode a stream and count. Raises as `codec.decode` does."""
    stream = container.unpack(data, limits)
    header = stream.header
    model = codec.choose(models, header.model_id)
    memory.check_decoding(model, header, len(data), DecoderOptions(backend, limits))
    networks.check_decoder_sizes(model, header)
    z = codec.decode_z([tile.z for tile in stream.tiles], model, header.grid, header.minor)
    found: list[Floats] = []

    def count(part: Coded) -> None:
        found.append(rangecoder.symbol_bits(part.symbols, part.tables, model.y_tables).sum(2))

    decoder = latent_coding.Decoder(model, header, [tile.y for tile in stream.tiles], backend)
    strips = codec.reconstructed(decoder, z, count)
    pixels = np.concatenate(list(codec.checked(strips, header)))
    z_bits, y_bits = bits_of_z(z, model), np.concatenate(found)
    return BitMap(y_bits, spread(z_bits, y_bits.shape), pixels, stream)


def bits_of_z(z: Array, model: Model) -> Floats:
    """Of each position of z."""
    if model.z_tables is None:
        return np.zeros(z.shape[:2])
    tables = tile_coding.z_indexes(z.shape).reshape(z.shape)
    found: Floats = rangecoder.symbol_bits(z.astype(np.int32), tables, model.z_tables).sum(2)
    return found


def spread(z: Floats, shape: tuple[int, ...]) -> Floats:
    """Bits of positions of z, evenly over those of y, of which there are `shape`."""
    shares = z / np.outer(*(spans(length, RATIO) for length in shape))
    rows, columns = shape
    return shares.repeat(RATIO, 0).repeat(RATIO, 1)[:rows, :columns]


def spans(length: int, stride: int) -> Floats:
    """Lengths of the cells of a side: stride, but for what is left at its end.

    >>> spans(40, 16).tolist()
    [16.0, 16.0, 8.0]
    """
    return np.minimum(stride, length - np.arange(0, length, stride)).astype(np.float64)
