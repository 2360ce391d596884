"""Samples of pictures, uint8 (h, w, channels): what networks take, and how it comes back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from intnet import alpha, chunks, container
from intnet.model_file import Z_STRIDE

Pixels = npt.NDArray[np.uint8]


def check(pixels: Pixels) -> None:
    """Raise ValueError for an array that is no picture, or a size that no stream can have."""
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 2, 3, 4):
        got = f"{pixels.dtype} {pixels.shape}"
        raise ValueError(f"pixels: {got}, must be uint8 (height, width, 1 to 4)")
    height, width, _ = pixels.shape
    if min(height, width) < 1 or height * width > container.MAX_PIXELS:
        raise ValueError(f"pixels: {width}x{height}, must be 1 to {container.MAX_PIXELS} pixels")
    if max(height, width) > container.MAX_SIDE:
        raise ValueError(f"pixels: {width}x{height}, must be 1 to {container.MAX_SIDE} on a side")


def split(pixels: Pixels) -> tuple[Pixels, Pixels | None]:
    """(h, w, 1 or 3) of grey or RGB, and alpha (h, w) if there is any."""
    if pixels.shape[2] in (1, 3):
        return pixels, None
    return pixels[..., :-1], pixels[..., -1]


def padded(pixels: Pixels, begin: int, end: int) -> Pixels:
    """Rows [begin, end) as RGB; edges repeat below the picture and up to 64 * n columns."""
    height, width, channels = pixels.shape
    if end <= height and width % Z_STRIDE == 0 and channels == 3:
        return pixels[begin:end]
    rows = pixels[min(begin, height - 1) : end]
    edges = (0, end - begin - len(rows)), (0, -width % Z_STRIDE), (0, 0)
    return np.broadcast_to(np.pad(rows, edges, mode="edge"), (end - begin, width + edges[1][1], 3))


def luma(x: Pixels) -> Pixels:
    """(R + 2 G + B + 2) >> 2 of (h, w, 3): the one sample of grey pictures."""
    r, g, b = (x[..., i : i + 1].astype(np.int32) for i in range(3))
    return ((r + 2 * g + b + 2) >> 2).astype(np.uint8)


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
