"""How far a decoded picture is from its original; in floats, on which no stream depends."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from intnet.program import Array

Floats = npt.NDArray[np.float64]

# Wang, Simoncelli, Bovik 2003: a weight for each scale, from fine to coarse.
SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
WINDOW = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
WINDOW /= WINDOW.sum()
SMALLEST = 161  # pixels a side from which on a window fits the coarsest scale


def psnr(original: Array, decoded: Array) -> float:
    """Peak signal-to-noise ratio in dB over all samples, peak 255; identical pictures give 120."""
    mse = np.square(original.astype(np.float64) - decoded).mean()
    return float(10 * np.log10(255**2 / max(mse, 255**2 * 1e-12)))


def ms_ssim(original: Array, decoded: Array) -> float | None:
    """Multi-scale structural similarity of samples (h, w, channels), the mean over channels.

    At most 1, which identical pictures give; None for pictures below 161 pixels a side. Gaussian
    window of 11 samples where it fits; odd sides are repeated to even ones between scales.
    """
    if min(original.shape[:2]) < SMALLEST:
        return None
    channels = [ms_ssim_of(original[..., c], decoded[..., c]) for c in range(original.shape[2])]
    return float(np.mean(channels))


def ms_ssim_of(a: Array, b: Array) -> float:
    """Of one channel (h, w)."""
    x, y, product = a.astype(np.float64), b.astype(np.float64), 1.0
    for scale, weight in enumerate(SCALES):
        last = scale == len(SCALES) - 1
        luminance, structure = similarity(x, y)
        found = (luminance * structure if last else structure).mean()
        product *= max(float(found), 0.0) ** weight
        x, y = halved(x), halved(y)
    return product


def similarity(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Luminance, and contrast with structure, where a window fits (h - 10, w - 10)."""
    mean_x, mean_y = blurred(x), blurred(y)
    xx, yy, xy = blurred(x * x), blurred(y * y), blurred(x * y)
    products = mean_x * mean_y
    squares = mean_x * mean_x + mean_y * mean_y
    structure = (2 * (xy - products) + C2) / (xx + yy - squares + C2)
    return (2 * products + C1) / (squares + C1), structure


def blurred(x: Floats) -> Floats:
    """Weighted by the window, down and across."""
    for _ in range(2):
        sums = np.zeros((len(x) - len(WINDOW) + 1, x.shape[1]))
        for i, weight in enumerate(WINDOW):
            sums += weight * x[i : i + len(sums)]
        x = sums.T
    return x


def halved(x: Floats) -> Floats:
    """Means of two by two samples."""
    x = np.pad(x, [(0, side % 2) for side in x.shape], mode="edge")
    mean: Floats = (x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]) / 4
    return mean
