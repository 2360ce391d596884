"""All `op` vectors: linear operations here, the others beside, and a chain."""

from __future__ import annotations

from typing import Any

import numpy as np

from intnet.program import KINDS
from vectors import bad_programs, ops_pointwise
from vectors.building import (
    MULTIPLIER_MAX,
    Json,
    array,
    clip,
    finish,
    noise,
    same,
    values,
    vector,
)


def conv(name: str, comment: str, x: Json, shape: tuple[int, ...], **given: Any) -> Json:
    """A linear operation with pseudo-random parameters, but for those given."""
    n, wide = shape[0], given.pop("weights", "s8")
    reach = 127 if wide == "s8" else 2000
    fields: Json = {
        "stride": 1, "padding": [0, 0, 0, 0], "groups": 1,
        "weight": array(wide, *shape, lcg=[11, -reach, reach]),
        "bias": array("s32", n, lcg=[12, -5000, 5000]),
        "multiplier": array("s32", n, lcg=[13, 2**20, 2**21]),
        "shift": array("s32", n, lcg=[14, 26, 29]), **clip("s16"),
    }  # fmt: skip
    return vector(name, comment, given.pop("kind", "conv"), x, **(fields | given))


def convolutions() -> list[Json]:
    """Each kind of arithmetic, kernel, stride, padding and grouping."""
    corner = [32767, -32767]
    edge = {"weight": array("s16", 2, 1, 1, 2, values=corner + corner[::-1]),
            "bias": values("s32", 131069, -131069)}  # fmt: skip
    ramp = array("s16", 3, 5, 1, ramp=[-7, 15])
    unit = {"weight": array("s8", 1, 1, 1, 1, fill=1), "bias": array("s32", 1, fill=0)}
    trap = {"weight": array("s8", 2, 1, 1, 8, values=[127] * 8 + [-128] * 8),
            "bias": array("s32", 2, fill=0)}  # fmt: skip
    return [
        conv(
            "conv-1x1",
            "Matrix product; inputs i % 251.",
            array("u8", 4, 3, 5, ramp=[0, 251]),
            (6, 1, 1, 5),
        ),
        conv(
            "conv-3x3-odd",
            "Odd height, width and channels, zeros outside.",
            noise("u8", 5, 7, 3),
            (4, 3, 3, 3),
            padding=[1] * 4,
        ),
        conv(
            "conv-s8-input",
            "s8 x s8, both signs, extremes included.",
            noise("s8", 4, 5, 7),
            (5, 3, 3, 7),
            padding=[1] * 4,
        ),
        conv(
            "conv-5x5-stride-2",
            "Even width, odd height at stride 2.",
            noise("s16", 7, 6, 2),
            (3, 5, 5, 2),
            padding=[2] * 4,
            stride=2,
        ),
        conv(
            "conv-uneven",
            "Kernel 2x3, stride 3, a different padding on each edge.",
            noise("s16", 6, 8, 2),
            (3, 2, 3, 2),
            padding=[1, 0, 2, 3],
            stride=3,
        ),
        conv(
            "conv-grouped",
            "Two groups of three inputs, two outputs each.",
            noise("u8", 3, 4, 6),
            (4, 3, 3, 3),
            padding=[1] * 4,
            groups=2,
        ),
        conv(
            "conv-depthwise",
            "As many groups as channels.",
            noise("s16", 4, 5, 5),
            (5, 3, 3, 1),
            padding=[1] * 4,
            groups=5,
        ),
        conv(
            "conv-s16-weights",
            "s16 weights on u8.",
            noise("u8", 4, 4, 9),
            (3, 3, 3, 9),
            padding=[1] * 4,
            weights="s16",
        ),
        conv(
            "conv-wide",
            "19 = 16 + 3 positions, 33 = 32 + 1 channels: remainders of vectorised loops.",
            noise("u8", 2, 19, 33),
            (33, 1, 3, 33),
            padding=[0, 1, 0, 1],
        ),
        conv(
            "conv-kernel-outside",
            "One sample, 5x5 kernel: most taps see padding only.",
            noise("s16", 1, 1, 3),
            (2, 5, 5, 3),
            padding=[2] * 4,
        ),
        conv(
            "conv-ties",
            "acc / 2 for -7..7: ties go toward plus infinity.",
            ramp,
            (1, 1, 1, 1),
            clause="arith.round-shift",
            **unit,
            **same(1),
        ),
        conv(
            "conv-qrelu",
            "Clipping at 0 and at 200, below the type's end.",
            noise("s8", 5, 5, 4),
            (4, 1, 1, 4),
            **clip("u8", 0, 200),
        ),
        conv(
            "conv-pairwise-saturation",
            "255 * 127 + 255 * 127 does not fit 16 bits: vpmaddubsw would clip it.",
            array("u8", 2, 2, 8, fill=255),
            (2, 1, 1, 8),
            **trap,
            **same(2),
            **clip("s32"),
        ),
        conv(
            "conv-accumulator-limit",
            "Accumulators of +-(2**31 - 1), the largest the proof allows.",
            array("s16", 1, 2, 2, values=[32767, -32767, -32767, 32767]),
            (2, 1, 1, 2),
            clause="proof.bounds",
            ports=[(-32767, 32767)],
            **edge,
            **same(2, MULTIPLIER_MAX, 31),
            **clip("s32"),
        ),
    ]


