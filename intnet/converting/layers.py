"""A float network as a list of typed layers: what the converter knows, and nothing else.

A layer is named as in its checkpoint; its name is the tensor that it makes. Tensors are torch's,
(n, channels, height, width). Weights are float32 or wider.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from intnet.errors import ModelError
from intnet.ports import MAX_BLOCK, MAX_CHANNELS, MAX_KERNEL, MAX_PAD, MAX_STRIDE


class LayerError(ModelError):
    """A layer that has no integer form; the message names it, got, allowed and what to do."""


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer: `name` is the tensor it makes, `inputs` the tensors it reads."""

    name: str
    inputs: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Linear(Layer):
    """A convolution of either kind. kernel: (N, I / groups, KY, KX); bias: (N,)."""

    kernel: Tensor
    bias: Tensor
    stride: int = 1
    padding: int = 0
    groups: int = 1


@dataclass(frozen=True, eq=False)
class Conv(Linear):
    """torch's conv2d with zeros around. A masked one has its mask in the kernel."""


@dataclass(frozen=True, eq=False)
class ConvTranspose(Linear):
    """torch's conv_transpose2d; its weight (I, N, KY, KX) with the first axes exchanged."""

    output_padding: int = 0


@dataclass(frozen=True, eq=False)
class Relu(Layer):
    """max(x, 0)."""


@dataclass(frozen=True, eq=False)
class LeakyRelu(Layer):
    """x where positive, else slope * x."""

    slope: float = 0.01


@dataclass(frozen=True, eq=False)
class Abs(Layer):
    """|x|."""


@dataclass(frozen=True, eq=False)
class Gdn(Layer):
    """x / norm, or x * norm where inverse: generalised divisive normalisation.

    norm = sqrt(beta + sum gamma * x**2) (Balle et al. 2016), or beta + sum gamma * |x| where
    simplified (Johnston et al. 2019). beta: (C,) > 0; gamma: (C, C) >= 0, row by output.
    """

    beta: Tensor
    gamma: Tensor
    inverse: bool = False
    simplified: bool = False


@dataclass(frozen=True, eq=False)
class PixelShuffle(Layer):
    """Channels to a block of positions."""

    block: int = 2


@dataclass(frozen=True, eq=False)
class PixelUnshuffle(Layer):
    """A block of positions to channels."""

    block: int = 2


@dataclass(frozen=True, eq=False)
class Slice(Layer):
    """Channels begin <= c < end."""

    begin: int = 0
    end: int = 1


@dataclass(frozen=True, eq=False)
class Concat(Layer):
    """Channels of every input in order."""


@dataclass(frozen=True, eq=False)
class Add(Layer):
    """A residual sum."""


@dataclass(frozen=True, eq=False)
class ScaleIndex(Layer):
    """Standard deviations to indexes of the table of scales: (ln x - ln origin) / step, x clipped.

    low, high: limits of x.
    """

    low: float = 0.11
    high: float = 256.0
    origin: float = 0.11
    step: float = 1.0


SUPPORTED = (
    "Conv2d, ConvTranspose2d, ReLU, LeakyReLU, GDN, inverse GDN, PixelShuffle, PixelUnshuffle, "
    "abs, chunk, concat, add"
)


@dataclass(frozen=True, eq=False)
class Graph:
    """Inputs with their channels, layers in order, names of outputs. Becomes one program."""

    name: str
    inputs: Mapping[str, int]
    layers: tuple[Layer, ...]
    outputs: tuple[str, ...]

    def readers(self, name: str) -> list[Layer]:
        """Layers that read a tensor."""
        return [layer for layer in self.layers if name in layer.inputs]


def refuse(layer: Layer, message: str) -> LayerError:
    """The error of a layer."""
    return LayerError(f"layer {layer.name!r} ({type(layer).__name__}): {message}")


def check(graph: Graph) -> dict[str, int]:
    """Channels of every tensor. Raises LayerError naming layer, got, allowed."""
    channels = dict(graph.inputs)
    for layer in graph.layers:
        for name in layer.inputs:
            if name not in channels:
                raise refuse(layer, f"input {name!r} is not made before it")
        made = RULES[type(layer)](layer, [channels[name] for name in layer.inputs])
        if not 1 <= made <= MAX_CHANNELS:
            raise refuse(layer, f"{made} channels, must be 1..{MAX_CHANNELS}")
        channels[layer.name] = made
    for name in graph.outputs:
        if name not in channels:
            raise LayerError(f"network {graph.name!r}: output {name!r} is not made")
    return channels


