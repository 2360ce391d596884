"""Muon for matrices, Adam for the rest, in groups with their own pace.

The measurements behind the paces are in the model card.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn


class Muon(torch.optim.Optimizer):
    """Momentum orthogonalised by five Newton-Schulz steps, at Adam's RMS (K. Jordan 2024)."""

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002  # takes no closure
        """One update of every parameter, each seen as a matrix (first axis, rest)."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                m.lerp_(p.grad, 0.05)
                update = orthogonalise(p.grad.lerp(m, 0.95).reshape(len(p), -1))
                rms = 0.2 * max(update.shape) ** 0.5
                p.add_(update.reshape(p.shape), alpha=-group["lr"] * rms)


def orthogonalise(g: Tensor) -> Tensor:
    """Nearest semi-orthogonal matrix, roughly: quintic Newton-Schulz iteration."""
    u: Tensor = g.T if g.shape[0] > g.shape[1] else g
    u = u / (u.norm() + 1e-7)
    for _ in range(5):
        a: Tensor = u @ u.T
        u = 3.4445 * u + (-4.7750 * a + 2.0315 * a @ a) @ u
    return u.T if g.shape[0] > g.shape[1] else u


def is_matrix(p: Tensor) -> bool:
    """True for dense convolution kernels; false for depthwise kernels, biases and tables."""
    return p.ndim == 4 and p.shape[1] > 1


class Optimisers:
    """Four groups: transforms and entropy model, each matrices and rest; a pace scales the rate."""

    def __init__(self, model: nn.Module, matrix_pace: tuple[float, float] = (0.5, 4.0)) -> None:
        def select(transforms: bool, matrix: bool) -> list[nn.Parameter]:
            named = model.named_parameters()
            return [
                p
                for name, p in named
                if name.startswith(("analysis", "synthesis")) == transforms
                and is_matrix(p) == matrix
            ]

        betas = (0.9, 0.98)
        self.groups: list[tuple[torch.optim.Optimizer, float]] = [
            (Muon(select(True, True), 0.0), matrix_pace[0]),
            (torch.optim.Adam(select(True, False), 0.0, betas=betas), 0.3),
            (Muon(select(False, True), 0.0), matrix_pace[1]),
            (torch.optim.Adam(select(False, False), 0.0, betas=betas), 1.0),
        ]

    def __iter__(self) -> Iterator[torch.optim.Optimizer]:
        """The optimisers without their paces."""
        return (optimiser for optimiser, _ in self.groups)

    def step(self, rate: float, ramps: tuple[float, float]) -> None:
        """One step of each group at rate * pace * ramp, ramps = (transforms, entropy model)."""
        for i, (optimiser, pace) in enumerate(self.groups):
            optimiser.param_groups[0]["lr"] = rate * pace * ramps[i // 2]
            optimiser.step()

    def state_dict(self) -> list[dict[str, Any]]:
        """State of every group, plain tensors and numbers."""
        return [optimiser.state_dict() for optimiser in self]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """Inverse of state_dict."""
        for optimiser, state in zip(self, states, strict=True):
            optimiser.load_state_dict(state)
