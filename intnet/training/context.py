"""A parallel context: latents are coded in steps, each predicted from those of earlier steps.

The step of the latent at (row, column, channel) is order[row % 2][column % 2][group], with as many
groups of channels as the order has. In a quadtree order (Li et al. 2023, "Neural Video Compression
with Diverse Contexts") each step codes a quarter of the channels at every position.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from intnet.training.layers import Conv

Order = tuple[tuple[tuple[int, ...], ...], ...]

QUADTREE: Order = (((0, 2, 3, 1), (2, 0, 1, 3)), ((3, 1, 0, 2), (1, 3, 2, 0)))
EVERYTHING: Order = (((0,), (0,)), ((0,), (0,)))  # one step: no context


def steps(order: Order, latents: Tensor) -> Tensor:
    """The step of every latent: (channels, height, width) for latents (n, channels, h, w)."""
    channels, height, width = latents.shape[1:]
    table = torch.tensor(order, device=latents.device)
    group = torch.arange(channels, device=latents.device) * table.shape[2] // channels
    cells = table[:, :, group].repeat(-(-height // 2), -(-width // 2), 1)
    return cells[:height, :width].movedim(2, 0)


class Context(nn.Module):
    """Mean and log-scale of m latents from the latents coded so far and features.

    y_hat: (n, m, h, w), zero where not coded yet. features: (n, width, h, w) of hyper-latents.
    """

    def __init__(self, m: int, width: int) -> None:
        super().__init__()
        self.near = Conv(m, m, 5, groups=m)
        self.mix = Conv(m, width, relu=True)
        self.join = Conv(2 * width, width, relu=True)
        self.predict = Conv(width, 2 * m)
        self.predict.weight.data.mul_(0.1)

    @torch.no_grad()
    def start(self, spread: Tensor) -> None:
        """Begin at the standard deviations (m,) of the latents, which it sees scaled to one."""
        shape = self.near.weight.shape
        scale = 2 / math.sqrt(shape[2] * shape[3]) / spread.clamp_min(1e-3)
        self.near.weight.copy_(0.2 * torch.randn(shape) * scale[:, None, None, None])
        self.predict.bias[len(spread) :] = spread.log().clamp(-5, 4)

    def forward(self, y_hat: Tensor, features: Tensor) -> Tensor:
        seen = torch.cat([self.mix(self.near(y_hat)), features], 1)
        predicted: Tensor = self.predict(self.join(seen))
        return predicted
