"""Picture formats through Pillow, at the size of the product's stream."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, features

from intnet import codec
from intnet.bench.peers import NotInstalledError, need
from intnet.bench.verbs import Verbs
from intnet.program import Array


def verbs(name: str, pixels: codec.Pixels, bpp: float, threads: int) -> Verbs:
    """Save and load. name: JPEG, WebP, AVIF or JPEG XL. pixels: uint8 (h, w, 3)."""
    kind, options = format_of(name, threads)
    picture = Image.fromarray(pixels)

    def encode(quality: int) -> bytes:
        file = io.BytesIO()
        picture.save(file, kind, quality=quality, **options)
        return file.getvalue()

    target = bpp * pixels.shape[0] * pixels.shape[1] / 8
    low, high = 1, 100
    while low < high:  # the first quality that reaches the target
        middle = (low + high) // 2
        low, high = (low, middle) if len(encode(middle)) >= target else (middle + 1, high)
    quality = min((low, max(1, low - 1)), key=lambda q: abs(len(encode(q)) - target))
    data = encode(quality)

    def decode() -> Array:
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))

    return Verbs(lambda: encode(quality), decode, len(data))


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
