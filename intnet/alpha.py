"""Transparency of a picture, without loss: zlib's format over differences between rows."""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

from intnet.errors import StreamError

Alpha = npt.NDArray[np.uint8]


def encode(alpha: Alpha) -> bytes:
    """uint8 (h, w): each row less the one above it, modulo 256, deflated."""
    rows: Alpha = np.diff(alpha, axis=0, prepend=np.zeros_like(alpha[:1]))
    return zlib.compress(rows.data, 6)


def decode(data: bytes, height: int, width: int) -> Alpha:
    """uint8 (h, w). Raises StreamError where data is anything else than that many samples.

    No more than these are ever inflated.
    """
    size = height * width
    inflater = zlib.decompressobj()
    try:
        samples = inflater.decompress(data, size)
        rest = inflater.decompress(inflater.unconsumed_tail, 1) if len(samples) == size else b""
    except zlib.error as error:
        raise StreamError(f"stream, chunk ALPH: {error}") from None
    if len(samples) != size or rest:
        got = f"more than {size}" if rest else str(len(samples))
        raise StreamError(f"stream, chunk ALPH: {got} samples, must be {size}")
    if not inflater.eof or inflater.unused_data:
        raise StreamError("stream, chunk ALPH: its zlib stream does not end where the chunk ends")
    rows: Alpha = np.frombuffer(samples, np.uint8).reshape(height, width)
    return np.add.accumulate(rows, axis=0, dtype=np.uint8)
