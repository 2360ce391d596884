"""Programs that tests share: one operation each, one of all kinds, and random chains."""

from __future__ import annotations

from typing import Any

import numpy as np

from intnet import ports
from intnet.program import (
    DTYPES,
    Add,
    Clipped,
    Concat,
    Conv,
    ConvTranspose,
    Crop,
    DepthToSpace,
    Div,
    Lut,
    Mul,
    Op,
    Pad,
    Port,
    Program,
    Requantise,
    Slice,
    SpaceToDepth,
)

# The limits of s32 leave weights something to do in a sum below 2**31.
FULL = {"u8": (0, 255), "s8": (-128, 127), "s16": (-32768, 32767), "s32": (-99999, 99999)}
ODD = np.array([-(2**31), -(2**31) + 1, -1, 0, 1, 2**31 - 1])  # values where a type may turn over


def port(
    name: str, dtype: str, channels: int, lo: int | None = None, hi: int | None = None
) -> Port:
    """A port of the usual interval unless it is given."""
    low, high = FULL[dtype]
    return Port(name, dtype, channels, low if lo is None else lo, high if hi is None else hi)


def single(op: Op, *inputs: Port) -> Program:
    return Program("p", inputs, (op,), (op.name,))


def samples(rng: np.random.Generator, p: Port, h: int, w: int) -> np.ndarray:
    """Uniform values of a port, a third of them at the ends of its interval."""
    x = rng.integers(p.lo, p.hi + 1, (h, w, p.channels))
    ends = rng.integers(0, 6, x.shape)
    return np.where(ends == 0, p.lo, np.where(ends == 1, p.hi, x)).astype(DTYPES[p.dtype])


