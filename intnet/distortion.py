"""How far a decoded picture is from its original."""

from __future__ import annotations

import numpy as np

from intnet.program import Array


def psnr(original: Array, decoded: Array) -> float:
    """Peak signal-to-noise ratio in dB over all samples, peak 255; identical pictures give 120."""
    mse = np.square(original.astype(np.float64) - decoded).mean()
    return float(10 * np.log10(255**2 / max(mse, 255**2 * 1e-12)))
