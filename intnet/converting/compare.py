"""Integers beside floats: every layer of every program on the same inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from intnet import backends
from intnet.bounds import prove
from intnet.converting import float_run
from intnet.converting.emit import Emitted
from intnet.converting.layers import Graph
from intnet.program import DTYPES

Float = Mapping[str, Tensor]
NOISE = 1e-30


class Row(NamedTuple):
    """A layer: signal-to-noise in dB, share of values at a limit, the tightest channel."""

    network: str
    layer: str
    snr_db: float
    saturated: float
    channel: int | None
    headroom_bits: float | None


@dataclass
class Keep:
    """A `Watch` that keeps everything."""

    tensors: dict[str, Tensor]

    def __call__(self, name: str, tensor: Tensor) -> None:
        """Keep it."""
        self.tensors[name] = tensor


def layers(graph: Graph, made: Emitted, inputs: Float, backend: str = "numba") -> list[Row]:
    """A row for every float layer that has an integer tensor. inputs: (1, c, h, w) by name.

    Both sides are given the inputs as the integers say them.
    """
    program = made.program
    names = {name: tensor for name, tensor in made.tensors.items() if name not in graph.inputs}
    integers = {port.name: as_integers(inputs[port.name], made, port.name)
                for port in program.inputs}  # fmt: skip
    keep = Keep({})
    float_run.run(graph, {name: as_floats(x, made, name) for name, x in integers.items()}, keep)
    everything = replace(program, outputs=tuple(dict.fromkeys(names.values())))
    outputs = backends.load(backend).run(everything, integers)
    bounds = {b.op: b for b in prove(program) if b.quantity == "accumulator"}
    rows = []
    for name, tensor in names.items():
        form, got = made.formats[tensor], outputs[tensor]
        limits = (got <= form.lo) & (form.lo != 0) | (got >= form.hi)
        bound = bounds.get(tensor)
        reference = keep.tensors[name]
        if form.dtype == "u8" and name in graph.outputs:
            reference = reference.clamp(0, 1)  # samples end there by design
        rows.append(Row(
            graph.name, name, snr(reference, as_floats(got, made, tensor)),
            round(float(limits.mean()), 6), bound.channel if bound else None,
            round(bound.headroom, 2) if bound else None,
        ))  # fmt: skip
    return rows


def snr(reference: Tensor, actual: Tensor) -> float:
    """Of two tensors, in dB, by the variance of the reference."""
    noise = (reference.double() - actual.double()).square().mean() + NOISE
    return round(10 * float(torch.log10(reference.double().var() / noise + NOISE)), 2)


def as_integers(x: Tensor, made: Emitted, name: str) -> Any:
    """(1, c, h, w) as the integers (h, w, c) of a tensor's format."""
    form = made.formats[name]
    scaled = (x[0].movedim(0, -1).double() / form.step).round().clamp(form.lo, form.hi)
    return np.ascontiguousarray(scaled.numpy().astype(DTYPES[form.dtype]))


def as_floats(x: Any, made: Emitted, name: str) -> Tensor:
    """Inverse of as_integers."""
    values = torch.from_numpy(np.asarray(x, np.float64)) * made.formats[name].step
    return values.movedim(-1, 0)[None].float()