def transposed() -> list[Json]:
    """Overlapping, adjacent and sparse kernels."""

    def make(name: str, comment: str, x: Json, shape: tuple[int, ...], **given: Any) -> Json:
        return conv(f"conv-transpose-{name}", comment, x, shape, kind="conv_transpose", **given)

    return [
        make(
            "2x2",
            "Stride 2, kernel 2: every output has one tap.",
            noise("u8", 2, 3, 4),
            (3, 2, 2, 4),
            stride=2,
        ),
        make(
            "4x4",
            "Stride 2, kernel 4, one row and column cropped everywhere: twice the size.",
            noise("s16", 3, 2, 3),
            (2, 4, 4, 3),
            stride=2,
            padding=[1] * 4,
        ),
        make(
            "5x5",
            "Stride 2, kernel 5, cropped 2 and 1: twice the size.",
            noise("s16", 2, 3, 2),
            (3, 5, 5, 2),
            stride=2,
            padding=[2, 2, 1, 1],
        ),
        make(
            "holes",
            "Stride 3, kernel 2: some outputs have no tap and are the bias.",
            noise("s8", 2, 2, 2),
            (2, 2, 2, 2),
            stride=3,
        ),
        make(
            "grouped",
            "Two groups of two inputs, two outputs each.",
            noise("u8", 2, 2, 4),
            (4, 3, 3, 2),
            stride=2,
            padding=[1] * 4,
            groups=2,
        ),
        make(
            "uneven",
            "Kernel 3x4, a different crop on each edge.",
            noise("s16", 3, 4, 2),
            (2, 3, 4, 2),
            stride=2,
            padding=[0, 1, 2, 3],
        ),
        make(
            "one-sample",
            "One sample with stride 1 is the flipped kernel.",
            noise("s8", 1, 1, 1),
            (1, 3, 3, 1),
        ),
    ]


def chain() -> Json:
    """Several operations; a tensor is read twice, an input is also an output."""
    port = {"name": "x", "dtype": "s16", "channels": 2, "lo": -500, "hi": 500}
    ops = [
        {"kind": "requantise", "name": "narrow", "inputs": ["x"], **clip("s8")},
        {"kind": "mul", "name": "square", "inputs": ["narrow", "narrow"], **clip("u8", 1)},
        {"kind": "div", "name": "ratio", "inputs": ["x", "square"], "left_shift": 4, **clip("s16")},
        {"kind": "concat", "name": "both", "inputs": ["ratio", "x"]},
    ]
    document = {"name": "p", "inputs": [port], "ops": ops, "outputs": ["both", "x"]}
    tensors = {f"p/{op}/{key}": spec for op, shift in (("narrow", 2), ("square", 6))
               for key, spec in same(2, 1, shift).items()}  # fmt: skip
    x = array("s16", 3, 5, 2, lcg=[9, -500, 500])
    comment = "Four operations; `narrow` is both factors, `x` is read three times."
    return finish("chain", "program.order", comment, document, tensors, {"x": x})


def vectors() -> list[Json]:
    """All of this class. Every kind has a valid one."""
    made = [*convolutions(), *transposed(), *ops_pointwise.vectors(), chain()]
    made += bad_programs.vectors()
    valid = {op["kind"] for v in made if v["result"] == "valid" for op in v["program"]["ops"]}
    assert valid == set(KINDS), sorted(set(KINDS) - valid)
    assert all(np.prod(x["shape"]) for v in made for x in v["inputs"].values())
    return made
