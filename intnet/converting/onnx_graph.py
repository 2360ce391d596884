"""An ONNX graph of supported operators as the same layers that a torch.nn.Sequential becomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from reprlib import repr as brief
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intnet.converting import onnx_file, recipe, sequential
from intnet.converting.emit import Emitted
from intnet.converting.layers import (
    Abs,
    Add,
    Concat,
    Conv,
    ConvTranspose,
    Graph,
    Layer,
    LayerError,
    LeakyRelu,
    Linear,
    PixelShuffle,
    Relu,
    check,
)
from intnet.converting.onnx_file import File, Node
from intnet.converting.state_file import MAX_ALL
from intnet.errors import ModelError

INSTEAD = {
    "BatchNormalization": "fold it into the convolution before it (fuse_conv_bn_eval of torch)",
    "SpaceToDepth": "its channels are not in the order of PixelUnshuffle; use a Conv whose kernel "
    "and stride are the block",
    "Reshape": "if it comes from PixelUnshuffle, use a Conv whose kernel and stride are the block",
    "Resize": "use ConvTranspose or PixelShuffle",
    "Pad": "use the padding of the convolution after it",
}


def convert(
    path: Path,
    calibration: Tensor,
    *,
    name: str = "network",
    recipe_name: str = recipe.DEFAULT,
    pixels: bool = False,
) -> Emitted:
    """The integer program of an ONNX file: that of `sequential.convert` for the same layers.

    Layers are `layer0`, `layer1`, ... in the order of the nodes, constants left out.
    Raises ModelError naming file, layer, node, operator, what is supported and what to do.
    """
    graph = graph_of(path, int(calibration.shape[1]), name)
    return sequential.convert_graph(graph, calibration, recipe_name, pixels=pixels)


def graph_of(
    path: Path, channels: int, name: str = "network", prefix: str = "layer", source: str = "x"
) -> Graph:
    """The float graph of a file. source: its input; prefix: of the names of its layers."""
    try:
        file = onnx_file.read(path)
        if file.channels not in (None, channels):
            raise LayerError(f"input {brief(file.source)}: {file.channels} channels, must be "
                             f"{channels}")  # fmt: skip
        graph = layers_of(file, name, channels, prefix, source)
        check(graph)
    except ModelError as error:
        raise type(error)(f"{path}: {error}") from None
    return graph


def layers_of(file: File, name: str, channels: int, prefix: str, source: str) -> Graph:
    """One walk over the nodes."""
    made, layers = {file.source: source}, list[Layer]()
    for i, node in enumerate(file.nodes):
        at = At(f"{prefix}{i}", node, file.constants, made)
        if node.output in made or node.output in file.constants:
            raise at.error(f"makes {brief(node.output)}, which is there before it")
        if node.operator not in MAKE:
            instead = INSTEAD.get(node.operator, "replace it, or train without it")
            raise at.error(f"has no integer form; supported are {', '.join(MAKE)}; {instead}")
        layer = MAKE[node.operator](at)
        at.check_all_read()
        made[node.output] = layer.name if isinstance(layer, Layer) else layer
        layers += [layer] if isinstance(layer, Layer) else []
    if not layers:
        raise LayerError("has no layers")
    if file.output not in made:
        raise LayerError(f"output {brief(file.output)}: no node makes it")
    graph = Graph(name, {source: channels}, tuple(layers), (made[file.output],))
    check_use(graph)
    return graph


def check_use(graph: Graph) -> None:
    """Every layer is read, and weights that several layers share are counted for each."""
    read = {name for layer in graph.layers for name in layer.inputs} | set(graph.outputs)
    for layer in graph.layers:
        if layer.name not in read:
            raise LayerError(f"layer {layer.name!r} ({type(layer).__name__}): nothing reads it; "
                             "export the network without it")  # fmt: skip
    weights = sum(layer.kernel.numel() for layer in graph.layers if isinstance(layer, Linear))
    if weights > MAX_ALL:
        raise LayerError(f"{weights} weights in all, at most {MAX_ALL}")


@dataclass(frozen=True, eq=False)
class At:
    """A node on its way to a layer. made: our names of the tensors before it."""

    name: str
    node: Node
    constants: Mapping[str, Any]
    made: Mapping[str, str]
    seen: set[str] = field(default_factory=set)

    def error(self, message: str) -> LayerError:
        """Names layer, node and operator."""
        operator = onnx_file.plain(self.node.operator)
        return LayerError(f"layer {self.name!r} (node {brief(self.node.name)}, operator "
                          f"{operator}): {message}")  # fmt: skip

    def has(self, k: int) -> bool:
        """Whether input k is given: optional ones are left out or empty."""
        return k < len(self.node.inputs) and self.node.inputs[k] != ""

    def inputs(self, least: int, most: int, tensors: int) -> tuple[str, ...]:
        """Our names of the first tensors, of least to most inputs."""
        given = self.node.inputs
        if not least <= len(given) <= most:
            raise self.error(f"{len(given)} inputs, must be {least}..{most}")
        for name in given[:tensors]:
            if name in self.constants:
                raise self.error(f"input {brief(name)} is a constant, must be made by the network; "
                                 "put it into the bias of a convolution")  # fmt: skip
            if name not in self.made:
                raise self.error(f"input {brief(name)} is not made before it")
        return tuple(self.made[name] for name in given[:tensors])

    def constant(self, k: int) -> Tensor:
        """Input k, float32."""
        name = self.node.inputs[k]
        if name not in self.constants:
            raise self.error(f"input {brief(name)} is no constant of the file, must be one; "
                             "export with constant folding, weights as initializers")  # fmt: skip
        try:
            return onnx_file.tensor(self.constants[name])
        except ModelError as error:
            raise self.error(f"constant {brief(name)}: {error}") from None

    def attribute(self, name: str, default: Any) -> Any:
        """One of the default's type."""
        self.seen.add(name)
        value = self.node.attributes.get(name, default)
        if type(value) is not type(default):
            raise self.error(f"{name} {brief(value)}, must be of type {type(default).__name__}")
        return value

    def one_number(self, name: str, default: int) -> int:
        """A list that says the same for every side."""
        value = self.attribute(name, [default])
        if not all(isinstance(v, int) for v in value) or len(set(value)) != 1:
            raise self.error(f"{name} {brief(value)}, must be one number for all sides")
        return int(value[0])

    def require(self, name: str, value: Any, allowed: Any, instead: str) -> None:
        """An attribute of which one value is supported."""
        if value != allowed:
            raise self.error(f"{name} {brief(value)}, must be {allowed!r}; {instead}")

    def check_all_read(self) -> None:
        """An attribute that nobody knows would be lost."""
        for name in sorted(set(self.node.attributes) - self.seen):
            raise self.error(f"attribute {brief(name)} is not supported; export without it")


