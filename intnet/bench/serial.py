"""A joint autoregressive prior of the shape of Minnen et al. 2018 ("mbt2018"), random weights.

192 hyper-latents through two transposed convolutions and one convolution to 384 features, a masked
5x5 convolution of 192 latents to 384 channels, 1x1 convolutions to 640, 512 and 384: 2.9 GMAC for
768x512 pixels, in 141 fronts. What is drawn makes about one bit for each latent.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import rangecoder
from intnet import backends, codec, serial_context, strips
from intnet.bench.coder import scales, tables_of
from intnet.bench.verbs import Verbs
from intnet.context import Coding
from intnet.model_file import QUALITIES, Y_STRIDE, Z_STRIDE, Scaling
from intnet.program import Array, Concat, Conv, ConvTranspose, Op, Port, Program, Slice
from intnet.serial_context import FEATURES, Y_HAT

M, HIDDEN = 192, (640, 512)
SEED, SPREAD = 1, 12  # SPREAD: of weights
REACH = 4.5  # standard deviations that a table covers
UNIT = 64  # of y: one symbol
OUT = 64.0  # root mean square of what most layers give
LANES = 2
OUTPUTS = {"u8": (0, 255), "s16": (-8192, 8191)}
Kind = type[Conv] | type[ConvTranspose]


def verbs(pixels: codec.Pixels) -> Verbs:
    """The prior alone, without transforms, of a picture as large as these pixels."""
    prior = Prior(*(strips.cells(side, Z_STRIDE) for side in pixels.shape[:2]))
    payloads = prior.encode()
    if not np.array_equal(prior.decode(payloads), prior.y_hat):
        raise AssertionError("bench serial: decoded latents differ from those encoded")
    return Verbs(prior.encode, lambda: prior.decode(payloads), sum(map(len, payloads)))


class Prior:
    """Programs, tables and latents. rows, columns: of hyper-latents."""

    def __init__(self, rows: int, columns: int) -> None:
        rng = np.random.default_rng(SEED)
        self.backend: Any = backends.load("numba")
        self.hyper, self.serial = hyper_synthesis(rng), serial_context.serial(context_program(rng))
        sigmas = scales()
        self.tables = tables_of(sigmas, [math.ceil(REACH * sigma) for sigma in sigmas])
        self.z_tables = tables_of([1.0], [5])
        up = Z_STRIDE // Y_STRIDE
        self.z = rng.integers(-2, 3, (rows, columns, M)).astype(np.int8)
        self.y = np.rint(rng.normal(0, UNIT / 2, (rows * up, columns * up, M))).astype(np.int16)
        self.y_hat = np.zeros_like(self.y)
        self.coding = Coding(scaling(len(sigmas)), 0)

    def features(self, z: Array) -> Array:
        """What the hyper-latents say."""
        features: Array = self.backend.run(self.hyper, {"z": z})[FEATURES]
        return features

    def encode(self) -> tuple[bytes, bytes]:
        """Payloads of z and y."""
        flat = self.z.astype(np.int32).ravel()
        z_payload = rangecoder.encode(flat, np.zeros(flat.size, np.uint8), self.z_tables)
        encoder = rangecoder.Encoder(self.tables, LANES)
        coded = self.backend.serial().encode(
            self.serial, self.features(self.z), self.y, encoder, self.coding
        )
        self.y_hat = coded.y_hat
        return z_payload, encoder.finish()

    def decode(self, payloads: tuple[bytes, bytes]) -> Array:
        """The latents."""
        z = rangecoder.decode(payloads[0], np.zeros(self.z.size, np.uint8), self.z_tables)
        features = self.features(z.astype(np.int8).reshape(self.z.shape))
        decoder = rangecoder.Decoder(payloads[1], self.tables, LANES)
        found = self.backend.serial().decode(self.serial, features, decoder, self.coding)
        decoder.finish()
        y_hat: Array = found.y_hat
        return y_hat


def scaling(tables: int) -> Scaling:
    """A symbol is UNIT of y; table 24 of 64, a scale of 2.1, give or take a few."""
    shape = QUALITIES, M
    return Scaling(
        gain=np.full(shape, 2**20 // UNIT, np.int32),
        inverse_gain=np.full(shape, UNIT << 10, np.int32),
        index_offset=np.full(shape, 12 << 8, np.int32),
        dead_zone=np.full(tables, 2**15, np.int32), gain_shift=20, inverse_shift=10, index_shift=8,
    )  # fmt: skip


def linear(
    rng: np.random.Generator, kind: Kind, name: str, source: Port, n: int, out: str,
    kernel: int = 1, sigma: float = OUT, spread: float = OUT,
) -> Conv | ConvTranspose:  # fmt: skip
    """A layer. sigma, spread: root mean square of inputs and outputs."""
    weight = np.rint(rng.normal(0, SPREAD, (n, kernel, kernel, source.channels))).astype(np.int8)
    half, end = kernel // 2, kernel // 2 - (kind is ConvTranspose)
    of_sum = math.sqrt(weight[0].size) * SPREAD * sigma
    return kind(
        name, (source.name,), out, *OUTPUTS[out], 1 + (kind is ConvTranspose),
        (half, half, end, end), 1, weight, np.zeros(n, np.int32),
        np.full(n, round(spread / of_sum * 2**32), np.int32), np.full(n, 32, np.int32),
    )  # fmt: skip


def hyper_synthesis(rng: np.random.Generator) -> Program:
    """Hyper-latents to features, four times as high and wide."""
    z, a, b = Port("z", "s8", M, -5, 5), Port("a", "u8", M, 0, 255), Port("b", "u8", 288, 0, 255)
    ops = (
        linear(rng, ConvTranspose, "a", z, M, "u8", 5, sigma=1.4),
        linear(rng, ConvTranspose, "b", a, 288, "u8", 5),
        linear(rng, Conv, FEATURES, b, 2 * M, "s16", 3),
    )
    return Program("hyper_synthesis", (z,), ops, (FEATURES,))


def context_program(rng: np.random.Generator) -> Program:
    """Masked convolution, joined with the features, three 1x1 convolutions."""
    y = Port(Y_HAT, "s16", M, -1024, 1023)
    features, both = Port(FEATURES, "s16", 2 * M, *OUTPUTS["s16"]), "both"
    seen = linear(rng, Conv, "seen", y, 2 * M, "s16", 5, sigma=UNIT / 2)
    seen.weight.reshape(2 * M, 25, M)[:, 12:] = 0
    ops: list[Op] = [seen, Concat(both, ("seen", FEATURES))]
    source = Port(both, "s16", 4 * M, *OUTPUTS["s16"])
    for k, n in enumerate(HIDDEN):
        ops.append(linear(rng, Conv, f"hidden_{k}", source, n, "u8"))
        source = Port(f"hidden_{k}", "u8", n, 0, 255)
    ops += [
        linear(rng, Conv, "out", source, 2 * M, "s16", spread=256),
        Slice("mean", ("out",), 0, M),
        Slice("index", ("out",), M, 2 * M),
    ]
    return Program("context", (y, features), tuple(ops), ("mean", "index"))
