"""Formats: which integers stand for the real numbers of each tensor, value = step * integer.

What convolutions read has as many bits as its recipe and the overflow proof allow; what activation
functions read has 16, or 32 where a logarithm needs a wide range. A step of its own per channel
costs nothing: it goes into the weights before and after (cross-layer equalisation).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from intnet.bounds import ACC_LIMIT
from intnet.converting.layers import (
    Add,
    Concat,
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
)
from intnet.converting.recipe import Precision, Recipe
from intnet.converting.record import Record, Seen

S16_MAX, S32_MAX = 2**15 - 1, 2**30
MARGIN = 1.5  # of 16-bit tensors over the largest value of the calibration
QUIET_SHARE = 1 / 32  # a channel silent in calibration still gets this share of the loudest's range
SMALLEST = 1e-6  # range of a tensor that was never more than zero
ROWS = 0.9  # of output channels whose weights keep all their bits, where activations have 16
FEWEST, WIDE_BITS = 255, 24
PASSED = (PixelShuffle, PixelUnshuffle, Slice, Concat)  # values go through unchanged


@dataclass(frozen=True, eq=False)
class Format:
    """dtype, interval, and the step of each channel (C,), float64."""

    dtype: str
    lo: int
    hi: int
    step: Tensor

    @property
    def magnitude(self) -> int:
        """The largest |integer|."""
        return max(-self.lo, self.hi)

    def nearest(self, values: Tensor) -> Tensor:
        """What integers say of values (n, C)."""
        return (values / self.step).round().clamp(self.lo, self.hi) * self.step

    def within(self, other: Format) -> bool:
        """Same integers for the same values, none outside of the other's interval."""
        inside = other.lo <= self.lo and self.hi <= other.hi
        return inside and self.dtype == other.dtype and torch.equal(self.step, other.step)


def symmetric(dtype: str, top: int, peak: Tensor) -> Format:
    """-top..top for -peak..peak."""
    return Format(dtype, -top, top, peak / top)


def audible(peak: Tensor) -> Tensor:
    """Ranges of at least a share of the largest."""
    return torch.maximum(peak, QUIET_SHARE * peak.max()).clamp_min(SMALLEST)


def balanced(peak: Tensor, balance: float) -> Tensor:
    """Ranges between one of each channel and the largest for all."""
    return peak**balance * peak.max() ** (1 - balance)


def consumers(graph: Graph, name: str) -> Iterable[Layer]:
    """Layers that compute with the values of a tensor, moved or not."""
    for layer in graph.readers(name):
        if isinstance(layer, PASSED):
            yield layer
            yield from consumers(graph, layer.name)
        else:
            yield layer


def effective_taps(layer: Linear, peak: Tensor) -> Tensor:
    """sum |h| / max |h| per output channel (N,), h the weights times ranges of their inputs."""
    kernel = layer.kernel.double().abs()
    per_group = kernel.shape[1]
    ranges = peak.reshape(layer.groups, 1, per_group)
    grouped = kernel.reshape(layer.groups, -1, *kernel.shape[1:]) * ranges[..., None, None]
    h = grouped.flatten(0, 1).flatten(1)
    return h.sum(1) / h.amax(1).clamp_min(1e-30)


def top_16(readers: Iterable[Linear], record: Record, recipe: Recipe) -> int:
    """The largest 16-bit activation that leaves weights their bits, by the overflow proof.

    With weights of at most 8 bits: what the greatest leave of 31 bits. With more, weights and
    activations get as many bits as each other.
    """
    top = float(S16_MAX)
    for layer in readers:
        peak = audible(record.seen[layer.inputs[0]].peak)
        precision = recipe.of(layer.name)
        taps = torch.quantile(effective_taps(layer, balanced(peak, precision.balance)), ROWS)
        room = ACC_LIMIT / max(1.0, float(taps))
        top = min(top, room / precision.greatest if precision.weights <= 8 else room**0.5)
    return max(FEWEST, int(top))


