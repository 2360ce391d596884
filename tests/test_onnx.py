"""ONNX files become what the same layers become otherwise, to the last bit."""

from __future__ import annotations

import sys
import warnings

import compressai_models
import numpy as np
import pytest
import torch
from cli_parts import refused
from onnx_parts import assert_equal, constants, model, node, onnx, save
from torch import nn

from intnet import model_file
from intnet.backends import numpy_reference
from intnet.converting import (
    calibrate,
    compare,
    compressai,
    convert_file,
    integer_model,
    layers,
    onnx_codec,
    onnx_file,
    onnx_graph,
    recipe,
    sequential,
)
from intnet.converting.layers import Graph, LayerError
from intnet.errors import IntnetError

M, N = compressai_models.M, compressai_models.N


def exported(network, channels, path):
    """By torch's exporter that needs no other package."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated
        torch.onnx.export(network.eval(), torch.zeros(1, channels, 64, 64), path, dynamo=False)
    return path


def every_layer():
    """Every module that torch exports as one supported operator."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(4, 8, 5, stride=2, padding=2),
        nn.LeakyReLU(),
        nn.Conv2d(8, 8, 3, padding=1, groups=2, bias=False),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 12, 5, stride=2, padding=2, output_padding=1),
        nn.LeakyReLU(0.2),
        nn.PixelShuffle(2),
        nn.Conv2d(3, 3, (3, 1)),
    )


@pytest.mark.parametrize("name", ["mixed", "w8a16", "w8a8"])
def test_an_export_becomes_what_its_sequential_becomes(name, tmp_path):
    """Names, weights, multipliers and shifts."""
    network = every_layer()
    path = exported(network, 4, tmp_path / "net.onnx")
    x = torch.randn(2, 4, 24, 24)
    a = sequential.convert(network, x, recipe_name=name)
    b = onnx_graph.convert(path, x, recipe_name=name)
    assert_equal(a.program, b.program)
    assert a.tensors == b.tensors
    assert b.program.ops[0].name == "layer0"


def test_programs_that_differ_are_told_apart(tmp_path):
    """The comparison itself: one weight in the last place that counts."""
    network = every_layer()
    x = torch.randn(2, 4, 24, 24)
    a = sequential.convert(network, x)
    with torch.no_grad():
        network[0].weight.view(-1)[7] *= 1.01
    b = onnx_graph.convert(exported(network, 4, tmp_path / "net.onnx"), x)
    with pytest.raises(AssertionError):
        assert_equal(a.program, b.program)


def residual(path):
    """Two branches, their sum, |sum| beside it, and the long forms of rectifier and constant."""
    random = np.random.default_rng(0)
    w = random.normal(size=(4, 3, 3, 3)).astype(np.float32)
    v, b = random.normal(size=(4, 4, 1, 1)).astype(np.float32), np.float32([0.1, 0.2, 0.3, 0.4])
    nodes = [
        onnx.helper.make_node("Constant", [], ["v"], value=constants(v=v)[0]),
        node("Conv", "x w", "a", pads=[1, 1, 1, 1]),
        node("Clip", "a zero", "r"),
        node("Identity", "r", "same"),
        node("Conv", "same v b", "c"),
        node("Add", "c a", "sum"),
        node("Abs", "sum", "m"),
        node("Concat", "sum m", "y", axis=1),
    ]
    made = model(nodes, {"w": w, "b": b, "zero": np.float32(0)}, outputs=("y",))
    hand = Graph("network", {"x": 3}, (
        layers.Conv("layer0", ("x",), torch.from_numpy(w), torch.zeros(4), 1, 1),
        layers.Relu("layer1", ("layer0",)),
        layers.Conv("layer3", ("layer1",), torch.from_numpy(v), torch.from_numpy(b)),
        layers.Add("layer4", ("layer3", "layer0")),
        layers.Abs("layer5", ("layer4",)),
        layers.Concat("layer6", ("layer4", "layer5")),
    ), ("layer6",))  # fmt: skip
    return save(made, path), hand


def test_a_graph_with_branches(tmp_path):
    """As the layers written by hand; integers say what floats say."""
    path, hand = residual(tmp_path / "net.onnx")
    x = torch.rand(2, 3, 24, 24)
    made = onnx_graph.convert(path, x, pixels=True)
    assert_equal(made.program, sequential.convert_graph(hand, x, pixels=True).program)
    integers = np.random.default_rng(1).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    output = numpy_reference.run(made.program, {"x": integers})[made.program.outputs[0]]
    z = torch.from_numpy(integers).movedim(-1, 0)[None] / 255
    a = torch.conv2d(z, hand.layers[0].kernel, padding=1)
    total = torch.conv2d(a.relu(), hand.layers[2].kernel, hand.layers[2].bias) + a
    wanted = torch.cat([total, total.abs()], 1)
    assert compare.snr(wanted, compare.as_floats(output, made, "layer6")) > 50


