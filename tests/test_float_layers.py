"""Every layer of a float graph by itself: what its integers say, with each recipe."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from intnet.backends import numpy_reference
from intnet.bounds import prove
from intnet.converting import calibrate, compare, float_run, layers, recipe, sequential, weights
from intnet.converting.emit import emit
from intnet.converting.formats import Format
from intnet.converting.layers import Graph, LayerError
from intnet.converting.record import Record
from intnet.errors import BoundError, IntnetError

N = 12


def linear(kind, name, source, inputs, outputs, side=5, **settings):
    """Random weights."""
    random = torch.Generator().manual_seed(len(name) + inputs)
    kernel = torch.randn(outputs, inputs, side, side, generator=random) / (side * inputs**0.5)
    bias = 0.1 * torch.randn(outputs, generator=random)
    return kind(name, (source,), kernel, bias, padding=side // 2, **settings)


def conv(name, source, inputs=N, outputs=N, side=5, stride=2):
    return linear(layers.Conv, name, source, inputs, outputs, side, stride=stride)


def gdn(*, inverse, simplified):
    random = torch.Generator().manual_seed(3)
    beta = 0.02 + torch.rand(N, generator=random)
    gamma = 0.3 * torch.eye(N) + 0.05 * torch.rand(N, N, generator=random)
    return layers.Gdn("act", ("first",), beta, gamma, inverse, simplified)


FIRST = conv("first", "x", 3, N, 5)
LAST = conv("last", "act")
UP = linear(layers.ConvTranspose, "last", "act", N, N, stride=2, output_padding=1)
CHAINS = {
    "conv": ([conv("act", "first"), LAST], 58),
    "relu": ([layers.Relu("act", ("first",)), LAST], 58),
    "leaky": ([layers.LeakyRelu("act", ("first",), 0.1), LAST], 55),
    "abs": ([layers.Abs("act", ("first",)), LAST], 58),
    "transposed": ([layers.Relu("act", ("first",)), UP], 55),
    "gdn": ([gdn(inverse=False, simplified=False), LAST], 55),
    "igdn": ([gdn(inverse=True, simplified=False), UP], 50),
    "gdn1": ([gdn(inverse=False, simplified=True), LAST], 55),
    "igdn1": ([gdn(inverse=True, simplified=True), UP], 50),
    "shuffles": ([layers.PixelShuffle("up", ("first",), 2), conv("mid", "up", N // 4, N, 3),
                  layers.PixelUnshuffle("act", ("mid",), 2), conv("last", "act", 4 * N)], 55),
    "slices": ([layers.Slice("a", ("first",), 0, 5), layers.Slice("b", ("first",), 5, 10),
                layers.Concat("c", ("b", "a")), conv("last", "c", 10)], 55),
    "residual": ([conv("mid", "first", side=3, stride=1), layers.Add("act", ("first", "mid")),
                  LAST], 50),
}  # fmt: skip
LESS = {"mixed": 0, "w8a16": 20, "w8a8": 32}  # dB that fewer bits may cost


def result(chain, name="mixed", x=None):
    """Graph, what it became, calibration."""
    graph = Graph("test", {"x": 3}, (FIRST, *chain), (chain[-1].name,))
    if x is None:  # as pixels are
        x = torch.randint(256, (4, 3, 64, 64), generator=torch.Generator().manual_seed(1)) / 255
    record = Record(calibrate.careful(graph, recipe.named(name)))
    float_run.run(graph, {"x": x}, record)
    step = torch.full((3,), 1 / 255, dtype=torch.float64)
    return graph, emit(graph, record, recipe.named(name), {"x": Format("u8", 0, 255, step)}), x


@pytest.mark.parametrize("name", LESS)
@pytest.mark.parametrize("chain", CHAINS)
def test_integers_say_what_floats_say(chain, name):
    made_of, least = CHAINS[chain]
    graph, made, x = result(made_of, name)
    assert all(bound.bound < bound.limit for bound in prove(made.program))
    rows = compare.layers(graph, made, {"x": x[:1]}, "numpy")
    assert rows[-1].snr_db > least - LESS[name], rows
    # least squares clips a few values of 8 bits
    assert max(row.saturated for row in rows) < (0.02 if name == "w8a8" else 0.001)


def test_scale_index_follows_the_logarithm():
    """Over the whole range of scales, to a fifth of a step of 16 units."""
    index = layers.ScaleIndex("last", ("act",), 0.11, 256.0, 0.11, 0.123 / 16)
    wide = layers.Conv("act", ("first",), torch.eye(N)[:, :, None, None] * 60, torch.ones(N))
    graph, made, x = result([wide, index])
    keep = compare.Keep({})
    xs = (x[:1] * 255).round() / 255
    float_run.run(graph, {"x": xs}, keep)
    pixels = np.ascontiguousarray((xs[0] * 255).round().byte().movedim(0, -1).numpy())
    got = numpy_reference.run(made.program, {"x": pixels})[made.program.outputs[0]]
    wanted = keep.tensors["last"][0].movedim(0, -1).numpy()
    clear = wanted > 16  # below, a scale is a few units of its tensor
    assert clear.mean() > 0.3
    assert np.abs(got - wanted)[clear].max() < 16 / 4
    assert np.abs(got - wanted)[clear].mean() < 16 / 12


def test_bound_that_no_scale_repairs():
    """A bias that leaves no bits to weights which matter: layer, channel, bound and limit."""
    bias = torch.zeros(2)
    bias[1] = 2.0**30
    layer = layers.Conv("h_a.0", ("y",), torch.ones(2, 4096, 1, 1), bias)
    source = Format("s16", -32767, 32767, torch.ones(4096, dtype=torch.float64))
    out = Format("s16", -32767, 32767, torch.full((2,), 2.0**16, dtype=torch.float64))
    with pytest.raises(BoundError) as error:
        weights.quantise(layer, source, out, 16, weights.Inputs(*torch.zeros(2, 4096)))
    assert "layer 'h_a.0' (Conv), channel 1: the accumulator may reach 3.9" in str(error.value)
    assert "must stay below 2147483648; smaller scales were tried" in str(error.value)


def test_scale_shrinks_to_fit():
    """What 16 bits would overflow gets fewer, and stays within the bound."""
    layer = layers.Conv("k", ("y",), torch.ones(1, 4096, 1, 1), torch.zeros(1))
    source = Format("s16", -32767, 32767, torch.ones(4096, dtype=torch.float64))
    out = Format("s16", -32767, 32767, torch.full((1,), 4096.0, dtype=torch.float64))
    made = weights.quantise(layer, source, out, 16, weights.Inputs(*torch.zeros(2, 4096)))
    assert set(made.weight.ravel().tolist()) == {16}  # 16 * 4096 * 32767 < 2**31


def test_relu_is_the_clip_of_a_convolution():
    """It costs no operation."""
    _, made, _ = result([layers.Relu("act", ("first",)), LAST])
    assert [op.kind for op in made.program.ops] == ["conv", "conv"]


def test_tighter_recipes_make_smaller_weights():
    _, made, _ = result([conv("act", "first"), LAST], "w8a16")
    assert {op.weight.dtype.name for op in made.program.ops} == {"int8"}
    _, made, _ = result([conv("act", "first"), LAST])
    assert "int16" in {op.weight.dtype.name for op in made.program.ops}


@pytest.mark.parametrize("module, because", [
    (nn.BatchNorm2d(3), "BatchNorm2d has no integer form; supported are Conv2d"),
    (nn.Conv2d(3, 8, 3, dilation=2), "dilation"),
    (nn.Conv2d(3, 8, 3, padding=1, padding_mode="reflect"), "padding_mode 'reflect'"),
    (nn.Conv2d(3, 8, (17, 17)), "kernel 17x17, at most 15"),
    (nn.Conv2d(3, 8, 3, stride=(1, 2)), "stride (1, 2), must be one number"),
    (nn.Conv2d(4, 8, 3), "these do not fit together"),
    (nn.Conv2d(3, 8, 3, stride=9), "stride 9, must be 1..8"),
    (nn.ConvTranspose2d(3, 3, 3, groups=3), "3 groups, must be 1"),
    (nn.ConvTranspose2d(3, 3, 3, stride=2, output_padding=1), "output_padding 1, must be 0 to"),
    (nn.LeakyReLU(-1.0), "slope -1.0, must be 0..1"),
    (nn.PixelShuffle(2), "3 channels, must be a multiple of 4"),
    (nn.Identity(), "has no layers"),
])  # fmt: skip
def test_refusals_name_layer_and_cause(module, because):
    with pytest.raises(LayerError) as error:
        sequential.graph_of(nn.Sequential(module), 3)
    assert because in str(error.value)
    assert "layer0" in str(error.value) or "network" in str(error.value)


def test_nested_networks_and_signed_inputs():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Sequential(nn.Conv2d(4, 8, 3, bias=False), nn.LeakyReLU()),
                        nn.Identity(), nn.ConvTranspose2d(8, 4, 2, stride=2))  # fmt: skip
    x = torch.randn(4, 4, 16, 16)
    made = sequential.convert(net, x)
    assert made.program.inputs[0].dtype == "s16"
    integers = compare.as_integers(x[:1], made, "x")
    output = numpy_reference.run(made.program, {"x": integers})[made.program.outputs[0]]
    with torch.no_grad():
        assert compare.snr(net(x[:1]), compare.as_floats(output, made, "layer2")) > 50


@pytest.mark.parametrize("text, because", [
    ("[]", "must be an object like"),
    ("{", "not JSON"),
    ('{"*": 3}', "must be an object with any of weights"),
    ('{"*": {"weight": 8}}', "'weight', must be one of"),
    ('{"*": {"weights": 3}}', "weights 3, must be in (4, 5, 6, 7, 8, 16)"),
    ('{"*": {"balance": 2}}', "balance 2, must be in (0.0, 1.0)"),
    ('{"*": {"weights": true}}', "weights True"),
])  # fmt: skip
def test_recipes_are_checked(text, because, tmp_path):
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(IntnetError) as error:
        recipe.load(str(path))
    assert because in str(error.value)


def test_later_patterns_add_to_earlier_ones(tmp_path):
    path = tmp_path / "r.json"
    path.write_text('{"*": {"weights": 8}, "g_s.*": {"activations": 8}, "g_s.6": {"weights": 16}}')
    loaded = recipe.load(str(path))
    found = [(p.weights, p.activations) for p in map(loaded.of, ("g_a.0", "g_s.0", "g_s.6"))]
    assert found == [(8, 16), (8, 8), (16, 8)]
