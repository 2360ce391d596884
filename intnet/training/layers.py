"""Float layers and the gradients that let them learn through rounding.

A network is a tree of `Conv`, `Block` and two reshapes. `quantise.py` swaps every `Conv` for an
`IntegerConv`; the topology, and so the forward code, is written once.
Tensors are (batch, channel, height, width) float32 here; integer layers carry integers in floats.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

S16_MAX = 32767
QRELU_ALPHA_4 = (math.gamma(0.25) / 4) ** 4  # alpha**beta of Ballé et al. 2019, beta = 4


class RoundSTE(torch.autograd.Function):
    """Round to nearest, ties toward plus infinity; gradient of the identity (straight-through)."""

    @staticmethod
    def forward(_ctx: Any, x: Tensor) -> Tensor:
        return torch.floor(x + 0.5)

    @staticmethod
    def backward(_ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0]


class LowerBound(torch.autograd.Function):
    """max(x, bound); the gradient passes inside, and outside where it would move x back inside."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bound: float | Tensor) -> Tensor:
        ctx.save_for_backward(x)
        ctx.bound = bound
        return x.clamp_min(bound)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return grads[0] * ((x >= ctx.bound) | (grads[0] < 0)), None


class QReLU(torch.autograd.Function):
    """clip(round(v), 0, top); dv/du = exp(-alpha^4 |2u/top - 1|^4) (Ballé et al. 2019)."""

    @staticmethod
    def forward(ctx: Any, v: Tensor, top: int) -> Tensor:
        ctx.save_for_backward(v)
        ctx.top = top
        return torch.floor(v + 0.5).clamp(0, top)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (v,) = ctx.saved_tensors
        u = (2 / ctx.top) * v - 1
        return grads[0] * torch.exp(-QRELU_ALPHA_4 * u.square().square()), None


def round_ste(x: Tensor) -> Tensor:
    """Round, gradient of the identity."""
    return RoundSTE.apply(x)  # type: ignore[no-any-return, no-untyped-call]  # torch stubs


def lower_bound(x: Tensor, bound: float | Tensor) -> Tensor:
    """max(x, bound) with the gradient that can leave the bound."""
    return LowerBound.apply(x, bound)  # type: ignore[no-any-return, no-untyped-call]  # torch stubs


class Conv(nn.Module):
    """Float convolution with bias, 'same' padding for odd kernels, optional ReLU.

    weight: (out_channels, in_channels / groups, kernel, kernel); bias: (out_channels,).
    `wide` asks the converter for as many weight bits as the proof allows (first, last, main path).
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1,
        *, relu: bool = False, wide: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.stride, self.groups, self.relu, self.wide = stride, groups, relu, wide
        self.padding = kernel // 2 if kernel % 2 else 0
        self.weight = nn.Parameter(torch.empty(outputs, inputs // groups, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        if groups == 1:
            nn.init.orthogonal_(self.weight)
        else:  # depthwise: near the identity
            nn.init.normal_(self.weight, 0, 0.1)
            self.weight.data[:, :, kernel // 2, kernel // 2].add_(1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.linear(x, self.weight, self.bias)
        return F.relu(y) if self.relu else y

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """The convolution alone; a 1x1 as a matrix product, which torch does faster on CPUs."""
        if weight.shape[2] == 1 and self.groups == 1:
            return F.linear(x.movedim(1, -1), weight.flatten(1), bias).movedim(-1, 1)
        return F.conv2d(x, weight, bias, self.stride, self.padding, 1, self.groups)


class Block(nn.Module):
    """Residual block: 1x1 ReLU, depthwise 3x3, 1x1; then 1x1 widen ReLU, 1x1. The trunk is s16."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.a = Conv(width, hidden, relu=True)
        self.d = Conv(hidden, hidden, 3, groups=hidden)
        self.b = Conv(hidden, width)
        self.f1 = Conv(width, 2 * hidden, relu=True)
        self.f2 = Conv(2 * hidden, width)
        for conv in (self.b, self.f2):  # the main path leads at first
            conv.weight.data.mul_(0.03)

    def forward(self, x: Tensor) -> Tensor:
        x = (x + self.b(self.d(self.a(x)))).clamp(-S16_MAX, S16_MAX)
        y: Tensor = x + self.f2(self.f1(x))
        return y.clamp(-S16_MAX, S16_MAX)


def conv_at(net: nn.Sequential, at: int) -> Conv:
    """The Conv at a position of a network that is known to have one there."""
    return cast(Conv, net[at])
