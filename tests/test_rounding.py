"""Rounding that carries its errors on: whole numbers, and less error where inputs are alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from intnet.converting import rounding, weights
from intnet.converting.formats import Format
from intnet.converting.layers import Conv, ConvTranspose
from intnet.converting.record import Record, Seen

LESS = {Conv: 0.3, ConvTranspose: 0.45}


def layer_and_inputs(kind):
    """Random weights of a few levels, inputs that are alike."""
    random = torch.Generator().manual_seed(0)
    one = F.avg_pool2d(torch.randn(4, 1, 40, 40, generator=random), 5, 1) * 5
    smooth = torch.cat([one.roll((k, 2 * k), (2, 3)) for k in range(6)], 1)  # no mirror symmetry
    smooth += 0.1 * torch.randn(smooth.shape, generator=random)
    kernel = torch.randn(8, 6, 5, 5, generator=random) * 3
    settings = {"output_padding": 1} if kind is ConvTranspose else {}
    return kind("k", ("x",), kernel, torch.zeros(8), 2, 2, **settings), smooth


def outputs(layer, kernel, x):
    kernel = torch.from_numpy(kernel).float()
    if isinstance(layer, ConvTranspose):
        return F.conv_transpose2d(x, kernel.transpose(0, 1), None, 2, 2, 1)
    return F.conv2d(x, kernel, None, 2, 2)


@pytest.mark.parametrize("kind", [Conv, ConvTranspose])
def test_less_error_than_to_the_nearest(kind):
    layer, x = layer_and_inputs(kind)
    generator = torch.Generator().manual_seed(1)
    moments = sum(rounding.moment(layer, x, generator) for _ in range(8)).double().numpy()
    target = layer.kernel.double().numpy()
    whole = rounding.compensated(layer, target, moments, 127.0)
    assert np.array_equal(whole, np.rint(whole))
    ideal = outputs(layer, target, x)
    errors = [
        float((outputs(layer, k, x) - ideal).square().mean()) for k in (whole, np.rint(target))
    ]
    assert errors[0] < LESS[kind] * errors[1]


def test_limit_is_kept():
    """No weight leaves -top..top."""
    target = np.array([[9.7, -9.6, 3.2]])
    whole = rounding.carried(target, np.eye(3) + 0.5, 8.0)
    assert whole[0, :2].tolist() == [8, -8]
    assert np.abs(whole).max() <= 8


def test_independent_inputs_change_nothing():
    target = np.random.default_rng(0).normal(0, 20, (5, 70))
    assert np.array_equal(rounding.carried(target, np.eye(70), 127.0), np.rint(target))


def test_bias_takes_what_weights_are_off_on_the_average():
    """Inputs of a mean far from zero: outputs keep theirs."""
    layer, x = layer_and_inputs(Conv)
    x = x.abs() + 5
    kernel, mean = layer.kernel.double(), x.double().mean((0, 2, 3))
    source = Format("s16", -32767, 32767, torch.full((6,), 1e-3, dtype=torch.float64))
    out = Format("s16", -32767, 32767, torch.full((8,), 0.05, dtype=torch.float64))
    made = weights.quantise(layer, source, out, 8, weights.Inputs(mean, mean))
    ratio = made.multiplier / 2.0**made.shift * 0.05
    whole = made.weight.transpose(0, 3, 1, 2) * ratio[:, None, None, None] / 1e-3
    means = mean.numpy()[:, None, None]
    ideal = (kernel.numpy() * means).sum((1, 2, 3))
    off = (whole * means).sum((1, 2, 3)) - ideal
    assert np.abs(off).max() > 1
    assert np.abs(off + made.bias * ratio).max() < 0.01


def test_masked_weights_stay_zero():
    """A mask is part of a kernel: no error is carried to where it forbids weights."""
    layer, x = layer_and_inputs(Conv)
    moments = rounding.moment(layer, x, torch.Generator().manual_seed(1)).double().numpy()
    target = layer.kernel.double().numpy()
    target.reshape(8, 6, 25)[:, :, 12:] = 0
    whole = rounding.compensated(layer, target, moments, 127.0)
    assert not whole.reshape(8, 6, 25)[:, :, 12:].any()
    assert not np.array_equal(whole, np.rint(target))


def test_bias_takes_what_rounded_inputs_are_off_on_the_average():
    """Many small values below half a step become 0: outputs keep their mean."""
    layer, _ = layer_and_inputs(Conv)
    samples = torch.rand(6, 1000, generator=torch.Generator().manual_seed(2)).double() * 0.4
    record = Record(seen={"x": Seen(samples.amin(1), samples.amax(1), samples)})
    source = Format("s8", -127, 127, torch.ones(6, dtype=torch.float64))
    out = Format("s16", -32767, 32767, torch.full((8,), 0.001, dtype=torch.float64))
    seen = weights.inputs(layer, record, source)
    assert not seen.coded.any()
    made = weights.quantise(layer, source, out, 8, seen)
    ideal = (layer.kernel.double().sum((2, 3)) @ samples.mean(1) + layer.bias.double()).numpy()
    ratio = made.multiplier / 2.0**made.shift * 0.001
    assert np.abs(made.bias * ratio - ideal).max() < 0.01 * np.abs(ideal).max()
