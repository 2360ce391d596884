"""Vectors of the operations that are not linear: ties, negatives, extremes, odd sizes."""

from __future__ import annotations

from vectors.building import (
    LIMITS,
    MULTIPLIER_MAX,
    Json,
    array,
    clip,
    noise,
    same,
    values,
    vector,
)


def rescaled() -> list[Json]:
    """Requantise and lookup."""
    extremes = [-(2**31), 2**31 - 1, -(2**30), 2**30 - 1, -1, 0, 1, 3]
    wide = array("s32", 2, 4, 1, values=extremes)
    uneven = {"multiplier": values("s32", 1, 3, MULTIPLIER_MAX), "shift": values("s32", 1, 4, 33)}
    cubes = {"table": array("s32", 256, values=[(i - 128) ** 3 // 64 for i in range(256)])}
    return [
        vector(
            "requantise-ties",
            "(-8..8 + 2) >> 2: ties of both signs.",
            "requantise",
            array("s16", 1, 17, 1, ramp=[-8, 17]),
            clause="arith.round-shift",
            **same(1, 1, 2),
            **clip("s16"),
        ),
        vector(
            "requantise-extremes",
            "Largest multiplier and shift on the ends of s32.",
            "requantise",
            wide,
            **same(1, MULTIPLIER_MAX, 62),
            **clip("s32"),
        ),
        vector(
            "requantise-per-channel",
            "A multiplier and a shift per channel.",
            "requantise",
            noise("s16", 3, 3, 3),
            **uneven,
            **clip("s16"),
        ),
        vector(
            "requantise-clip",
            "Clipped to 10..20.",
            "requantise",
            array("s16", 2, 9, 1, ramp=[-40, 81]),
            clause="arith.clip",
            **same(1),
            **clip("u8", 10, 20),
        ),
        vector(
            "lut-u8",
            "Entry 0 belongs to 0.",
            "lut",
            array("u8", 16, 16, 1, ramp=[0, 256]),
            **cubes,
            **clip("s16", -32768, 32767),
        ),
        vector(
            "lut-s8",
            "Entry 0 belongs to -128.",
            "lut",
            array("s8", 16, 16, 1, ramp=[-128, 256]),
            **cubes,
            **clip("s32"),
        ),
    ]


def pairs() -> list[Json]:
    """Add, mul, div."""
    half = [(-(2**30), 2**30 - 1), (-(2**30) + 1, 2**30 - 1)]
    ends = array("s32", 1, 2, 2, values=[-(2**30), 2**30 - 1, 0, -1])
    others = array("s32", 1, 2, 2, values=[-(2**30) + 1, 2**30 - 1, 0, 1])
    s16, other = noise("s16", 3, 5, 2, seed=5), noise("s16", 3, 5, 2, seed=6)
    narrow = [LIMITS["s16"], (-32767, 32767)]
    corners = [
        array("s16", 1, 4, 1, values=v)
        for v in ([-32768, -32768, 32767, 32767], [-32767, 32767, -32767, 32767])
    ]
    ties = array("s16", 1, 21, 1, ramp=[-10, 21])
    return [
        vector("add-clip", "s16 + s16, clipped at both ends.", "add", s16, other, **clip("s16")),
        vector(
            "add-mixed",
            "u8 + s8 of odd size.",
            "add",
            noise("u8", 3, 1, 5),
            noise("s8", 3, 1, 5),
            **clip("u8"),
        ),
        vector(
            "add-s32",
            "-(2**31 - 1), the largest magnitude that the proof allows.",
            "add",
            ends,
            others,
            ports=half,
            **clip("s32"),
        ),
        vector(
            "mul-signs",
            "s8 * s8, every pair of signs, ties at shift 1.",
            "mul",
            noise("s8", 4, 4, 3, seed=7),
            noise("s8", 4, 4, 3, seed=8),
            **same(3),
            **clip("s16"),
        ),
        vector(
            "mul-extremes",
            "Ends of s16, largest multiplier.",
            "mul",
            *corners,
            ports=narrow,
            **same(1, MULTIPLIER_MAX, 31),
            **clip("s32"),
        ),
        vector(
            "mul-per-channel",
            "A rescaling per channel.",
            "mul",
            noise("u8", 2, 3, 2),
            noise("s8", 2, 3, 2),
            multiplier=values("s32", 3, 5),
            shift=values("s32", 2, 9),
            **clip("s16"),
        ),
        vector(
            "div-ties",
            "-10..10 by 4: ties toward plus infinity, also below zero.",
            "div",
            ties,
            array("s16", 1, 21, 1, fill=4),
            ports=[(-10, 10), (1, 4)],
            clause="arith.divide",
            left_shift=0,
            **clip("s16"),
        ),
        vector(
            "div-odd-divisors",
            "Divisors 1..7, scaled by 2**8.",
            "div",
            noise("s16", 3, 7, 1),
            array("u8", 3, 7, 1, ramp=[1, 7]),
            ports=[LIMITS["s16"], (1, 255)],
            left_shift=8,
            **clip("s32"),
        ),
        vector(
            "div-extremes",
            "Numerators near 2**61, largest divisor.",
            "div",
            array("s32", 1, 4, 1, values=[-(2**31), -(2**31), 2**31 - 1, 2**31 - 1]),
            array("s32", 1, 4, 1, values=[1, 2**31 - 1] * 2),
            ports=[LIMITS["s32"], (1, 2**31 - 1)],
            left_shift=30,
            **clip("s32"),
        ),
    ]


def moved() -> list[Json]:
    """Operations that move samples."""
    return [
        vector(
            "depth-to-space-2",
            "Block 2 of two channels.",
            "depth_to_space",
            array("s16", 2, 3, 8, ramp=[-100, 251]),
            block=2,
        ),
        vector(
            "depth-to-space-3",
            "Block 3: an order of bits would not do.",
            "depth_to_space",
            array("u8", 2, 1, 9, ramp=[0, 251]),
            block=3,
        ),
        vector(
            "space-to-depth-2",
            "Block 2 of three channels.",
            "space_to_depth",
            array("u8", 4, 6, 3, ramp=[0, 251]),
            block=2,
        ),
        vector(
            "space-to-depth-3",
            "Block 3.",
            "space_to_depth",
            array("s32", 3, 6, 2, ramp=[-9, 251]),
            block=3,
        ),
        vector(
            "concat-three",
            "One, two and three channels.",
            "concat",
            *(noise("s8", 2, 2, c, seed=c) for c in (1, 2, 3)),
        ),
        vector("concat-one", "A single input is legal.", "concat", noise("u8", 2, 3, 2)),
        vector(
            "slice-middle", "Channels 2 and 3 of 5.", "slice", noise("s16", 2, 2, 5), begin=2, end=4
        ),
        vector(
            "pad-zero",
            "Zeros on four unlike edges; the interval 5..9 grows to 0..9.",
            "pad",
            array("u8", 2, 2, 2, ramp=[5, 5]),
            ports=[(5, 9)],
            padding=[1, 2, 0, 3],
            mode="zero",
        ),
        vector(
            "pad-edge",
            "Padding larger than the picture repeats its edge.",
            "pad",
            noise("s8", 2, 1, 2),
            padding=[3, 2, 1, 4],
            mode="edge",
        ),
        vector("crop", "Four unlike edges.", "crop", noise("s32", 6, 7, 2), padding=[1, 2, 3, 0]),
    ]


def vectors() -> list[Json]:
    """All of them."""
    return [*rescaled(), *pairs(), *moved()]
