"""Sadam: Adam in the coordinates of each kernel's real DFT."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from intnet.training.optimisers import MATRICES, Optimisers, Sadam, real_dft


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 9])
def test_real_dft_is_orthonormal(size):
    basis = real_dft(size).double()
    assert torch.allclose(basis @ basis.T, torch.eye(size, dtype=torch.float64), atol=1e-6)


@pytest.mark.parametrize("size", [4, 5])
def test_real_dft_is_the_dft(size):
    """Squared magnitudes of a frequency are those of NumPy's DFT."""
    x = np.random.default_rng(0).standard_normal(size)
    mine = (real_dft(size).double().numpy() @ x) ** 2
    power = np.abs(np.fft.rfft(x, norm="ortho")) ** 2
    assert mine[0] == pytest.approx(power[0])
    assert mine[1] + mine[2] == pytest.approx(2 * power[1], rel=1e-5)
    last = mine[3] if size == 4 else mine[3] + mine[4]
    assert last == pytest.approx(power[2] * (1 if size == 4 else 2), rel=1e-5)


def steps(made, weight, gradients):
    """The weight after a step for each gradient."""
    p = nn.Parameter(weight.clone())
    optimiser = made([p])
    for g in gradients:
        p.grad = g.clone()
        optimiser.step()
    return p.detach()


def adam(parameters):
    return torch.optim.Adam(parameters, 0.01, betas=(0.9, 0.98))


def sadam(parameters):
    return Sadam(parameters, 0.01, betas=(0.9, 0.98))


def test_of_1x1_kernels_it_is_adam():
    torch.manual_seed(0)
    weight, gradients = torch.randn(8, 6, 1, 1), torch.randn(20, 8, 6, 1, 1)
    assert torch.allclose(
        steps(sadam, weight, gradients), steps(adam, weight, gradients), atol=1e-6
    )


def test_of_kernels_it_is_adam_on_their_dft():
    """Transform, Adam, transform back: the same; and not the same as Adam alone."""
    torch.manual_seed(0)
    basis = real_dft(5)
    weight, gradients = torch.randn(4, 3, 5, 5), torch.randn(20, 4, 3, 5, 5)
    transformed = steps(adam, basis @ weight @ basis.T, basis @ gradients @ basis.T)
    found = steps(sadam, weight, gradients)
    assert torch.allclose(found, basis.T @ transformed @ basis, atol=1e-5)
    assert not torch.allclose(found, steps(adam, weight, gradients), atol=1e-2)


def smooth_regression(made, count=100):
    """Squared error of a 9x9 filter that is to be found from smooth pictures: convex, ill-posed.

    Smooth inputs have a thousand times more energy at low frequencies, so the problem is far from
    the axes of the kernel's samples and along the axes of its DFT.
    """
    torch.manual_seed(0)
    wide = torch.randn(8, 1, 32, 32)
    x = nn.functional.avg_pool2d(nn.functional.avg_pool2d(wide, 5, 1), 5, 1)
    x = x / x.std() + 0.03 * torch.randn_like(x)
    target = nn.functional.conv2d(x, torch.randn(1, 1, 9, 9) / 9)
    p = nn.Parameter(torch.zeros(1, 1, 9, 9))
    optimiser = made([p])
    for _ in range(count):
        optimiser.zero_grad()
        loss = (nn.functional.conv2d(x, p) - target).square().mean()
        loss.backward()
        optimiser.step()
    return loss.item() / target.square().mean().item()


def test_converges_sooner_on_a_convex_problem():
    """Where frequencies differ in energy, as in photographs, Sadam is ahead of Adam."""
    assert smooth_regression(sadam) < 0.5 * smooth_regression(adam)
    assert smooth_regression(sadam, 300) < 0.02


@pytest.mark.parametrize("kind", MATRICES)
def test_optimisers_take_every_parameter_once(kind):
    """Also where a group is empty; and what needs no gradient is left out."""
    model = nn.ModuleDict({"g_a": nn.Conv2d(2, 3, 3), "bottleneck": nn.Conv1d(2, 2, 1)})
    model["bottleneck"].bias.requires_grad_(False)
    optimisers = Optimisers(model, kind=kind)
    taken = [p for o in optimisers for group in o.param_groups for p in group["params"]]
    assert len(taken) == 3
    assert {id(p) for p in taken} == {id(p) for p in model.parameters() if p.requires_grad}
    before = [p.clone() for p in taken]
    for p in taken:
        p.grad = torch.ones_like(p)
    optimisers.step(0.01, (1.0, 1.0))
    assert all(not torch.equal(p, was) for p, was in zip(taken, before, strict=True))
    names = {type(o).__name__ for o in optimisers}
    assert {"muon": "Muon", "adam": "Adam", "sadam": "Sadam"}[kind] in names


def test_resumes(tmp_path):
    """State goes through a file of plain tensors and the steps go on as if never stopped."""
    torch.manual_seed(0)
    weight, gradients = torch.randn(4, 3, 3, 3), torch.randn(6, 4, 3, 3, 3)
    whole = steps(sadam, weight, gradients)
    p = nn.Parameter(steps(sadam, weight, gradients[:3]))
    first = nn.Parameter(weight.clone())
    optimiser = sadam([first])
    for g in gradients[:3]:
        first.grad = g.clone()
        optimiser.step()
    torch.save(optimiser.state_dict(), tmp_path / "state")
    after = sadam([p])
    after.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    for g in gradients[3:]:
        p.grad = g.clone()
        after.step()
    assert torch.allclose(p, whole, atol=1e-6)
