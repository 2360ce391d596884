"""A float graph to an integer program: one walk, an operation or a few for each layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch

from intnet import program as ops
from intnet.converting import pointwise
from intnet.converting.builder import Builder
from intnet.converting.formats import S16_MAX, Format, choose, fused, joined
from intnet.converting.layers import (
    Abs,
    Add,
    Concat,
    Conv,
    ConvTranspose,
    Gdn,
    Graph,
    Layer,
    LeakyRelu,
    Linear,
    PixelShuffle,
    PixelUnshuffle,
    Relu,
    ScaleIndex,
    Slice,
    check,
)
from intnet.converting.recipe import Recipe
from intnet.converting.record import Record
from intnet.converting.weights import Inputs, inputs
from intnet.program import Program

NORM_MARGIN = 2.0  # of a norm's integers over the greatest norm of the calibration
QUOTIENT_SHIFT = 20  # left_shift of x / norm


class Walk(NamedTuple):
    """What every rule needs. made: the integer tensor of each float one; formats: those wanted."""

    to: Builder
    record: Record
    recipe: Recipe
    formats: Mapping[str, Format]
    made: dict[str, str]

    def source(self, layer: Layer) -> str:
        """Integer tensor of the first input."""
        return self.made[layer.inputs[0]]

    def bits(self, layer: Layer) -> int:
        """Of a layer's weights."""
        return self.recipe.of(layer.name).weights

    def linear(self, name: str, layer: Linear, out: Format) -> str:
        """A convolution, its bias corrected by what calibration saw."""
        source = self.source(layer)
        seen = inputs(layer, self.record, self.to.formats[source])
        return self.to.linear(name, layer, source, out, self.bits(layer), seen)


class Emitted(NamedTuple):
    """A program, the integer tensor of each float one, and the format of each integer one."""

    program: Program
    tensors: Mapping[str, str]
    formats: Mapping[str, Format]

    def program_format(self, name: str) -> Format:
        """Of the integers that stand for a float tensor."""
        return self.formats[self.tensors[name]]


def emit(graph: Graph, record: Record, recipe: Recipe, fixed: Mapping[str, Format]) -> Emitted:
    """The integer program of a graph.

    fixed: the format of every input; of outputs, and of any other tensor, those that must be so.
    Raises LayerError or BoundError naming the layer.
    """
    check(graph)
    formats = choose(graph, record, recipe, fixed)
    to = Builder(graph.name, {name: fixed[name] for name in graph.inputs})
    walk = Walk(to, record, recipe, formats, {name: name for name in graph.inputs})
    rectified = fused(graph)
    delayed = {layer.name for layer in rectified.values()}
    for layer in graph.layers:
        if layer.name in delayed:
            continue
        if layer.name in rectified:
            name = clipped(walk, layer, rectified[layer.name])
        else:
            name = RULES[type(layer)](walk, layer)
        wanted = formats.get(layer.name)
        walk.made[layer.name] = to.converted(f"{layer.name}.as", name, wanted) if wanted else name
    program = to.program(*(walk.made[name] for name in graph.outputs))
    return Emitted(program, walk.made, to.formats)


def clipped(walk: Walk, layer: Layer, before: Linear) -> str:
    """A rectifier is the clip of the convolution before it."""
    wanted = walk.formats[layer.name]
    return walk.linear(layer.name, before, Format(wanted.dtype, 0, wanted.hi, wanted.step))


def linear(walk: Walk, layer: Linear) -> str:
    """To the format wanted."""
    return walk.linear(layer.name, layer, walk.formats[layer.name])


def leaky(walk: Walk, layer: LeakyRelu) -> str:
    """Two requantisations and their sum."""
    wanted = walk.formats[layer.name]
    return pointwise.halves(walk.to, layer.name, walk.source(layer), wanted, layer.slope)


def rectifier(walk: Walk, layer: Relu) -> str:
    """After anything but a convolution."""
    wanted = walk.formats[layer.name]
    return pointwise.halves(walk.to, layer.name, walk.source(layer), wanted, 0.0)


def magnitude(walk: Walk, layer: Abs) -> str:
    """Both signs."""
    return pointwise.magnitude(walk.to, layer.name, walk.source(layer), walk.formats[layer.name])


def add(walk: Walk, layer: Add) -> str:
    """Both inputs in the format of the sum."""
    wanted = walk.formats[layer.name]
    a, b = (
        walk.to.converted(f"{layer.name}.from{i}", walk.made[name], wanted)
        for i, name in enumerate(layer.inputs)
    )
    return walk.to.add(layer.name, a, b, wanted)


def concat(walk: Walk, layer: Concat) -> str:
    """Inputs are s16, see `formats.for_linear`; each keeps its steps."""
    names = [walk.made[name] for name in layer.inputs]
    parts = [walk.to.formats[name] for name in names]
    out = Format(parts[0].dtype, min(p.lo for p in parts), max(p.hi for p in parts),
                 torch.cat([p.step for p in parts]))  # fmt: skip
    return walk.to.append(ops.Concat(layer.name, tuple(names)), out)


def part(walk: Walk, layer: Slice) -> str:
    """Its channels' steps."""
    source = walk.source(layer)
    have = walk.to.formats[source]
    out = Format(have.dtype, have.lo, have.hi, have.step[layer.begin : layer.end])
    return walk.to.append(ops.Slice(layer.name, (source,), layer.begin, layer.end), out)


