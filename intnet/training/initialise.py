"""Start as a KLT transform coder: two-stage PCA on the main path, transposed in the synthesis."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from intnet.training.layers import conv_at
from intnet.training.models import MeanScaleHyperprior


def principal(samples: Tensor, count: int) -> Tensor:
    """samples (n, d) -> (count, d): orthonormal rows, largest variance first."""
    covariance = samples.T @ samples / len(samples)
    vectors: Tensor = torch.linalg.eigh(covariance)[1]
    return vectors.flip(1)[:, :count].T.contiguous()


@torch.no_grad()
def klt(model: MeanScaleHyperprior, x: Tensor) -> None:
    """Set the main path of model from pictures x (n, 3, h, w) in [0, 1].

    Channels beyond the 192 samples of a block of 8x8 are left to learn what is not linear.
    """
    config = model.config
    enter, narrow = (conv_at(model.analysis, at) for at in (1, config.blocks + 3))
    widen, leave = (conv_at(model.synthesis, at) for at in (1, config.blocks + 3))
    u = F.pixel_unshuffle(x - 0.5, 8)
    linear = min(config.c, u.shape[1])
    first = principal(u.permute(0, 2, 3, 1).reshape(-1, u.shape[1]), linear)[:, :, None, None]
    enter.weight[:linear] = first
    leave.weight.zero_()
    leave.weight[:, :linear] = first.transpose(0, 1)
    coefficients = F.pad(F.conv2d(u, first), (0, 0, 0, 0, 0, config.c - linear))
    v = F.pixel_unshuffle(coefficients, 2)
    second = principal(v.permute(0, 2, 3, 1).reshape(-1, v.shape[1]), config.m)
    narrow.weight.copy_(second[:, :, None, None])
    widen.weight.copy_(second.T[:, :, None, None])
    spread = model.analysis(x - 0.5).std((0, 2, 3))
    if model.context:
        model.context.start(spread)
    else:
        last = conv_at(model.prior, -1)
        last.weight.mul_(0.1)
        last.bias[config.m :] = spread.log().clamp(-5, 4)
