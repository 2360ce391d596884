"""A float graph in torch: the twin that integers are compared with."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

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
    PixelShuffle,
    PixelUnshuffle,
    Relu,
    ScaleIndex,
    Slice,
)

Watch = Callable[[str, Tensor], None]


def ignore(_name: str, _tensor: Tensor) -> None:
    """Watch nothing."""


@torch.no_grad()
def run(graph: Graph, inputs: Mapping[str, Tensor], watch: Watch = ignore) -> dict[str, Tensor]:
    """Outputs by name, float32 (n, channels, height, width).

    watch: is told every input, every layer's tensor, and the norm of a Gdn as `<name>.norm`.
    """
    tensors = dict(inputs)
    for name, tensor in inputs.items():
        watch(name, tensor)
    last = {name: layer for layer in graph.layers for name in layer.inputs}
    for layer in graph.layers:
        read = [tensors[name] for name in layer.inputs]
        tensors[layer.name] = RULES[type(layer)](layer, read, watch)
        watch(layer.name, tensors[layer.name])
        for name in set(layer.inputs) - set(graph.outputs):
            if last[name] is layer:
                del tensors[name]
    return {name: tensors[name] for name in graph.outputs}


def conv(layer: Conv, inputs: list[Tensor], _: Watch) -> Tensor:
    """With zeros around."""
    return F.conv2d(
        inputs[0], layer.kernel.float(), layer.bias.float(), layer.stride, layer.padding,
        groups=layer.groups,
    )  # fmt: skip


def conv_transpose(layer: ConvTranspose, inputs: list[Tensor], _: Watch) -> Tensor:
    """One group."""
    return F.conv_transpose2d(
        inputs[0], layer.kernel.float().transpose(0, 1), layer.bias.float(), layer.stride,
        layer.padding, layer.output_padding,
    )  # fmt: skip


def gdn(layer: Gdn, inputs: list[Tensor], watch: Watch) -> Tensor:
    """See `layers.Gdn`."""
    (x,) = inputs
    energy = x.abs() if layer.simplified else x.square()
    norm = F.conv2d(energy, layer.gamma.float()[:, :, None, None], layer.beta.float())
    watch(f"{layer.name}.norm", norm)
    norm = norm if layer.simplified else norm.sqrt()
    return x * norm if layer.inverse else x / norm


def scale_index(layer: ScaleIndex, inputs: list[Tensor], _: Watch) -> Tensor:
    """Not rounded."""
    return (inputs[0].clamp(layer.low, layer.high).log() - math.log(layer.origin)) / layer.step


RULES: dict[type[Layer], Callable[..., Tensor]] = {
    Conv: conv,
    ConvTranspose: conv_transpose,
    Gdn: gdn,
    ScaleIndex: scale_index,
    Relu: lambda _, inputs, __: F.relu(inputs[0]),
    LeakyRelu: lambda layer, inputs, _: F.leaky_relu(inputs[0], layer.slope),
    Abs: lambda _, inputs, __: inputs[0].abs(),
    PixelShuffle: lambda layer, inputs, _: F.pixel_shuffle(inputs[0], layer.block),
    PixelUnshuffle: lambda layer, inputs, _: F.pixel_unshuffle(inputs[0], layer.block),
    Slice: lambda layer, inputs, _: inputs[0][:, layer.begin : layer.end],
    Concat: lambda _, inputs, __: torch.cat(inputs, 1),
    Add: lambda _, inputs, __: inputs[0] + inputs[1],
}
