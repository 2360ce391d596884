"""A whole float codec: graphs by the name of the program that each becomes, and its density."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from intnet.converting import float_run
from intnet.converting.bottleneck import Density
from intnet.converting.float_run import Watch, ignore
from intnet.converting.layers import Graph
from intnet.model_file import QUALITIES
from intnet.training.entropy import LOG_STEP, SCALE_MIN
from intnet.training.quantise import INDEX_UNITS

OWN_QUALITY = 32  # at which a model of one rate has its own step
OCTAVE = 32  # qualities from there to twice the gain
ROUNDS = 4  # of a context on latents that still change: most stand still after two


@dataclass(frozen=True, eq=False)
class FloatCodec:
    """graphs: analysis, synthesis; hyper_analysis, prior unless factorized; context.

    density: of z, or of y in a factorized prior; symbols are the rounded outputs of their graphs.
    gains: of the 64 qualities, symbols of y are round((y - mean) * gain).
    """

    name: str
    graphs: Mapping[str, Graph]
    density: Density
    gains: tuple[float, ...]
    factorized: bool = False


class Coded(NamedTuple):
    """x_hat (n, 3, h, w) in 0..1, not clipped; bits in all."""

    x_hat: Tensor
    bits: float


def rate_gains() -> tuple[float, ...]:
    """Of a model trained for one rate: half to twice of its own step.

    >>> [round(rate_gains()[q], 3) for q in (0, 32, 63)]
    [0.5, 1.0, 1.957]
    """
    return tuple(2.0 ** ((q - OWN_QUALITY) / OCTAVE) for q in range(QUALITIES))


def vbr_gains(levels: Sequence[float]) -> tuple[float, ...]:
    """Of a model trained for several: its gains, evenly over the qualities, geometric between.

    >>> [round(vbr_gains([0.1, 1.0])[q], 3) for q in (0, 63)]
    [0.1, 1.0]
    """
    logs = [math.log(max(level, 1e-6)) for level in levels]
    gains = []
    for q in range(QUALITIES):
        at = q / (QUALITIES - 1) * (len(logs) - 1)
        k = min(int(at), max(0, len(logs) - 2))
        high = logs[min(k + 1, len(logs) - 1)]
        gains.append(math.exp(logs[k] + (at - k) * (high - logs[k])))
    return tuple(gains)


@torch.no_grad()
def code(
    codec: FloatCodec, x: Tensor, gain: float, watch: Mapping[str, Watch] | None = None
) -> Coded:
    """Encode and decode pictures x (n, 3, h, w) in 0..1, sides multiples of 64.

    watch: by graph; is told every tensor of it. A context sees latents coded before: it is run
    ROUNDS times, from rounded latents on.
    """
    watch = watch or {}

    def run(name: str, **inputs: Tensor) -> tuple[Tensor, ...]:
        graph = codec.graphs[name]
        return tuple(float_run.run(graph, inputs, watch.get(name, ignore)).values())

    (y,) = run("analysis", x=x)
    if codec.factorized:
        symbols = (y * gain).round()
        bits = codec.density.bits(symbols.movedim(1, 0).flatten(1), gain).sum()
        (x_hat,) = run("synthesis", y_hat=symbols / gain)
        return Coded(x_hat, float(bits))
    z = run("hyper_analysis", y=y)[0].round()
    outputs = run("prior", z=z)
    if "context" in codec.graphs:
        outputs = in_context(codec, y, outputs[0], gain, watch)
    mean, index = outputs if len(outputs) == 2 else (torch.zeros_like(y), outputs[0])
    symbols = ((y - mean) * gain).round()
    bits = gaussian_bits(symbols, index, gain).sum()
    bits += codec.density.bits(z.movedim(1, 0).flatten(1)).sum()
    (x_hat,) = run("synthesis", y_hat=symbols / gain + mean)
    return Coded(x_hat, float(bits))


def in_context(
    codec: FloatCodec, y: Tensor, features: Tensor, gain: float, watch: Mapping[str, Watch]
) -> tuple[Tensor, ...]:
    """Mean and index of a context program, on what its own means make of the latents."""
    y_hat = (y * gain).round() / gain
    for k in range(ROUNDS):
        last = k + 1 == ROUNDS
        inputs = {"y_hat": y_hat, "features": features}
        told = watch.get("context", ignore) if last else ignore
        mean, index = float_run.run(codec.graphs["context"], inputs, told).values()
        y_hat = ((y - mean) * gain).round() / gain + mean
    return mean, index


def gaussian_bits(symbols: Tensor, index: Tensor, gain: float) -> Tensor:
    """-log2 of the probability of each symbol, scales from 0.11 up."""
    scale = SCALE_MIN * (index.double() * (LOG_STEP / INDEX_UNITS)).exp() * gain
    scale = scale.clamp_min(SCALE_MIN)
    magnitude = symbols.double().abs()
    upper = torch.special.ndtr((0.5 - magnitude) / scale)
    lower = torch.special.ndtr((-0.5 - magnitude) / scale)
    bits: Tensor = -(upper - lower).clamp_min(1e-9).log2()
    return bits
