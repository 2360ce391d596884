"""Programs whose accumulators and products come near the bounds that are proved for them.

Weights of `up` and `down` are of one sign, inputs lie near one end of their interval, and the bias
has the sign of the sum: so the sums go as far as the proof fears, and `reached` says how far.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from intnet.bounds import prove
from intnet.conform.arrays import expand
from intnet.program import Add, Array, Div, Program, Requantise
from vectors import definition
from vectors.building import LIMITS, MULTIPLIER_MAX, Json, array, clip, finish, loaded, same

S32 = LIMITS["s32"]


class Linear(NamedTuple):
    """Two convolutions of one input, whose sums go up and down."""

    dtype: str  # of the input
    shape: tuple[int, int, int, int]  # of the weights
    weights: str  # their dtype
    clip: Json
    shift: int  # with a multiplier of 2**shift // divisor
    divisor: int
    kind: str = "conv"
    groups: int = 1
    stride: int = 1
    bias: int = 10**6
    size: tuple[int, int] | None = None  # of the input; else a kernel and two samples more


def near(dtype: str, *shape: int, low_end: bool = False, seed: int = 5) -> Json:
    """Values within a fiftieth of one end of a type."""
    lo, hi = LIMITS[dtype]
    reach = max(1, (hi - lo) // 50)
    return array(dtype, *shape, lcg=[seed, lo, lo + reach] if low_end else [seed, hi - reach, hi])


def linear(name: str, comment: str, case: Linear) -> Json:
    """Sums to both sides."""
    n, kernel_y, kernel_x, depth = case.shape
    height, width = case.size or (kernel_y + 2, kernel_x + 2)
    x = near(case.dtype, height, width, depth * case.groups)
    lo, hi = LIMITS[case.dtype]
    port = {"name": "x", "dtype": case.dtype, "channels": depth * case.groups, "lo": lo, "hi": hi}
    tensors: Json = {}
    for op, down in (("up", False), ("down", True)):
        reach = [-case.bias, -case.bias + 9] if down else [case.bias - 9, case.bias]
        fields = {
            "weight": near(case.weights, *case.shape, low_end=down, seed=11),
            "bias": array("s32", n, lcg=[12, *reach]),
            **same(n, min(MULTIPLIER_MAX, 2**case.shift // case.divisor), case.shift),
        }
        tensors |= {f"p/{op}/{key}": spec for key, spec in fields.items()}
    fields = {"stride": case.stride, "padding": [0] * 4, "groups": case.groups, **case.clip}
    ops = [{"kind": case.kind, "name": op, "inputs": ["x"], **fields} for op in ("up", "down")]
    document = {"name": "p", "inputs": [port], "ops": ops, "outputs": ["up", "down"]}
    return ranged(name, comment, document, tensors, {"x": x})


def ranged(name: str, comment: str, document: Json, tensors: Json, inputs: Json) -> Json:
    """A vector with what it reaches."""
    made = finish(name, "proof.bounds", comment, document, tensors, inputs, "signal_range")
    assert made["result"] == "valid", (name, made["expected"])
    arrays = {key: expand(spec) for key, spec in inputs.items()}
    return made | {"reached": reached(loaded(document, tensors), arrays)}


def reached(program: Program, inputs: dict[str, Array]) -> list[Json]:
    """Least and greatest value of each quantity of the proof, beside its bound.

    Every op reads inputs of the program.
    """
    bounds = {(b.op, b.quantity): b.bound for b in prove(program)}
    found = []
    for op in program.ops:
        read = [inputs[name].astype(object) for name in op.inputs]
        for quantity, values in quantities(op, read).items():
            found.append({
                "op": op.name, "quantity": quantity, "least": int(min(values)),
                "greatest": int(max(values)), "bound": bounds[op.name, quantity],
            })  # fmt: skip
    return found


def quantities(op: Any, read: list[Array]) -> dict[str, list[int]]:
    """By name: values before they are shifted, with and without what rounds them."""
    if isinstance(op, Div):
        numerators = 2 * read[0] * 2**op.left_shift
        return {"product": [*numerators.ravel(), *(numerators + read[1]).ravel()]}
    acc = accumulators(op, read)
    if isinstance(op, Add):
        return {"accumulator": list(acc.ravel())}
    products = acc * op.multiplier.astype(object)
    halves = np.array([2 ** (int(s) - 1) for s in op.shift], object)
    both = {"product": [*products.ravel(), *(products + halves).ravel()]}
    return both if isinstance(op, Requantise) else {"accumulator": list(acc.ravel()), **both}


def accumulators(op: Any, read: list[Array]) -> Array:
    """Sums before they are rescaled: by `definition`, as 2 * acc / 2**1."""
    if isinstance(op, Add):
        return read[0] + read[1]
    if isinstance(op, Requantise):
        return read[0]
    twice, half = (np.full_like(op.shift, value) for value in (2, 1))
    exact = replace(op, multiplier=twice, shift=half, dtype="s32", lo=S32[0], hi=S32[1])
    return definition.MEANING[type(op)](exact, *read)


def vectors() -> list[Json]:
    """All of this class."""
    return [*convolutions(), *pointwise()]


def convolutions() -> list[Json]:
    """Each kind of arithmetic that convolutions have, by dtypes, kernel and groups."""
    s8, u8, s16, s32 = (clip(dtype) for dtype in ("s8", "u8", "s16", "s32"))
    transposed = "conv_transpose"
    wanted = {
        "conv-1x1-u8": (
            "1x1 on u8, to u8.",
            Linear("u8", (8, 1, 1, 96), "s8", u8, 30, 2**15),
        ),
        "conv-1x1-s16": (
            "1x1 on s16, to s16.",
            Linear("s16", (8, 1, 1, 40), "s8", s16, 30, 2**12),
        ),
        "conv-1x1-s16-weights": (
            "s16 on s16: two terms nearly fill 32 bits.",
            Linear("s16", (8, 1, 1, 2), "s16", s16, 30, 2**16, bias=10),
        ),
        "conv-3x3-u8": (
            "3x3 on u8, to s32.",
            Linear("u8", (9, 3, 3, 17), "s8", s32, 1, 1),
        ),
        "conv-3x3-s8": (
            "3x3 on s8, to s8.",
            Linear("s8", (9, 3, 3, 17), "s8", s8, 31, 2**16),
        ),
        "conv-5x5-s16": (
            "5x5 on s16, stride 2.",
            Linear("s16", (4, 5, 5, 6), "s8", s16, 40, 2**15, stride=2),
        ),
        "conv-grouped-u8": (
            "Three groups.",
            Linear("u8", (6, 3, 3, 8), "s8", s32, 1, 1, groups=3),
        ),
        "conv-grouped-s16": (
            "Two groups.",
            Linear("s16", (8, 3, 3, 5), "s8", s16, 36, 2**13, groups=2),
        ),
        "conv-depthwise-s16": (
            "A group a channel, s16 weights, close to 2**31.",
            Linear("s16", (9, 1, 2, 1), "s16", s32, 1, 1, groups=9, bias=9000),
        ),
        "conv-s16-weights-u8": (
            "s16 weights on u8.",
            Linear("u8", (8, 3, 3, 7), "s16", s16, 40, 2**14),
        ),
        "conv-transpose-u8": (
            "Stride 1: every tap meets in one sample; to u8.",
            Linear("u8", (8, 4, 4, 10), "s8", u8, 30, 2**15, transposed, size=(5, 5)),
        ),
        "conv-transpose-s16": (
            "The same, on s16.",
            Linear("s16", (4, 3, 3, 12), "s8", s32, 1, 1, transposed, size=(4, 4)),
        ),
        "conv-transpose-stride-2": (
            "One tap in four samples, the bias alone in the others.",
            Linear("s16", (5, 1, 1, 60), "s8", s16, 36, 2**13, transposed, stride=2, size=(2, 3)),
        ),
        "conv-transpose-grouped": (
            "Two groups, stride 1.",
            Linear("s16", (4, 2, 2, 6), "s8", s16, 36, 2**12, transposed, groups=2, size=(3, 3)),
        ),
        "conv-limit-u8": (
            "Close to 2**31: sums of 66825 terms.",
            Linear("u8", (1, 15, 15, 297), "s8", s32, 1, 1, size=(15, 15)),
        ),
        "conv-limit-s16": (
            "Close to 2**31: sums of 513 terms; products of 62 bits.",
            Linear("s16", (3, 3, 3, 57), "s8", s32, 31, 1, bias=10**4),
        ),
    }
    return [linear(name, comment, case) for name, (comment, case) in wanted.items()]


def pair(
    name: str, comment: str, kind: str, dtypes: tuple[str, str], out: Json, ports: Any = None,
    **more: Any,
) -> Json:  # fmt: skip
    """Two inputs: row 0 of both at the upper end, row 1 of the first at the lower end."""
    intervals = ports or [LIMITS[dtype] for dtype in dtypes]
    declared = [
        {"name": x, "dtype": dtype, "channels": 2, "lo": lo, "hi": hi}
        for x, dtype, (lo, hi) in zip("ab", dtypes, intervals, strict=True)
    ]
    (a_lo, a_hi), (b_lo, b_hi) = intervals
    second = b_lo if kind == "add" else b_hi
    inputs = {
        "a": array(dtypes[0], 2, 1, 2, values=[a_hi, a_hi - 1, a_lo, a_lo + 1]),
        "b": array(dtypes[1], 2, 1, 2, values=[b_hi, b_hi, second, second]),
    }
    fields = {key: value for key, value in more.items() if key not in ("multiplier", "shift")}
    op = {"kind": kind, "name": "out", "inputs": ["a", "b"], **fields, **out}
    document = {"name": "p", "inputs": declared, "ops": [op], "outputs": ["out"]}
    tensors = {f"p/out/{key}": more[key] for key in ("multiplier", "shift") if key in more}
    return ranged(name, comment, document, tensors, inputs)


def pointwise() -> list[Json]:
    """Sums, products and quotients of two tensors; requantisation alone."""
    s16, exact, quarter = clip("s16"), clip("s32"), (-(2**30), 2**30 - 1)
    divisors = (1, 255)
    return [
        pair("add-u8", "u8 + u8 to s16.", "add", ("u8", "u8"), s16),
        pair("add-s16", "s16 + s16, clipped to s16.", "add", ("s16", "s16"), s16),
        pair("add-s16-s8", "s16 + s8 to s32.", "add", ("s16", "s8"), exact),
        pair("add-limit", "2**31 - 1, the greatest sum that is allowed.", "add", ("s32", "s32"),
             exact, [quarter, (-(2**30) + 1, 2**30 - 1)]),
        pair("mul-u8", "u8 * u8 to u8.", "mul", ("u8", "u8"), clip("u8"), **same(2, 257, 16)),
        pair("mul-s16-u8", "s16 * u8 to s16.", "mul", ("s16", "u8"), s16, **same(2, 2**22, 30)),
        pair("mul-s16", "s16 * s16; products of 61 bits.", "mul", ("s16", "s16"), exact,
             **same(2, MULTIPLIER_MAX, 31)),
        pair("mul-limit", "65535 * 32767: close to 2**31; products of 62 bits.", "mul",
             ("s32", "s16"), exact, [(-65535, 65535), (-32767, 32767)],
             **same(2, MULTIPLIER_MAX, 31)),
        pair("div-u8", "s16 by u8.", "div", ("s16", "u8"), s16, [LIMITS["s16"], divisors],
             left_shift=8),
        pair("div-limit", "A numerator of 62 bits.", "div", ("s32", "u8"), exact,
             [(-S32[1], S32[1]), divisors], left_shift=29),
        requantised(),
    ]  # fmt: skip


def requantised() -> Json:
    """Products of 62 bits from both ends of 32."""
    port = {"name": "x", "dtype": "s32", "channels": 2, "lo": S32[0], "hi": S32[1]}
    op = {"kind": "requantise", "name": "out", "inputs": ["x"], **clip("s16")}
    document = {"name": "p", "inputs": [port], "ops": [op], "outputs": ["out"]}
    tensors = {f"p/out/{key}": spec for key, spec in same(2, MULTIPLIER_MAX, 48).items()}
    x = array("s32", 2, 1, 2, values=[S32[1], S32[1] - 1, S32[0], S32[0] + 1])
    comment = "s32 to s16; products of 62 bits."
    return ranged("requantise-limit", comment, document, tensors, {"x": x})
