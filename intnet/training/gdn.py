"""Generalised divisive normalisation, and its simplified form, with learnable parameters.

Tensor names and shapes are those of CompressAI 1.2.8, so that weights go either way.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from intnet.training.bottleneck import Bound

PEDESTAL = 2.0**-36
BETA_MIN, GAMMA_INIT = 1e-6, 0.1


class NonNegative(nn.Module):
    """Parameters kept as roots: value = max(root, bound)**2 - pedestal, at least `least`."""

    pedestal: Tensor

    def __init__(self, least: float) -> None:
        super().__init__()
        self.register_buffer("pedestal", torch.tensor([PEDESTAL]))
        self.lower_bound = Bound((least + PEDESTAL) ** 0.5)

    def root(self, value: Tensor) -> Tensor:
        """Inverse of forward."""
        return (value + self.pedestal).clamp_min(self.pedestal).sqrt()

    def forward(self, root: Tensor) -> Tensor:
        value: Tensor = self.lower_bound(root).square() - self.pedestal
        return value


class Gdn(nn.Module):
    """x_i / sqrt(beta_i + sum_j gamma_ij x_j^2), or the product for the inverse (Ballé 2016)."""

    def __init__(self, channels: int, *, inverse: bool = False) -> None:
        super().__init__()
        self.inverse = inverse
        self.beta_reparam, self.gamma_reparam = NonNegative(BETA_MIN), NonNegative(0.0)
        self.beta = nn.Parameter(self.beta_reparam.root(torch.ones(channels)))
        self.gamma = nn.Parameter(self.gamma_reparam.root(GAMMA_INIT * torch.eye(channels)))

    def pool(self, x: Tensor) -> Tensor:
        """beta_i + sum_j gamma_ij x_j of x (n, channels, h, w)."""
        gamma = self.gamma_reparam(self.gamma)[:, :, None, None]
        return F.conv2d(x, gamma, self.beta_reparam(self.beta))

    def norm(self, x: Tensor) -> Tensor:
        """What x is divided by."""
        return self.pool(x.square()).sqrt()

    def forward(self, x: Tensor) -> Tensor:
        norm = self.norm(x)
        return x * norm if self.inverse else x / norm


class SimplifiedGdn(Gdn):
    """alpha = epsilon = 1 (Johnston et al. 2019): x_i / (beta_i + sum_j gamma_ij |x_j|)."""

    def norm(self, x: Tensor) -> Tensor:
        return self.pool(x.abs())
