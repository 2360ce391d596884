"""The family of the field as float codecs, from factorized prior to joint prior.

Architectures of Ballé et al. 2018 ("Variational image compression with a scale hyperprior") and
Minnen et al. 2018 ("Joint autoregressive and hierarchical priors"): N channels within transforms,
M latents at 1/16 resolution, N hyper-latents at 1/64. One model, one rate. Names as in the papers;
tensor names and shapes are those of CompressAI 1.2.8, so that a state dict loads either way.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from intnet.training.bottleneck import EntropyBottleneck, GaussianConditional, quantised
from intnet.training.gdn import Gdn, SimplifiedGdn
from intnet.training.models import MOST_CHANNELS, Output

NORMALISATIONS: dict[str, type[Gdn]] = {"gdn": Gdn, "simplified": SimplifiedGdn}


def conv(inputs: int, outputs: int, kernel: int = 5, stride: int = 2) -> nn.Conv2d:
    """Down by the stride."""
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)


def deconv(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    """5x5, up by two."""
    return nn.ConvTranspose2d(inputs, outputs, 5, 2, 2, 1)


@dataclass(frozen=True)
class FamilyConfig:
    """Which architecture, and its sizes: N channels within transforms, M latents."""

    architecture: str
    n: int = 192
    m: int = 320
    gdn: str = "gdn"

    def as_dict(self) -> dict[str, Any]:
        """Plain dictionary for checkpoints."""
        return asdict(self)

    @classmethod
    def of(cls, meta: Mapping[str, Any]) -> FamilyConfig:
        """The fields among metadata. Raises ValueError naming field, got and allowed."""
        for name, allowed in (("architecture", ARCHITECTURES), ("gdn", NORMALISATIONS)):
            if meta.get(name) not in allowed:
                got = reprlib.repr(meta.get(name))
                raise ValueError(f"{name}: {got}, must be one of {', '.join(allowed)}")
        for name in ("n", "m"):
            count = meta.get(name)
            if type(count) is not int or not 1 <= count <= MOST_CHANNELS:
                got = reprlib.repr(count)
                raise ValueError(f"{name}: {got}, must be an integer within [1, {MOST_CHANNELS}]")
        return cls(meta["architecture"], meta["n"], meta["m"], meta["gdn"])

    def model(self) -> FactorizedPrior:
        """A fresh codec."""
        model = ARCHITECTURES[self.architecture](self.n, self.m, NORMALISATIONS[self.gdn])
        model.config = self
        return model


class FactorizedPrior(nn.Module):
    """Ballé et al. 2017 in the form of 2018: transforms with GDN, a learned density for y."""

    config: FamilyConfig  # set by FamilyConfig.model

    def __init__(self, n: int, m: int, gdn: type[Gdn] = Gdn) -> None:
        super().__init__()
        self.hard_rate = False  # count the rate of symbols in training too, straight-through
        self.entropy_bottleneck = EntropyBottleneck(m)
        self.g_a = nn.Sequential(
            conv(3, n), gdn(n), conv(n, n), gdn(n), conv(n, n), gdn(n), conv(n, m),
        )  # fmt: skip
        self.g_s = nn.Sequential(
            deconv(m, n), gdn(n, inverse=True), deconv(n, n), gdn(n, inverse=True),
            deconv(n, n), gdn(n, inverse=True), deconv(n, 3),
        )  # fmt: skip
        nn.init.constant_(cast(Tensor, self.g_s[6].bias), 0.5)  # start grey

    @property
    def noisy(self) -> bool:
        """Whether noise stands for rounding in the rate."""
        return self.training and not self.hard_rate

    def code(self, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """y_hat, bits of y and bits of z of latents (n, M, h, w)."""
        y_hat, bits = self.entropy_bottleneck(y, noisy=self.noisy)
        return y_hat, bits, torch.zeros_like(bits)

    def forward(self, x: Tensor, _quality: Tensor | None = None) -> Output:
        """x: (n, 3, h, w) in [0, 1], sides multiples of 64. There is one quality."""
        y_hat, bits_y, bits_z = self.code(self.g_a(x))
        return Output(self.g_s(y_hat), bits_y, bits_z)


class FactorizedPriorReLU(FactorizedPrior):
    """The same with ReLU for GDN."""

    def __init__(self, n: int, m: int, gdn: type[Gdn] = Gdn) -> None:
        super().__init__(n, m, gdn)
        for transform in (self.g_a, self.g_s):
            for at in (1, 3, 5):
                transform[at] = nn.ReLU()


class ScaleHyperprior(FactorizedPrior):
    """Ballé et al. 2018: z tells the scale of each y, whose mean is 0."""

    def __init__(self, n: int, m: int, gdn: type[Gdn] = Gdn) -> None:
        super().__init__(n, m, gdn)
        self.entropy_bottleneck = EntropyBottleneck(n)
        self.gaussian_conditional = GaussianConditional()
        self.h_a = nn.Sequential(
            conv(m, n, 3, 1), nn.ReLU(), conv(n, n), nn.ReLU(), conv(n, n),
        )  # fmt: skip
        self.h_s = nn.Sequential(
            deconv(n, n), nn.ReLU(), deconv(n, n), nn.ReLU(), conv(n, m, 3, 1), nn.ReLU(),
        )  # fmt: skip

    def code(self, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        z_hat, bits_z = self.entropy_bottleneck(self.h_a(y.abs()), noisy=self.noisy)
        y_hat, bits_y = self.gaussian_conditional(y, self.h_s(z_hat), noisy=self.noisy)
        return y_hat, bits_y, bits_z


class MeanScaleHyperprior(ScaleHyperprior):
    """Minnen et al. 2018 without context: z tells scale and mean of each y."""

    def __init__(self, n: int, m: int, gdn: type[Gdn] = Gdn) -> None:
        super().__init__(n, m, gdn)
        self.h_a = nn.Sequential(
            conv(m, n, 3, 1), nn.LeakyReLU(), conv(n, n), nn.LeakyReLU(), conv(n, n),
        )  # fmt: skip
        self.h_s = nn.Sequential(
            deconv(n, m), nn.LeakyReLU(), deconv(m, m * 3 // 2), nn.LeakyReLU(),
            conv(m * 3 // 2, 2 * m, 3, 1),
        )  # fmt: skip

    def code(self, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        z_hat, bits_z = self.entropy_bottleneck(self.h_a(y), noisy=self.noisy)
        y_hat, bits_y = self.code_given(y, self.h_s(z_hat))
        return y_hat, bits_y, bits_z

    def code_given(self, y: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """y_hat and bits of y, given features (n, 2 M, h, w) of the hyper-latents."""
        scales, means = features.chunk(2, 1)
        y_hat, bits = self.gaussian_conditional(y, scales, means, noisy=self.noisy)
        return y_hat, bits


class MaskedConv(nn.Conv2d):
    """5x5 convolution that sees what is before its own position in raster order."""

    mask: Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 5, padding=2)
        before = (torch.arange(25) < 12).float().reshape(5, 5)
        self.register_buffer("mask", before.expand(outputs, inputs, 5, 5).contiguous())

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=2)

    def at(self, padded: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Outputs (n, outputs, f, 1) at f positions; padded has two more on each side."""
        k = torch.arange(5, device=padded.device)
        seen = padded[:, :, rows[:, None, None] + k[:, None], columns[:, None, None] + k]
        sums = torch.einsum("nifab,oiab->nof", seen, self.weight * self.mask)
        assert self.bias is not None
        return (sums + self.bias[:, None]).unsqueeze(-1)


