"""A trainer that is known to be right: small codecs of sources whose optima are known.

    python -m intnet.training.toy --out docs/toy-sources      # minutes; writes a page and a figure

The codec has the trainer's own layers, entropy bottleneck, bounds, optimisers and schedule, so a
bug in one of them shows here as a distance to the optimum. While it learns, soft rounding with
noise stands for rounding and sharpens step by step (Agustsson, Theis 2020); what is measured is
rounded, and its rate is that of the entropy model.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from intnet.training.bottleneck import EntropyBottleneck
from intnet.training.layers import Conv
from intnet.training.optimisers import MATRICES, Optimisers
from intnet.training.toy_report import Point, write_report
from intnet.training.toy_sources import SOURCES, Source
from intnet.training.train import append, schedule

WIDTH, BATCH, STEPS, RATE = 64, 128, 2000, 0.01
SHARPNESS = (1.0, 10.0)  # of soft rounding, at first and from 80 % of the steps on
GAIN, LATENT_SPAN = 8.0, 8.0  # about 16 symbols for each latent at first
MEASURED = 100_000


def soft_round(x: Tensor, sharpness: float) -> Tensor:
    """Between the identity (sharpness 0) and rounding (infinite), monotonic, fixed at halves."""
    middle = torch.floor(x) + 0.5
    return middle + torch.tanh(sharpness * (x - middle)) / (2 * math.tanh(sharpness / 2))


def soft_round_inverse(y: Tensor, sharpness: float) -> Tensor:
    """Inverse of soft_round."""
    middle = torch.floor(y) + 0.5
    u = (y - middle) * (2 * math.tanh(sharpness / 2))
    return middle + torch.atanh(u.clamp(-1 + 1e-6, 1 - 1e-6)) / sharpness


def network(inputs: int, outputs: int, span: float, gain: float, hidden: nn.Module) -> nn.Module:
    """Two hidden layers, whose kinks lie all over the box |x| < span at first."""
    first, second, last = Conv(inputs, WIDTH), Conv(WIDTH, WIDTH), Conv(WIDTH, outputs)
    with torch.no_grad():
        kinks = span * (2 * torch.rand(WIDTH, inputs) - 1)
        first.bias.copy_(-(first.weight[:, :, 0, 0] * kinks).sum(1))
        second.bias.uniform_(-1, 1)
        last.weight.mul_(gain)
    return nn.Sequential(first, hidden, second, hidden, last)


class ToyCodec(nn.Module):
    """Multilayer perceptrons and a learned density, on samples (n, dimensions)."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        hidden = nn.LeakyReLU()
        self.analysis = network(source.dimensions, source.latents, source.span, GAIN, hidden)
        self.synthesis = network(source.latents, source.dimensions, LATENT_SPAN, 1.0, hidden)
        self.bottleneck = EntropyBottleneck(source.latents)

    def forward(self, x: Tensor, sharpness: float) -> tuple[Tensor, Tensor]:
        """x_hat (n, dimensions) and bits (n,); sharpness is that of training."""
        y = self.analysis(x[:, :, None, None])
        if self.training:
            noisy = soft_round(y, sharpness) + torch.rand_like(y) - 0.5
            start, end = (soft_round_inverse(noisy + half, sharpness) for half in (-0.5, 0.5))
            bits, y_hat = self.bottleneck.bits_between(start, end), soft_round(noisy, sharpness)
        else:
            y_hat = torch.round(y)
            bits = self.bottleneck.bits(y_hat)
        return self.synthesis(y_hat)[:, :, 0, 0], bits.sum((1, 2, 3))


def train(source: Source, lmbda: float, steps: int, kind: str = "muon", seed: int = 0) -> ToyCodec:
    """A codec for bits + lmbda * distortion, by the trainer's optimisers and schedule."""
    torch.manual_seed(seed)
    codec = ToyCodec(source)
    optimisers = Optimisers(codec, kind=kind)
    first, last = SHARPNESS
    for step in range(steps):
        fraction = step / steps
        x = source.sample(BATCH)
        x_hat, bits = codec(x, first * (last / first) ** min(1.0, fraction / 0.8))
        codec.zero_grad()
        (bits + lmbda * source.distortion(x_hat, x)).mean().backward()
        optimisers.step(RATE * schedule(fraction), (1.0, 1.0))
    return codec.eval()


@torch.no_grad()
def measure(codec: ToyCodec, source: Source, count: int = MEASURED) -> tuple[float, float]:
    """Mean bits and distortion of new samples, rounded."""
    sums = torch.zeros(2, dtype=torch.float64)
    for _ in range(count // 1000):
        x = source.sample(1000)
        x_hat, bits = codec(x, math.inf)
        sums += torch.stack([bits, source.distortion(x_hat, x)]).double().sum(1)
    bits_mean, distortion = (sums / (count // 1000 * 1000)).tolist()
    return bits_mean, distortion


def point(name: str, lmbda: float, steps: int = STEPS, kind: str = "muon", seed: int = 0) -> Point:
    """Train and measure."""
    source, started = SOURCES[name], time.monotonic()
    bits, distortion = measure(train(source, lmbda, steps, kind, seed), source)
    seconds = round(time.monotonic() - started, 1)
    return Point(name, lmbda, bits, distortion, seconds)


def points(names: Iterable[str], steps: int, kind: str, log: Path) -> list[Point]:
    """One for each source and lambda; those that the log has are not trained again."""
    found = (
        [Point(**json.loads(line)) for line in log.read_text().splitlines()] if log.exists() else []
    )
    done = {(p.source, p.lmbda) for p in found}
    for name in names:
        for lmbda in SOURCES[name].lambdas:
            if (name, lmbda) not in done:
                found.append(point(name, lmbda, steps, kind))
                append(log, found[-1]._asdict())
    return sorted(found, key=lambda p: (list(SOURCES).index(p.source), p.lmbda))


def main(argv: list[str] | None = None) -> None:
    """Print a table; with --out write it as a page, and draw it."""
    p = argparse.ArgumentParser(
        prog="python -m intnet.training.toy",
        description="Train codecs of sources whose optima are known, and set them beside these.",
    )
    p.add_argument("--source", choices=tuple(SOURCES), action="append", help="default: all")
    p.add_argument("--steps", type=int, default=STEPS)
    p.add_argument("--optimiser", choices=MATRICES, default="muon")
    p.add_argument("--log", type=Path, default=Path("out/toy.jsonl"),
                   help="a line for each codec; those it has are not trained again")  # fmt: skip
    p.add_argument("--out", type=Path, help="write OUT.md and, with matplotlib, OUT.png")
    args = p.parse_args(argv)
    args.log.parent.mkdir(parents=True, exist_ok=True)
    found = points(args.source or SOURCES, args.steps, args.optimiser, args.log)
    for one in found:
        print(  # noqa: T201
            f"{one.source:10} lambda {one.lmbda:5g}  {one.bits:.4f} bits  D {one.distortion:.5f}  "
            f"optimum {one.optimum:.4f}  {one.excess:+.2f} %  {one.seconds:.0f} s"
        )
    if args.out:
        write_report(args.out, found, args.steps)


if __name__ == "__main__":
    main()