def shuffle(walk: Walk, layer: PixelShuffle) -> str:
    """Steps of a block become equal where they are not."""
    area, source = layer.block**2, walk.source(layer)
    have = walk.to.formats[source]
    even = Format(have.dtype, have.lo, have.hi, joined(have.step, area))
    source = walk.to.converted(f"{layer.name}.even", source, even)
    out = Format(have.dtype, have.lo, have.hi, even.step[::area])
    return walk.to.append(ops.DepthToSpace(layer.name, (source,), layer.block), out)


def unshuffle(walk: Walk, layer: PixelUnshuffle) -> str:
    """A block has the step of its channel."""
    source = walk.source(layer)
    have = walk.to.formats[source]
    out = Format(have.dtype, have.lo, have.hi, have.step.repeat_interleave(layer.block**2))
    return walk.to.append(ops.SpaceToDepth(layer.name, (source,), layer.block), out)


def scale_index(walk: Walk, layer: ScaleIndex) -> str:
    """A logarithm, by tiers."""
    source = walk.source(layer)

    def index(x: float) -> float:
        return (math.log(x) - math.log(layer.origin)) / layer.step

    unit = float(walk.to.formats[source].step[0])
    return pointwise.scale_index(walk.to, layer.name, source, layer.low, layer.high, unit, index)


def gdn(walk: Walk, layer: Gdn) -> str:
    """x * norm or x / norm."""
    to, source, wanted = walk.to, walk.source(layer), walk.formats[layer.name]
    name, have = layer.name, walk.to.formats[source]
    if layer.inverse:
        return to.mul(name, source, norm_16(walk, layer), wanted)
    norm = norm_32(walk, layer)
    step = have.step / to.formats[norm].step / 2.0**QUOTIENT_SHIFT
    quotient = to.div(f"{name}.quotient", source, norm, QUOTIENT_SHIFT,
                      Format("s32", -(2**30), 2**30, step))  # fmt: skip
    return to.converted(name, quotient, wanted)


def energy(walk: Walk, layer: Gdn) -> str:
    """x**2 or |x|, s16 from 0."""
    to, source, name = walk.to, walk.source(layer), f"{layer.name}.energy"
    have = to.formats[source]
    if layer.simplified:
        return pointwise.magnitude(to, name, source, Format("s16", 0, S16_MAX, have.step))
    step = (have.step * have.magnitude) ** 2 / S16_MAX
    return to.mul(name, source, source, Format("s16", 0, S16_MAX, step))


def weighted(walk: Walk, layer: Gdn, out: Format) -> str:
    """beta + gamma * energy: a 1x1 convolution with as many bits as the proof allows."""
    source = energy(walk, layer)
    seen = walk.record.seen[layer.inputs[0]].samples.double()
    mean = (seen.abs() if layer.simplified else seen.square()).mean(1)
    conv = Conv(layer.name, layer.inputs, layer.gamma[:, :, None, None], layer.beta)
    return walk.to.linear(f"{layer.name}.norm", conv, source, out, 16, Inputs(mean, mean))


def norm_format(walk: Walk, layer: Gdn, dtype: str, top: int) -> Format:
    """Norms from 0 to top."""
    seen = walk.record.seen[f"{layer.name}.norm"]
    return Format(dtype, 1, top, NORM_MARGIN * seen.high.double() / top)


def square_root(walk: Walk, layer: Gdn) -> str:
    """sqrt(beta + gamma * x**2), s32; tiers down to half of the least norm of the calibration."""
    wide = norm_format(walk, layer, "s32", 2**pointwise.ROOT_BITS)
    seen = walk.record.seen[f"{layer.name}.norm"]
    span = 2 * NORM_MARGIN * float((seen.high / seen.low.clamp_min(1e-12)).max())
    made = pointwise.root(
        walk.to,
        f"{layer.name}.sqrt",
        weighted(walk, layer, wide),
        min(span, 2.0**pointwise.ROOT_BITS),
    )
    have = walk.to.formats[made]
    step = wide.step.sqrt() / 2.0 ** (pointwise.ROOT_SHIFT / 2)
    walk.to.formats[made] = Format(have.dtype, have.lo, have.hi, step)
    return made


def norm_32(walk: Walk, layer: Gdn) -> str:
    """To divide by."""
    if layer.simplified:
        return weighted(walk, layer, norm_format(walk, layer, "s32", 2**20))
    return square_root(walk, layer)


def norm_16(walk: Walk, layer: Gdn) -> str:
    """To multiply with."""
    if layer.simplified:
        return weighted(walk, layer, norm_format(walk, layer, "s16", S16_MAX))
    made = square_root(walk, layer)
    top = norm_format(walk, layer, "s32", 2**pointwise.ROOT_BITS).step.sqrt() * 2.0**15
    return walk.to.converted(f"{layer.name}.factor", made, Format("s16", 0, S16_MAX, top / S16_MAX))


RULES: dict[type[Layer], Callable[..., str]] = {
    Conv: linear, ConvTranspose: linear, Relu: rectifier, LeakyRelu: leaky, Abs: magnitude,
    Gdn: gdn, PixelShuffle: shuffle, PixelUnshuffle: unshuffle, Slice: part, Concat: concat,
    Add: add, ScaleIndex: scale_index,
}  # fmt: skip
