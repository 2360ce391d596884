"""The page and the figure of the toy sources."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from intnet.training.toy_sources import SOURCES, sawbridge_entropy

PAGE = """# Toy sources

A trainer that misses a known optimum is wrong.
Here small codecs learn three sources whose best codecs are known.
Layers, entropy bottleneck, gradients, optimisers and schedule are those of `intnet train`.
Latents are rounded, samples are new, bits are those of the codec's own entropy model.

<!-- not run by the tests: minutes; tests/test_toy.py trains some of them -->
```bash
python -m intnet.training.toy --out docs/toy-sources     # writes this page and its figure
```

![Bits and distortion of each codec, and the optimum]({figure})

- Laplace and banana: distortion is the sum of squared errors.
  The optimum is that of entropy-constrained vector quantisation, computed on a fine grid (Laplace)
  and on 200 000 samples (banana).
- Sawbridge (Wagner, Ballé 2021): t - 1(t > U), U uniform in [0, 1].
  Distortion is the mean squared error, the optimum a formula.

| source | lambda | bits | distortion | bits + lambda * distortion | optimum | above it |
|---|---:|---:|---:|---:|---:|---:|
{rows}

The sawbridge's codecs beside the optimal curve of entropy against distortion:

| lambda | bits | least bits at this distortion | above them |
|---:|---:|---:|---:|
{curve}

Two hidden layers of 64 units on each side, {steps} steps of 128 samples for each codec.
Soft rounding with noise stands for rounding while a codec learns, and sharpens
(Agustsson, Theis 2020).
"""


class Point(NamedTuple):
    """What a codec reached."""

    source: str
    lmbda: float
    bits: float
    distortion: float
    seconds: float

    @property
    def loss(self) -> float:
        """Bits + lambda * distortion."""
        return self.bits + self.lmbda * self.distortion

    @property
    def optimum(self) -> float:
        """The least loss of any codec."""
        bits, distortion = SOURCES[self.source].optimum(self.lmbda)
        return bits + self.lmbda * distortion

    @property
    def excess(self) -> float:
        """Percent above the optimum."""
        return 100 * (self.loss / self.optimum - 1)


def write_report(out: Path, points: Sequence[Point], steps: int) -> None:
    """Write OUT.md and, where matplotlib is installed, OUT.png."""
    rows = [
        f"| {p.source} | {p.lmbda:g} | {p.bits:.4f} | {p.distortion:.5f} | {p.loss:.4f} "
        f"| {p.optimum:.4f} | {p.excess:+.1f} % |" for p in points
    ]  # fmt: skip
    curve = []
    for p in points:
        if p.source == "sawbridge":
            least = sawbridge_entropy(p.distortion)
            above = 100 * (p.bits / least - 1)
            curve.append(f"| {p.lmbda:g} | {p.bits:.4f} | {least:.4f} | {above:+.1f} % |")
    figure = out.with_suffix(".png")
    page = PAGE.format(
        figure=figure.name, rows="\n".join(rows), curve="\n".join(curve), steps=steps
    )
    out.with_suffix(".md").write_text(page, encoding="utf-8")
    if importlib.util.find_spec("matplotlib") is not None:
        draw(figure, points)


def draw(target: Path, points: Iterable[Point]) -> None:
    """One panel for each source: bits over distortion, codecs on top of the optimum."""
    from matplotlib.figure import Figure  # noqa: PLC0415  # it may not be installed

    figure = Figure(figsize=(11, 3.8), layout="constrained")
    for axes, (name, source) in zip(figure.subplots(1, len(SOURCES)), SOURCES.items(), strict=True):
        if name == "sawbridge":
            distortions = np.geomspace(1 / (6 * 20), 1 / 6, 500)
            optimum = [(sawbridge_entropy(d), d) for d in distortions]
            axes.plot(*zip(*optimum, strict=True), color="0.6", label="optimum")
        else:
            optimum = [source.optimum(lmbda) for lmbda in source.lambdas]
            axes.plot(*zip(*optimum, strict=True), "o-", color="0.6", ms=9, mfc="none",
                      label="optimum")  # fmt: skip
        found = [(p.bits, p.distortion) for p in points if p.source == name]
        if found:
            axes.plot(*zip(*found, strict=True), "x", color="C3", label="trained, rounded")
        axes.set(title=name, xlabel="bits", ylabel="distortion", yscale="log")
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(target, dpi=110)
