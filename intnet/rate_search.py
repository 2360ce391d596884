"""Searching the quality that meets a rate: one analysis, a few codings."""

from __future__ import annotations

from intnet import codec, tiles
from intnet.chunks import Chunks
from intnet.model_file import QUALITIES, Model

PIXEL_CRC_BYTES = 4  # what verify adds to a stream


def encode_to_size(
    pixels: codec.Pixels,
    model: Model,
    max_bytes: int,
    backend: str = "numba",
    *,
    verify: bool = False,
    tile: int = tiles.DEFAULT,
    ancillary: Chunks = (),
) -> bytes:
    """The stream of the highest quality that fits max_bytes. Raises ValueError where none does.

    verify, tile, ancillary: as for `codec.code`.
    """
    a = codec.analyse(pixels, model, backend)
    low, high = 0, QUALITIES  # qualities below low fit, those from high on do not
    while low < high:
        middle = (low + high) // 2
        size = (
            len(codec.code(a, model, middle, backend, tile=tile, ancillary=ancillary))
            + PIXEL_CRC_BYTES * verify
        )
        if size <= max_bytes:
            low = middle + 1
        else:
            high = middle
    stream = codec.code(
        a, model, max(low - 1, 0), backend, verify=verify, tile=tile, ancillary=ancillary
    )
    if low == 0:
        raise ValueError(f"max_bytes: {max_bytes}, quality 0 needs {len(stream)} for this picture")
    return stream


def encode_to_bpp(
    pixels: codec.Pixels,
    model: Model,
    target_bpp: float,
    backend: str = "numba",
    *,
    verify: bool = False,
    tile: int = tiles.DEFAULT,
    ancillary: Chunks = (),
) -> bytes:
    """The stream whose bits per pixel, of all qualities, are nearest to target_bpp.

    verify, tile, ancillary: as for `codec.code`.
    """
    a = codec.analyse(pixels, model, backend)
    wanted = target_bpp * a.height * a.width / 8
    sizes: dict[int, int] = {}

    def size(quality: int) -> int:
        if quality not in sizes:
            sizes[quality] = len(
                codec.code(a, model, quality, backend, tile=tile, ancillary=ancillary)
            )
        return sizes[quality]

    low, high = 0, QUALITIES - 1
    while low < high:  # the first quality that is not below the target lies in low..high
        middle = (low + high) // 2
        if size(middle) < wanted:
            low = middle + 1
        else:
            high = middle
    best = min(max(low - 1, 0), low, key=lambda q: abs(size(q) - wanted))
    return codec.code(a, model, best, backend, verify=verify, tile=tile, ancillary=ancillary)
