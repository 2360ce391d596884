"""Long chains, wide tensors, big kernels, and many symbols; everything by recipe, no files."""

from __future__ import annotations

import hashlib

import numpy as np

from intnet.conform.arrays import described, expand
from intnet.conform.coder import tables_of
from rangecoder import reference
from vectors.building import LIMITS, Json, array, clip, finish, noise, same

SIZE, CHANNELS, ROUNDS = (4, 6), 4, 9
LEVEL = clip("s16", -2000, 2000)


def vectors() -> list[Json]:
    """All of this class."""
    return [chain(), wide(), thousands(), *kernels(), margins(), *coded()]


def program(
    name: str, clause: str, comment: str, x: Json, ops: list[Json], tensors: Json, *outputs: str
) -> Json:
    """A program of one input x, whose interval is that of its type but for LEVEL."""
    lo, hi = LIMITS[x["dtype"]] if "lcg" not in x else x["lcg"][1:]
    port = {"name": "x", "dtype": x["dtype"], "channels": x["shape"][2], "lo": lo, "hi": hi}
    document = {"name": "p", "inputs": [port], "ops": ops, "outputs": list(outputs)}
    named = {f"p/{key}": spec for key, spec in tensors.items()}
    made = finish(name, clause, comment, document, named, {"x": x}, "stress")
    assert made["result"] == "valid", (name, made["expected"])
    return made


def kernel(op: str, *shape: int, seed: int, shift: int, reach: int = 127) -> Json:
    """The tensors of a linear op."""
    return {
        f"{op}/weight": array("s8", *shape, lcg=[seed, -reach, reach]),
        f"{op}/bias": array("s32", shape[0], lcg=[seed + 1, -9999, 9999]),
        f"{op}/multiplier": array("s32", shape[0], lcg=[seed + 2, 2**20, 2**21]),
        f"{op}/shift": array("s32", shape[0], lcg=[seed + 3, 20 + shift, 21 + shift]),
    }


def linear(kind: str, op: str, source: str, out: Json, **fields: object) -> Json:
    """A linear op of stride 1 without padding and groups, but for those given."""
    spans = {"stride": 1, "padding": [0] * 4, "groups": 1}
    return {"kind": kind, "name": op, "inputs": [source], **spans, **fields, **out}


def scaled(op: str, shift: int, multiplier: int = 1) -> Json:
    """The tensors of a requantise or mul."""
    return {f"{op}/{k}": v for k, v in same(CHANNELS, multiplier, shift).items()}


def chain() -> Json:
    """Rounds of 14 ops, of all 13 kinds; each round reads what the one before made."""
    ops: list[Json] = []
    tensors: Json = {}
    source = "x"
    for k in range(ROUNDS):
        made, more = one_round(f"r{k}.", source, 100 * k)
        ops, tensors, source = ops + made, tensors | more, f"r{k}.out"
    height, width = SIZE
    x = array("s16", height, width, CHANNELS, lcg=[7, LEVEL["lo"], LEVEL["hi"]])
    comment = f"{len(ops)} ops in a row: one wrong value spreads over all that follow."
    return program("chain", "program.order", comment, x, ops, tensors, source)


