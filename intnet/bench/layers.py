"""The convolutions that are timed: layers of classical codecs, seeded."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from intnet.program import Array, Conv, ConvTranspose, Edges, Port, Program

SEED = 1
SPREAD = 34  # of weights: bell-shaped, the largest of a channel near 127, as trained ones are
RANGES = {"u8": (0, 255), "s16": (-2047, 2047)}  # of inputs; the proof allows s16 no more
OUTPUTS = {"u8": ("u8", 0, 255), "s16": ("s16", -(2**15), 2**15 - 1)}
SUMS = ("s32", -(2**31), 2**31 - 1)


@dataclass(frozen=True)
class Case:
    """A layer with as many outputs as inputs. output: its height and width."""

    name: str
    channels: int
    kernel: int
    stride: int
    output: tuple[int, int]
    transposed: bool = False

    @property
    def input(self) -> tuple[int, int]:
        """Height and width."""
        h, w = self.output
        s = self.stride
        return (h // s, w // s) if self.transposed else (h * s, w * s)

    @property
    def padding(self) -> Edges:
        """Such that sides are multiples of each other; a transposed one crops so much."""
        half = self.kernel // 2
        end = half - 1 if self.transposed else half
        return half, half, end, end

    @property
    def products(self) -> int:
        """Multiplications of one output, at most."""
        return self.channels * self.kernel**2

    @property
    def gmacs(self) -> float:
        """Multiply-accumulates of the layer, in 10**9."""
        h, w = self.input if self.transposed else self.output
        return h * w * self.products * self.channels / 1e9

    @property
    def shift(self) -> int:
        """A sum / 2**shift fills 8 bits."""
        return 6 + round(math.log2(self.products) / 2)

    def weight(self) -> Array:
        """s8 (N, KY, KX, I), within 127."""
        n, k = self.channels, self.kernel
        weight = np.random.default_rng(SEED).normal(0, SPREAD, (n, k, k, n))
        return np.clip(np.rint(weight), -127, 127).astype(np.int8)

    def bias(self) -> Array:
        """s32 (N,)."""
        return np.random.default_rng(SEED + 1).integers(-1000, 1000, self.channels, np.int32)

    def x(self, dtype: str) -> Array:
        """Input (height, width, I) over its whole range: u8, or s16."""
        lo, hi = RANGES[dtype]
        shape = (*self.input, self.channels)
        kind = np.uint8 if dtype == "u8" else np.int16
        return np.random.default_rng(SEED + 2).integers(lo, hi + 1, shape, kind)

    def program(self, dtype: str, *, sums: bool = False) -> Program:
        """The layer with input x and output y of a dtype; sums: y is s32, not rescaled."""
        kind = ConvTranspose if self.transposed else Conv
        # (2 * sum + 1) >> 1 is the sum; a shift of 32 or more is what most layers have
        multiplier, shift = (2, 1) if sums else (1 << (32 - self.shift), 32)
        op = kind(
            "y", ("x",), *(SUMS if sums else OUTPUTS[dtype]), self.stride, self.padding, 1,
            self.weight(), self.bias(), np.full(self.channels, multiplier, np.int32),
            np.full(self.channels, shift, np.int32),
        )  # fmt: skip
        return Program("layer", (Port("x", dtype, self.channels, *RANGES[dtype]),), (op,), ("y",))


SIZE = 64, 96
CASES = (
    Case("5x5", 192, 5, 1, SIZE),
    Case("5x5 stride 2", 192, 5, 2, SIZE),
    Case("3x3", 192, 3, 1, SIZE),
    Case("1x1", 192, 1, 1, (128, 192)),
    Case("transposed 5x5 stride 2", 192, 5, 2, (128, 192), transposed=True),
    Case("3x3, 128 channels", 128, 3, 1, SIZE),
    Case("3x3, 64 channels", 64, 3, 1, SIZE),
)
