"""The border: a trained checkpoint becomes an integer model. Floats end here.

    checkpoint (float or integer stage) -> integer twin -> programs, tables, scaling -> Model

Needs torch. Every real number is rounded once, here, and never computed again on a device.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

import rangecoder
from intnet.converting.weights import numbers, ratios
from intnet.errors import BoundError
from intnet.model_file import QUALITIES, Model, Scaling
from intnet.program import (
    Add,
    Array,
    Concat,
    Conv,
    DepthToSpace,
    Op,
    Port,
    Program,
    Slice,
    SpaceToDepth,
)
from intnet.training import entropy
from intnet.training.context import Context
from intnet.training.layers import S16_MAX, Block
from intnet.training.models import MeanScaleHyperprior
from intnet.training.quantise import INDEX_UNITS, U8_MAX, Z_MAX, IntegerConv

GAIN_SHIFT, INVERSE_SHIFT, INDEX_SHIFT = 24, 16, int(math.log2(INDEX_UNITS))
WEIGHT_BITS = 32  # of the tables' weights before apportionment to 16 bits
TAIL = 2.0**-16  # mass left to the escape on each side of a table, at most


def integers(x: Tensor, dtype: type[np.integer[Any]]) -> Array:
    """A tensor of whole numbers as a NumPy array; a value outside dtype is refused."""
    values = x.detach().double().numpy()
    info = np.iinfo(dtype)
    if values.size and (values.min() < info.min or values.max() > info.max):
        raise BoundError(f"value {values.min():.0f}..{values.max():.0f} does not fit {info.dtype}")
    return np.ascontiguousarray(np.rint(values).astype(dtype))


def multiplier_and_shift(divisor: Tensor, fraction: int) -> tuple[Array, Array]:
    """Integers with multiplier / 2**shift = 2**fraction / divisor per channel, to 30 bits."""
    return ratios(2.0**fraction / numbers(divisor))


class Builder:
    """Collects the operations of one program."""

    def __init__(self, name: str, *ports: Port) -> None:
        self.name, self.ports, self.ops = name, ports, list[Op]()

    def program(self, *outputs: str) -> Program:
        """What was built."""
        return Program(self.name, self.ports, tuple(self.ops), outputs)

    def append(self, op: Op) -> str:
        """Add an operation; its name is its tensor."""
        self.ops.append(op)
        return op.name

    def conv(self, name: str, source: str, layer: IntegerConv, dtype: str, lo: int, hi: int) -> str:
        """One IntegerConv. Padding is that of odd 'same' kernels."""
        weight = layer.kernel().movedim(1, -1)
        small = float(weight.detach().abs().max()) <= 127
        multiplier, shift = multiplier_and_shift(layer.integer_divisor(), int(layer.fraction))
        return self.append(Conv(
            name, (source,), dtype, lo, hi, layer.stride, (layer.padding,) * 4, layer.groups,
            integers(weight, np.int8 if small else np.int16),
            integers(layer.integer_bias(), np.int32), multiplier, shift,
        ))  # fmt: skip

    def layer(self, name: str, source: str, layer: IntegerConv) -> str:
        """u8 after QReLU, s16 where linear."""
        if layer.relu:
            return self.conv(name, source, layer, "u8", 0, U8_MAX)
        return self.conv(name, source, layer, "s16", -S16_MAX, S16_MAX)

    def block(self, name: str, trunk: str, block: Block) -> str:
        """Two residual branches on an s16 trunk."""
        for branch, names in (("a", "adb"), ("f", ("f1", "f2"))):
            source = trunk
            for layer in names:
                source = self.layer(f"{name}.{layer}", source, getattr(block, layer))
            trunk = self.append(
                Add(f"{name}.{branch}_sum", (trunk, source), "s16", -S16_MAX, S16_MAX)
            )
        return trunk

    def halves(self, source: str, m: int) -> list[str]:
        """The first m channels, mean, and the others, index."""
        return [
            self.append(Slice(name, (source,), begin, begin + m))
            for name, begin in (("mean", 0), ("index", m))
        ]

    def sequence(self, net: nn.Sequential, source: str, skip_last: int = 0) -> str:
        """Every module of a network in order."""
        for i, module in enumerate(list(net)[: len(net) - skip_last]):
            name = f"layer{i}"
            if isinstance(module, IntegerConv):
                source = self.layer(name, source, module)
            elif isinstance(module, Block):
                source = self.block(name, source, module)
            elif isinstance(module, nn.PixelUnshuffle):
                source = self.append(SpaceToDepth(name, (source,), module.downscale_factor))
            elif isinstance(module, nn.PixelShuffle):
                source = self.append(DepthToSpace(name, (source,), module.upscale_factor))
            else:
                raise TypeError(f"{self.name}, {name}: {type(module).__name__} has no integer form")
        return source


def context(twin: Context) -> Program:
    """The program of a context: latents so far, and features of the prior."""
    m, width = len(twin.near.bias), len(twin.mix.bias)
    latents = Port("y_hat", "s16", m, -S16_MAX, S16_MAX)
    context = Builder("context", latents, Port("features", "u8", width, 0, U8_MAX))
    source = latents.name
    for name in ("near", "mix"):
        source = context.layer(name, source, getattr(twin, name))
    seen = context.append(Concat("seen", (source, "features")))
    joined = context.layer("join", seen, cast(IntegerConv, twin.join))
    both = context.layer("predict", joined, cast(IntegerConv, twin.predict))
    return context.program(*context.halves(both, m))


def programs(twin: MeanScaleHyperprior) -> dict[str, Program]:
    """The integer programs of a twin."""
    m, z = twin.config.m, twin.config.z
    analysis = Builder("analysis", Port("x", "u8", 3, 0, 255))
    hyper = Builder("hyper_analysis", Port("y", "s16", m, -S16_MAX, S16_MAX))
    prior = Builder("prior", Port("z", "s8", z, -Z_MAX, Z_MAX))
    synthesis = Builder("synthesis", Port("y_hat", "s16", m, -S16_MAX, S16_MAX))
    built = {"analysis": analysis.program(analysis.sequence(twin.analysis, "x"))}
    inner = hyper.sequence(twin.hyper_analysis, "y", 1)
    to_z = cast(IntegerConv, twin.hyper_analysis[-1])
    built["hyper_analysis"] = hyper.program(hyper.conv("z", inner, to_z, "s8", -Z_MAX, Z_MAX))
    last = prior.sequence(twin.prior, "z")
    if twin.context:
        built["prior"] = prior.program(last)
        built["context"] = context(twin.context)
    else:
        built["prior"] = prior.program(*prior.halves(last, m))
    inner = synthesis.sequence(twin.synthesis, "y_hat", 2)
    to_pixels = cast(IntegerConv, twin.synthesis[-2])
    depth = synthesis.conv("pixels", inner, to_pixels, "u8", 0, 255)
    built["synthesis"] = synthesis.program(synthesis.append(DepthToSpace("x_hat", (depth,), 8)))
    return built


def gaussian_tables() -> rangecoder.Tables:
    """64 zero-mean Gaussians, scales 0.11 to 256 log-spaced; mass beyond goes to the escape."""
    weights, minimum = [], []
    for i in range(entropy.SCALES):
        scale = entropy.SCALE_MIN * math.exp(i * entropy.LOG_STEP)
        reach = 1
        while math.erfc((reach + 0.5) / scale * 2**-0.5) > TAIL:
            reach += 1
        edges = [math.erfc((k - 0.5) / scale * 2**-0.5) / 2 for k in range(1, reach + 2)]
        side = [a - b for a, b in pairwise(edges)]
        pmf = [*side[::-1], 1 - 2 * edges[0], *side, 2 * edges[-1]]
        weights.append([round(p * 2**WEIGHT_BITS) for p in pmf])
        minimum.append(-reach)
    return rangecoder.build(weights, minimum)


def z_tables(prior: entropy.LogisticMixture) -> rangecoder.Tables:
    """One table per channel over the range that holds all but TAIL of the mass on each side."""
    edges = torch.arange(-Z_MAX, Z_MAX + 2, dtype=torch.float64) - 0.5
    prior = prior.double()
    cdf = prior.cdf(edges[:, None].expand(-1, len(prior.w))).detach().T.numpy()
    prior.float()
    weights, minimum = [], []
    for row in cdf:
        kept = [k for k in range(2 * Z_MAX + 1) if row[k + 1] > TAIL and row[k] < 1 - TAIL]
        low, high = kept[0], kept[-1]
        pmf = [*np.diff(row[low : high + 2]), row[low] + 1 - row[high + 1]]
        weights.append([round(float(p) * 2**WEIGHT_BITS) for p in pmf])
        minimum.append(low - Z_MAX)
    return rangecoder.build(weights, minimum)


@torch.no_grad()
def scaling(twin: MeanScaleHyperprior) -> Scaling:
    """Gains and index offsets of the 64 qualities."""
    qualities = torch.arange(QUALITIES, dtype=torch.float32)
    log_gain = twin.at_quality(twin.log_gain, qualities)[:, :, 0, 0].double()
    log_inverse = twin.at_quality(twin.log_inverse_gain, qualities)[:, :, 0, 0].double()
    offset = (log_gain + float(twin.index_origin) - math.log(entropy.SCALE_MIN)) * (
        INDEX_UNITS / entropy.LOG_STEP
    )
    log_scales = math.log(entropy.SCALE_MIN) + entropy.LOG_STEP * torch.arange(entropy.SCALES)
    dead_zone = entropy.dead_zone(log_scales, twin.dead_zone)
    return Scaling(
        gain=integers((log_gain.exp() * 2**GAIN_SHIFT).round(), np.int32),
        inverse_gain=integers((log_inverse.exp() * 2**INVERSE_SHIFT).round(), np.int32),
        index_offset=integers(offset.round(), np.int32),
        dead_zone=integers((dead_zone * 2**16).round(), np.int32),
        gain_shift=GAIN_SHIFT,
        inverse_shift=INVERSE_SHIFT,
        index_shift=INDEX_SHIFT,
    )


def integer_model(twin: MeanScaleHyperprior, metadata: Mapping[str, Any]) -> Model:
    """Emit a twin as a Model. Raises BoundError where a layer could overflow."""
    order = twin.order if twin.context else None
    return Model(
        programs(twin), gaussian_tables(), z_tables(twin.z_prior), scaling(twin), metadata, order
    )
