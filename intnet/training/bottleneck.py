"""The two entropy models of the family: a learned density for each channel, and a Gaussian.

The density is the factorized one of Ballé et al. 2018, appendix 6.1.

Tensor names and shapes are those of CompressAI 1.2.8, so that weights go either way. The tables of
its coder (`_offset`, `_quantized_cdf`, `_cdf_length`) are carried and not used: ours are made by
`convert`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from intnet.training.entropy import LIKELIHOOD_MIN, SCALE_MIN, gaussian_bits
from intnet.training.layers import lower_bound, round_ste

WIDTHS = (1, 3, 3, 3, 3, 1)
TAIL_MASS = 1e-9  # left outside the outer quantiles, both sides together
TABLES = ("_offset", "_quantized_cdf", "_cdf_length")


class Bound(nn.Module):
    """max(x, bound) with the gradient of `layers.lower_bound`."""

    bound: Tensor

    def __init__(self, bound: float) -> None:
        super().__init__()
        self.register_buffer("bound", torch.tensor([bound]))

    def forward(self, x: Tensor) -> Tensor:
        return lower_bound(x, self.bound)


class WithTables(nn.Module):
    """Has integer buffers that are empty, or as long as those of the state that was loaded."""

    resizable: tuple[str, ...] = TABLES

    def __init__(self) -> None:
        super().__init__()
        for name in TABLES:
            self.register_buffer(name, torch.empty(0, dtype=torch.int32))
        self.likelihood_lower_bound = Bound(LIKELIHOOD_MIN)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        for name in self.resizable:
            if prefix + name in state_dict:
                setattr(self, name, torch.empty_like(state_dict[prefix + name]))
        super()._load_from_state_dict(state_dict, prefix, *args)


def quantised(values: Tensor, centre: Tensor | float, *, noisy: bool) -> tuple[Tensor, Tensor]:
    """Rounded from the centre, straight-through; and what the rate is counted of.

    That is the values with uniform noise where noisy, and else what was rounded (Minnen, Singh
    2020: noise for the rate, straight-through for the distortion).
    """
    rounded = centre + round_ste(values - centre)
    return rounded, values + torch.rand_like(values) - 0.5 if noisy else rounded


class EntropyBottleneck(WithTables):
    """A cumulative distribution for each channel, a monotonic network of five layers.

    quantiles (channels, 1, 3): lower tail, centre and upper tail; symbols count from the centre,
    which our training leaves at 0, and `set_quantiles` finds the tails.
    """

    target: Tensor

    def __init__(self, channels: int, init_scale: float = 10.0) -> None:
        super().__init__()
        self.matrices, self.biases, self.factors = (nn.ParameterList() for _ in range(3))
        scale = init_scale ** (1 / (len(WIDTHS) - 1))
        for i, width in enumerate(WIDTHS[1:]):
            first = math.log(math.expm1(1 / scale / width))
            self.matrices.append(nn.Parameter(torch.full((channels, width, WIDTHS[i]), first)))
            self.biases.append(nn.Parameter(torch.rand(channels, width, 1) - 0.5))
            if i < len(WIDTHS) - 2:
                self.factors.append(nn.Parameter(torch.zeros(channels, width, 1)))
        ends = torch.tensor([-init_scale, 0.0, init_scale]).repeat(channels, 1, 1)
        self.quantiles = nn.Parameter(ends, requires_grad=False)
        logit = math.log(2 / TAIL_MASS - 1)
        self.register_buffer("target", torch.tensor([-logit, 0.0, logit]))

    def logits(self, values: Tensor) -> Tensor:
        """Logits of the cumulative distribution at values (channels, 1, n)."""
        for i, (matrix, bias) in enumerate(zip(self.matrices, self.biases, strict=True)):
            values = F.softplus(matrix) @ values + bias
            if i < len(self.factors):
                values = values + torch.tanh(self.factors[i]) * torch.tanh(values)
        return values

    def bits(self, values: Tensor) -> Tensor:
        """Bits of each value (n, channels, ...) integrated over a unit bin."""
        return self.bits_between(values - 0.5, values + 0.5)

    def bits_between(self, start: Tensor, end: Tensor) -> Tensor:
        """Bits of each interval from start to end (n, channels, ...)."""
        channels_first = start.transpose(0, 1)
        lower, upper = (
            self.logits(v.transpose(0, 1).flatten(1).unsqueeze(1)) for v in (start, end)
        )
        # in the upper tail both sigmoids round to 1: take the difference on the other side
        sign = -torch.sign(lower + upper).detach()
        p = (torch.sigmoid(sign * upper) - torch.sigmoid(sign * lower)).abs()
        bits = -torch.log2(self.likelihood_lower_bound(p))
        return bits.reshape(channels_first.shape).transpose(0, 1)

    def forward(self, y: Tensor, *, noisy: bool) -> tuple[Tensor, Tensor]:
        """y (n, channels, h, w) rounded, and bits (n,)."""
        centre = self.quantiles[:, 0, 1, None, None]
        y_hat, counted = quantised(y, centre, noisy=noisy)
        return y_hat, self.bits(counted).sum((1, 2, 3))

    @torch.no_grad()
    def set_quantiles(self) -> None:
        """Put the outer quantiles where the logits reach their targets, by bisection."""
        low = torch.full_like(self.quantiles[:, :, ::2], -1e5)
        high, target = -low, self.target[::2].expand_as(low)
        for _ in range(60):
            middle = (low + high) / 2
            below = self.logits(middle) < target
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        self.quantiles[:, :, ::2] = (low + high) / 2


@torch.no_grad()
def with_quantiles(model: nn.Module, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The state of a model with the quantiles that fit it."""
    if not any(isinstance(module, EntropyBottleneck) for module in model.modules()):
        return state
    model = copy.deepcopy(model)
    model.load_state_dict(state)
    for module in model.modules():
        if isinstance(module, EntropyBottleneck):
            module.set_quantiles()
    return model.state_dict()


class GaussianConditional(WithTables):
    """N(mean, scale^2) integrated over unit bins around the mean."""

    resizable = (*TABLES, "scale_table")

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale_table", torch.empty(0))
        self.register_buffer("scale_bound", torch.tensor([SCALE_MIN]))
        self.lower_bound_scale = Bound(SCALE_MIN)

    def bits(self, values: Tensor, scales: Tensor, means: Tensor | float) -> Tensor:
        """Bits (n,) of values (n, channels, h, w)."""
        log_scale = self.lower_bound_scale(scales).log()
        return gaussian_bits(values - means, log_scale).sum((1, 2, 3))

    def forward(
        self, y: Tensor, scales: Tensor, means: Tensor | float = 0.0, *, noisy: bool
    ) -> tuple[Tensor, Tensor]:
        """y rounded from the means, and bits (n,)."""
        y_hat, counted = quantised(y, means, noisy=noisy)
        return y_hat, self.bits(counted, scales, means)
