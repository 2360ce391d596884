"""A picture by several codecs, each at the best quality that needs no more than the same rate."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from intnet.distortion import ms_ssim, psnr
from intnet.limits import Limits
from intnet.look import coders
from intnet.look.coders import NAMES
from intnet.model_file import Model
from intnet.pictures import Picture, Pixels
from intnet.rate_search import last_within
from intnet.shapes import Size
from intnet.windows import Area

CROP = (192, 256)  # rows and columns, where the picture has them
STEP = 16  # pixels between the crops that `busiest` looks at


class Coded(NamedTuple):
    """A picture as a codec, one of NAMES, gives it back. ms_ssim: None for small pictures."""

    codec: str
    quality: int
    bytes: int
    bpp: float
    psnr: float
    ms_ssim: float | None
    above: bool  # the target, which even the lowest quality exceeds
    pixels: Pixels

    @property
    def name(self) -> str:
        """Of the codec, for people."""
        return NAMES[self.codec]

    @property
    def lines(self) -> list[str]:
        """A caption below its name."""
        similarity = "none, too small" if self.ms_ssim is None else f"{self.ms_ssim:.4f}"
        return [
            f"quality {self.quality}" + ", the lowest: above the target" * self.above,
            f"{8 * self.bytes} bits, {self.bpp:.4f} bpp",
            f"PSNR {self.psnr:.2f} dB",
            f"MS-SSIM {similarity}",
        ]

    @property
    def document(self) -> dict[str, Any]:
        """For JSON and tables: all but the samples."""
        numbers = self._asdict()
        del numbers["pixels"]
        return numbers | {"bits": 8 * self.bytes}


class Compared(NamedTuple):
    """A picture, the area to look at, and what every codec makes of it."""

    name: str
    picture: Picture
    crop: Area
    coded: list[Coded]

    @property
    def document(self) -> dict[str, Any]:
        """For JSON."""
        height, width, _ = self.picture.pixels.shape
        (top, _), (left, _) = self.crop
        rows, columns = self.crop.size
        return {
            "picture": self.name, "width": width, "height": height,
            "crop": [left, top, columns, rows], "codecs": [c.document for c in self.coded],
        }  # fmt: skip


def coded(key: str, pixels: Pixels, bpp: float, model: Model, limits: Limits) -> Coded:
    """The picture at the best quality of at most bpp, or else at the lowest.

    key: one of NAMES, at hand. pixels: uint8 (h, w, 1 or 3).
    """
    ours = model if key == coders.PRODUCT else None
    coder = coders.coder(key, pixels, ours, limits)
    area = pixels.shape[0] * pixels.shape[1]
    last = last_within(lambda q: len(coder.encode(q)), coder.qualities, bpp * area / 8)
    quality = max(last, coder.qualities.start)
    data = coder.encode(quality)
    decoded = coder.decode(data)
    return Coded(
        key, quality, len(data), 8 * len(data) / area, psnr(pixels, decoded),
        ms_ssim(pixels, decoded), last < quality, decoded,
    )  # fmt: skip


def busiest(pixels: Pixels, size: Size = CROP) -> Area:
    """The area of a size, cut to the picture, with the most detail; tells nothing of any codec.

    Detail: the differences of samples from those below and to the right, in magnitude.
    """
    x = pixels.astype(np.int32).sum(2)
    detail = np.zeros((x.shape[0] + 1, x.shape[1] + 1), np.int64)
    detail[1:-1, 1:] += np.abs(np.diff(x, axis=0))
    detail[1:, 1:-1] += np.abs(np.diff(x, axis=1))
    sums = detail.cumsum(0).cumsum(1)
    height, width = (min(pair) for pair in zip(size, x.shape, strict=True))
    corners = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width]
    inside = (corners + sums[:-height, :-width])[::STEP, ::STEP]
    row, column = np.unravel_index(inside.argmax(), inside.shape)
    top, left = int(row) * STEP, int(column) * STEP
    return Area((top, top + height), (left, left + width))
