"""Rates in bits of the two priors, as float twins of the integer tables.

The scale table is log-spaced, 64 entries from 0.11 to 256 (TFC and PULSE use the same range).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from intnet.training.layers import lower_bound

SCALES, SCALE_MIN, SCALE_MAX = 64, 0.11, 256.0
LOG_STEP = math.log(SCALE_MAX / SCALE_MIN) / (SCALES - 1)
LIKELIHOOD_MIN = 1e-9


def gaussian_bits(residual: Tensor, log_scale: Tensor) -> Tensor:
    """Bits of each residual under N(0, exp(log_scale)) integrated over a unit bin."""
    log_scale = lower_bound(log_scale, math.log(SCALE_MIN)).clamp_max(math.log(SCALE_MAX))
    inverse = torch.exp(-log_scale) * 2**-0.5
    v = residual.abs()
    p = 0.5 * (torch.erfc((v - 0.5) * inverse) - torch.erfc((v + 0.5) * inverse))
    return -torch.log2(lower_bound(p, LIKELIHOOD_MIN))


def dead_zone(log_scale: Tensor, strength: float | Tensor) -> Tensor:
    """Rounding offset (0.5: nearest) that trades distortion for rate, per N(0, exp(log_scale)).

    Quantising r to k + 1 instead of k costs bits(1) - bits(0) and saves 2r - 1 of squared error at
    r = k + offset; at high rate one bit is worth 2 ln 2 / 12 of it. strength scales the saving.
    """
    log_scale = log_scale.clamp(math.log(SCALE_MIN), math.log(SCALE_MAX))
    zero = torch.zeros_like(log_scale)
    extra = gaussian_bits(zero + 1, log_scale) - gaussian_bits(zero, log_scale)
    return (0.5 - strength * extra * (math.log(2) / 12)).clamp(0, 0.5)


class LogisticMixture(nn.Module):
    """Static prior of z: per channel three logistics (weights w, means m, scales s)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(channels, 3))
        self.m = nn.Parameter(torch.linspace(-2, 2, 3).repeat(channels, 1))
        self.s = nn.Parameter(torch.zeros(channels, 3))

    def cdf(self, z: Tensor) -> Tensor:
        """P(Z < z) for z of shape (..., channels)."""
        u = (z.unsqueeze(-1) - self.m) * torch.exp(-self.s)
        return (F.softmax(self.w, -1) * torch.sigmoid(u)).sum(-1)

    def bits(self, z: Tensor) -> Tensor:
        """Bits of each value of z (n, channels, h, w) integrated over a unit bin."""
        z = z.movedim(1, -1)
        return -torch.log2(lower_bound(self.cdf(z + 0.5) - self.cdf(z - 0.5), LIKELIHOOD_MIN))
