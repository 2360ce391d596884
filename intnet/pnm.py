"""PPM and PGM, of 8 bits and binary: headers before samples, so that large ones pass in strips."""

from __future__ import annotations

import mmap
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from intnet.errors import PictureError

Pixels = npt.NDArray[np.uint8]

SUFFIXES = (".ppm", ".pgm", ".pnm")
HEADER = re.compile(rb"P([56])\s+([1-9]\d{0,8})\s+([1-9]\d{0,8})\s+255\s")
CHANNELS = {b"5": 1, b"6": 3}


class Header(NamedTuple):
    """size: width and height. start: where the samples begin."""

    size: tuple[int, int]
    channels: int
    start: int


def read_header(data: bytes) -> Header | None:
    """Of the beginning of a file; None where it is anything else, or has comments."""
    found = HEADER.match(data)
    if found is None:
        return None
    return Header((int(found[2]), int(found[3])), CHANNELS[found[1]], found.end())


def header(width: int, height: int, channels: int) -> bytes:
    """What precedes samples (height, width, 1 or 3): of PGM, or of PPM."""
    return b"P%d\n%d %d\n255\n" % (5 if channels == 1 else 6, width, height)


def mapped(path: Path, found: Header) -> Pixels:
    """Samples uint8 (h, w, 1 or 3) of a file, read-only; read from it as they are used.

    Raises PictureError for a file that is too short, OSError.
    """
    (width, height), channels, start = found
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    needed = start + width * height * channels
    if len(data) < needed:
        raise PictureError(f"{path}: truncated picture, {len(data)} bytes, must be {needed}")
    samples = np.frombuffer(data, np.uint8, needed - start, start)
    return samples.reshape(height, width, channels)
