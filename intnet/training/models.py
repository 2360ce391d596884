"""The mean-scale hyperprior (Ballé et al. 2018, Minnen et al. 2018) on light transforms.

With or without a parallel context, see `context`.

Names as in the papers: y latents, z hyper-latents. All arithmetic at 1/8 resolution or below. One
model serves all rates: the prior predicts un-gained coefficients (mean, log-scale), and quality q
multiplies residuals by `gain(q)` per channel, so a table index is `index + offset[q]`.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from intnet.training.context import EVERYTHING, QUADTREE, Context, steps
from intnet.training.entropy import LogisticMixture, dead_zone, gaussian_bits
from intnet.training.layers import Block, Conv, conv_at, round_ste

QUALITIES, ANCHORS = 64, 8
LAMBDA_MIN, LAMBDA_MAX = 0.0005, 0.2  # loss = bpp + lambda * 255**2 * mse, pixels in [0, 1]


def rate_lambda(quality: Tensor) -> Tensor:
    """Lambda of quality 0..63, log-spaced from LAMBDA_MIN to LAMBDA_MAX."""
    return LAMBDA_MIN * (LAMBDA_MAX / LAMBDA_MIN) ** (quality / (QUALITIES - 1))


# network pixel = (x - pixel_offset) * pixel_scale
# log-scale = prior output * index_step + index_origin
UNITS = {"pixel_offset": 0.5, "pixel_scale": 1.0, "index_step": 1.0, "index_origin": 0.0}
DEAD_ZONE = 0.0  # strength of the quantiser's dead zone; 0: nearest
MOST_CHANNELS, MOST_BLOCKS = 4096, 64
FEWEST = {"context": 0}  # 1 for the others; checkpoints older than the context do not name it


@dataclass(frozen=True)
class Config:
    """Channel counts: C at 1/8 resolution, M latents at 1/16, Z hyper-latents at 1/64.

    context: channels of the hidden layers of the context, 0 where there is none.
    """

    c: int = 128
    m: int = 320
    m_hidden: int = 192
    z: int = 64
    blocks: int = 2
    context: int = 0

    def as_dict(self) -> dict[str, int]:
        """Plain dictionary for checkpoints."""
        return asdict(self)

    @classmethod
    def of(cls, meta: Mapping[str, Any]) -> Config:
        """The counts among metadata. Raises ValueError naming field, got and allowed."""
        counts: dict[str, Any] = {n: meta.get(n, FEWEST.get(n)) for n in cls().as_dict()}
        for name, count in counts.items():
            least, most = FEWEST.get(name, 1), MOST_BLOCKS if name == "blocks" else MOST_CHANNELS
            if type(count) is not int or not least <= count <= most:
                got = reprlib.repr(count)
                raise ValueError(f"{name}: {got}, must be an integer within [{least}, {most}]")
        return cls(**counts)


class Coded(NamedTuple):
    """What becomes of latents, all (n, m, h, w): y_hat is what a decoder has."""

    residual: Tensor
    log_scale: Tensor
    symbols: Tensor
    y_hat: Tensor


class Output(NamedTuple):
    """x_hat (n, 3, h, w); bits_y and bits_z (n,)."""

    x_hat: Tensor
    bits_y: Tensor
    bits_z: Tensor


def round_to_symbols(residual: Tensor, log_scale: Tensor, strength: Tensor) -> Tensor:
    """Symbols, rounded toward zero in the dead zone of their scale; straight-through gradient."""
    with torch.no_grad():
        magnitude = torch.floor(residual.abs() + dead_zone(log_scale, strength))
        symbols = torch.copysign(magnitude, residual)
    return residual + (symbols - residual).detach()


class MeanScaleHyperprior(nn.Module):
    """Float codec; `quantise.integer_twin` gives its integer form with the same forward code."""

    pixel_offset: Tensor
    pixel_scale: Tensor
    index_step: Tensor
    index_origin: Tensor
    dead_zone: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.hard_rate = False  # count the rate of symbols in training too, straight-through
        c, m, h, z = config.c, config.m, config.m_hidden, config.z
        blocks = [Block(c, c) for _ in range(2 * config.blocks)]
        self.analysis = nn.Sequential(
            nn.PixelUnshuffle(8), Conv(192, c, wide=True), *blocks[: config.blocks],
            nn.PixelUnshuffle(2), Conv(4 * c, m, wide=True), Block(m, h),
        )  # fmt: skip
        self.hyper_analysis = nn.Sequential(
            Conv(m, z, 3, relu=True), Conv(z, z, 5, 2, relu=True), Conv(z, z, 5, 2),
        )  # fmt: skip
        wide = config.context  # features for the context, or mean and log-scale themselves
        self.prior = nn.Sequential(
            Conv(z, 4 * z, relu=True), nn.PixelShuffle(2),
            Conv(z, 4 * z, 3, relu=True), nn.PixelShuffle(2),
            Conv(z, wide or 2 * m, 3, relu=bool(wide)),
        )  # fmt: skip
        self.context = Context(m, wide) if wide else None
        self.order = QUADTREE if wide else EVERYTHING
        self.synthesis = nn.Sequential(
            Block(m, h), Conv(m, 4 * c, wide=True), nn.PixelShuffle(2), *blocks[config.blocks :],
            Conv(c, 192, wide=True), nn.PixelShuffle(8),
        )  # fmt: skip
        self.z_prior = LogisticMixture(z)
        gains = torch.linspace(math.log(1.0), math.log(24.0), ANCHORS)[:, None].repeat(1, m)
        self.log_gain = nn.Parameter(gains.clone())
        self.log_inverse_gain = nn.Parameter(-gains)
        # Units of the networks' ends; `quantise.integer_twin` sets those of integers.
        for name, value in UNITS.items():
            self.register_buffer(name, torch.tensor(value))
        self.register_buffer("dead_zone", torch.tensor(DEAD_ZONE))

    def at_quality(self, table: Tensor, quality: Tensor) -> Tensor:
        """Rows of an (ANCHORS, m) table at quality (n,), linear between anchors: (n, m, 1, 1)."""
        position = quality * ((ANCHORS - 1) / (QUALITIES - 1))
        low = position.floor().clamp(0, ANCHORS - 2).long()
        rows = torch.lerp(table[low], table[low + 1], (position - low)[:, None])
        return rows[:, :, None, None]

    def coded(self, values: Tensor, symbols: Tensor) -> Tensor:
        """What the rate is counted of: values with uniform noise in training, symbols otherwise."""
        noisy = self.training and not self.hard_rate
        return values + torch.rand_like(values) - 0.5 if noisy else symbols

    def code(self, y: Tensor, features: Tensor, quality: Tensor) -> Coded:
        """Latents y (n, m, h, w) in the steps of the order, as a decoder gets them."""
        log_gain = self.at_quality(self.log_gain, quality)
        inverse_gain = self.at_quality(self.log_inverse_gain, quality).exp()
        step = steps(self.order, y)
        done = Coded(*(torch.zeros_like(y) for _ in Coded._fields))
        for now in range(len(self.order[0][0])):  # as many steps as groups of channels
            predicted = self.context(done.y_hat, features).float() if self.context else features
            mean, index = predicted.chunk(2, 1)
            residual = (y - mean) * log_gain.exp()
            log_scale = index * self.index_step + self.index_origin + log_gain
            symbols = round_to_symbols(residual, log_scale, self.dead_zone)
            new = Coded(residual, log_scale, symbols, mean + symbols * inverse_gain)
            done = Coded(*(torch.where(step == now, *pair) for pair in zip(new, done, strict=True)))
        return done

    @property
    def predictor(self) -> Conv:
        """The layer that makes mean and log-scale."""
        return self.context.predict if self.context else conv_at(self.prior, -1)

    def rates(self, y: Tensor, quality: Tensor) -> tuple[Coded, Tensor, Tensor]:
        """What becomes of latents y (n, m, h, w); bits_y and bits_z (n,)."""
        z = self.hyper_analysis(y)
        features = self.prior(round_ste(z)).float()
        coded = self.code(y.float(), features, quality)
        noisy = self.coded(coded.residual, coded.symbols)
        bits_y = gaussian_bits(noisy, coded.log_scale).sum((1, 2, 3))
        bits_z = self.z_prior.bits(self.coded(z.float(), round_ste(z))).sum((1, 2, 3))
        return coded, bits_y, bits_z

    def latents(self, x: Tensor) -> Tensor:
        """y (n, m, h / 16, w / 16) of x (n, 3, h, w) in [0, 1]."""
        y: Tensor = self.analysis((x - self.pixel_offset) * self.pixel_scale)
        return y

    def forward(self, x: Tensor, quality: Tensor) -> Output:
        """x: (n, 3, h, w) in [0, 1], sides multiples of 64; quality: (n,) in 0..63."""
        coded, bits_y, bits_z = self.rates(self.latents(x), quality)
        x_hat = self.synthesis(coded.y_hat).float() / self.pixel_scale + self.pixel_offset
        return Output(x_hat, bits_y, bits_z)