def steps_8(seen: Seen, peak: Tensor, top: int, precision: Precision) -> Tensor:
    """Steps of 8-bit activations, (C,): by least squared error over samples, or a percentile."""
    magnitude = seen.samples.double().abs()
    floor = QUIET_SHARE * peak.max()
    if precision.ranges == "percentile":
        found = torch.quantile(magnitude, precision.percentile / 100, dim=1)
        return balanced(torch.maximum(found, floor).clamp_min(SMALLEST), precision.balance) / top
    best, least = peak, torch.full_like(peak, torch.inf)
    for share in torch.linspace(1.1, 0.4, 15).tolist():
        step = (peak * share / top)[:, None]
        rounded = (magnitude / step).round().clamp_max(top) * step
        error = (magnitude - rounded).square().mean(1)
        best = torch.where(error < least, peak * share, best)
        least = torch.minimum(least, error)
    return balanced(torch.maximum(best, floor * 0.4), precision.balance) / top


def for_linear(
    seen: Seen, peak: Tensor, precision: Precision, readers: list[Linear], record: Record,
    recipe: Recipe, *, wide: bool,
) -> Format:  # fmt: skip
    """What convolutions read: 8 bits where the recipe says so and nothing asks for 16."""
    if precision.activations == 8 and not wide:
        signed = bool(seen.low.min() < 0)
        top = 127 if signed else 255
        step = steps_8(seen, peak, top, precision)
        return Format("s8" if signed else "u8", -top if signed else 0, top, step)
    top = top_16(readers, record, recipe)
    return symmetric("s16", top, MARGIN * balanced(peak, precision.balance))


def choose(
    graph: Graph, record: Record, recipe: Recipe, fixed: Mapping[str, Format]
) -> dict[str, Format]:
    """A format for every tensor that some layer computes.

    fixed: formats of inputs, and of tensors that another program reads or makes.
    """
    formats = dict(fixed)
    peaks = tied_peaks(graph, record)
    for layer in graph.layers:
        if layer.name in formats or isinstance(layer, PixelShuffle | PixelUnshuffle | Slice):
            continue
        if isinstance(layer, Concat):
            continue
        formats[layer.name] = computed(graph, layer, peaks[layer.name], record, recipe)
    return formats


def computed(graph: Graph, layer: Layer, peak: Tensor, record: Record, recipe: Recipe) -> Format:
    """Of what a layer computes."""
    readers = list(consumers(graph, layer.name))
    scales = [reader for reader in readers if isinstance(reader, ScaleIndex)]
    if isinstance(layer, ScaleIndex):
        return Format("s16", 0, S16_MAX, torch.full_like(peak, 1.0))
    if scales:
        high = max(reader.high for reader in scales)
        return symmetric("s32", S32_MAX, torch.full_like(peak, high * S32_MAX / 2**WIDE_BITS))
    linear = [reader for reader in readers if isinstance(reader, Linear)]
    seen, precision = record.seen[layer.name], recipe.of(layer.name)
    if linear:
        wide = any(isinstance(reader, Concat | Gdn | LeakyRelu | Add) for reader in readers)
        made = for_linear(seen, peak, precision, linear, record, recipe, wide=wide)
        for reader in graph.readers(layer.name):
            if isinstance(reader, PixelShuffle):
                made = replace(made, step=joined(made.step, reader.block**2))
        return made
    return symmetric("s16", S16_MAX, MARGIN * peak)


def joined(values: Tensor, area: int) -> Tensor:
    """The greatest of each block of channels, for all of it."""
    return values.reshape(-1, area).amax(1).repeat_interleave(area)


def tied_peaks(graph: Graph, record: Record) -> dict[str, Tensor]:
    """Ranges by tensor: equal within a block that a shuffle joins, and across a residual sum."""
    peaks = {name: audible(seen.peak) for name, seen in record.seen.items()}
    for layer in reversed(graph.layers):
        if isinstance(layer, PixelShuffle):
            peaks[layer.inputs[0]] = joined(peaks[layer.inputs[0]], layer.block**2)
        elif isinstance(layer, Add):
            both = torch.stack([peaks[name] for name in (layer.name, *layer.inputs)]).amax(0)
            peaks |= dict.fromkeys((layer.name, *layer.inputs), both)
    return peaks


def fused(graph: Graph) -> dict[str, Linear]:
    """Convolutions whose clip is the Relu after them, by the Relu's name."""
    made = {layer.name: layer for layer in graph.layers}
    found: dict[str, Linear] = {}
    for layer in graph.layers:
        before = made.get(layer.inputs[0])
        if (
            isinstance(layer, Relu)
            and isinstance(before, Linear)
            and len(graph.readers(before.name)) == 1
            and before.name not in graph.outputs
        ):
            found[layer.name] = before  # fmt: skip
    return found
