"""Vectors of single operations: ties, negatives, extremes, odd sizes; and programs to refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
from intnet import program_json
from intnet.bounds import prove
from intnet.conform import described, expand
from intnet.errors import ModelError
from intnet.program import KINDS, TENSORS
from vectors import definition

Json = dict[str, Any]
LIMITS = {"u8": (0, 255), "s8": (-128, 127), "s16": (-(2**15), 2**15 - 1),
          "s32": (-(2**31), 2**31 - 1)}  # fmt: skip
MULTIPLIER_MAX = 2**31 - 1


def array(dtype: str, *shape: int, **recipe: Any) -> Json:
    """An array by recipe; see `intnet.conform.expand`."""
    return {"dtype": dtype, "shape": list(shape), **recipe}


def values(dtype: str, *elements: int) -> Json:
    """A vector written out."""
    return array(dtype, len(elements), values=list(elements))


def same(channels: int, multiplier: int = 1, shift: int = 1) -> Json:
    """One requantisation for all channels."""
    return {
        "multiplier": array("s32", channels, fill=multiplier),
        "shift": array("s32", channels, fill=shift),
    }


def clip(dtype: str, lo: int | None = None, hi: int | None = None) -> Json:
    """Output type and interval; by default all of the type."""
    low, high = LIMITS[dtype]
    return {"dtype": dtype, "lo": low if lo is None else lo, "hi": high if hi is None else hi}


def vector(name: str, comment: str, kind: str, *inputs: Json, ports: Any = None, **fields: Any) -> Json:
    """A program of one operation. inputs: (height, width, channels). ports: their intervals."""
    names = [f"x{i}" for i in range(len(inputs))]
    intervals = ports or [LIMITS[x["dtype"]] for x in inputs]
    declared = [
        {"name": n, "dtype": x["dtype"], "channels": x["shape"][2], "lo": lo, "hi": hi}
        for n, x, (lo, hi) in zip(names, inputs, intervals, strict=True)
    ]
    entry = {"kind": kind, "name": "out", "inputs": names}
    entry |= {key: value for key, value in fields.items() if key not in TENSORS}
    document = {"name": "p", "inputs": declared, "ops": [entry], "outputs": ["out"]}
    tensors = {f"p/out/{key}": fields[key] for key in TENSORS if key in fields}
    return finish(name, comment, document, tensors, dict(zip(names, inputs, strict=True)))


def finish(name: str, comment: str, document: Json, tensors: Json, inputs: Json) -> Json:
    """Add what must come out, by `definition` and by nothing that is under test."""
    made = {"id": f"op/{name}", "class": "op", "comment": comment, "program": document,
            "tensors": tensors, "inputs": inputs}  # fmt: skip
    try:
        arrays = {key: expand(spec) for key, spec in tensors.items()}
        program = program_json.from_json(document, arrays)
        bounds = [[b.op, b.channel, b.quantity, b.bound] for b in prove(program)]
    except ModelError as error:
        return made | {"result": "invalid", "expected": {"error": type(error).__name__}}
    outputs = definition.run(program, {key: expand(spec) for key, spec in inputs.items()})
    expected = {"outputs": {key: described(x) for key, x in outputs.items()}, "bounds": bounds}
    return made | {"result": "valid", "expected": expected}


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


def noise(dtype: str, *shape: int, seed: int = 1) -> Json:
    """Pseudo-random values over all of a type."""
    return array(dtype, *shape, lcg=[seed, *LIMITS[dtype]])


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
        conv("conv-1x1", "Matrix product; inputs i % 251.", array("u8", 4, 3, 5, ramp=[0, 251]), (6, 1, 1, 5)),
        conv("conv-3x3-odd", "Odd height, width and channels, zeros outside.", noise("u8", 5, 7, 3), (4, 3, 3, 3), padding=[1] * 4),
        conv("conv-s8-input", "s8 x s8, both signs, extremes included.", noise("s8", 4, 5, 7), (5, 3, 3, 7), padding=[1] * 4),
        conv("conv-5x5-stride-2", "Even width, odd height at stride 2.", noise("s16", 7, 6, 2), (3, 5, 5, 2), padding=[2] * 4, stride=2),
        conv("conv-uneven", "Kernel 2x3, stride 3, a different padding on each edge.", noise("s16", 6, 8, 2), (3, 2, 3, 2), padding=[1, 0, 2, 3], stride=3),
        conv("conv-grouped", "Two groups of three inputs, two outputs each.", noise("u8", 3, 4, 6), (4, 3, 3, 3), padding=[1] * 4, groups=2),
        conv("conv-depthwise", "As many groups as channels.", noise("s16", 4, 5, 5), (5, 3, 3, 1), padding=[1] * 4, groups=5),
        conv("conv-s16-weights", "s16 weights on u8.", noise("u8", 4, 4, 9), (3, 3, 3, 9), padding=[1] * 4, weights="s16"),
        conv("conv-wide", "19 = 16 + 3 positions, 33 = 32 + 1 channels: remainders of vectorised loops.", noise("u8", 2, 19, 33), (33, 1, 3, 33), padding=[0, 1, 0, 1]),
        conv("conv-kernel-outside", "One sample, 5x5 kernel: most taps see padding only.", noise("s16", 1, 1, 3), (2, 5, 5, 3), padding=[2] * 4),
        conv("conv-ties", "acc / 2 for -7..7: ties go toward plus infinity.", ramp, (1, 1, 1, 1), **unit, **same(1)),
        conv("conv-qrelu", "Clipping at 0 and at 200, below the type's end.", noise("s8", 5, 5, 4), (4, 1, 1, 4), **clip("u8", 0, 200)),
        conv("conv-pairwise-saturation", "255 * 127 + 255 * 127 does not fit 16 bits: vpmaddubsw would clip it.", array("u8", 2, 2, 8, fill=255), (2, 1, 1, 8), **trap, **same(2), **clip("s32")),
        conv("conv-accumulator-limit", "Accumulators of +-(2**31 - 1), the largest the proof allows.", array("s16", 1, 2, 2, values=[32767, -32767, -32767, 32767]), (2, 1, 1, 2), ports=[(-32767, 32767)], **edge, **same(2, MULTIPLIER_MAX, 31), **clip("s32")),
    ]  # fmt: skip


def transposed() -> list[Json]:
    """Overlapping, adjacent and sparse kernels."""
    def make(name: str, comment: str, x: Json, shape: tuple[int, ...], **given: Any) -> Json:
        return conv(f"conv-transpose-{name}", comment, x, shape, kind="conv_transpose", **given)

    return [
        make("2x2", "Stride 2, kernel 2: every output has one tap.", noise("u8", 2, 3, 4), (3, 2, 2, 4), stride=2),
        make("4x4", "Stride 2, kernel 4, one row and column cropped everywhere: twice the size.", noise("s16", 3, 2, 3), (2, 4, 4, 3), stride=2, padding=[1] * 4),
        make("5x5", "Stride 2, kernel 5, cropped 2 and 1: twice the size.", noise("s16", 2, 3, 2), (3, 5, 5, 2), stride=2, padding=[2, 2, 1, 1]),
        make("holes", "Stride 3, kernel 2: some outputs have no tap and are the bias.", noise("s8", 2, 2, 2), (2, 2, 2, 2), stride=3),
        make("grouped", "Two groups.", noise("u8", 2, 2, 4), (2, 3, 3, 2), stride=2, padding=[1] * 4, groups=2),
        make("one-sample", "One sample with stride 1 is the flipped kernel.", noise("s8", 1, 1, 1), (1, 3, 3, 1)),
    ]  # fmt: skip


def rescaled() -> list[Json]:
    """Requantise and lookup."""
    extremes = [-(2**31), 2**31 - 1, -(2**30), 2**30 - 1, -1, 0, 1, 3]
    wide = array("s32", 2, 4, 1, values=extremes)
    uneven = {"multiplier": values("s32", 1, 3, MULTIPLIER_MAX), "shift": values("s32", 1, 4, 33)}
    cubes = {"table": array("s32", 256, values=[(i - 128) ** 3 // 64 for i in range(256)])}
    return [
        vector("requantise-ties", "(-8..8 + 2) >> 2: ties of both signs.", "requantise", array("s16", 1, 17, 1, ramp=[-8, 17]), **same(1, 1, 2), **clip("s16")),
        vector("requantise-extremes", "Largest multiplier and shift on the ends of s32.", "requantise", wide, **same(1, MULTIPLIER_MAX, 62), **clip("s32")),
        vector("requantise-per-channel", "A multiplier and a shift per channel.", "requantise", noise("s16", 3, 3, 3), **uneven, **clip("s16")),
        vector("requantise-clip", "Clipped to 10..20.", "requantise", array("s16", 2, 9, 1, ramp=[-40, 81]), **same(1), **clip("u8", 10, 20)),
        vector("lut-u8", "Entry 0 belongs to 0.", "lut", array("u8", 16, 16, 1, ramp=[0, 256]), **cubes, **clip("s16", -32768, 32767)),
        vector("lut-s8", "Entry 0 belongs to -128.", "lut", array("s8", 16, 16, 1, ramp=[-128, 256]), **cubes, **clip("s32")),
    ]  # fmt: skip


def pairs() -> list[Json]:
    """Add, mul, div."""
    half = [(-(2**30), 2**30 - 1)] * 2
    a, b = array("s32", 4, 4, 2, lcg=[3, *half[0]]), array("s32", 4, 4, 2, lcg=[4, *half[0]])
    s16, other = noise("s16", 3, 5, 2, seed=5), noise("s16", 3, 5, 2, seed=6)
    narrow = [LIMITS["s16"], (-32767, 32767)]
    corners = [array("s16", 1, 4, 1, values=v) for v in ([-32768, -32768, 32767, 32767], [-32767, 32767, -32767, 32767])]  # fmt: skip
    ties = array("s16", 1, 21, 1, ramp=[-10, 21])
    return [
        vector("add-clip", "s16 + s16, clipped at both ends.", "add", s16, other, **clip("s16")),
        vector("add-mixed", "u8 + s8 of odd size.", "add", noise("u8", 3, 1, 5), noise("s8", 3, 1, 5), **clip("u8")),
        vector("add-s32", "Sums up to the limit of the proof.", "add", a, b, ports=half, **clip("s32")),
        vector("mul-signs", "s8 * s8, every pair of signs, ties at shift 1.", "mul", noise("s8", 4, 4, 3, seed=7), noise("s8", 4, 4, 3, seed=8), **same(3), **clip("s16")),
        vector("mul-extremes", "Ends of s16, largest multiplier.", "mul", *corners, ports=narrow, **same(1, MULTIPLIER_MAX, 31), **clip("s32")),
        vector("mul-per-channel", "A rescaling per channel.", "mul", noise("u8", 2, 3, 2), noise("s8", 2, 3, 2), multiplier=values("s32", 3, 5), shift=values("s32", 2, 9), **clip("s16")),
        vector("div-ties", "-10..10 by 4: ties toward plus infinity, also below zero.", "div", ties, array("s16", 1, 21, 1, fill=4), ports=[(-10, 10), (1, 4)], left_shift=0, **clip("s16")),
        vector("div-odd-divisors", "Divisors 1..7, scaled by 2**8.", "div", noise("s16", 3, 7, 1), array("u8", 3, 7, 1, ramp=[1, 7]), ports=[LIMITS["s16"], (1, 255)], left_shift=8, **clip("s32")),
        vector("div-extremes", "Numerators near 2**61, largest divisor.", "div", array("s32", 1, 4, 1, values=[-(2**31), -(2**31), 2**31 - 1, 2**31 - 1]), array("s32", 1, 4, 1, values=[1, 2**31 - 1] * 2), ports=[LIMITS["s32"], (1, 2**31 - 1)], left_shift=30, **clip("s32")),
    ]  # fmt: skip


def moved() -> list[Json]:
    """Operations that move samples."""
    return [
        vector("depth-to-space-2", "Block 2 of two channels.", "depth_to_space", array("s16", 2, 3, 8, ramp=[-100, 251]), block=2),
        vector("depth-to-space-3", "Block 3: an order of bits would not do.", "depth_to_space", array("u8", 2, 1, 9, ramp=[0, 251]), block=3),
        vector("space-to-depth-2", "Block 2 of three channels.", "space_to_depth", array("u8", 4, 6, 3, ramp=[0, 251]), block=2),
        vector("space-to-depth-3", "Block 3.", "space_to_depth", array("s32", 3, 6, 2, ramp=[-9, 251]), block=3),
        vector("concat-three", "One, two and three channels.", "concat", *(noise("s8", 2, 2, c, seed=c) for c in (1, 2, 3))),
        vector("concat-one", "A single input is legal.", "concat", noise("u8", 2, 3, 2)),
        vector("slice-middle", "Channels 2 and 3 of 5.", "slice", noise("s16", 2, 2, 5), begin=2, end=4),
        vector("pad-zero", "Zeros on four unlike edges; the interval 5..9 grows to 0..9.", "pad", array("u8", 2, 2, 2, ramp=[5, 5]), ports=[(5, 9)], padding=[1, 2, 0, 3], mode="zero"),
        vector("pad-edge", "Padding larger than the picture repeats its edge.", "pad", noise("s8", 2, 1, 2), padding=[3, 2, 1, 4], mode="edge"),
        vector("crop", "Four unlike edges.", "crop", noise("s32", 6, 7, 2), padding=[1, 2, 3, 0]),
    ]  # fmt: skip


def chain() -> Json:
    """Several operations; a tensor is read twice, an input is also an output."""
    document = {
        "name": "p", "inputs": [{"name": "x", "dtype": "s16", "channels": 2, "lo": -500, "hi": 500}],
        "ops": [
            {"kind": "requantise", "name": "narrow", "inputs": ["x"], **clip("s8")},
            {"kind": "mul", "name": "square", "inputs": ["narrow", "narrow"], **clip("u8", 1)},
            {"kind": "div", "name": "ratio", "inputs": ["x", "square"], "left_shift": 4, **clip("s16")},
            {"kind": "concat", "name": "both", "inputs": ["ratio", "x"]},
        ],
        "outputs": ["both", "x"],
    }  # fmt: skip
    tensors = {f"p/{op}/{key}": spec for op, shift in (("narrow", 2), ("square", 6))
               for key, spec in same(2, 1, shift).items()}  # fmt: skip
    x = array("s16", 3, 5, 2, lcg=[9, -500, 500])
    return finish("chain", "Four operations; `narrow` is both factors, `x` is read three times.", document, tensors, {"x": x})  # fmt: skip


def refused() -> list[Json]:
    """Programs with one fault each."""
    s16, s32 = noise("s16", 2, 2, 2), noise("s32", 2, 2, 2)
    ones = {"weight": array("s8", 2, 1, 1, 2, fill=1), "bias": array("s32", 2, fill=0)}
    heavy = {"weight": array("s16", 2, 1, 1, 2, fill=-32768), "bias": array("s32", 2, fill=0)}
    table = {"table": array("s32", 256, ramp=[0, 256])}

    def bad(name: str, comment: str, kind: str, *inputs: Json, **fields: Any) -> Json:
        made = vector(f"invalid/{name}", comment, kind, *inputs, **fields)
        assert made["result"] == "invalid", name
        return made

    plain = {"stride": 1, "padding": [0] * 4, "groups": 1, **same(2), **clip("s16")}
    return [
        bad("bound-conv", "2 * 32768 * 32768 = 2**31 exactly.", "conv", s16, **plain, **heavy),
        bad("bound-add", "2**31 + 2**31.", "add", s32, s32, **clip("s32")),
        bad("bound-mul", "2**31 * 2**31.", "mul", s32, s32, **same(2), **clip("s32")),
        bad("shift-0", "A shift is at least 1.", "requantise", s16, **same(2, 1, 0), **clip("s16")),
        bad("shift-63", "A shift is at most 62.", "requantise", s16, **same(2, 1, 63), **clip("s16")),
        bad("multiplier-0", "A multiplier is at least 1.", "requantise", s16, **same(2, 0), **clip("s16")),
        bad("divisor-0", "The divisor's interval holds 0.", "div", s16, noise("u8", 2, 2, 2), left_shift=0, **clip("s16")),
        bad("lut-entry", "Entry 255 lies above hi.", "lut", noise("u8", 1, 1, 1), **table, **clip("u8", 0, 254)),
        bad("groups", "Two channels in three groups.", "conv", s16, **(plain | {"groups": 3}), **ones),
        bad("block", "Two channels, block 2 needs a multiple of four.", "depth_to_space", s16, block=2),
        bad("interval", "hi = 128 does not fit s8.", "add", s16, s16, **clip("s8", -128, 128)),
        bad("channels", "Inputs of two and three channels.", "add", s16, noise("s16", 2, 2, 3), **clip("s32")),
        bad("kind", "No such operation.", "softmax", s16),
    ]  # fmt: skip


def vectors() -> list[Json]:
    """All of this class. Every kind has a valid one."""
    made = [*convolutions(), *transposed(), *rescaled(), *pairs(), *moved(), chain(), *refused()]
    valid = {op["kind"] for v in made if v["result"] == "valid" for op in v["program"]["ops"]}
    assert valid == set(KINDS), sorted(set(KINDS) - valid)
    assert all(np.prod(x["shape"]) for v in made for x in v["inputs"].values())
    return made
