"""Picture formats through Pillow, at the size of the product's stream."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from PIL import Image, features

from intnet import codec
from intnet.bench.peers import NotInstalledError, need
from intnet.bench.verbs import Verbs
from intnet.program import Array
from intnet.rate_search import nearest

FORMATS = {"JPEG": "jpeg", "WebP": "webp", "AVIF": "avif", "JPEG XL": "jxl"}  # and their keys
QUALITIES = range(101)


def verbs(name: str, pixels: codec.Pixels, bpp: float, threads: int) -> Verbs:
    """Save and load. name: one of FORMATS. pixels: uint8 (h, w, 3)."""
    save = saver(name, pixels, threads)
    target = bpp * pixels.shape[0] * pixels.shape[1] / 8
    quality = nearest(lambda q: len(save(q)), QUALITIES, target)
    data = save(quality)
    return Verbs(partial(save, quality), partial(load, data), len(data))


def saver(name: str, pixels: codec.Pixels, threads: int) -> Callable[[int], bytes]:
    """What saves a picture, uint8 (h, w, 1 or 3), at one of QUALITIES: the bytes of a file.

    name: one of FORMATS. Raises NotInstalledError.
    """
    kind, options = format_of(name, threads)
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)

    def save(quality: int) -> bytes:
        file = io.BytesIO()
        picture.save(file, kind, quality=quality, **options)
        return file.getvalue()

    return save


def load(data: bytes, mode: str = "RGB") -> Array:
    """Samples of a file, uint8 (h, w, 3), or (h, w) for mode L."""
    return np.asarray(Image.open(io.BytesIO(data)).convert(mode))


def format_of(name: str, threads: int) -> tuple[str, dict[str, Any]]:
    """Pillow's name of a format, and options beside quality. Raises NotInstalledError."""
    if name == "JPEG XL":
        need("pillow_jxl")  # registers itself
        return "JXL", {"num_threads": threads}
    kind = name.upper()
    if kind == "JPEG":
        return kind, {"subsampling": "4:2:0", "optimize": True}
    if not features.check(kind.lower()):
        raise NotInstalledError(f"this Pillow was built without {name}")
    return kind, {"max_threads": threads} if kind == "AVIF" else {}