def conv(at: At) -> Layer:
    """Conv and ConvTranspose. Limits of kernels, strides and padding are those of `check`."""
    source = at.inputs(2, 3, 1)
    weight = at.constant(1)
    if weight.ndim != 4:
        raise at.error(f"a weight of {weight.ndim} axes, must be 4 (2-D convolutions)")
    sides, groups = list(weight.shape[2:]), at.attribute("group", 1)
    at.require("kernel_shape", at.attribute("kernel_shape", sides), sides, "as its weight has it")
    at.require("auto_pad", at.attribute("auto_pad", b"NOTSET"), b"NOTSET", "say pads in numbers")
    at.require("dilations", at.one_number("dilations", 1), 1, "a larger kernel with zeros does it")
    if groups < 1:
        raise at.error(f"group {groups}, must be 1 or more")
    stride, padding = at.one_number("strides", 1), at.one_number("pads", 0)
    transposed = at.node.operator == "ConvTranspose"
    kernel = weight.transpose(0, 1) if transposed else weight
    bias = at.constant(2) if at.has(2) else torch.zeros(len(kernel))
    if not transposed:
        return Conv(at.name, source, kernel, bias, stride, padding, groups)
    at.require("group", groups, 1, "use as many convolutions and a Concat")
    out = at.one_number("output_padding", 0)
    return ConvTranspose(at.name, source, kernel, bias, stride, padding, output_padding=out)


def leaky(at: At) -> Layer:
    """The slope as its author wrote it: the file has 0.01 as the nearest float32."""
    slope = np.float32(at.attribute("alpha", 0.01))
    return LeakyRelu(at.name, at.inputs(1, 1, 1), float(str(slope)))


def clip(at: At) -> Layer:
    """One from 0 up, which is a rectifier."""
    source, has_top = at.inputs(2, 3, 1), at.has(2)
    if has_top or not at.has(1) or at.constant(1).flatten().tolist() != [0.0]:
        raise at.error("must be from 0 up without a greatest value; leave out a clip to 0..1 at "
                       "the end of a synthesis, samples are clipped anyway")  # fmt: skip
    return Relu(at.name, source)


def shuffle(at: At) -> Layer:
    """DepthToSpace in torch's order of channels."""
    mode, block = at.attribute("mode", b"DCR"), at.attribute("blocksize", 0)
    at.require("mode", mode, b"CRD", "reorder the channels of the convolution before it, as in "
               "torch.nn.PixelShuffle")  # fmt: skip
    return PixelShuffle(at.name, at.inputs(1, 1, 1), block)


def concat(at: At) -> Layer:
    """Of channels."""
    axis, count = at.attribute("axis", 1), len(at.node.inputs)
    if axis != -3:
        at.require("axis", axis, 1, "only channels are joined")
    return Concat(at.name, at.inputs(1, count, count))


Make = Callable[[At], Layer | str]
MAKE: dict[str, Make] = {
    "Conv": conv,
    "ConvTranspose": conv,
    "Relu": lambda at: Relu(at.name, at.inputs(1, 1, 1)),
    "LeakyRelu": leaky,
    "Clip": clip,
    "Abs": lambda at: Abs(at.name, at.inputs(1, 1, 1)),
    "Add": lambda at: Add(at.name, at.inputs(2, 2, 2)),
    "Concat": concat,
    "DepthToSpace": shuffle,
    "Identity": lambda at: at.inputs(1, 1, 1)[0],
}
