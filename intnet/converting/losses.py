"""Where the loss comes from: the codec in integers, with one layer at a time left in float."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from intnet import backends
from intnet.converting import float_codec, float_run
from intnet.converting.compare import as_floats, as_integers
from intnet.converting.emit import Emitted
from intnet.converting.float_codec import FloatCodec
from intnet.converting.float_run import ignore
from intnet.converting.integer_model import Converted
from intnet.converting.layers import Graph
from intnet.distortion import psnr
from intnet.program import Port, Program

Row = dict[str, Any]


class Cost(NamedTuple):
    """Bits per pixel by the float formula, and PSNR of rounded samples."""

    bpp: float
    psnr: float


def rows(
    all_integers: Cost, by_layer: Iterator[tuple[str, str, Cost]], slope: float | None
) -> list[Row]:
    """A row per layer, the costliest first. slope: see `measure.slope`; None: no percentages.

    bpp_percent, psnr_db: what the codec loses by the layer's integers, both above 0 if it does;
    percent: both in bits at equal PSNR.
    """
    found = []
    for network, layer, cost in by_layer:
        bits = 100 * (all_integers.bpp / cost.bpp - 1)
        decibels = cost.psnr - all_integers.psnr
        both = None if slope is None else round(bits + 100 * slope * decibels, 4)
        found.append({"network": network, "layer": layer, "bpp_percent": round(bits, 4),
                      "psnr_db": round(decibels, 5), "percent": both})  # fmt: skip
    return sorted(found, key=lambda row: -(row["psnr_db"] if slope is None else row["percent"]))


def of(codec: FloatCodec, made: Converted, x: Tensor, gain: float, slope: float | None
       ) -> list[Row]:  # fmt: skip
    """Rows of every layer that has an integer form. x: crops (n, 3, h, w) in 0..1.

    A layer in float has its own weights and arithmetic; what it makes is still rounded to the
    integers that the next layer reads.
    """

    def each() -> Iterator[tuple[str, str, Cost]]:
        for name, emitted in made.emitted.items():
            for layer in emitted.tensors:
                if layer not in codec.graphs[name].inputs:
                    yield name, layer, cost(codec, made, x, gain, (name, layer))

    return rows(cost(codec, made, x, gain, None), each(), slope)


def cost(
    codec: FloatCodec, made: Converted, x: Tensor, gain: float, left: tuple[str, str] | None
) -> Cost:
    """Of the codec in integers, but for one layer of a network."""

    def run(name: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        layer = left[1] if left and left[0] == name else None
        return integers(codec.graphs[name], made.emitted[name], inputs, layer)

    found = [of_picture(codec, picture[None], gain, run) for picture in x]
    return Cost(*(float(np.mean(values)) for values in zip(*found, strict=True)))


def of_picture(codec: FloatCodec, x: Tensor, gain: float, run: float_codec.Run) -> Cost:
    """Of a picture (1, 3, h, w)."""
    coded = float_codec.code(codec, x, gain, run=run)
    original, decoded = ((t[0] * 255).round().clamp(0, 255).numpy() for t in (x, coded.x_hat))
    return Cost(coded.bits / (x.shape[2] * x.shape[3]), psnr(original, decoded))


def integers(
    graph: Graph, made: Emitted, inputs: Mapping[str, Tensor], left: str | None
) -> dict[str, Tensor]:
    """The outputs of a graph by its integer program, but for one layer left in float."""
    program = made.program
    given = {port.name: as_integers(inputs[port.name], made, port.name) for port in program.inputs}
    run = backends.load("numba").run
    if left is not None:
        sources = sources_of(graph, made, left)
        seen = run(replace(program, outputs=tuple(made.tensors[s] for s in sources)), given)
        known = {s: as_floats(seen[made.tensors[s]], made, made.tensors[s]) for s in sources}
        tensor = made.tensors[left]
        given |= {tensor: as_integers(value(graph, left, known), made, tensor)}
        program = given_tensor(program, tensor, made)
    got = run(program, given)
    return {name: as_floats(got[made.tensors[name]], made, made.tensors[name])
            for name in graph.outputs}  # fmt: skip


def given_tensor(program: Program, tensor: str, made: Emitted) -> Program:
    """The program with one of its tensors as an input."""
    form = made.formats[tensor]
    port = Port(tensor, form.dtype, len(form.step), form.lo, form.hi)
    ops = tuple(op for op in program.ops if op.name != tensor)
    return replace(program, inputs=(*program.inputs, port), ops=ops)


def sources_of(graph: Graph, made: Emitted, layer: str) -> list[str]:
    """Tensors with an integer form that a layer is computed from."""
    found: list[str] = []
    for name in by_name(graph)[layer].inputs:
        found += [name] if name in made.tensors else sources_of(graph, made, name)
    return list(dict.fromkeys(found))


def value(graph: Graph, name: str, known: Mapping[str, Tensor]) -> Tensor:
    """Of a layer in floats, from what is known; so are those before it that integers fuse."""
    layer = by_name(graph)[name]
    read = [known[n] if n in known else value(graph, n, known) for n in layer.inputs]
    found: Tensor = float_run.RULES[type(layer)](layer, read, ignore)
    return found


def by_name(graph: Graph) -> Mapping[str, Any]:
    """Layers."""
    return {layer.name: layer for layer in graph.layers}
