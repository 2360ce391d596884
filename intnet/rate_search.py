"""Searching the quality that meets a rate: one analysis, a few codings.

A picture of higher quality has a larger stream, but for a few bytes of small ones: both searches
take that for granted.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from intnet import codec
from intnet.model_file import QUALITIES, Model
from intnet.options import ENCODER, EncoderOptions

PIXEL_CRC_BYTES = 4  # what verify adds to a stream


def encode_to_size(
    pixels: codec.Pixels, model: Model, max_bytes: int, options: EncoderOptions = ENCODER
) -> bytes:
    """The stream of the highest quality that fits max_bytes. Raises ValueError where none does."""
    a = codec.analyse(pixels, model, options.backend)
    size = sizes(a, model, options)
    low, high = 0, QUALITIES  # qualities below low fit, those from high on do not
    while low < high:
        middle = (low + high) // 2
        if size(middle) <= max_bytes:
            low = middle + 1
        else:
            high = middle
    if low == 0:
        raise ValueError(f"max_bytes: {max_bytes}, quality 0 needs {size(0)} for this picture")
    return codec.coded(a, model, low - 1, options)


def encode_to_bpp(
    pixels: codec.Pixels, model: Model, target_bpp: float, options: EncoderOptions = ENCODER
) -> bytes:
    """The stream whose bits per pixel, of all qualities, are nearest to target_bpp."""
    a = codec.analyse(pixels, model, options.backend)
    size = sizes(a, model, options)
    wanted = target_bpp * a.height * a.width / 8
    low, high = 0, QUALITIES - 1
    while low < high:  # the first quality that is not below the target lies in low..high
        middle = (low + high) // 2
        if size(middle) < wanted:
            low = middle + 1
        else:
            high = middle
    best = min(max(low - 1, 0), low, key=lambda quality: abs(size(quality) - wanted))
    return codec.coded(a, model, best, options)


def sizes(a: codec.Analysed, model: Model, options: EncoderOptions) -> Callable[[int], int]:
    """Bytes of the stream at a quality, each coded once; decoded, to be verified, at none."""
    plain, more = options._replace(verify=False), PIXEL_CRC_BYTES * options.verify

    @cache
    def size(quality: int) -> int:
        return len(codec.coded(a, model, quality, plain)) + more

    return size
