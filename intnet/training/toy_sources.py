"""Sources whose best codecs are known: Laplace, banana, sawbridge.

The optima of Laplace and banana are those of entropy-constrained vector quantisation on a fine
grid and on 200 000 samples; the sawbridge's is a formula (Wagner, Ballé 2021).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

TURN = math.radians(240)
POINTS = 256  # samples of a sawbridge
MOST_CELLS = 200


@dataclass(frozen=True)
class Source:
    """Samples (n, dimensions) and what codecs of it may reach.

    span: the box |x| < span has most samples. mean: distortion is the mean squared error over
    dimensions, not the sum. optimum: lambda to the bits and distortion of the best codec.
    """

    sample: Callable[[int], Tensor]
    dimensions: int
    latents: int
    span: float
    mean: bool
    lambdas: tuple[float, ...]
    optimum: Callable[[float], tuple[float, float]]

    def distortion(self, x_hat: Tensor, x: Tensor) -> Tensor:
        """(n,) of samples (n, dimensions)."""
        square = (x_hat - x).square()
        return square.mean(1) if self.mean else square.sum(1)


def laplace(count: int) -> Tensor:
    """Density exp(-|x|) / 2."""
    pairs = torch.empty(count, 2).exponential_()
    return pairs[:, :1] - pairs[:, 1:]


def banana(count: int) -> Tensor:
    """A Gaussian of deviations 3 and 1/2, bent to a parabola, turned and shifted."""
    z = torch.randn(count, 2) * torch.tensor([3.0, 0.5])
    bent = torch.stack([z[:, 0], z[:, 1] - 0.1 * z[:, 0] ** 2], 1)
    cosine, sine = math.cos(TURN), math.sin(TURN)
    return bent @ torch.tensor([[cosine, -sine], [sine, cosine]]) - 1


def sawbridge(count: int) -> Tensor:
    """t - 1 for t > U and t before, U uniform, at the middles of POINTS intervals of [0, 1]."""
    t = (torch.arange(POINTS) + 0.5) / POINTS
    return t - (t > torch.rand(count, 1)).float()


def sawbridge_entropy(distortion: float) -> float:
    """The least bits at a distortion above 0: k cells of equal length and a remainder.

    From a distortion of 1/6 on there is one cell, and nothing to say.
    """
    k = max(1, math.floor(1 / (6 * distortion) + 1e-9))
    length = (1 + math.sqrt(max(0.0, (6 * distortion * (k + 1) - 1) / k))) / (k + 1)
    length = min(1.0, length)
    lengths = [length] * k + [max(0.0, 1 - k * length)]
    return -sum(p * math.log2(p) for p in lengths if p > 0)


def sawbridge_optimum(lmbda: float) -> tuple[float, float]:
    """Bits and distortion; the corners of the curve, of n equal cells, are its convex hull."""
    corners = [(math.log2(n), 1 / (6 * n)) for n in range(1, MOST_CELLS)]
    return min(corners, key=lambda corner: corner[0] + lmbda * corner[1])


# lambda: (bits, distortion) that minimise bits + lambda * distortion
LAPLACE = {
    0.3: (0.0396, 1.8365), 1.0: (0.6480, 0.8086), 3.0: (1.5559, 0.2599), 10.0: (2.5077, 0.0741),
    30.0: (3.3237, 0.02435),
}  # fmt: skip
BANANA = {
    0.3: (1.222, 2.997), 1.0: (2.258, 0.923), 3.0: (3.065, 0.437), 10.0: (4.802, 0.1446),
    30.0: (6.442, 0.0484),
}  # fmt: skip
# about 6 n / ln 2, where n = 2, 4, 8, 16 cells are best: 1, 2, 3, 4 bits
SAWBRIDGE = (16.0, 35.0, 70.0, 140.0)

SOURCES = {
    "laplace": Source(laplace, 1, 1, 3.0, False, tuple(LAPLACE), LAPLACE.__getitem__),
    "banana": Source(banana, 2, 2, 5.0, False, tuple(BANANA), BANANA.__getitem__),
    "sawbridge": Source(sawbridge, POINTS, 1, 1.0, True, SAWBRIDGE, sawbridge_optimum),
}
