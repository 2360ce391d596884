"""A whole float codec: graphs by the name of the program that each becomes, and its density."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
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

# Executes a graph: its name and its inputs to its outputs, by name, in order.
Run = Callable[[str, Mapping[str, Tensor]], dict[str, Tensor]]


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
    codec: FloatCodec, x: Tensor, gain: float, watch: Mapping[str, Watch] | None = None,
    run: Run | None = None,
) -> Coded:  # fmt: skip
    """Encode and decode pictures x (n, 3, h, w) in 0..1, sides multiples of 64.

    watch: by graph; is told every tensor of it. run: executes graphs, in floats if not given. A
    context sees latents coded before: it is run ROUNDS times, from rounded latents on.
    """
    quiet, last = run or in_floats(codec, {}), run or in_floats(codec, watch or {})
    (y,) = last("analysis", {"x": x}).values()
    if codec.factorized:
        symbols = (y * gain).round()
        bits = codec.density.bits(symbols.movedim(1, 0).flatten(1), gain).sum()
        (x_hat,) = last("synthesis", {"y_hat": symbols / gain}).values()
        return Coded(x_hat, float(bits))
    (z,) = (t.round() for t in last("hyper_analysis", {"y": y}).values())
    outputs = tuple(last("prior", {"z": z}).values())
    if "context" in codec.graphs:
        outputs = in_context(y, outputs[0], gain, (quiet,) * (ROUNDS - 1) + (last,))
    mean, index = outputs if len(outputs) == 2 else (torch.zeros_like(y), outputs[0])
    symbols = ((y - mean) * gain).round()
    bits = gaussian_bits(symbols, index, gain).sum()
    bits += codec.density.bits(z.movedim(1, 0).flatten(1)).sum()
    (x_hat,) = last("synthesis", {"y_hat": symbols / gain + mean}).values()
    return Coded(x_hat, float(bits))


def in_context(
    y: Tensor, features: Tensor, gain: float, runs: tuple[Run, ...]
) -> tuple[Tensor, ...]:
    """Mean and index of a context program, on what its own means make of the latents.

    runs: who executes it, each time.
    """
    outputs: tuple[Tensor, ...] = ()
    y_hat = (y * gain).round() / gain
    for run in runs:
        outputs = tuple(run("context", {"y_hat": y_hat, "features": features}).values())
        y_hat = ((y - outputs[0]) * gain).round() / gain + outputs[0]
    return outputs


def in_floats(codec: FloatCodec, watch: Mapping[str, Watch]) -> Run:
    """Graphs of a codec as they are."""

    def run(name: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return float_run.run(codec.graphs[name], inputs, watch.get(name, ignore))

    return run


def gaussian_bits(symbols: Tensor, index: Tensor, gain: float) -> Tensor:
    """-log2 of the probability of each symbol, scales from 0.11 up."""
    scale = SCALE_MIN * (index.double() * (LOG_STEP / INDEX_UNITS)).exp() * gain
    scale = scale.clamp_min(SCALE_MIN)
    magnitude = symbols.double().abs()
    upper = torch.special.ndtr((0.5 - magnitude) / scale)
    lower = torch.special.ndtr((-0.5 - magnitude) / scale)
    bits: Tensor = -(upper - lower).clamp_min(1e-9).log2()
    return bits
