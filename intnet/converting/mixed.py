"""A graph in integers, but for one layer that is left in float."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from torch import Tensor

from intnet import backends
from intnet.bounds import prove
from intnet.converting import float_run
from intnet.converting.compare import as_floats, as_integers
from intnet.converting.emit import Emitted
from intnet.converting.float_run import ignore
from intnet.converting.formats import S16_MAX, Format
from intnet.converting.layers import Graph, Layer
from intnet.program import Conv, ConvTranspose, Op, Port

FINER = 4  # bits more, of 8-bit activations that are left in float: 24 dB less noise


class Mixed(NamedTuple):
    """before: makes what the layer is computed from; after: is given what the layer makes."""

    layer: str
    before: Emitted
    after: Emitted


def leave(graph: Graph, made: Emitted, layer: str) -> Mixed:
    """A layer of a graph, to be left in float by `run`.

    It has its own weights and arithmetic. What it makes is not rounded to 8 bits where the proof
    leaves the convolutions that read it some room: 12 bits and more of range stand for floats.
    """
    program, tensor = made.program, made.tensors[layer]
    sources = dict.fromkeys(made.tensors[name] for name in sources_of(graph, made, layer))
    before = made._replace(program=replace(program, outputs=tuple(sources)))
    form, ops = finer(made, tensor)
    port = Port(tensor, form.dtype, len(form.step), form.lo, form.hi)
    after = replace(program, inputs=(*program.inputs, port),
                    ops=tuple(op for op in ops if op.name != tensor))  # fmt: skip
    return Mixed(layer, before, made._replace(
        program=after, formats={**made.formats, tensor: form}
    ))  # fmt: skip


def finer(made: Emitted, tensor: str) -> tuple[Format, tuple[Op, ...]]:
    """The format of a tensor that stands for floats, and the operations that read it so."""
    program, form = made.program, made.formats[tensor]
    readers = {op.name for op in program.ops if tensor in op.inputs}
    rooms = [b.headroom for b in prove(program)
             if b.op in readers and b.quantity == "accumulator"]  # fmt: skip
    linear = all(isinstance(op, Conv | ConvTranspose) for op in program.ops if op.name in readers)
    if form.dtype not in ("s8", "u8") or tensor in program.outputs or not (linear and rooms):
        return form, program.ops
    if min(rooms) < FINER:
        return form, program.ops
    top = min(S16_MAX, int(form.magnitude * 2 ** min(rooms)))
    wide = Format("s16", -top if form.lo else 0, top, form.step / 2**FINER)
    return wide, tuple(reading(op) if op.name in readers else op for op in program.ops)


def reading(op: Op) -> Op:
    """A convolution with FINER bits more in what it reads."""
    assert isinstance(op, Conv | ConvTranspose)
    return replace(op, bias=op.bias << FINER, multiplier=op.multiplier >> FINER)


def run(graph: Graph, made: Emitted | Mixed, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The outputs of a graph by its integer program, but for a layer left in float."""
    given = dict(inputs)
    if isinstance(made, Mixed):
        sources = sources_of(graph, made.before, made.layer)
        known = tensors(made.before, given, sources)
        given[made.layer] = value(graph, made.layer, known)
        made = made.after
    return tensors(made, given, graph.outputs)


def tensors(
    made: Emitted, inputs: Mapping[str, Tensor], names: tuple[str, ...]
) -> dict[str, Tensor]:
    """Float tensors of a program by name."""
    given = {made.tensors[name]: as_integers(x, made, made.tensors[name])
             for name, x in inputs.items()}  # fmt: skip
    got = backends.load("numba").run(made.program, given)
    return {name: as_floats(got[made.tensors[name]], made, made.tensors[name]) for name in names}


def sources_of(graph: Graph, made: Emitted, layer: str) -> tuple[str, ...]:
    """Tensors with an integer form that a layer is computed from."""
    found: list[str] = []
    for name in by_name(graph)[layer].inputs:
        found += [name] if name in made.tensors else sources_of(graph, made, name)
    return tuple(dict.fromkeys(found))


def value(graph: Graph, name: str, known: Mapping[str, Tensor]) -> Tensor:
    """Of a layer in floats, from what is known; so are those before it that integers fuse."""
    layer = by_name(graph)[name]
    read = [known[n] if n in known else value(graph, n, known) for n in layer.inputs]
    found: Tensor = float_run.RULES[type(layer)](layer, read, ignore)
    return found


def by_name(graph: Graph) -> Mapping[str, Layer]:
    """Layers."""
    return {layer.name: layer for layer in graph.layers}
