"""Toy sources: their optima, and that the trainer reaches them."""

from __future__ import annotations

import json
import math

import pytest
import torch

from intnet.training import toy, toy_sources
from intnet.training.toy_report import Point
from intnet.training.toy_sources import SOURCES, sawbridge_entropy, sawbridge_optimum

POINTS = [(name, lmbda) for name, source in SOURCES.items() for lmbda in source.lambdas]


def test_sources_are_what_they_say():
    """Moments: of the Laplace, of the banana before and after its bend, of the sawbridge."""
    torch.manual_seed(0)
    x = SOURCES["laplace"].sample(200_000)
    assert x.var().item() == pytest.approx(2, rel=0.02)
    assert x.abs().mean().item() == pytest.approx(1, rel=0.02)
    x = SOURCES["banana"].sample(200_000) + 1
    cosine, sine = math.cos(toy_sources.TURN), math.sin(toy_sources.TURN)
    v = x @ torch.tensor([[cosine, sine], [-sine, cosine]])
    z = torch.stack([v[:, 0], v[:, 1] + 0.1 * v[:, 0] ** 2], 1)
    assert z.std(0).tolist() == pytest.approx([3, 0.5], rel=0.02)
    assert z.mean(0).abs().max() < 0.03
    x = SOURCES["sawbridge"].sample(20_000)
    assert x.var(0).mean().item() == pytest.approx(1 / 6, rel=0.02)
    assert ((x[:, 1:] - x[:, :-1]) < 0).sum(1).max() == 1  # one jump


def test_sawbridge_curve():
    """Corners are n equal cells; between them it is what direct search finds."""
    for n in (1, 2, 4, 16):
        assert sawbridge_entropy(1 / (6 * n)) == pytest.approx(math.log2(n), abs=1e-6)
    a, b = torch.meshgrid(*[torch.linspace(0.001, 0.499, 1500).double()] * 2, indexing="ij")
    cells = torch.stack([a, a, b, 1 - 2 * a - b], -1)[2 * a + b < 0.999]
    near = (cells.square().sum(1) / 6 - 0.05).abs() < 5e-5
    least = (-cells * cells.log2()).sum(1)[near].min().item()
    assert least == pytest.approx(sawbridge_entropy(0.05), abs=0.005)
    for lmbda in SOURCES["sawbridge"].lambdas:
        bits, distortion = sawbridge_optimum(lmbda)
        grid = torch.linspace(0.008, 1 / 6, 2000).tolist()
        best = min(sawbridge_entropy(d) + lmbda * d for d in grid)
        assert bits + lmbda * distortion == pytest.approx(best, rel=1e-3)


def test_laplace_optimum_is_below_uniform_quantisation():
    """No step of a rounded Laplace does better, and the best comes within 3 %."""
    k = torch.arange(-400, 401, dtype=torch.float64)
    x = torch.linspace(-30, 30, 60001, dtype=torch.float64)
    p = torch.exp(-x.abs()) / torch.exp(-x.abs()).sum()
    for lmbda, (bits, distortion) in toy_sources.LAPLACE.items():
        found = []
        for step in torch.linspace(0.2, 24, 300, dtype=torch.float64).tolist():
            x = torch.linspace(-30, 30, 60001, dtype=torch.float64)
            at = torch.floor(x / step + 0.5).long() + 400
            mass = torch.zeros_like(k).index_add(0, at, p)
            centre = torch.zeros_like(k).index_add(0, at, p * x) / mass.clamp_min(1e-300)
            rate = -(mass * mass.clamp_min(1e-300).log2()).sum()
            found.append((rate + lmbda * (p * (x - centre[at]) ** 2).sum()).item())
        optimum = bits + lmbda * distortion
        assert optimum * 0.999 < min(found) < optimum * 1.03


def test_soft_rounding():
    """Fixed at halves, its inverse undoes it, between the identity and rounding."""
    x = torch.linspace(-2.95, 2.95, 60, dtype=torch.float64)
    for sharpness in (0.5, 4.0):
        soft = toy.soft_round(x, sharpness)
        assert torch.allclose(toy.soft_round_inverse(soft, sharpness), x, atol=1e-6)
    halves = torch.tensor([-0.5, 0.5, 1.0])
    assert torch.allclose(toy.soft_round(halves, 4.0), halves, atol=1e-6)
    assert torch.allclose(toy.soft_round(x, 1e-3), x, atol=1e-5)
    assert torch.allclose(toy.soft_round(x, 200.0), torch.round(x), atol=1e-3)


def test_fast_point():
    """Seconds: 300 steps already bring the Laplace near its optimum.

    Measured bits are not below the entropy of the symbols, and near it.
    """
    source = SOURCES["laplace"]
    codec = toy.train(source, 10.0, 300)
    bits, distortion = toy.measure(codec, source)
    assert -0.5 < Point("laplace", 10.0, bits, distortion, 0.0).excess < 5
    with torch.no_grad():
        symbols = torch.round(codec.analysis(source.sample(100_000)[:, :, None, None])).flatten()
    p = torch.unique(symbols, return_counts=True)[1] / len(symbols)
    entropy = -(p * p.log2()).sum().item()
    assert entropy - 0.02 < bits < entropy + 0.15


def test_command(tmp_path):
    """Writes page, figure and log; a second run trains nothing again."""
    log, out = tmp_path / "toy.jsonl", tmp_path / "page"
    arguments = ["--source", "laplace", "--steps", "5", "--log", str(log), "--out", str(out)]
    toy.main(arguments)
    page, lines = out.with_suffix(".md").read_text(), log.read_text()
    assert out.with_suffix(".png").stat().st_size > 1000
    points = [Point(**json.loads(line)) for line in lines.splitlines()]
    assert [p.lmbda for p in points] == list(SOURCES["laplace"].lambdas)
    assert all(f"{p.bits:.4f}" in page for p in points)
    toy.main(arguments)
    assert log.read_text() == lines


@pytest.mark.slow
@pytest.mark.parametrize("name, lmbda", POINTS)
def test_reaches_the_optimum(name, lmbda):
    """Within 3 % of the least bits + lambda * distortion, and not below it."""
    found = toy.point(name, lmbda)
    assert -1 < found.excess < 3
