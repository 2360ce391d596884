"""Searching the quality that meets a rate: one analysis, a few codings.

A picture of higher quality has a larger stream, but for a few bytes of small ones: both searches
take that for granted.
"""

from __future__ import annotations

import functools
from bisect import bisect_right
from collections.abc import Callable

from intnet import codec
from intnet.model_file import QUALITIES, Model
from intnet.options import ENCODER, EncoderOptions

PIXEL_CRC_BYTES = 4  # what verify adds to a stream


def last_within(size: Callable[[int], int], qualities: range, most: float) -> int:
    """The last of qualities whose size is at most that; one before the first where none is.

    size: bytes at a quality, which rise with it.

    >>> last_within(lambda quality: 10 * quality, range(64), 125.0)
    12
    """
    return qualities.start - 1 + bisect_right(qualities, most, key=size)


def nearest(size: Callable[[int], int], qualities: range, wanted: float) -> int:
    """The one of qualities whose size is nearest to that; size: as for `last_within`.

    >>> nearest(lambda quality: 10 * quality, range(64), 126.0)
    13
    """
    size = functools.cache(size)
    last = last_within(size, qualities, wanted)
    either = max(last, qualities.start), min(last + 1, qualities.stop - 1)
    return min(either, key=lambda quality: abs(size(quality) - wanted))


def encode_to_size(
    pixels: codec.Pixels, model: Model, max_bytes: int, options: EncoderOptions = ENCODER
) -> bytes:
    """The stream of the highest quality that fits max_bytes. Raises ValueError where none does."""
    a = codec.analyse(pixels, model, options.backend)
    size = sizes(a, model, options)
    best = last_within(size, range(QUALITIES), max_bytes)
    if best < 0:
        raise ValueError(f"max_bytes: {max_bytes}, quality 0 needs {size(0)} for this picture")
    return codec.coded(a, model, best, options)


def encode_to_bpp(
    pixels: codec.Pixels, model: Model, target_bpp: float, options: EncoderOptions = ENCODER
) -> bytes:
    """The stream whose bits per pixel, of all qualities, are nearest to target_bpp."""
    a = codec.analyse(pixels, model, options.backend)
    wanted = target_bpp * a.height * a.width / 8
    best = nearest(sizes(a, model, options), range(QUALITIES), wanted)
    return codec.coded(a, model, best, options)


def sizes(a: codec.Analysed, model: Model, options: EncoderOptions) -> Callable[[int], int]:
    """Bytes of the stream at a quality, each coded once; decoded, to be verified, at none."""
    plain, more = options._replace(verify=False), PIXEL_CRC_BYTES * options.verify

    @functools.cache
    def size(quality: int) -> int:
        return len(codec.coded(a, model, quality, plain)) + more

    return size
