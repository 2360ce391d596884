"""Rates and distortions of many pictures by several codecs: points, curves, BD-rates."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from intnet.distortion import ms_ssim, psnr
from intnet.errors import IntnetError
from intnet.look.coders import Coder
from intnet.pictures import Pixels

STEPS = 1000  # distortions between which a BD-rate integrates


class Point(NamedTuple):
    """A picture by a codec at a quality. ms_ssim: None for pictures below 161 pixels a side."""

    picture: str
    codec: str
    quality: int
    bytes: int
    bpp: float
    psnr: float
    ms_ssim: float | None


class Mean(NamedTuple):
    """The same, averaged over pictures; ms_ssim: None where some picture has none."""

    bpp: float
    psnr: float
    ms_ssim: float | None


Curve = list[Mean]


class Gain(NamedTuple):
    """BD-rates in percent, below 0: fewer bits; None where curves share no distortion."""

    against: str
    bd_rate_psnr: float | None
    bd_rate_ms_ssim: float | None


def points(
    name: str, key: str, pixels: Pixels, qualities: Iterable[int], coder: Coder
) -> Iterator[Point]:
    """A picture by the coder that was made for it, at each quality that it has."""
    area = pixels.shape[0] * pixels.shape[1]
    for quality in qualities:
        data = coder.encode(quality)
        decoded = coder.decode(data)
        yield Point(
            name, key, quality, len(data), 8 * len(data) / area, psnr(pixels, decoded),
            ms_ssim(pixels, decoded),
        )  # fmt: skip


def curve(found: Iterable[Point]) -> Curve:
    """Averages over the pictures at each quality, the lowest first."""
    by_quality: dict[int, list[Point]] = {}
    for point in found:
        by_quality.setdefault(point.quality, []).append(point)
    return [mean(group) for _, group in sorted(by_quality.items())]


def mean(group: list[Point]) -> Mean:
    """Of the pictures at one quality."""
    similar = [point.ms_ssim for point in group if point.ms_ssim is not None]
    return Mean(
        float(np.mean([point.bpp for point in group])),
        float(np.mean([point.psnr for point in group])),
        float(np.mean(similar)) if len(similar) == len(group) else None,
    )


def decibels(similarity: float) -> float:
    """MS-SSIM as it is drawn and integrated: -10 log10(1 - MS-SSIM), at most 120.

    >>> round(decibels(0.99), 6)
    20.0
    """
    return -10 * math.log10(max(1 - similarity, 1e-12))


def gain(against: str, anchor: Curve, test: Curve) -> Gain:
    """The BD-rates of a curve against another, by both distortions."""
    by_psnr = bd_rate(*([(m.bpp, m.psnr) for m in c] for c in (anchor, test)))
    similar = [
        [(m.bpp, decibels(m.ms_ssim)) for m in c if m.ms_ssim is not None] for c in (anchor, test)
    ]
    return Gain(against, by_psnr, bd_rate(*similar))


def bd_rate(anchor: list[tuple[float, float]], test: list[tuple[float, float]]) -> float | None:
    """Mean difference of rates in percent, of test against anchor, at equal distortion in dB.

    Curves are points (bpp, dB). The logarithm of the rate is integrated over the decibels that both
    cover, linear between points (Bjontegaard 2001 fits a cubic, which few points bend at will).
    None where they have fewer than two points or nothing in common.

    >>> bd_rate([(1.0, 30.0), (2.0, 36.0)], [(0.5, 30.0), (1.0, 36.0)])
    -50.0
    """
    if min(len(anchor), len(test)) < 2:
        return None
    a, t = (np.array(sorted(c, key=lambda point: point[1])) for c in (anchor, test))
    low, high = max(a[0, 1], t[0, 1]), min(a[-1, 1], t[-1, 1])
    if low >= high:
        return None
    at = np.linspace(low, high, STEPS)
    difference = np.interp(at, t[:, 1], np.log(t[:, 0])) - np.interp(at, a[:, 1], np.log(a[:, 0]))
    return float(100 * (np.exp(difference.mean()) - 1))


def published(path: Path) -> dict[str, Curve]:
    """Curves of a JSON file: an object of lists of {"bpp", "psnr", "ms_ssim"}, the last optional.

    Names that begin with an underscore are no curves. Raises IntnetError for another file, OSError.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return {
            name: [Mean(float(p["bpp"]), float(p["psnr"]), opt(p.get("ms_ssim"))) for p in measured]
            for name, measured in document.items()
            if not name.startswith("_")
        }
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise IntnetError(f"{path}: no curves ({type(error).__name__}: {error})") from None


def opt(value: float | None) -> float | None:
    """As float, if it is there."""
    return None if value is None else float(value)
