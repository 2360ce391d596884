"""What a damaged stream of tiles still holds."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from intnet import chunks, codec, container, latent_coding, memory, networks, planes, strips
from intnet.container import Entry, Header
from intnet.errors import StreamError
from intnet.limits import DEFAULT, Limits
from intnet.model_file import Y_STRIDE, Z_STRIDE, Model
from intnet.options import DecoderOptions
from intnet.program import Array
from intnet.region import tile_of_z
from intnet.rows import COLUMNS, ROWS
from intnet.strips import cells
from intnet.tile_coding import Lost
from intnet.windows import Area, reached

MARK = 128  # the sample of what is lost


class Salvaged(NamedTuple):
    """pixels: uint8 (h, w, 1 to 4), MARK where not exact. exact: bool (h, w): as was encoded.

    lost: what is wrong with each tile that is lost. chunks_lost: what is wrong with the chunks; all
    of them are lost then, alpha too.
    """

    pixels: codec.Pixels
    exact: npt.NDArray[np.bool_]
    lost: Lost
    chunks_lost: str
    header: Header


def decode(
    stream: bytes,
    models: Iterable[Model],
    backend: str = "numba",
    limits: Limits = DEFAULT,
) -> Salvaged:
    """Decode the tiles that are intact; the samples that they alone determine are exact.

    Raises StreamError where the head of the stream is damaged, or where it has one tile and that is
    damaged, or where nothing is and the samples are not those that the encoder saw; ModelError as
    `codec.decode` does.
    """
    if container.minor_version(stream) != container.MINOR_TILED:
        pixels, header = codec.decode(stream, models, backend, limits)
        return Salvaged(pixels, np.ones(pixels.shape[:2], np.bool_), {}, "", header)
    header, entries, chunk_bytes = container.unpack_head(stream, limits)
    header, chunks_lost = with_chunks(stream[entries[-1].end :], chunk_bytes, header)
    model = codec.choose(models, header.model_id)
    memory.check_salvage(model, header, len(stream), DecoderOptions(backend, limits))
    networks.check_decoder_sizes(model, header)
    z, lost = intact_z(stream, header, entries, model)
    lost |= without_z(header, model, lost)
    y = []
    for number in range(len(entries)):
        y.append(b"")
        if number not in lost:
            try:
                y[-1] = container.payload_of(stream, header, number, entries, "y")
            except StreamError as error:
                lost[number] = str(error)
    decoder = latent_coding.Decoder(model, header, y, backend, lost)
    try:
        pixels = planes.canvas(header)
    except StreamError as error:  # of alpha
        header, chunks_lost = header._replace(chunks=()), str(error)
        pixels = planes.canvas(header)
    done = crc = 0
    for rows in codec.reconstructed(decoder, z):
        crc = zlib.crc32(rows.data, crc)
        pixels[done : done + len(rows), :, : rows.shape[2]] = rows
        done += len(rows)
    if not lost:
        codec.check_pixel_crc(crc, header)
    exact = mark(pixels, header, model, lost)
    return Salvaged(pixels, exact, dict(sorted(lost.items())), chunks_lost, header)


def with_chunks(data: bytes, size: int, header: Header) -> tuple[Header, str]:
    """The header with its chunks, or without and why; also why where bytes lack or are left."""
    try:
        header = header._replace(chunks=chunks.unpack(data[:size]))
    except StreamError as error:
        return header, str(error)
    return header, f"stream, chunks: {len(data)} bytes, must be {size}" * (len(data) != size)


def intact_z(
    stream: bytes, header: Header, entries: list[Entry], model: Model
) -> tuple[Array, Lost]:
    """z, as near to 0 as may be where it is lost, and the tiles that lost it."""
    z = networks.blank_z(model, strips.grid((header.height, header.width), Z_STRIDE))
    lost: Lost = {}
    for number, area in enumerate(header.grid.areas(Z_STRIDE)):
        part = z[area]
        try:
            part[...] = tile_of_z(stream, header, entries, model, number, part.shape[:2])
        except StreamError as error:
            lost[number] = str(error)
    return z, lost


def without_z(header: Header, model: Model, lost: Lost) -> Lost:
    """Tiles whose tables depend on z of those lost."""
    found: Lost = {}
    if lost and "prior" in model.programs:
        areas = affected(model, "prior", header, Z_STRIDE)
        for number in lost:
            for other in within(areas[number], header):
                if other not in lost:
                    name = header.grid.name(other)
                    found[other] = f"stream, {name}: needs z of {header.grid.name(number)}"
    return found


def within(area: Area, header: Header) -> Iterator[int]:
    """Numbers of the tiles that have cells in an area of y."""
    side, columns = header.tile * Z_STRIDE // Y_STRIDE, header.grid.shape[1]
    (top, bottom), (left, right) = area
    for row in range(top // side, cells(bottom, side)):
        for column in range(left // side, cells(right, side)):
            yield row * columns + column


def mark(pixels: codec.Pixels, header: Header, model: Model, lost: Lost) -> npt.NDArray[np.bool_]:
    """(height, width): False where a sample depends on a tile that is lost; it becomes MARK."""
    exact, colours = np.ones(pixels.shape[:2], np.bool_), 1 if header.grey else 3
    if lost:
        areas = affected(model, "synthesis", header, Y_STRIDE)
        for number in lost:
            rows, columns = areas[number].slices
            exact[rows, columns] = False
            pixels[rows, columns, :colours] = MARK
    return exact


def affected(model: Model, program: str, header: Header, stride: int) -> list[Area]:
    """What the outputs of a program compute from each tile of its input, of stride pixels a cell.

    They may reach beyond the picture, to the end of the outputs.
    """
    grid, times = header.grid, {"prior": Z_STRIDE // Y_STRIDE, "synthesis": Y_STRIDE}[program]
    size = strips.grid((header.height, header.width), stride)
    rows, columns = (
        reached(model.programs[program], grid.spans(length, stride), size, axis, times)
        for axis, length in ((ROWS, header.height), (COLUMNS, header.width))
    )
    return [Area(*spans) for spans in itertools.product(rows, columns)]
