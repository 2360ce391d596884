"""From float to integer: layers after Ballé et al. 2019, and the calibration that fills them.

An `IntegerConv` computes, with integers carried in float32 tensors,

    acc = H * x + B,    out = clip(round(acc / d)),    d = c / 2**F

H = round(h / s), s = max(max h / top, min h / -top, eps) per output channel; B = round(2**K b);
c = round(2**K r(c')), r(c') = max(c', sqrt(1 + eps2))**2 - eps2, K = 8, eps2 = 2**-16. The paper
has F = 0 (8-bit outputs); F > 0 keeps c >= 2**K where outputs have 16 bits. `top` is 127, or as
much as the overflow proof allows up to 32767 for `wide` layers. h, b, c' are float shadow
parameters.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from intnet.training.context import Context
from intnet.training.entropy import LOG_STEP, SCALE_MIN
from intnet.training.layers import S16_MAX, Block, Conv, QReLU, conv_at, lower_bound, round_ste
from intnet.training.models import QUALITIES, MeanScaleHyperprior

K, EPS2, EPS = 8, 2.0**-16, 1e-20
U8_MAX, Z_MAX, ACC_LIMIT = 255, 127, 2**31
PROOF_SHARE = 0.45  # of the accumulator's range, at calibration; the rest is room for training
TRUNK_MARGIN = 1.5  # of the largest value seen in calibration, for 16-bit tensors
SMALLEST = 1e-6  # range of a layer that calibration never saw active
QUIET_SHARE = 1 / 32  # a channel silent in calibration still gets this share of the loudest's range
INDEX_UNITS = 16  # prior output per step of the scale table


class IntegerConv(Conv):
    """Integer form of a Conv: u8 out after QReLU, s16 out (saturating) where linear."""

    top: Tensor
    fraction: Tensor

    def __init__(self, conv: Conv, top: Tensor, fraction: int) -> None:
        nn.Module.__init__(self)
        self.stride, self.groups, self.relu, self.wide = (
            conv.stride, conv.groups, conv.relu, conv.wide)  # fmt: skip
        self.padding = conv.padding
        self.weight = nn.Parameter(torch.zeros_like(conv.weight))
        self.bias = nn.Parameter(torch.zeros_like(conv.bias))
        self.divisor = nn.Parameter(torch.ones_like(conv.bias))
        self.register_buffer("top", top)
        self.register_buffer("fraction", torch.tensor(fraction))
        self.saturates = True
        self.rounding = True  # False: the float twin, same function without rounding and clipping

    @classmethod
    def calibrated(
        cls, conv: Conv, in_scale: Tensor, out_scale: Tensor, in_max: int
    ) -> IntegerConv:
        """The twin of conv on inputs x = in_scale * integer, outputs out_scale * integer.

        in_scale: (inputs,), out_scale: (outputs,) float; in_max: largest |integer| input.
        """
        per_group = conv.weight.shape[1]
        fold = in_scale if conv.groups == 1 else in_scale.reshape(conv.groups, per_group)
        h = conv.weight * (fold[None] if conv.groups == 1 else fold)[:, :, None, None]
        peak = h.abs().amax((1, 2, 3)).clamp_min(1e-12)
        # acc_bound = top * (in_max * sum |h| / peak + |bias| / peak) stays within the proof's share
        unit_bound = (in_max * h.abs().sum((1, 2, 3)) + conv.bias.abs()) / peak
        provable = PROOF_SHARE * ACC_LIMIT / unit_bound.clamp_min(1)
        top = provable.clamp(max=float(S16_MAX if conv.wide else 127))
        top = torch.where(top >= 1, top.floor(), top)  # below 1: a constant, all weights round to 0
        scale = peak / top
        d = out_scale / scale
        fraction = max(0, K - int(torch.floor(torch.log2(d.min()))))
        twin = cls(conv, top, fraction)
        twin.weight.data = (h / peak[:, None, None, None]).contiguous()
        twin.bias.data = conv.bias / scale / 2**K
        twin.divisor.data = (d * 2.0 ** (fraction - K) + EPS2).sqrt()
        return twin

    def round(self, x: Tensor) -> Tensor:
        """Nearest integer, or x itself in the float twin."""
        return round_ste(x) if self.rounding else x

    def kernel(self) -> Tensor:
        """H: integer kernel, |H| <= top per output channel. s is a constant to the gradient."""
        flat = self.weight.detach().flatten(1)
        peak = torch.maximum(flat.amax(1), -flat.amin(1))
        s = (peak / self.top).clamp_min(EPS)
        return self.round(self.weight / s[:, None, None, None])

    def integer_bias(self) -> Tensor:
        """B = round(2**K b)."""
        return self.round(2.0**K * self.bias)

    def integer_divisor(self) -> Tensor:
        """c = round(2**K r(c')), at least 2**K."""
        reparametrised = lower_bound(self.divisor, (1 + EPS2) ** 0.5).square() - EPS2
        return self.round(2.0**K * reparametrised)

    def forward(self, x: Tensor) -> Tensor:
        acc = self.linear(x, self.kernel(), self.integer_bias())
        v = acc * (2.0**self.fraction / self.integer_divisor())[:, None, None]
        if not self.rounding:
            return F.relu(v) if self.relu else v
        if self.relu:
            return QReLU.apply(v, U8_MAX)  # type: ignore[no-any-return, no-untyped-call]
        out = round_ste(v)
        return out.clamp(-S16_MAX, S16_MAX) if self.saturates else out


def float_twin(twin: MeanScaleHyperprior) -> MeanScaleHyperprior:
    """The same function in floats: no rounding, no clipping of activations, in every layer."""
    model = copy.deepcopy(twin)
    for module in model.modules():
        if isinstance(module, IntegerConv):
            module.rounding = False
    return model


def record(model: MeanScaleHyperprior, x: Tensor) -> dict[nn.Module, Tensor]:
    """Outputs of every Conv and Block on pictures x, coded at qualities from 0 to 63."""
    seen: dict[nn.Module, Tensor] = {}

    def keep(module: nn.Module, _: object, output: Tensor) -> None:
        seen[module] = output.detach()

    handles = [
        m.register_forward_hook(keep) for m in model.modules() if isinstance(m, Conv | Block)
    ]
    model.eval()
    with torch.no_grad():
        model(x, torch.linspace(0, QUALITIES - 1, len(x), device=x.device))
    for handle in handles:
        handle.remove()
    return seen


def u8_scale(activation: Tensor) -> Tensor:
    """Per channel of (n, c, h, w), the step of least squared error of rounding with clip at 255."""
    v = activation.movedim(1, 0).flatten(1).clamp_min(0)
    peak = v.amax(1, keepdim=True)
    peak = torch.maximum(peak, QUIET_SHARE * peak.max()).clamp_min(SMALLEST)
    best, least = peak, torch.full_like(peak, torch.inf)
    for share in torch.linspace(1.2, 0.3, 19):
        step = peak * share / U8_MAX
        error = (v - (v / step).round().clamp_max(U8_MAX) * step).square().mean(1, keepdim=True)
        best = torch.where(error < least, step, best)
        least = torch.minimum(least, error)
    return best[:, 0]


def s16_scale(tensors: Iterable[Tensor]) -> Tensor:
    """One step for all: the largest |value| with a margin fits 16 bits."""
    return (
        TRUNK_MARGIN * torch.stack([t.abs().max() for t in tensors]).amax(0, keepdim=True) / S16_MAX
    )


def predictor(conv: Conv, scale: Tensor, y: Tensor) -> IntegerConv:
    """The layer from u8 inputs to mean in steps of y and scale index * INDEX_UNITS."""
    m = len(conv.bias) // 2
    conv.bias[m:] -= math.log(SCALE_MIN)
    steps = torch.cat([y.expand(m), torch.full_like(y, LOG_STEP / INDEX_UNITS).expand(m)])
    return IntegerConv.calibrated(conv, scale, steps, U8_MAX)


class Calibration:
    """Swaps Convs for IntegerConvs, following scales through a network."""

    def __init__(self, seen: dict[nn.Module, Tensor]) -> None:
        self.seen = seen

    def rectified(
        self, conv: Conv, in_scale: Tensor, in_max: int, group: int = 1
    ) -> tuple[IntegerConv, Tensor]:
        """A u8 layer and its per-channel scale, equal within groups that a shuffle will join."""
        scale = u8_scale(self.seen[conv]).reshape(-1, group).amax(1).repeat_interleave(group)
        return IntegerConv.calibrated(conv, in_scale, scale, in_max), scale

    def block(self, block: Block, trunk: Tensor) -> None:
        """Integer branches on a trunk with one scale."""
        width = trunk.expand(block.a.weight.shape[1])
        a, a_scale = self.rectified(block.a, width, S16_MAX)
        d_scale = s16_scale([self.seen[block.d]]).expand_as(block.d.bias)
        d = IntegerConv.calibrated(block.d, a_scale, d_scale, U8_MAX)
        b = IntegerConv.calibrated(block.b, d_scale, width, S16_MAX)
        f1, f1_scale = self.rectified(block.f1, width, S16_MAX)
        f2 = IntegerConv.calibrated(block.f2, f1_scale, width, U8_MAX)
        block.a, block.d, block.b, block.f1, block.f2 = a, d, b, f1, f2

    def linear(
        self, net: nn.Sequential, at: int, inner: Tensor, outer: Tensor, in_max: int
    ) -> None:
        """The main-path Conv at a position, from one scale to another."""
        conv = conv_at(net, at)
        inputs = inner.expand(conv.weight.shape[1])
        net[at] = IntegerConv.calibrated(conv, inputs, outer.expand_as(conv.bias), in_max)

    def hyper_analysis(self, net: nn.Sequential, y: Tensor) -> None:
        """y to z, whose step is 1."""
        first, second, last = (conv_at(net, at) for at in range(3))
        net[0], scale = self.rectified(first, y.expand(first.weight.shape[1]), S16_MAX)
        net[1], scale = self.rectified(second, scale, U8_MAX)
        net[2] = IntegerConv.calibrated(last, scale, torch.ones_like(last.bias), U8_MAX)

    def prior(self, model: MeanScaleHyperprior, y: Tensor) -> None:
        """z to (mean in steps of y, scale index * INDEX_UNITS), or to features of the context."""
        net, first = model.prior, conv_at(model.prior, 0)
        scale = torch.ones_like(first.bias)[: first.weight.shape[1]]
        for at, in_max in ((0, Z_MAX), (2, U8_MAX)):
            net[at], wide = self.rectified(conv_at(net, at), scale, in_max, group=4)
            scale = wide[::4]
        if model.context:
            net[4], scale = self.rectified(conv_at(net, 4), scale, U8_MAX)
            self.context(model.context, y, scale)
        else:
            net[4] = predictor(conv_at(net, 4), scale, y)

    def context(self, context: Context, y: Tensor, features: Tensor) -> None:
        """Latents and u8 features to what a prior without context makes. Its last step is seen."""
        m = len(context.near.bias)
        near = s16_scale([self.seen[context.near]]).expand(m)
        context.near = IntegerConv.calibrated(context.near, y.expand(m), near, S16_MAX)
        context.mix, mixed = self.rectified(context.mix, near, S16_MAX)
        context.join, joined = self.rectified(context.join, torch.cat([mixed, features]), U8_MAX)
        context.predict = predictor(context.predict, joined, y)

    def blocks(self, modules: Iterable[nn.Module], trunk: Tensor) -> None:
        """Every Block among modules, all on one trunk scale."""
        for module in modules:
            if isinstance(module, Block):
                self.block(module, trunk)


@torch.no_grad()
def integer_twin(model: MeanScaleHyperprior, x: Tensor) -> MeanScaleHyperprior:
    """The integer form of a float model, calibrated on pictures x (n, 3, h, w) in [0, 1].

    The twin has the same forward code; its tensors between layers hold integers, pixels are 0..255,
    latents are integers of step `y`, prior outputs are (mean, scale index * INDEX_UNITS).
    """
    model = copy.deepcopy(model)
    swap = Calibration(record(model, x))
    n, one = model.config.blocks, torch.ones(1, device=x.device)
    analysis, synthesis = model.analysis, model.synthesis
    narrow, leave = n + 3, n + 3  # positions of the Convs to M latents and to pixels
    seen = swap.seen
    early = s16_scale(seen[m] for m in list(analysis)[1 : narrow - 1])
    y = s16_scale(seen[m] for m in (analysis[narrow], analysis[narrow + 1], synthesis[0]))
    late = s16_scale(seen[m] for m in list(synthesis)[1:leave] if m in seen)

    enter = conv_at(analysis, 1)
    enter.bias.sub_(0.5 * enter.weight.sum((1, 2, 3)))  # pixels come as 0..255
    conv_at(synthesis, leave).bias.add_(0.5)
    swap.linear(analysis, 1, one / U8_MAX, early, U8_MAX)
    swap.blocks(list(analysis)[:narrow], early)
    swap.linear(analysis, narrow, early, y, S16_MAX)
    swap.blocks(list(analysis)[narrow:], y)
    swap.hyper_analysis(model.hyper_analysis, y)
    swap.prior(model, y)
    swap.blocks(list(synthesis)[:1], y)
    swap.linear(synthesis, 1, y, late, S16_MAX)
    swap.blocks(list(synthesis)[1:], late)
    swap.linear(synthesis, leave, late, one / U8_MAX, S16_MAX)
    # The program clips pixels to 0..255; training does not.
    cast(IntegerConv, synthesis[leave]).saturates = False

    model.log_gain.add_(y.log())
    model.log_inverse_gain.sub_(y.log())
    units = {"pixel_offset": 0.0, "pixel_scale": 255.0, "index_step": LOG_STEP / INDEX_UNITS}
    for name, value in units.items():
        getattr(model, name).fill_(value)
    model.index_origin.fill_(math.log(SCALE_MIN)).sub_(y.log()[0])
    return model


@torch.no_grad()
def empty_twin(model: MeanScaleHyperprior) -> MeanScaleHyperprior:
    """A twin of the right shapes, for `load_state_dict` of an integer checkpoint."""
    model = copy.deepcopy(model)
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Conv):
                setattr(parent, name, IntegerConv(child, torch.ones_like(child.bias), 0))
    cast(IntegerConv, model.synthesis[model.config.blocks + 3]).saturates = False
    return model
