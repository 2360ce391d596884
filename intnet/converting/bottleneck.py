"""A learned factorized density (Balle et al. 2018) as integer tables.

Per channel a small network of positive weights gives the logit of the cumulative distribution:

    u = softplus(H) u + b,  u = u + tanh(a) * tanh(u) between layers;  c(x) = sigmoid(u)

Symbols are round((x - median) * gain). It is evaluated here, once, in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import rangecoder

TAIL = 2.0**-17  # mass left to the escape of each side, at most
REACH = 2047  # of the largest support
WEIGHT_BITS = 32


@dataclass(frozen=True, eq=False)
class Density:
    """matrices[k]: (C, out, in), biases[k]: (C, out, 1), factors[k]: (C, out, 1), one fewer.

    medians: (C,).
    """

    matrices: Sequence[Tensor]
    biases: Sequence[Tensor]
    factors: Sequence[Tensor]
    medians: Tensor

    def cumulative(self, x: Tensor) -> Tensor:
        """c(x) of x (C, n), float64."""
        u = x.double()[:, None]
        for k, (matrix, bias) in enumerate(zip(self.matrices, self.biases, strict=True)):
            u = F.softplus(matrix.double()) @ u + bias.double()
            if k < len(self.factors):
                u = u + self.factors[k].double().tanh() * u.tanh()
        return u[:, 0].sigmoid()

    def bits(self, symbols: Tensor, gain: float = 1.0) -> Tensor:
        """-log2 of the probability of symbols (C, n)."""
        edges = torch.stack([symbols - 0.5, symbols + 0.5]).double() / gain
        low, high = (self.cumulative(edge + self.medians.double()[:, None]) for edge in edges)
        return -(high - low).clamp_min(1e-9).log2()


def tables(density: Density, gains: Sequence[float] = (1.0,)) -> rangecoder.Tables:
    """One table per gain and channel, over what holds all but TAIL of the mass on each side."""
    rows, minimum = [], []
    for gain in gains:
        edges = (torch.arange(-REACH, REACH + 2, dtype=torch.float64) - 0.5) / gain
        for row in density.cumulative(edges[None] + density.medians.double()[:, None]).numpy():
            kept = np.flatnonzero((row[1:] > TAIL) & (row[:-1] < 1 - TAIL))
            low, high = (int(kept[0]), int(kept[-1])) if len(kept) else (REACH, REACH)
            pmf = [*np.diff(row[low : high + 2]), row[low] + 1 - row[high + 1]]
            rows.append([round(max(float(p), 0.0) * 2**WEIGHT_BITS) for p in pmf])
            minimum.append(low - REACH)
    return rangecoder.build(rows, minimum)


def reach(tables: rangecoder.Tables) -> int:
    """The largest |symbol| that has a place in a table."""
    last = tables.minimum + np.diff(tables.start) - 3
    return int(max(-tables.minimum.min(), last.max()))