def chain(kind, places, state, prefix):
    """Convolutions (place, stride) of a state dict with an activation between."""
    made = []
    for at, stride in places:
        weight, bias = state[f"{prefix}.{at}.weight"], state[f"{prefix}.{at}.bias"]
        up = stride == 2 and prefix.endswith("_s")
        n, i = weight.shape[:2][:: -1 if up else 1]
        side = weight.shape[2]
        layer = (nn.ConvTranspose2d(i, n, side, 2, side // 2, 1) if up
                 else nn.Conv2d(i, n, side, stride, side // 2))  # fmt: skip
        layer.load_state_dict({"weight": weight, "bias": bias})
        made += [layer, kind()]
    return nn.Sequential(*made[:-1])


TRANSFORM = ((0, 2), (2, 2), (4, 2), (6, 2))
HYPER = {"hyper_analysis": ("h_a", ((0, 1), (2, 2), (4, 2))),
         "prior": ("h_s", ((0, 2), (2, 2), (4, 1)))}  # fmt: skip


def folder_of(state, folder, *, hyper=False):
    """A codec in ONNX files, all but its density."""
    folder.mkdir()
    for name, prefix in (("analysis", "g_a"), ("synthesis", "g_s")):
        net = chain(nn.ReLU, TRANSFORM, state, prefix)
        exported(net, 3 if name == "analysis" else M, folder / f"{name}.onnx")
    for name, (prefix, places) in HYPER.items() if hyper else ():
        net = chain(nn.LeakyReLU, places, state, prefix)
        exported(net, M if name == "hyper_analysis" else N, folder / f"{name}.onnx")
    torch.save(state, folder / "density.pth")
    return folder


def converted(floats, pictures):
    """The bytes of a model file."""
    chosen = recipe.named("mixed")
    records = calibrate.record(floats, calibrate.crops(pictures, 2), lambda: None, chosen)
    made = integer_model.convert(floats, records, chosen, {"name": "test"})
    return model_file.to_bytes(made.model)


@pytest.fixture
def pictures(picture):
    """One of (64, 64, 3)."""
    return [np.tile(picture, (2, 2, 1))[:64, :64]]


def test_a_codec_becomes_the_same_file(tmp_path, pictures):
    """As the state dict of CompressAI that its networks come from, byte for byte."""
    state = compressai_models.state("bmshj2018-factorized-relu")
    floats = onnx_codec.float_codec(folder_of(state, tmp_path / "codec"))
    assert converted(floats, pictures) == converted(compressai.float_codec(state), pictures)


def test_a_hyperprior_has_the_same_networks(tmp_path):
    """As CompressAI's, but for the transforms, which have GDN there."""
    state = compressai_models.state("mbt2018-mean")
    floats = onnx_codec.float_codec(folder_of(state, tmp_path / "codec", hyper=True))
    theirs = compressai.float_codec(state)
    assert floats.name == "onnx-mean-scale"
    for name in HYPER:
        a, b = floats.graphs[name], theirs.graphs[name]
        assert (a.inputs, a.outputs) == (b.inputs, b.outputs)
        assert [(type(layer), layer.name, layer.inputs) for layer in a.layers] == [
            (type(layer), layer.name, layer.inputs) for layer in b.layers
        ]
        for one, other in zip(a.layers, b.layers, strict=True):
            for key, got in vars(one).items():
                want = vars(other)[key]
                assert torch.equal(got, want) if isinstance(got, torch.Tensor) else got == want


def test_a_folder_is_a_checkpoint(tmp_path):
    """Of the command, which docs/onnx.md runs to the end; what is for others is refused."""
    folder = folder_of(compressai_models.state("mbt2018-mean"), tmp_path / "codec", hyper=True)
    assert not convert_file.is_ours(folder)
    floats = convert_file.load(folder)
    metadata = convert_file.metadata(floats, recipe.named("w8a8"), convert_file.Labels("m"))
    assert metadata["architecture"] == "onnx-mean-scale"
    refused("convert", folder, "-o", tmp_path / "m.inm", "--architecture", "mbt2018",
            because=f"{folder}: a folder of ONNX files; --architecture is for")  # fmt: skip


def test_what_is_missing_is_said(monkeypatch, tmp_path):
    """Without the package."""
    path, _ = residual(tmp_path / "net.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(IntnetError, match=r"need the extra onnx: pip install 'intnet\[onnx\]'"):
        onnx_graph.graph_of(path, 3)


def test_branches_of_other_sizes_are_refused():
    """A sum broadcasts in torch; integers do not."""
    kernel, bias = torch.ones(3, 3, 3, 3), torch.zeros(3)
    graph = Graph("g", {"x": 3}, (layers.Conv("a", ("x",), kernel, bias),
                                  layers.Add("b", ("a", "x"))), ("b",))  # fmt: skip
    with pytest.raises(LayerError, match=r"'b' \(Add\): inputs .*must be of one shape"):
        sequential.convert_graph(graph, torch.rand(1, 3, 3, 3))


def test_the_newest_operators_are_those_looked_at():
    """An operator of a later opset may mean something else."""
    for operator in onnx_graph.MAKE:
        assert onnx.defs.get_schema(operator).since_version <= onnx_file.MAX_OPSET
