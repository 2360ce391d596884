"""The rate of the integer weights: what they cost in a packed file, as a term of the loss.

After Oktay et al. 2020 (entropy-penalised weights), with the distribution of packed files
(`intnet.packed`): Student's t of 3 degrees of freedom, whose scale is a row's times a column's.
Scales are fitted to the weights anew at each step, as the packer does; to the gradient they are
constants.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from intnet.training.quantise import IntegerConv

ROUNDS = 4  # of fitting rows, then columns
SCALE_MIN = 0.25  # that of the narrowest table
BEYOND = 40.0  # where 1 / sinh is nothing in single precision


def kernels(model: nn.Module) -> list[Tensor]:
    """Integers of the integer layers of a model, (outputs, ...)."""
    return [m.kernel() for m in model.modules() if isinstance(m, IntegerConv)]


def bits_per_weight(found: list[Tensor]) -> Tensor:
    """Mean over all weights of kernels (outputs, ...); side information not counted."""
    total = torch.stack([bits(kernel.flatten(1)).sum() for kernel in found]).sum()
    return total / sum(kernel.numel() for kernel in found)


def bits(w: Tensor) -> Tensor:
    """Of each integer of w (rows, columns) under its fitted distribution."""
    scale = scales(w.detach())
    return 2 * torch.log2(1 + (w / scale).square()) + torch.log2(norm(scale))


def norm(scale: Tensor) -> Tensor:
    """Sum of 1 / (1 + (k / scale)**2)**2 over all integers k."""
    x = math.pi * scale
    return x / 2 / torch.tanh(x) + (x / torch.sinh(x.clamp_max(BEYOND))).square() / 2


@torch.no_grad()
def scales(w: Tensor) -> Tensor:
    """Scale of each weight, row's times column's, by expectation maximisation in turn.

    A round replaces the square of each scale by the mean of 4 w**2 / (1 + w**2 / scale**2).
    """
    square = w.square() + SCALE_MIN**2 / 3  # of zeros alone the scale is SCALE_MIN
    row = square.mean(1, keepdim=True)
    column = torch.ones_like(square[:1])
    for _ in range(ROUNDS):
        row = (4 * square / (column + square / row)).mean(1, keepdim=True)
        column = (4 * square / (row + square / column)).mean(0, keepdim=True)
    return (row * column).sqrt().clamp_min(SCALE_MIN)