def scales(rng: np.random.Generator, n: int, size: int, hi: int) -> dict[str, np.ndarray]:
    """Multipliers and shifts that bring values of `size` near 2 * hi, so that some clip."""
    multiplier = rng.integers(1, 2**31, n)
    bits = [int(m) * max(1, size) // max(1, 2 * hi) for m in multiplier]
    shift = [min(62, max(1, b.bit_length())) for b in bits]
    return {"multiplier": multiplier.astype(np.int32), "shift": np.array(shift, np.int32)}


def linear(
    kind: type[Conv | ConvTranspose], rng: np.random.Generator, p: Port, out: str, n: int, *,
    kernel: tuple[int, int] = (1, 1), stride: int = 1, groups: int = 1,
    padding: tuple[int, int, int, int] = (0, 0, 0, 0), weight: str = "s8", name: str = "y",
) -> Conv | ConvTranspose:  # fmt: skip
    """A convolution with the largest random weights that the proof allows."""
    shape = (n, *kernel, p.channels // groups)
    magnitude = max(1, p.magnitude) * int(np.prod(shape[1:]))
    top = min(FULL[weight][1], (2**31 - 1 - 2**20) // magnitude)
    weights = rng.integers(-top, top + 1, shape).astype(DTYPES[weight])
    lo, hi = FULL[out]
    typical = max(1, top * magnitude // 4)
    most = min(2**20, typical)  # a larger bias would hide wrong weights behind the clip
    bias = rng.integers(-most, most, n).astype(np.int32)
    return kind(name, (p.name,), out, lo, hi, stride, padding, groups, weights, bias,
                **scales(rng, n, typical, hi))  # fmt: skip


def table(rng: np.random.Generator, dtype: str) -> np.ndarray:
    """256 entries over the whole of a dtype, its ends among them."""
    lo, hi = FULL[dtype]
    entries = rng.integers(lo, hi + 1, 256).astype(np.int32)
    entries[[0, 255]] = hi, lo
    return entries


def everything(rng: np.random.Generator) -> tuple[Program, dict[str, np.ndarray]]:
    """A program with every kind of operation, and inputs of 12 x 10 samples."""
    types: dict[str, Port] = {}
    ops: list[Op] = []
    inputs = (port("x", "u8", 4), port("b", "s16", 8, lo=1))

    def append(op: Op) -> Port:
        ops.append(op)
        program = Program("everything", inputs, tuple(ops), (op.name,))
        types.update(ports.infer(program))
        return types[op.name]

    x = inputs[0]
    a = append(linear(Conv, rng, x, "s16", 8, kernel=(3, 3), padding=(1, 1, 1, 1), name="a"))
    c = append(linear(Conv, rng, a, "u8", 8, weight="s16", name="c"))
    d = append(
        linear(Conv, rng, c, "u8", 8, kernel=(3, 5), padding=(1, 2, 1, 2), groups=8, name="d")
    )
    down = append(linear(Conv, rng, d, "s16", 8, kernel=(2, 2), stride=2, groups=2, name="down"))
    up = append(
        linear(ConvTranspose, rng, down, "s16", 8, kernel=(4, 4), stride=2, padding=(1, 1, 1, 1),
               name="up")
    )  # fmt: skip
    append(linear(Conv, rng, d, "s8", 21, kernel=(1, 3), padding=(0, 1, 0, 1), name="index"))
    append(Lut("looked", ("index",), "s16", *FULL["s16"], table(rng, "s16")))
    lo, hi = FULL["s16"]
    append(Add("sum", ("up", "a"), "s16", lo, hi))
    append(Mul("mul", ("sum", "b"), "s16", lo, hi, **scales(rng, 8, 2**28, hi)))
    append(Div("div", ("mul", "b"), "s16", lo, hi, 7))
    append(Requantise("q", ("div",), "u8", 0, 255, **scales(rng, 8, 2**13, 255)))
    append(Lut("lut", ("q",), "s8", -128, 127, rng.integers(-128, 128, 256).astype(np.int32)))
    append(DepthToSpace("d2s", ("lut",), 2))
    append(SpaceToDepth("s2d", ("d2s",), 2))
    append(Slice("part", ("s2d",), 1, 6))
    append(Concat("cat", ("part", "s2d")))
    append(Pad("pad", ("cat",), (1, 2, 3, 4), "edge"))
    append(Crop("crop", ("pad",), (2, 1, 0, 3)))
    outputs = ("crop", "cat", "d2s", "div", up.name, "looked")
    return Program("everything", inputs, tuple(ops), outputs), {
        p.name: samples(rng, p, 12, 10) for p in inputs
    }


NEXT = {"u8": ("u8", "s16"), "s16": ("u8", "s16"), "s8": ("s8",), "s32": ("s32",)}


def chain(
    draw: Any, rng: np.random.Generator, steps: list[str], first: Port, h: int, w: int
) -> Program:
    """A random program that fits inputs of h x w samples; `draw(limit)` is a number below limit."""
    program = Program("chain", (first,), (), (first.name,))
    size, p = (h, w), first
    for step in steps:
        op, new_size = STEPS[step](draw, rng, p, size, f"t{len(program.ops)}")
        if op is None or max(new_size) > 9:
            continue
        size = new_size
        program = Program("chain", (first,), (*program.ops, op), (op.name,))
        p = ports.infer(program)[op.name]
    return program


def conv_step(draw: Any, rng: np.random.Generator, p: Port, size: Any, name: str) -> Any:
    (h, w), stride = size, 1 + draw(3)
    ky, kx, groups = 1 + draw(4), 1 + draw(4), p.channels if draw(2) else 1
    top, left, bottom, right = draw(3), draw(3), draw(3), draw(3)
    sy, sx = h + top + bottom - ky, w + left + right - kx
    if min(sy, sx) < 0:
        return None, size
    out, n = (
        NEXT[p.dtype][draw(len(NEXT[p.dtype]))],
        groups * (1 + draw(2)) if groups > 1 else 1 + draw(9),
    )
    weight = ("s8", "s16")[draw(2)]
    op = linear(Conv, rng, p, out, n, kernel=(ky, kx), stride=stride, groups=groups,
                padding=(top, left, bottom, right), weight=weight, name=name)  # fmt: skip
    return op, (sy // stride + 1, sx // stride + 1)


def transpose_step(draw: Any, rng: np.random.Generator, p: Port, size: Any, name: str) -> Any:
    (h, w), stride, ky, kx = size, 1 + draw(3), 1 + draw(4), 1 + draw(4)
    top, left, bottom, right = draw(3), draw(3), draw(3), draw(3)
    new = (h - 1) * stride + ky - top - bottom, (w - 1) * stride + kx - left - right
    if min(new) < 1:
        return None, size
    out, n = NEXT[p.dtype][-1], 1 + draw(9)
    op = linear(ConvTranspose, rng, p, out, n, kernel=(ky, kx), stride=stride,
                padding=(top, left, bottom, right), name=name)  # fmt: skip
    return op, new


def pointwise_step(draw: Any, rng: np.random.Generator, p: Port, size: Any, name: str) -> Any:
    lo, hi = FULL[p.dtype]
    scaled = scales(rng, p.channels, p.magnitude, hi)
    makers: list[Clipped] = [
        Add(name, (p.name, p.name), p.dtype, lo // 2, hi),
        Requantise(name, (p.name,), p.dtype, lo, hi - 1, **scaled),
    ]
    if p.magnitude < 2**15:
        squared = scales(rng, p.channels, p.magnitude**2, hi)
        makers.append(Mul(name, (p.name, p.name), p.dtype, lo, hi, **squared))
    if p.lo >= 1:
        makers.append(Div(name, (p.name, p.name), p.dtype, lo, hi, draw(5)))
    if p.dtype in ("u8", "s8"):
        table = rng.integers(1, 100, 256).astype(np.int32)
        makers.append(Lut(name, (p.name,), p.dtype, 1, 100, table))
    return makers[draw(len(makers))], size


def reshape_step(draw: Any, rng: np.random.Generator, p: Port, size: Any, name: str) -> Any:
    (h, w), b, edges = size, 1 + draw(3), (draw(2), draw(2), draw(2), draw(2))
    end = 1 + draw(p.channels)
    choices: list[tuple[Op, Any]] = [
        (Slice(name, (p.name,), draw(end), end), size),
        (Pad(name, (p.name,), edges, ("zero", "edge")[draw(2)]),
         (h + edges[0] + edges[2], w + edges[1] + edges[3])),
    ]  # fmt: skip
    if p.channels < 20:
        choices.append((Concat(name, (p.name,) * b), size))
        if h % b == w % b == 0:
            choices.append((SpaceToDepth(name, (p.name,), b), (h // b, w // b)))
    if p.channels % b**2 == 0:
        choices.append((DepthToSpace(name, (p.name,), b), (h * b, w * b)))
    if h > edges[0] + edges[2] and w > edges[1] + edges[3]:
        choices.append((Crop(name, (p.name,), edges),
                        (h - edges[0] - edges[2], w - edges[1] - edges[3])))  # fmt: skip
    return choices[draw(len(choices))]


STEPS = {"conv": conv_step, "transpose": transpose_step, "pointwise": pointwise_step,
         "reshape": reshape_step}  # fmt: skip
