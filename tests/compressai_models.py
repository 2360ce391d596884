"""State dicts with CompressAI's names and shapes, of random weights that keep signals moderate."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

N, M = 8, 12
State = dict[str, Tensor]


class Maker:
    """Adds tensors to `state`, all from one seed."""

    def __init__(self, seed: int) -> None:
        self.random, self.state = torch.Generator().manual_seed(seed), State()

    def noise(self, *shape: int) -> Tensor:
        """Normal."""
        return torch.randn(shape, generator=self.random)

    def conv(self, name: str, inputs: int, outputs: int, side: int, gain: float = 1) -> None:
        """Weight and bias of a convolution."""
        weight = self.noise(outputs, inputs, side, side) * gain / math.sqrt(inputs * side**2)
        self.state |= {f"{name}.weight": weight, f"{name}.bias": 0.02 * self.noise(outputs)}

    def deconv(self, name: str, inputs: int, outputs: int, gain: float = 1) -> None:
        """Of a transposed one, 5x5, stride 2."""
        weight = self.noise(inputs, outputs, 5, 5) * gain / math.sqrt(inputs * 25 / 4)
        self.state |= {f"{name}.weight": weight, f"{name}.bias": 0.02 * self.noise(outputs)}

    def gdn(self, name: str) -> None:
        """Reparametrised, with its buffers."""
        pedestal = torch.tensor([2.0**-36])
        strength = 0.1 if name.startswith("g_a") else 0.002  # an inverse one must not explode
        gamma = strength * (torch.eye(N) + 0.2 * torch.rand(N, N, generator=self.random))
        self.state |= {
            f"{name}.beta": (1 + torch.rand(N, generator=self.random)).sqrt(),
            f"{name}.gamma": (gamma + pedestal).sqrt(),
            f"{name}.beta_reparam.pedestal": pedestal,
            f"{name}.gamma_reparam.lower_bound.bound": pedestal.sqrt(),
        }

    def transforms(self, *, gdn: bool) -> None:
        """g_a and g_s."""
        for k, outputs in enumerate((N, N, N, M)):
            self.conv(f"g_a.{2 * k}", N if k else 3, outputs, 5, 4 if k == 3 else 2)
        for k, outputs in enumerate((N, N, N, 3)):
            self.deconv(f"g_s.{2 * k}", N if k else M, outputs, 0.02 if k == 3 else 1)
        self.state["g_s.6.bias"] += 0.5
        if gdn:
            for name in (f"{side}.{k}" for side in ("g_a", "g_s") for k in (1, 3, 5)):
                self.gdn(name)

    def bottleneck(self, channels: int) -> None:
        """A density of five layers."""
        widths, scale = (1, 3, 3, 3, 3, 1), 10 ** (1 / 5)
        for k, (i, o) in enumerate(pairwise(widths)):
            prefix, value = "entropy_bottleneck", math.log(math.expm1(1 / scale / o))
            self.state[f"{prefix}.matrices.{k}"] = torch.full((channels, o, i), value)
            self.state[f"{prefix}.biases.{k}"] = torch.rand(
                channels, o, 1, generator=self.random
            ).sub(0.5)
            if k < 4:
                self.state[f"{prefix}.factors.{k}"] = 0.2 * self.noise(channels, o, 1)
        quantiles = torch.tensor([-10.0, 0, 10]).repeat(channels, 1, 1)
        quantiles[:, 0, 1] = 0.3 * self.noise(channels)
        self.state[f"{prefix}.quantiles"] = quantiles
        self.state[f"{prefix}._cdf_length"] = torch.tensor([], dtype=torch.int32)

    def hyper(self, *, mean: bool) -> None:
        """h_a and h_s."""
        self.conv("h_a.0", M, N, 3)
        self.conv("h_a.2", N, N, 5)
        self.conv("h_a.4", N, N, 5, 3)
        inner = (M, M * 3 // 2, 2 * M) if mean else (N, N, M)
        self.deconv("h_s.0", N, inner[0])
        self.deconv("h_s.2", *inner[:2])
        self.conv("h_s.4", *inner[1:], 3)
        self.state["h_s.4.bias"][:M] += 2

    def context(self) -> None:
        """Masked convolution and 1x1 convolutions."""
        self.conv("context_prediction", M, 2 * M, 5)
        self.state["context_prediction.mask"] = torch.ones(2 * M, M, 5, 5)
        widths = (4 * M, M * 10 // 3, M * 8 // 3, 2 * M)
        for k in range(3):
            self.conv(f"entropy_parameters.{2 * k}", widths[k], widths[k + 1], 1)
        self.state["entropy_parameters.4.bias"][:M] += 2


def state(architecture: str, seed: int = 0) -> State:
    """The tensors of an architecture of `compressai.NAMES`."""
    make, base = Maker(seed), architecture.removesuffix("-vbr")
    make.transforms(gdn=not base.endswith("relu"))
    make.bottleneck(M if "factorized" in base else N)
    if "factorized" not in base:
        make.hyper(mean=base.startswith("mbt2018"))
    if base == "mbt2018":
        make.context()
    if architecture != base:
        make.state["Gain"] = torch.tensor([0.25, 0.5, 0.8, 1.0])
        make.state["QuantABCD.0.weight"] = torch.zeros(12, 2)
    return make.state
