"""Operations of one program as they are made, and the format of each tensor."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from intnet import program
from intnet.converting.formats import Format
from intnet.converting.layers import ConvTranspose, Linear
from intnet.converting.weights import Inputs, numbers, quantise, ratios
from intnet.program import Op, Port, Program


class Builder:
    """Collects operations. formats: of every tensor so far, by name."""

    def __init__(self, name: str, inputs: Mapping[str, Format]) -> None:
        self.name, self.ops, self.formats = name, list[Op](), dict(inputs)
        self.ports = tuple(Port(key, f.dtype, len(f.step), f.lo, f.hi) for key, f in inputs.items())

    def program(self, *outputs: str) -> Program:
        """What was built."""
        return Program(self.name, self.ports, tuple(self.ops), outputs)

    def append(self, op: Op, out: Format) -> str:
        """Add an operation; its name is its tensor."""
        self.ops.append(op)
        self.formats[op.name] = out
        return op.name

    def linear(
        self, name: str, layer: Linear, source: str, out: Format, bits: int, inputs: Inputs
    ) -> str:
        """A convolution with all its weights."""
        kind = program.ConvTranspose if isinstance(layer, ConvTranspose) else program.Conv
        p = layer.padding
        end = p - layer.output_padding if isinstance(layer, ConvTranspose) else p
        made = quantise(layer, self.formats[source], out, bits, inputs)
        return self.append(
            kind(name, (source,), out.dtype, out.lo, out.hi, layer.stride, (p, p, end, end),
                 layer.groups, *made), out,
        )  # fmt: skip

    def requantise(self, name: str, source: str, out: Format, ratio: Tensor) -> str:
        """out = source * ratio, per channel."""
        op = program.Requantise(name, (source,), out.dtype, out.lo, out.hi, *ratios(numbers(ratio)))
        return self.append(op, out)

    def negated(self, name: str, source: str, out: Format, ratio: Tensor) -> str:
        """out = -source * ratio: a convolution of one weight, -1, per channel."""
        channels = len(ratio)
        op = program.Conv(
            name, (source,), out.dtype, out.lo, out.hi, 1, (0, 0, 0, 0), channels,
            np.full((channels, 1, 1, 1), -1, np.int8), np.zeros(channels, np.int32),
            *ratios(numbers(ratio)),
        )  # fmt: skip
        return self.append(op, out)

    def converted(self, name: str, source: str, out: Format) -> str:
        """The same values in another format, by itself where it is that format already."""
        have = self.formats[source]
        return source if have.within(out) else self.requantise(
            name, source, out, have.step / out.step
        )  # fmt: skip

    def add(self, name: str, a: str, b: str, out: Format) -> str:
        """Sum of tensors of one step."""
        return self.append(program.Add(name, (a, b), out.dtype, out.lo, out.hi), out)

    def mul(self, name: str, a: str, b: str, out: Format) -> str:
        """Product, per channel."""
        ratio = self.formats[a].step * self.formats[b].step / out.step
        op = program.Mul(name, (a, b), out.dtype, out.lo, out.hi, *ratios(numbers(ratio)))
        return self.append(op, out)

    def div(self, name: str, a: str, b: str, left_shift: int, out: Format) -> str:
        """a * 2**left_shift / b in integers."""
        return self.append(program.Div(name, (a, b), out.dtype, out.lo, out.hi, left_shift), out)


def ones(channels: int) -> Tensor:
    """Steps of 1."""
    return torch.ones(channels, dtype=torch.float64)