def one_round(r: str, source: str, seed: int) -> tuple[list[Json], Json]:
    """A branch through 8 bits and one through blocks, joined by a division."""
    sample = {"dtype": "s16", "lo": 1, "hi": 3000}
    ops = [
        linear("conv", f"{r}spread", source, LEVEL, padding=[1] * 4),
        {"kind": "requantise", "name": f"{r}byte", "inputs": [f"{r}spread"], **clip("s8")},
        {"kind": "lut", "name": f"{r}curve", "inputs": [f"{r}byte"], **clip("u8")},
        linear("conv_transpose", f"{r}up", f"{r}curve", LEVEL, stride=2, padding=[1] * 4, groups=2),
        {"kind": "space_to_depth", "name": f"{r}blocks", "inputs": [f"{r}up"], "block": 2},
        {"kind": "slice", "name": f"{r}some", "inputs": [f"{r}blocks"], "begin": 3, "end": 11},
        {"kind": "depth_to_space", "name": f"{r}wide", "inputs": [f"{r}some"], "block": 2},
        {"kind": "concat", "name": f"{r}pair", "inputs": [f"{r}wide", f"{r}wide"]},
        linear("conv", f"{r}down", f"{r}pair", LEVEL, stride=2),
        {"kind": "pad", "name": f"{r}ring", "inputs": [f"{r}down"], "padding": [1, 0, 2, 1],
         "mode": ("edge", "zero")[seed % 200 // 100]},
        {"kind": "crop", "name": f"{r}moved", "inputs": [f"{r}ring"], "padding": [2, 1, 1, 0]},
        {"kind": "mul", "name": f"{r}scale", "inputs": [f"{r}moved", f"{r}moved"], **sample},
        {"kind": "div", "name": f"{r}ratio", "inputs": [f"{r}spread", f"{r}scale"],
         "left_shift": 6, **LEVEL},
        {"kind": "add", "name": f"{r}out", "inputs": [f"{r}ratio", f"{r}moved"], **LEVEL},
    ]  # fmt: skip
    tensors = {
        **kernel(f"{r}spread", CHANNELS, 3, 3, CHANNELS, seed=seed, shift=8),
        **scaled(f"{r}byte", 5, 2),
        f"{r}curve/table": array("s32", 256, lcg=[seed + 10, 0, 255]),
        **kernel(f"{r}up", CHANNELS, 4, 4, CHANNELS // 2, seed=seed + 20, shift=6),
        **kernel(f"{r}down", CHANNELS, 2, 2, CHANNELS, seed=seed + 30, shift=9),
        **scaled(f"{r}scale", 10),
    }
    return ops, tensors


def wide() -> Json:
    """A matrix product of many channels."""
    n = 384
    ops = [linear("conv", "out", "x", clip("s16"))]
    tensors = kernel("out", n, 1, 1, n, seed=41, shift=5)
    comment = "384 channels to 384: sums of many terms, panels of every vector width."
    return program("wide", "op.conv", comment, noise("u8", 1, 2, n), ops, tensors, "out")


def thousands() -> Json:
    """As many channels as there may be."""
    ops = [
        {"kind": "space_to_depth", "name": "blocks", "inputs": ["x"], "block": 16},
        linear("conv", "each", "blocks", clip("s16"), groups=8192),
        {"kind": "depth_to_space", "name": "out", "inputs": ["each"], "block": 16},
    ]
    tensors = kernel("each", 8192, 1, 1, 1, seed=43, shift=3)
    x = noise("s8", 16, 16, 32, seed=44)
    comment = "8192 channels, each a group."
    return program("channels-8192", "port.channels", comment, x, ops, tensors, "out")


def kernels() -> list[Json]:
    """15x15, the greatest."""
    conv = kernel("out", 3, 15, 15, 3, seed=51, shift=10)
    transposed = kernel("out", 2, 15, 15, 2, seed=55, shift=9)
    grid = [7, 6, 7, 8]
    return [
        program("kernel-15", "op.conv", "15x15, stride 8, padding of the kernel's half.",
                noise("u8", 18, 21, 3),
                [linear("conv", "out", "x", clip("s16"), stride=8, padding=grid)], conv, "out"),
        program("kernel-15-transposed", "op.conv_transpose", "15x15, stride 8, cut on every side.",
                noise("s16", 3, 2, 2),
                [linear("conv_transpose", "out", "x", clip("s16"), stride=8, padding=grid)],
                transposed, "out"),
    ]  # fmt: skip


def margins() -> Json:
    """Padding of 64, the greatest, edge and zero."""
    ops = [
        {"kind": "pad", "name": "edge", "inputs": ["x"], "padding": [64, 3, 5, 64], "mode": "edge"},
        {"kind": "pad", "name": "zero", "inputs": ["x"], "padding": [1, 64, 64, 2], "mode": "zero"},
    ]
    comment = "64 rows or columns around a few samples."
    return program("pad-64", "op.pad", comment, noise("s8", 3, 5, 2), ops, {}, "edge", "zero")


# ---- Coder --------------------------------------------------------------------------------------
def table(minimum: int, n: int, **cdf: list[int]) -> Json:
    """cdf[1] to cdf[n] by recipe."""
    return {"minimum": minimum, "cdf": array("u16", n, **cdf)}


FLAT = table(-15, 31, values=[2048 * k for k in range(1, 32)])
FIRST = table(0, 40, ramp=[65496, 99])  # symbol 0 has all but 40 counts
LAST = table(-3, 6, ramp=[1, 99])  # the escape has all but 6 counts
EVERY = table(-32768, 65535, ramp=[1, 65536])  # every symbol one count; 32767 is the escape


def coded() -> list[Json]:
    """Symbols in one to eight lanes, and tables that are far from flat."""
    mixed = [FLAT, FIRST, LAST]
    return [
        *(symbols(f"lanes-{lanes}", "coder.lanes", "Flat, skewed and escaping tables in turn.",
                  mixed, 700 + lanes, [-25, 25], lanes) for lanes in range(1, 9)),
        symbols("many", "coder.lanes", "8000 symbols in two lanes.",
                [FLAT, FIRST], 8000, [-15, 15], 2),
        symbols("escapes", "coder.escape", "Every symbol escapes, from either end of 16 bits.",
                [LAST], 600, [-(2**15), 2**15 - 1], 1),
        symbols("escapes-in-lanes", "coder.escape", "The same in eight lanes.",
                [LAST], 600, [-(2**15), 2**15 - 1], 8),
        symbols("rare", "coder.decode", "Entries of count 1 beside one of 65496.",
                [FIRST], 900, [-1, 41], 1),
        symbols("certain", "coder.end", "Symbols that cost next to nothing.",
                [FIRST], 5000, [0, 0], 3),
        symbols("every-symbol", "table.support", "A table of 65535 symbols.",
                [EVERY], 40, [-(2**15), 2**15 - 1], 1),
    ]  # fmt: skip


def symbols(
    name: str, clause: str, comment: str, tables: list[Json], count: int, ends: list[int],
    lanes: int,
) -> Json:  # fmt: skip
    """Symbols within ends, each with a table at random; the payload by the coder in Python ints."""
    made = {
        "id": f"stress/coder-{name}", "class": "stress", "clause": clause, "comment": comment,
        "tables": tables, "lanes": lanes,
        "indexes": array("u8", count, lcg=[71 + lanes, 0, len(tables) - 1]),
        "symbols": array("s32", count, lcg=[72 + lanes, *ends]),
    }  # fmt: skip
    listed = expand(made["symbols"])
    indexes = [int(i) for i in expand(made["indexes"])]
    data = reference.encode([int(s) for s in listed], indexes, tables_of(tables), lanes)
    payload = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    expected = {"payload": payload, "symbols": described(np.array(listed, np.int32))}
    return made | {"result": "valid", "expected": expected}
