"""A mean-scale hyperprior of a few kB: every stage of the codec, weights from a recipe.

Nothing is trained. The first and last layers carry block averages, so that pictures come out
recognisable; everything else is pseudo-random, small enough to keep tensors off their clip bounds.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import rangecoder
from intnet.conform.arrays import lcg
from intnet.model_file import QUALITIES, Model, Scaling
from intnet.program import (
    Add,
    Array,
    Conv,
    ConvTranspose,
    DepthToSpace,
    Div,
    Lut,
    Mul,
    Op,
    Port,
    Program,
    Requantise,
    Slice,
    SpaceToDepth,
)

M, Z, TRUNK = 8, 4, 12  # latents, hyper-latents, channels at 1/8
Y_TABLES, Z_REACH, Z_MAX = 12, 6, 31  # |z| beyond Z_REACH escapes
S16 = ("s16", -(2**15) + 1, 2**15 - 1)
U8 = ("u8", 0, 255)
NONE = (0, 0, 0, 0)


def noise(seed: int, reach: int, *shape: int) -> Array:
    """Pseudo-random s8 weights."""
    return np.array(lcg(int(np.prod(shape)), seed, -reach, reach), np.int8).reshape(shape)


def linear(
    kind: Any, name: str, source: str, clip: tuple[str, int, int], weight: Array, shift: int,
    *, bias: int | Array = 0, stride: int = 1, padding: tuple[int, int, int, int] = NONE,
    groups: int = 1,
) -> Op:  # fmt: skip
    """A linear operation that divides by 2**shift, nearly: multipliers differ per channel."""
    n = len(weight)
    multiplier = np.array([2**20 + 4099 * (c % 7) for c in range(n)], np.int32)
    biases = np.broadcast_to(np.asarray(bias, np.int32), (n,)).copy()
    shifts = np.full(n, 20 + shift, np.int32)
    return kind(name, (source,), *clip, stride, padding, groups, weight, biases, multiplier, shifts)  # type: ignore[no-any-return]


def rescale(
    kind: Any, name: str, inputs: tuple[str, ...], clip: tuple[str, int, int], n: int, shift: int
) -> Op:
    """A mul or requantise that divides by 2**shift."""
    return kind(name, inputs, *clip, np.full(n, 1, np.int32), np.full(n, shift, np.int32))  # type: ignore[no-any-return]


def block_means() -> Array:
    """8x8 blocks of (c, dy, dx) to TRUNK channels: means and slopes of each colour, then noise."""
    weight = noise(31, 8, TRUNK, 1, 1, 192).reshape(TRUNK, 3, 8, 8)
    ramp = np.arange(8) * 4 - 14
    for colour in range(3):
        weight[3 * colour : 3 * colour + 3] = 0
        weight[3 * colour, colour] = 16
        weight[3 * colour + 1, colour] = ramp[:, None]
        weight[3 * colour + 2, colour] = ramp[None, :]
    return weight.reshape(TRUNK, 1, 1, 192)


def analysis() -> Program:
    """Pixels to y at 1/16: a linear trunk and one residual branch."""
    weight = block_means()
    centre = -128 * weight.astype(np.int32).reshape(TRUNK, -1).sum(1)
    pool = noise(33, 5, M, 2, 2, TRUNK)
    for c in range(M):
        pool[c, :, :, c] += 60
    ops = (
        SpaceToDepth("blocks", ("x",), 8),
        linear(Conv, "trunk", "blocks", S16, weight, 6, bias=centre),
        linear(Conv, "branch.d", "trunk", U8, noise(32, 60, TRUNK, 3, 3, 1), 10, bias=40000,
               padding=(1, 1, 1, 1), groups=TRUNK),
        linear(Conv, "branch.w", "branch.d", S16, noise(34, 40, TRUNK, 1, 1, TRUNK), 3),
        Add("sum", ("trunk", "branch.w"), *S16),
        linear(Conv, "y", "sum", ("s16", -8191, 8191), pool, 9, stride=2),
    )  # fmt: skip
    return Program("analysis", (Port("x", "u8", 3, 0, 255),), ops, ("y",))


def hyper_analysis() -> Program:
    """Y to z at 1/64."""
    ops = (
        linear(Conv, "down", "y", U8, noise(35, 100, M, 3, 3, M), 11, bias=130000, stride=2,
               padding=(1, 1, 0, 0)),
        linear(Conv, "z", "down", ("s8", -Z_MAX, Z_MAX), noise(36, 90, Z, 2, 2, M), 12, stride=2),
    )  # fmt: skip
    return Program("hyper_analysis", (Port("y", "s16", M, -8191, 8191),), ops, ("z",))


def prior() -> Program:
    """Z to mean and index at 1/16."""
    root = np.array([int((i * 255) ** 0.5) for i in range(256)], np.int32)
    ops = (
        linear(ConvTranspose, "up", "z", U8, noise(37, 100, M, 4, 4, Z), 4, bias=1000, stride=2,
               padding=(1, 1, 1, 1)),
        Lut("root", ("up",), *U8, root),
        linear(ConvTranspose, "both", "root", ("s16", -4095, 4095), noise(38, 60, 2 * M, 5, 5, M),
               8, stride=2, padding=(2, 2, 1, 1)),
        Slice("mean", ("both",), 0, M),
        Slice("index", ("both",), M, 2 * M),
    )  # fmt: skip
    return Program("prior", (Port("z", "s8", Z, -Z_MAX, Z_MAX),), ops, ("mean", "index"))


def synthesis() -> Program:
    """Latents to pixels: a division as in GDN, then blocks."""
    spread = noise(39, 5, 4 * TRUNK, 1, 1, M).reshape(TRUNK, 4, M)
    for c in range(M):
        spread[c, :, c] += 60
    energy = np.abs(noise(40, 30, TRUNK, 1, 1, TRUNK))
    pixels = block_means().reshape(TRUNK, 192).T.reshape(192, 1, 1, TRUNK)
    ops = (
        linear(Conv, "spread", "y_hat", S16, spread.reshape(4 * TRUNK, 1, 1, M), 6),
        DepthToSpace("trunk", ("spread",), 2),
        rescale(Requantise, "narrow", ("trunk",), ("s8", -127, 127), TRUNK, 5),
        rescale(Mul, "square", ("narrow", "narrow"), U8, TRUNK, 6),
        linear(Conv, "energy", "square", ("s16", 64, 4096), energy, 4, bias=1024),
        Div("ratio", ("trunk", "energy"), *S16, 5),
        Add("sum", ("trunk", "ratio"), *S16),
        linear(Conv, "pixels", "sum", U8, pixels, 7, bias=128 << 7),
        DepthToSpace("x_hat", ("pixels",), 8),
    )  # fmt: skip
    return Program("synthesis", (Port("y_hat", "s16", M, -8191, 8191),), ops, ("x_hat",))


def tables(reaches: list[int], slopes: list[int]) -> rangecoder.Tables:
    """Two-sided geometric weights: each step outward multiplies by slope / 64."""
    weights = []
    for reach, slope in zip(reaches, slopes, strict=True):
        side = [2**40 * slope**k // 64**k for k in range(1, reach + 1)]
        weights.append([*side[::-1], 2**40, *side, side[-1] // 2 + 1])
    return rangecoder.build(weights, [-reach for reach in reaches])


def scaling() -> Scaling:
    """Steps fall by 16/17 per quality: a factor of about 45 between the ends."""
    step = [3000 * 16**q // 17**q for q in range(QUALITIES)]  # in 1/16 of a unit of y
    gain = [[2**24 * 16 // (s + c) for c in range(M)] for s in step]
    inverse = [[(s + c) * 2**16 // 16 for c in range(M)] for s in step]
    offset = [[256 + 4 * q - 3 * c for c in range(M)] for q in range(QUALITIES)]
    return Scaling(
        np.array(gain, np.int32), np.array(inverse, np.int32), np.array(offset, np.int32),
        np.array([2**15 - 700 * t for t in range(Y_TABLES)], np.int32), 24, 16, 6,
    )  # fmt: skip


def build() -> Model:
    """The whole model."""
    programs = {p.name: p for p in (analysis(), hyper_analysis(), prior(), synthesis())}
    reaches = [1 + t * t // 4 for t in range(Y_TABLES)]
    slopes = [2 + 5 * t for t in range(Y_TABLES)]
    z_slopes = [48, 40, 52, 44]
    metadata = {"name": "conformance tiny", "licence": "Apache-2.0"}
    return Model(
        programs, tables(reaches, slopes), tables([Z_REACH] * Z, z_slopes), scaling(), metadata
    )