class JointAutoregressiveHierarchicalPriors(MeanScaleHyperprior):
    """Minnen et al. 2018: a masked context of decoded y beside the features of z."""

    def __init__(self, n: int, m: int, gdn: type[Gdn] = Gdn) -> None:
        super().__init__(n, m, gdn)
        self.context_prediction = MaskedConv(m, 2 * m)
        self.entropy_parameters = nn.Sequential(
            nn.Conv2d(4 * m, m * 10 // 3, 1), nn.LeakyReLU(),
            nn.Conv2d(m * 10 // 3, m * 8 // 3, 1), nn.LeakyReLU(),
            nn.Conv2d(m * 8 // 3, 2 * m, 1),
        )  # fmt: skip

    def code_given(self, y: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """In training the context is of noisy (hard rate: rounded) latents, all at once."""
        if self.training:
            y_hat, seen = quantised(y, 0.0, noisy=self.noisy)
        else:
            y_hat = seen = self.in_order(y, features)
        scales, means = self.scales_and_means(features, self.context_prediction(seen))
        bits: Tensor = self.gaussian_conditional.bits(seen, scales, means)
        return y_hat, bits

    def scales_and_means(self, features: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """From features and context (n, 2 M, h, w)."""
        scales, means = self.entropy_parameters(torch.cat((features, context), 1)).chunk(2, 1)
        return scales, means

    @torch.no_grad()
    def in_order(self, y: Tensor, features: Tensor) -> Tensor:
        """y_hat as a serial decoder has it: each y rounded from the mean that its context tells.

        Positions with equal column + 3 * row do not see each other and go together.
        """
        rows_all = torch.arange(y.shape[2], device=y.device)
        padded = F.pad(torch.zeros_like(y), (2, 2, 2, 2))
        for front in range(y.shape[3] + 3 * (y.shape[2] - 1)):
            columns_all = front - 3 * rows_all
            there = (columns_all >= 0) & (columns_all < y.shape[3])
            rows, columns = rows_all[there], columns_all[there]
            context = self.context_prediction.at(padded, rows, columns)
            here = features[:, :, rows, columns].unsqueeze(-1)
            means = self.scales_and_means(here, context)[1].squeeze(-1)
            rounded = means + torch.round(y[:, :, rows, columns] - means)
            padded[:, :, rows + 2, columns + 2] = rounded
        return padded[:, :, 2:-2, 2:-2]


ARCHITECTURES: dict[str, type[FactorizedPrior]] = {
    "factorized": FactorizedPrior,
    "factorized-relu": FactorizedPriorReLU,
    "scale": ScaleHyperprior,
    "mean-scale": MeanScaleHyperprior,
    "joint": JointAutoregressiveHierarchicalPriors,
}
