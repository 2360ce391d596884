"""ONNX files that are wrong or mean harm: one clear line each, nothing else opened or run."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from onnx_parts import FLOAT, model, node, onnx, save, value

from intnet.converting import onnx_codec, onnx_graph
from intnet.errors import ModelError

W, B = np.ones((3, 3, 3, 3), np.float32), np.zeros(3, np.float32)
HALF = onnx.TensorProto.FLOAT16
CONV = ("Conv", "x w b", "y")


def conv(**attributes):
    """A convolution with attributes."""
    return model([node(*CONV, **attributes)], {"w": W, "b": B})


def upside(**attributes):
    """A transposed one."""
    return model([node("ConvTranspose", "x w b", "y", **attributes)], {"w": W, "b": B})


def one(operator, inputs="x", arrays=None, **attributes):
    """Any operator alone."""
    return model([node(operator, inputs, "y", **attributes)], arrays or {})


def chain(operator, count, **attributes):
    """Nodes one after the other, from x to y, all of the weight w."""
    names = ["x", *(f"t{k}" for k in range(1, count)), "y"]
    return [node(operator, f"{a} w", b, **attributes) for a, b in pairwise(names)]


def stored(change, arrays=None):
    """A convolution whose weight, as it is stored, is changed."""
    made = model([node(*CONV)], arrays or {"w": W, "b": B})
    change(made.graph.initializer[0])
    return made


def elsewhere(tensor):
    """Its data are in a file outside of the folder."""
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


def huge(tensor):
    """More numbers than memory."""
    tensor.ClearField("dims")
    tensor.dims.extend([2**40, 2**40, 3, 3])


def cut(tensor):
    """Less data than its shape says."""
    tensor.raw_data = tensor.raw_data[:-4]


def negative(tensor):
    """-3 * -3 is 9 too."""
    tensor.dims[0] = tensor.dims[1] = -3


def kind(tensor):
    """A type that there is not."""
    tensor.data_type = 99


def twice(made):
    """An attribute given twice."""
    made.graph.node[0].attribute.append(onnx.helper.make_attribute("strides", [2, 2]))
    return made


def reference(made):
    """An attribute of a function around it."""
    made.graph.node[0].attribute[0].ref_attr_name = "of_a_function"
    return made


def function(made):
    """A function that gives Conv another meaning."""
    opset = [onnx.helper.make_opsetid("", 20)]
    made.functions.append(onnx.helper.make_function(
        "", "Conv", ["a", "b", "c"], ["d"], [node("Add", "a c", "d")], opset))  # fmt: skip
    return made


def same_names(made):
    """Two weights of one name."""
    made.graph.initializer[1].name = "w"
    return made


LOOP = onnx.helper.make_graph([], "body", [], [])
NUMBERS = {"zero": np.float32(0), "one": np.float32(1), "c": np.ones((1, 3, 1, 1), np.float32)}
BAD = {
    "operator": (one("Softmax"), "'layer0' (node 'y', operator Softmax): has no integer form; sup"),
    "newlines": (one("Soft\nmax\n" * 99), r"operator 'Soft\nmax"),
    "batch-norm": (one("BatchNormalization"), "fold it into the convolution before it"),
    "custom-domain": (one("Conv", "x w", {"w": W}, domain="com.evil"), "operator com.evil.Conv"),
    "loop": (one("Loop", body=LOOP), "operator Loop): has no integer form"),
    "function": (function(conv()), "functions of its own, ['Conv']; inline them"),
    "attribute": (conv(surprise=1), "attribute 'surprise' is not supported; export without it"),
    "attribute-type": (conv(group=1.5), "group 1.5, must be of type int"),
    "attribute-floats": (conv(strides=[1.0, 1.0]), "strides [1.0, 1.0], must be one number"),
    "attribute-twice": (twice(conv(strides=[1, 1])), "no attribute twice"),
    "attribute-reference": (reference(conv(strides=[1, 1])), "cannot be read"),
    "stride-pair": (conv(strides=[1, 2]), "strides [1, 2], must be one number for all sides"),
    "stride": (conv(strides=[9, 9]), "stride 9, must be 1..8"),
    "stride-0": (conv(strides=[0, 0]), "stride 0, must be 1..8"),
    "group-0": (conv(group=0), "group 0, must be 1 or more"),
    "pads": (conv(pads=[0, 0, 1, 1]), "pads [0, 0, 1, 1], must be one number"),
    "pads-huge": (conv(pads=[2**40] * 4), "padding 1099511627776, must be 0..64"),
    "pads-negative": (conv(pads=[-1] * 4), "padding -1, must be 0..64"),
    "auto-pad": (conv(auto_pad="SAME_UPPER"), "auto_pad b'SAME_UPPER', must be b'NOTSET'"),
    "dilations": (conv(dilations=[2, 2]), "dilations 2, must be 1; a larger kernel"),
    "kernel-shape": (conv(kernel_shape=[5, 5]), "kernel_shape [5, 5], must be [3, 3]"),
    "transposed-groups": (upside(group=3), "group 3, must be 1; use as many convolutions"),
    "output-shape": (upside(output_shape=[9, 9]), "attribute 'output_shape' is not supported"),
    "output-padding": (upside(output_padding=[1, 1], strides=[2, 2]), "output_padding 1, must be"),
    "order": (one("DepthToSpace", blocksize=2), "mode b'DCR', must be b'CRD'; reorder the chan"),
    "block": (one("DepthToSpace", blocksize=2, mode="CRD"), "3 channels, must be a multiple of 4"),
    "block-0": (one("DepthToSpace", blocksize=0, mode="CRD"), "factor 0, must be 1..16"),
    "slope": (one("LeakyRelu", alpha=float("nan")), "slope nan, must be 0..1"),
    "relu6": (one("Clip", "x zero one", NUMBERS), "must be from 0 up without a greatest value"),
    "clip": (one("Clip", "x one", NUMBERS), "must be from 0 up without a greatest value"),
    "add-constant": (one("Add", "x c", NUMBERS), "input 'c' is a constant, must be made by the"),
    "concat-axis": (one("Concat", "x x", axis=2), "axis 2, must be 1; only channels are joined"),
    "no-inputs": (model([onnx.helper.make_node("Relu", [], ["y"])], {}), "0 inputs, must be 1..1"),
    "unmade": (one("Relu", "z"), "input 'z' is not made before it"),
    "cycle": (model([node("Relu", "b", "a"), node("Relu", "a", "b"), node("Relu", "b", "y")], {}),
              "input 'b' is not made before it"),
    "made-twice": (model([node("Relu", "x", "y"), node("Abs", "x", "y")], {}), "makes 'y', which"),
    "over-weight": (model([node("Relu", "x", "w"), node(*CONV)], {"w": W, "b": B}), "makes 'w'"),
    "same-names": (same_names(conv()), "initializers of the same name"),
    "unread": (model([node("Abs", "x", "z"), node("Relu", "x", "y")], {}), "nothing reads it"),
    "unmade-output": (model([node("Relu", "x", "z")], {}), "output 'y': no node makes it"),
    "empty": (model([], {}, outputs=("x",)), "has no layers"),
    "dynamic-weights": (model([node("Abs", "x", "v"), node("Conv", "x v", "y")], {}),
                        "input 'v' is no constant of the file, must be one; export with constant"),
    "given-weights": (model([node(*CONV)], {"b": B}, inputs=("x", "w")),
                      "inputs ['x', 'w'], must be one; export each network by itself"),
    "two-outputs": (model([node("Relu", "x", "y"), node("Abs", "y", "z")], {}, outputs=("y", "z")),
                    "outputs ['y', 'z'], must be one"),
    "channels": (model([node(*CONV)], {"w": W, "b": B}, inputs=(value("x", 4),)),
                 "input 'x': 4 channels, must be 3"),
    "half": (model([node("Relu", "x", "y")], {}, inputs=(value("x", kind=HALF),)),
             "input 'x': FLOAT16, must be FLOAT; export the model in float32"),
    "axes": (model([node("Relu", "x", "y")], {}, inputs=(
        onnx.helper.make_tensor_value_info("x", FLOAT, [1, 3]),)), "input 'x': 2 axes, must be 4"),
    "opset-old": (model([node("Relu", "x", "y")], {}, opset=9), "opset 9, must be 11..28"),
    "opset-new": (model([node("Relu", "x", "y")], {}, opset=999), "opset 999, must be 11..28"),
    "nodes": (model([node("Relu", "x", "y")] * 1025, {}), "1025 nodes, at most 1024"),
    "external": (stored(elsewhere), "its data are in another file, which is never opened"),
    "huge": (stored(huge), "shape (1099511627776, 1099511627776, 3, 3), must be 1 to 67108864"),
    "cut": (stored(cut), "shape (3, 3, 3, 3), but other data"),
    "negative": (stored(negative), "shape (-3, -3, 3, 3), must be 1 to"),
    "type": (stored(kind), "constant 'w': type 99, must be FLOAT"),
    "double": (one("Conv", "x w", {"w": W.astype(np.float64)}), "constant 'w': DOUBLE, must be"),
    "integers": (one("Conv", "x w", {"w": W.astype(np.int64)}), "constant 'w': INT64, must be"),
    "one-axis": (one("ConvTranspose", "x b", {"b": B}), "a weight of 1 axes, must be 4"),
    "scalar": (one("Conv", "x zero", NUMBERS), "a weight of 0 axes, must be 4"),
    "nan": (one("Conv", "x w", {"w": W * np.nan}), "weight is nan at [0, 0, 0, 0]"),
    "bias": (one("Conv", "x w b", {"w": W, "b": B[:2]}), "bias of shape (2,), must be (3,)"),
    "kernel": (one("Conv", "x w", {"w": np.ones((3, 3, 17, 17), np.float32)}), "kernel 17x17"),
    "inputs": (one("Conv", "x w", {"w": W[:, :2]}), "these do not fit together"),
    "constant-text": (model([onnx.helper.make_node("Constant", [], ["k"], value_string="a"),
                             node("Relu", "x", "y")], {}), "['value_string'], must be a value"),
    "constant-number": (model([onnx.helper.make_node("Constant", [], ["k"], value=7),
                               node("Conv", "x k", "y")], {}), "constant 'k': a int, must be a"),
}  # fmt: skip


def refusal(path, because):
    """One line that names the file."""
    with pytest.raises(ModelError) as error:
        onnx_graph.graph_of(path, 3)
    line = str(error.value)
    assert because in line
    assert line.startswith(f"{path}: ") and len(line.splitlines()) == 1 and len(line) < 600


@pytest.mark.parametrize("name", BAD)
def test_graphs_are_refused(name, tmp_path):
    made, because = BAD[name]
    refusal(save(made, tmp_path / "bad.onnx"), because)


@pytest.mark.parametrize("made", [conv(), conv(strides=[2, 2], pads=[1] * 4), one("Relu"),
                                  upside(strides=[2, 2]), one("Abs")])  # fmt: skip
def test_good_ones_are_not(made, tmp_path):
    """What others are made from has nothing to refuse."""
    assert len(onnx_graph.graph_of(save(made, tmp_path / "good.onnx"), 3).layers) == 1


@pytest.mark.parametrize("data", [b"", b"hello", bytes(1000), conv().SerializeToString()[:-90],
                                  b"\x3a" * 9999],
                         ids=["empty", "text", "zeros", "cut", "deep"])  # fmt: skip
def test_other_files_are_refused(data, tmp_path):
    path = tmp_path / "bad.onnx"
    path.write_bytes(data)
    refusal(path, "not an ONNX file" if data else "opset 0, must be 11..28")


def test_a_large_file_is_not_read(tmp_path):
    path = tmp_path / "bad.onnx"
    with path.open("wb") as file:
        file.truncate(2**27 + 1)
    refusal(path, "134217729 bytes, at most 134217728")


def test_shared_weights_count_for_each_layer(tmp_path, monkeypatch):
    """A small file may not become large by naming its weights often."""
    monkeypatch.setattr(onnx_graph, "MAX_ALL", 3 * W.size)
    made = model(chain("Conv", 4), {"w": W})
    refusal(save(made, tmp_path / "bad.onnx"), "324 weights in all, at most 243")


def test_growing_sizes_are_refused_before_they_are_made(tmp_path):
    """Ten times eight-fold is more than any memory."""
    w = np.ones((3, 3, 8, 8), np.float32)
    path = save(model(chain("ConvTranspose", 10, strides=[8, 8]), {"w": w}), tmp_path / "bad.onnx")
    with pytest.raises(ModelError, match=r"'layer3' .* at most 1073741824 numbers; calibrate with"):
        onnx_graph.convert(path, torch.rand(1, 3, 16, 16))


def test_inputs_that_are_too_small_name_the_layer(tmp_path):
    path = save(conv(), tmp_path / "net.onnx")
    with pytest.raises(ModelError, match=r"layer 'layer0' \(Conv\): inputs \[\(1, 3, 2, 2\)\]: "):
        onnx_graph.convert(path, torch.rand(1, 3, 2, 2))


def test_changed_bytes_give_a_graph_or_a_refusal(tmp_path):
    """Nothing but ModelError, whatever a byte becomes."""
    random = np.random.default_rng(0)
    good = np.frombuffer(conv(strides=[2, 2], pads=[1] * 4).SerializeToString(), np.uint8)
    path, refused = tmp_path / "net.onnx", 0
    for _ in range(400):
        data = good.copy()
        places = random.integers(len(data), size=random.integers(1, 4))
        data[places % 160 if random.random() < 0.7 else places] = random.integers(256)
        path.write_bytes(data.tobytes())
        try:
            onnx_graph.graph_of(path, 3)
        except ModelError:
            refused += 1
    assert 50 < refused < 400


DENSITY = {
    "entropy_bottleneck.quantiles": torch.zeros(3, 1, 3),
    "entropy_bottleneck.matrices.0": torch.ones(3, 1, 1),
    "entropy_bottleneck.biases.0": torch.zeros(3, 1, 1),
}


def folder(place, files, density=DENSITY):
    """A codec of models by name."""
    for name, made in files.items():
        save(made, place / f"{name}.onnx")
    if density:
        torch.save(density, place / "density.pth")
    return place


WIDE = one("Conv", "x w", {"w": np.ones((5, 3, 3, 3), np.float32)})
FOUR = {name: conv() for name in onnx_codec.PREFIXES}
FOLDERS = {
    "nothing": ({}, DENSITY, "networks [], must be ['analysis', 'synthesis'] or all of"),
    "one": ({"analysis": conv()}, DENSITY, "networks ['analysis'], must be"),
    "no-prior": ({**FOUR, "prior": None}, DENSITY, "['analysis', 'hyper_analysis', 'synthesis']"),
    "no-density": (FOUR, None, "0 files of density.safetensors and density.pth, must be one"),
    "density": (FOUR, {"a": torch.ones(1)}, "density.pth: tensor 'entropy_bottleneck.quant"),
    "prior": ({**FOUR, "prior": WIDE}, DENSITY, "prior.onnx: 5 channels, must be 3 scales, or 6:"),
    "pixels": ({**FOUR, "synthesis": WIDE}, DENSITY, "synthesis.onnx: 5 channels of pixels, must"),
    "z": ({**FOUR, "hyper_analysis": WIDE}, DENSITY, "hyper_analysis.onnx: layer 'h_a.0': its"),
    "last": ({**FOUR, "hyper_analysis": one("Abs")}, DENSITY, "hyper_analysis.onnx: layer 'h_a.0'"),
    "layer": ({**FOUR, "analysis": one("Tanh")}, DENSITY, "analysis.onnx: layer 'g_a.0' (node 'y'"),
}  # fmt: skip


@pytest.mark.parametrize("name", FOLDERS)
def test_folders_are_refused(name, tmp_path):
    files, density, because = FOLDERS[name]
    folder(tmp_path, {key: made for key, made in files.items() if made is not None}, density)
    with pytest.raises(ModelError) as error:
        onnx_codec.float_codec(tmp_path)
    assert because in str(error.value) and str(error.value).startswith(str(tmp_path))
    assert len(str(error.value).splitlines()) == 1


def test_a_good_folder_is_not(tmp_path):
    """What others are made from: scales alone."""
    assert onnx_codec.float_codec(folder(tmp_path, FOUR)).name == "onnx-scale"


def test_a_folder_with_two_densities(tmp_path):
    """Which one is meant is not guessed."""
    folder(tmp_path, FOUR)
    (tmp_path / "density.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="2 files of density"):
        onnx_codec.float_codec(tmp_path)
