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
    refuse,
)
from intnet.converting.state_file import one_line

MAX_VALUES = 2**30  # of one tensor
Watch = Callable[[str, Tensor], None]


def ignore(_name: str, _tensor: Tensor) -> None:
    """Watch nothing."""


@torch.no_grad()
def run(graph: Graph, inputs: Mapping[str, Tensor], watch: Watch = ignore) -> dict[str, Tensor]:
    """Outputs by name, float32 (n, channels, height, width).

    watch: is told every input, every layer's tensor, and the norm of a Gdn as `<name>.norm`.
    Raises LayerError for sizes that do not fit together or are more than MAX_VALUES, before
    anything of that size is made.
    """
    walk(graph, {name: tensor.to("meta") for name, tensor in inputs.items()}, ignore)
    for name, tensor in inputs.items():
        watch(name, tensor)
    return walk(graph, inputs, watch)


def walk(graph: Graph, inputs: Mapping[str, Tensor], watch: Watch) -> dict[str, Tensor]:
    """The same for tensors of any device; those of `meta` have shapes and no values."""
    tensors = dict(inputs)
    last = {name: layer for layer in graph.layers for name in layer.inputs}
    for layer in graph.layers:
        read = [tensors[name] for name in layer.inputs]
        tensors[layer.name] = made = computed(layer, read, watch)
        watch(layer.name, made)
        for name in set(layer.inputs) - set(graph.outputs):
            if last[name] is layer:
                del tensors[name]
    return {name: tensors[name] for name in graph.outputs}


def computed(layer: Layer, inputs: list[Tensor], watch: Watch) -> Tensor:
    """A layer's tensor. Raises LayerError for sizes that do not fit."""
    shapes = [tuple(tensor.shape) for tensor in inputs]
    try:
        made: Tensor = RULES[type(layer)](layer, inputs, watch)
    except RuntimeError as error:
        raise refuse(layer, f"inputs {shapes}: {one_line(error)}") from None
    if made.numel() > MAX_VALUES:
        raise refuse(layer, f"inputs {shapes} become {tuple(made.shape)}, at most {MAX_VALUES} "
                            "numbers; calibrate with fewer or smaller ones")  # fmt: skip
    return made


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


def add(_: Add, inputs: list[Tensor], __: Watch) -> Tensor:
    """Of one shape: integers are not broadcast."""
    a, b = inputs
    if a.shape != b.shape:
        raise RuntimeError("must be of one shape")
    return a + b


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
    Add: add,
}
