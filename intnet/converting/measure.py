"""What integers cost: rates and distortions of a float codec and of its integer model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from intnet import codec
from intnet.distortion import ms_ssim, psnr
from intnet.look.rate_distortion import Curve, Gain, Mean, Point, gain, mean
from intnet.model_file import Model
from intnet.pictures import Pixels

# A picture uint8 (h, w, 3) and a quality to bits per pixel, by the float model's own
# probabilities, and the samples that come out.
FloatCoder = Callable[[Pixels, int], tuple[float, Pixels]]
Row = dict[str, Any]
SIDES = ("float", "integer")


def curve(
    code: FloatCoder, model: Model, pictures: Sequence[Pixels], qualities: Sequence[int]
) -> list[Row]:
    """A row per quality: mean bpp, PSNR and MS-SSIM of floats, and of real streams of integers.

    MS-SSIM is None where some picture is below 161 pixels a side.
    """
    integers = integer_coder(model)
    return [
        {"quality": q, **side("float", code, pictures, q), **side("integer", integers, pictures, q)}
        for q in qualities
    ]


def side(name: str, code: FloatCoder, pictures: Sequence[Pixels], quality: int) -> Row:
    """Half of such a row: means over pictures, keys `<name>_bpp` and so on."""
    found = mean([point(picture, quality, code) for picture in pictures])
    return {f"{name}_{key}": short(value) for key, value in found._asdict().items()}


def short(value: float | None) -> float | None:
    """Digits that are worth a line."""
    return None if value is None else round(value, 6)


def integer_coder(model: Model) -> FloatCoder:
    """The real codec: bits are those of the stream's bytes."""

    def code(picture: Pixels, quality: int) -> tuple[float, Pixels]:
        stream = codec.encode(picture, model, quality)
        return bpp_of(stream, picture), codec.decode(stream, [model]).pixels

    return code


def bpp_of(stream: bytes, picture: Pixels) -> float:
    """Bits per pixel."""
    height, width = picture.shape[:2]
    return 8 * len(stream) / float(height * width)


def point(picture: Pixels, quality: int, code: FloatCoder) -> Point:
    """Of one picture."""
    bpp, decoded = code(picture, quality)
    size = math.ceil(bpp * picture.shape[0] * picture.shape[1] / 8)
    return Point("", "", quality, size, bpp, psnr(picture, decoded), ms_ssim(picture, decoded))


def of_side(rows: Sequence[Row], side: str) -> Curve:
    """The points of `float` or of `integer`."""
    return [Mean(*(row[f"{side}_{name}"] for name in Mean._fields)) for row in rows]


def cost(rows: Sequence[Row], own: int | None) -> Row:
    """What integers cost by a curve.

    own: the quality at which a model of one rate has its own step; None for one of several rates.
    percent: bits that integers need more at equal PSNR; None where the curves do not say. Of a
    model of several rates it is the BD-rate. One of a single rate has but one point that counts:
    that is compared with the float model's rate at the same PSNR, which its scaled steps tell,
    an estimate.
    """
    floats, integers = (of_side(rows, side) for side in SIDES)
    rates: Gain = gain("float", floats, integers)
    found: Row = {
        "bd_rate_psnr": rates.bd_rate_psnr, "bd_rate_ms_ssim": rates.bd_rate_ms_ssim,
        "measure": "BD-rate of PSNR", "percent": rates.bd_rate_psnr,
    }  # fmt: skip
    if own is not None:
        at = next(k for k, row in enumerate(rows) if row["quality"] == own)
        found |= {
            "quality": own,
            "bpp_percent": 100 * (integers[at].bpp / floats[at].bpp - 1),
            "psnr_db": integers[at].psnr - floats[at].psnr,
            "measure": f"estimate of bits at equal PSNR, quality {own}",
            "percent": at_equal_psnr(floats, integers[at]),
        }
    return found


def at_equal_psnr(floats: Curve, found: Mean) -> float | None:
    """Percent of bits above those of a curve at the same PSNR; None outside of it.

    >>> a, b = Mean(1.0, 30.0, None), Mean(2.0, 36.0, None)
    >>> at_equal_psnr([a, b], Mean(1.1, 30.0, None))
    10.0
    """
    known = sorted(floats, key=lambda m: m.psnr)
    psnrs = [m.psnr for m in known]
    if not psnrs[0] <= found.psnr <= psnrs[-1]:
        return None
    expected = np.exp(np.interp(found.psnr, psnrs, np.log([m.bpp for m in known])))
    return round(float(100 * (found.bpp / expected - 1)), 6)


def slope(rows: Sequence[Row]) -> float | None:
    """Natural logarithm of the float model's bits for a dB, over its curve; None for no curve.

    >>> points = [{"float_bpp": b, "float_psnr": 30 * b, "float_ms_ssim": None} for b in (1, 2)]
    >>> round(30 * slope(points), 3)
    0.693
    """
    points = sorted(of_side(rows, "float"), key=lambda m: m.bpp)
    rise = points[-1].psnr - points[0].psnr if points else 0.0
    return math.log(points[-1].bpp / points[0].bpp) / rise if rise > 0 else None
