"""Muon, Adam or Sadam for matrices, Adam for the rest, in groups with their own pace.

The measurements behind the paces are in the model card.
"""

from __future__ import annotations

import math
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


def real_dft(size: int) -> Tensor:
    """Orthonormal (size, size): rows are the constant, then cosine and sine of each frequency."""
    phase = 2 * math.pi * torch.arange(size) / size
    rows = [torch.ones(size)]
    for k in range(1, size // 2 + 1):
        rows += [torch.cos(k * phase), torch.sin(k * phase)]
    basis = torch.stack(rows[:size])  # of an even size the last frequency has no sine
    orthonormal: Tensor = basis / basis.norm(dim=1, keepdim=True)
    return orthonormal


class Sadam(torch.optim.Optimizer):
    """Adam on the real DFT of each kernel (Ballé 2018, "Efficient Nonlinear Transforms").

    The DFT is real along each of the last two axes and orthonormal, so this is Adam on the same
    kernels in other coordinates. On 1x1 kernels it is Adam.
    """

    def __init__(self, params: Any, lr: float, betas: tuple[float, float] = (0.9, 0.999)) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": 1e-8})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002  # takes no closure
        """One update of every parameter, kernels (..., height, width)."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    down, across = (real_dft(side).to(p) for side in p.shape[-2:])
                    step = self.adam(group, self.state[p], down @ p.grad @ across.T)
                    p.sub_(down.T @ step @ across, alpha=group["lr"])

    def adam(self, group: dict[str, Any], state: dict[str, Any], g: Tensor) -> Tensor:
        """Adam's step for the gradient g, at rate 1."""
        beta1, beta2 = group["betas"]
        state["step"] = state.get("step", 0) + 1
        m = state.setdefault("m", torch.zeros_like(g)).lerp_(g, 1 - beta1)
        v = state.setdefault("v", torch.zeros_like(g)).lerp_(g.square(), 1 - beta2)
        deviation = (v / (1 - beta2 ** state["step"])).sqrt_().add_(group["eps"])
        step: Tensor = m / (1 - beta1 ** state["step"]) / deviation
        return step


TRANSFORMS = ("analysis", "synthesis", "g_a", "g_s")  # the rest is the entropy model
BETAS = (0.9, 0.98)
MATRICES = ("muon", "adam", "sadam")  # what updates matrices; Adam updates the rest


def of_matrices(kind: str, matrices: list[nn.Parameter]) -> torch.optim.Optimizer:
    """One of MATRICES, rate 0."""
    if kind == "muon":
        return Muon(matrices, 0.0)
    made: type[torch.optim.Adam | Sadam] = torch.optim.Adam if kind == "adam" else Sadam
    return made(matrices, 0.0, betas=BETAS)


class Optimisers:
    """Four groups: transforms and entropy model, each matrices and rest; a pace scales the rate.

    kind: one of MATRICES. Muon has paces of its own, the others keep those of the rest.
    """

    def __init__(
        self, model: nn.Module, matrix_pace: tuple[float, float] = (0.5, 4.0), kind: str = "muon"
    ) -> None:
        self.groups: list[tuple[torch.optim.Optimizer, float, int]] = []
        for part, pace in enumerate((0.3, 1.0)):
            for matrices in (True, False):
                group = [
                    p for name, p in model.named_parameters()
                    if name.startswith(TRANSFORMS) == (part == 0) and is_matrix(p) == matrices
                    and p.requires_grad
                ]  # fmt: skip
                if group and matrices:
                    own = matrix_pace[part] if kind == "muon" else pace
                    self.groups.append((of_matrices(kind, group), own, part))
                elif group:
                    self.groups.append((torch.optim.Adam(group, 0.0, betas=BETAS), pace, part))

    def __iter__(self) -> Iterator[torch.optim.Optimizer]:
        """The optimisers without their paces."""
        return (optimiser for optimiser, _, _ in self.groups)

    def step(self, rate: float, ramps: tuple[float, float]) -> None:
        """One step of each group at rate * pace * ramp, ramps = (transforms, entropy model)."""
        for optimiser, pace, part in self.groups:
            optimiser.param_groups[0]["lr"] = rate * pace * ramps[part]
            optimiser.step()

    def state_dict(self) -> list[dict[str, Any]]:
        """State of every group, plain tensors and numbers."""
        return [optimiser.state_dict() for optimiser in self]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """Inverse of state_dict."""
        for optimiser, state in zip(self, states, strict=True):
            optimiser.load_state_dict(state)
