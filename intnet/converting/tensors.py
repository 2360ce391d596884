"""Tensors of a state dict by name: present, of the right shape, finite, and all of them used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

from torch import Tensor

from intnet.converting.layers import Conv, ConvTranspose, Linear
from intnet.errors import ModelError

Shape = tuple[int | None, ...]  # None: any size


class Tensors:
    """A state dict that remembers what was read of it. Its errors name tensor, got, allowed."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        self.state, self.unread = state, set(state)

    def get(self, name: str) -> Tensor:
        """A tensor that must be there."""
        if name not in self.state:
            raise ModelError(f"tensor {name!r} is missing")
        self.unread.discard(name)
        return self.state[name]

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a tensor."""
        return tuple(self.get(name).shape)

    def take(self, name: str, shape: Shape) -> Tensor:
        """A tensor of a shape, in floats."""
        tensor = self.get(name)
        self.require(name, tensor, shape)
        return tensor

    def require(self, name: str, tensor: Tensor | None, shape: Shape) -> None:
        """Present, of a shape, finite, of floating point."""
        if tensor is None:
            raise ModelError(f"tensor {name!r} is missing")
        got = tuple(tensor.shape)
        fits = len(got) == len(shape) and all(
            w in (None, g) and g for g, w in zip(got, shape, strict=True)
        )
        wanted = ", ".join("any" if side is None else str(side) for side in shape)
        if not fits:
            raise ModelError(f"tensor {name!r}: shape {got}, must be ({wanted})")
        if not tensor.is_floating_point():
            raise ModelError(f"tensor {name!r}: {tensor.dtype}, must be floating point")
        if not tensor.isfinite().all():
            raise ModelError(f"tensor {name!r}: has NaN or infinite values; train again")

    def vector(self, name: str) -> Tensor:
        """One axis."""
        return self.take(name, (None,))

    def conv(
        self, name: str, kind: type[Linear], source: str, inputs: int | None, *, stride: int
    ) -> Linear:
        """A convolution of a name, padded to keep its size or to divide it by the stride."""
        transposed = kind is ConvTranspose
        channels: Shape = (inputs, None) if transposed else (None, inputs)
        weight = self.take(f"{name}.weight", (*channels, None, None))
        kernel = weight.transpose(0, 1) if transposed else weight
        n, _, ky, kx = kernel.shape
        if ky != kx or ky % 2 == 0:
            raise ModelError(f"tensor '{name}.weight': kernel {ky}x{kx}, must be odd and square")
        bias = self.take(f"{name}.bias", (n,))
        if kind is ConvTranspose:
            return ConvTranspose(name, (source,), kernel, bias, stride, ky // 2,
                                 output_padding=stride - 1)  # fmt: skip
        return Conv(name, (source,), kernel, bias, stride, ky // 2)

    def series(self, prefix: str, names: tuple[str, ...]) -> Iterator[Tensor]:
        """prefix.name0, prefix.name1, ... under any one of the names."""
        for name in names:
            k = 0
            while f"{prefix}.{name}{k}" in self.state:
                yield self.get(f"{prefix}.{name}{k}")
                k += 1
            if k:
                return

    def check_all_read(self, known: tuple[str, ...]) -> None:
        """What nobody read would be lost: refuse, unless it matches a known pattern."""
        for name in sorted(self.unread):
            if not any(fnmatchcase(name, pattern) for pattern in known):
                raise ModelError(
                    f"tensor {name!r:.100}: no layer of this architecture has it, so the model "
                    "would be another one; see docs/convert.md for what is supported"
                )