def linear(layer: Linear, inputs: list[int]) -> int:
    """Shapes of kernel and bias, and limits of a program."""
    if layer.kernel.ndim != 4:
        raise refuse(layer, f"a kernel of {layer.kernel.ndim} axes, must be 4 (2-D convolutions)")
    n, i, *sides = layer.kernel.shape
    if max(sides) > MAX_KERNEL:
        raise refuse(layer, f"kernel {sides[0]}x{sides[1]}, at most {MAX_KERNEL} on a side")
    if not 1 <= layer.stride <= MAX_STRIDE:
        raise refuse(layer, f"stride {layer.stride}, must be 1..{MAX_STRIDE}")
    if not 0 <= layer.padding <= MAX_PAD:
        raise refuse(layer, f"padding {layer.padding}, must be 0..{MAX_PAD}")
    if n % layer.groups or i * layer.groups != inputs[0]:
        raise refuse(layer, f"kernel {tuple(layer.kernel.shape)} in {layer.groups} groups on "
                            f"{inputs[0]} channels; these do not fit together")  # fmt: skip
    if tuple(layer.bias.shape) != (n,):
        raise refuse(layer, f"bias of shape {tuple(layer.bias.shape)}, must be ({n},)")
    finite(layer, "weight", layer.kernel)
    finite(layer, "bias", layer.bias)
    if isinstance(layer, ConvTranspose):
        if layer.groups != 1:
            raise refuse(layer, f"{layer.groups} groups; transposed, only 1 group is supported")
        if not 0 <= layer.output_padding <= layer.padding:
            raise refuse(layer, f"output_padding {layer.output_padding}, must be 0 to padding "
                                f"{layer.padding}; use a larger padding")  # fmt: skip
    return int(n)


def finite(layer: Layer, what: str, tensor: Tensor) -> None:
    """No NaN, no infinity."""
    bad = ~tensor.isfinite()
    if bad.any():
        at = [int(i) for i in bad.nonzero()[0]]
        value = tensor[tuple(at)].item()
        raise refuse(layer, f"{what} is {value} at {at}; train again or repair it")


def gdn(layer: Gdn, inputs: list[int]) -> int:
    """One row of gamma per channel, nothing negative."""
    c = inputs[0]
    if tuple(layer.beta.shape) != (c,) or tuple(layer.gamma.shape) != (c, c):
        raise refuse(layer, f"beta {tuple(layer.beta.shape)}, gamma {tuple(layer.gamma.shape)}, "
                            f"must be ({c},) and ({c}, {c})")  # fmt: skip
    finite(layer, "beta", layer.beta)
    finite(layer, "gamma", layer.gamma)
    if layer.beta.min() <= 0 or layer.gamma.min() < 0:
        raise refuse(layer, "beta must be positive and gamma not negative")
    return c


def same(layer: Layer, inputs: list[int]) -> int:
    """All inputs are alike."""
    if len(set(inputs)) != 1:
        raise refuse(layer, f"inputs of {inputs} channels, must be equal")
    return inputs[0]


def leaky(layer: LeakyRelu, inputs: list[int]) -> int:
    """A slope that integers can add up."""
    if not 0 <= layer.slope <= 1 or not math.isfinite(layer.slope):
        raise refuse(layer, f"slope {layer.slope}, must be 0..1")
    return inputs[0]


def shuffle(layer: PixelShuffle, inputs: list[int]) -> int:
    """Whole blocks."""
    area = block(layer) ** 2
    if inputs[0] % area:
        raise refuse(layer, f"{inputs[0]} channels, must be a multiple of {area}")
    return inputs[0] // area


def block(layer: PixelShuffle | PixelUnshuffle) -> int:
    """Its block, within limits."""
    if not 1 <= layer.block <= MAX_BLOCK:
        raise refuse(layer, f"factor {layer.block}, must be 1..{MAX_BLOCK}")
    return layer.block


def part(layer: Slice, inputs: list[int]) -> int:
    """Some channels."""
    if not 0 <= layer.begin < layer.end <= inputs[0]:
        raise refuse(layer, f"channels {layer.begin}..{layer.end} of {inputs[0]}")
    return layer.end - layer.begin


RULES: dict[type[Layer], Callable[..., int]] = {
    Conv: linear, ConvTranspose: linear, Relu: same, LeakyRelu: leaky, Abs: same, Gdn: gdn,
    PixelShuffle: shuffle, PixelUnshuffle: lambda layer, inputs: inputs[0] * block(layer) ** 2,
    Slice: part, Concat: lambda _, inputs: sum(inputs), Add: same, ScaleIndex: same,
}  # fmt: skip
