"""Weights, bias and requantisation of a convolution as integers that the proof accepts."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor

from intnet.bounds import ACC_LIMIT
from intnet.converting import rounding
from intnet.converting.formats import Format
from intnet.converting.layers import ConvTranspose, Linear
from intnet.converting.record import Record
from intnet.converting.rounding import window
from intnet.errors import BoundError
from intnet.program import Array

MULTIPLIER_BITS = 30  # multipliers fill 2**30 <= m < 2**31: ratios to 9 digits
FEWEST_LEVELS = 2.0  # weights of fewer levels mean nothing
NOTICED = 2.0**-12  # of the bias: weights that move an output by less may be lost
GROWTH, TRIES = 1.002, 400  # for what rounding adds
Float = npt.NDArray[np.float64]


class Integers(NamedTuple):
    """Tensors of a Conv or ConvTranspose."""

    weight: Array
    bias: Array
    multiplier: Array
    shift: Array


def ratios(values: Float) -> tuple[Array, Array]:
    """multiplier, shift: s32 with multiplier / 2**shift = value, to 30 bits where shift <= 62.

    values: (C,), each in 0 < value < 2**30.

    >>> [int(x[0]) for x in ratios(np.array([0.75]))]
    [1610612736, 31]
    """
    pairs = []
    for value in values.tolist():
        shift = min(62, max(1, MULTIPLIER_BITS - math.floor(math.log2(value))))
        multiplier = round(value * 2.0**shift)
        if multiplier == 2**31:
            multiplier, shift = multiplier >> 1, shift - 1
        pairs.append((max(1, multiplier), shift))
    multiplier_row, shift_row = np.array(pairs, np.int32).T
    return np.ascontiguousarray(multiplier_row), np.ascontiguousarray(shift_row)


def numbers(tensor: Tensor) -> Float:
    """float64."""
    array: Float = tensor.detach().double().cpu().numpy()
    return array


def scaled_kernel(layer: Linear, step: Tensor) -> Float:
    """Weights per integer of the input: (N, KY, KX, I / groups)."""
    kernel, per_group = numbers(layer.kernel), layer.kernel.shape[1]
    steps = numbers(step).reshape(layer.groups, 1, per_group, 1, 1)
    grouped = kernel.reshape(layer.groups, -1, *kernel.shape[1:]) * steps
    return np.ascontiguousarray(grouped.reshape(kernel.shape).transpose(0, 2, 3, 1))


class Inputs(NamedTuple):
    """What calibration saw of inputs: means per channel; `rounding.moment`, None for nearest.

    mean: of the float values. coded: of what their integers say, which is another mean where many
    small values become 0.
    """

    mean: Tensor
    coded: Tensor
    moment: Tensor | None = None


def inputs(layer: Linear, record: Record, source: Format) -> Inputs:
    """Of a layer that reads integers of a format."""
    seen = record.seen[layer.inputs[0]]
    coded = source.nearest(seen.samples.double().T).mean(0)
    return Inputs(seen.mean, coded, record.moments.get(layer.name))


def quantise(layer: Linear, source: Format, out: Format, bits: int, inputs: Inputs) -> Integers:
    """The integer form of a layer from one format to another.

    bits: of weights, at most 8, or 16 for as many as the proof leaves. The means of inputs move the
    bias by what rounded weights and inputs are off on the average. Raises BoundError naming layer,
    channel, bound and limit where the bound fails though weights are as small as they may be.
    """
    h, real_bias = scaled_kernel(layer, source.step), numbers(layer.bias)
    most = float(2 ** (bits - 1) - 1)
    peak = np.abs(h).max((1, 2, 3))
    reach = np.abs(h).sum((1, 2, 3)) * source.magnitude
    unit = step_of(peak / most, np.abs(real_bias), reach, numbers(out.step))
    weight, bias = rounded(layer, h, real_bias, unit, source, inputs)
    for _ in range(TRIES):
        over = bound(weight, bias, source) >= ACC_LIMIT
        if not over.any():
            break
        unit = np.where(over, unit * GROWTH, unit)
        weight, bias = rounded(layer, h, real_bias, unit, source, inputs)
    seen = np.maximum(numbers(out.step), np.abs(real_bias) * NOTICED)
    lost = (peak / unit < FEWEST_LEVELS) & (reach >= seen)
    lost |= bound(weight, bias, source) >= ACC_LIMIT
    if lost.any():
        c = int(lost.argmax())
        wanted = most * (np.abs(real_bias[c]) + reach[c]) / peak[c]
        raise overflow(layer, c, float(wanted), float(peak[c] / unit[c]))
    if inputs.moment is not None:
        weight, bias = compensated(layer, h, real_bias, unit, source, inputs, most, (weight, bias))
    multiplier, shift = ratios(unit / numbers(out.step))
    dtype = np.int8 if np.abs(weight).max(initial=0) <= 127 else np.int16
    return Integers(weight.astype(dtype), bias.astype(np.int32), multiplier, shift)


def step_of(finest: Float, bias: Float, reach: Float, out: Float) -> Float:
    """What one unit of each accumulator stands for: at least `finest`, and |bias| and reach fit.

    Clipped to a ratio to the output's step that requantisation can express.
    """
    unit = np.maximum.reduce([finest, (bias + reach) / ACC_LIMIT, bias / (ACC_LIMIT // 2)])
    clipped: Float = np.clip(unit, out * 2.0**-31, out * 2.0**29)
    return clipped


def rounded(
    layer: Linear, h: Float, bias: Float, unit: Float, source: Format, inputs: Inputs
) -> tuple[Array, Array]:
    """Integer weights, to the nearest, and bias."""
    weight = np.rint(h / unit[:, None, None, None])
    return weight.astype(np.int64), corrected(layer, h, weight, bias, unit, source, inputs)


def compensated(
    layer: Linear, h: Float, bias: Float, unit: Float, source: Format, inputs: Inputs, most: float,
    nearest: tuple[Array, Array],
) -> tuple[Array, Array]:  # fmt: skip
    """The same with errors carried on; `nearest` in channels where the bound would fail."""
    assert inputs.moment is not None
    taps = window(layer) ** 2
    step = np.repeat(numbers(source.step), taps)
    moment = numbers(inputs.moment) / np.outer(step, step)
    target = (h / unit[:, None, None, None]).transpose(0, 3, 1, 2)
    weight = rounding.compensated(layer, target, moment, most).transpose(0, 2, 3, 1)
    made = corrected(layer, h, weight, bias, unit, source, inputs)
    over = bound(weight, made, source) >= ACC_LIMIT
    weight = np.where(over[:, None, None, None], nearest[0], weight)
    return weight.astype(np.int64), np.where(over, nearest[1], made)


def corrected(
    layer: Linear, h: Float, weight: Float, bias: Float, unit: Float, source: Format,
    inputs: Inputs,
) -> Array:  # fmt: skip
    """The bias less what weights and inputs are off on the average."""

    def sums(kernel: Float, mean: Tensor) -> Float:
        """Of a kernel (N, KY, KX, I / groups) on inputs that are their means everywhere, (N,)."""
        taps = kernel.sum((1, 2)).reshape(layer.groups, -1, kernel.shape[3])
        seen = numbers(mean) / numbers(source.step)
        total: Float = (taps @ seen.reshape(layer.groups, -1, 1)).reshape(-1)
        return total

    error = sums(weight * unit[:, None, None, None], inputs.coded) - sums(h, inputs.mean)
    if isinstance(layer, ConvTranspose):
        error = error / layer.stride**2  # an output sees one tap of so many
    whole: Array = np.rint((bias - error) / unit).astype(np.int64)
    return whole


def bound(weight: Array, bias: Array, source: Format) -> Float:
    """What `bounds.linear` will find, per channel."""
    sums = np.abs(weight).reshape(len(weight), -1).sum(1)
    total: Float = (np.abs(bias) + sums * source.magnitude).astype(np.float64)
    return total


def overflow(layer: Linear, channel: int, wanted: float, levels: float) -> BoundError:
    """What no scale repairs. wanted: the bound with all bits of the weights."""
    return BoundError(
        f"layer {layer.name!r} ({type(layer).__name__}), channel {channel}: the accumulator may "
        f"reach {wanted:.4g}, must stay below {ACC_LIMIT}; smaller scales were tried and leave "
        f"weights of {levels:.1g} levels; a bias like that of other channels, or activations of 8 "
        "bits in the recipe, may help"
    )
