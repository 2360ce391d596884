"""Every operation in Python ints and loops, from the docstrings of `intnet.program` alone.

Tensors are nested lists [y][x][channel]. Nothing here is shared with a backend.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from intnet.program import DTYPES, Op, Program

Tensor = list[list[list[int]]]


def run(program: Program, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs by name; the dtype is that of the operation, or of its first input."""
    values: dict[str, Tensor] = {name: x.tolist() for name, x in inputs.items()}
    dtypes = {port.name: port.dtype for port in program.inputs}
    for op in program.ops:
        values[op.name] = globals()[op.kind](op, *(values[name] for name in op.inputs), dtypes)
        dtypes[op.name] = getattr(op, "dtype", dtypes[op.inputs[0]])
    return {name: np.array(values[name], dtype=DTYPES[dtypes[name]]) for name in program.outputs}


def rounded(value: int, op: Any, channel: int) -> int:
    """floor(value * multiplier / 2**shift + 1 / 2), clipped."""
    half = 2 ** (int(op.shift[channel]) - 1)
    quotient = (value * int(op.multiplier[channel]) + half) // (2 * half)
    return max(op.lo, min(op.hi, quotient))


def each(function: Any, *tensors: Tensor) -> Tensor:
    """function(channel, samples...) at every sample."""
    h, w, n = len(tensors[0]), len(tensors[0][0]), len(tensors[0][0][0])
    return [
        [[function(c, *(t[y][x][c] for t in tensors)) for c in range(n)] for x in range(w)]
        for y in range(h)
    ]


def conv(op: Any, a: Tensor, _: Any) -> Tensor:
    top, left, bottom, right = op.padding
    weight, (n, ky, kx, i) = op.weight.tolist(), op.weight.shape
    h, w, s = len(a), len(a[0]), op.stride

    def acc(y: int, x: int, c: int) -> int:
        g, total = c // (n // op.groups), int(op.bias[c])
        for v in range(ky):
            for u in range(kx):
                yy, xx = y * s + v - top, x * s + u - left
                if 0 <= yy < h and 0 <= xx < w:
                    total += sum(weight[c][v][u][j] * a[yy][xx][g * i + j] for j in range(i))
        return total

    return [
        [[rounded(acc(y, x, c), op, c) for c in range(n)]
         for x in range((w + left + right - kx) // s + 1)]
        for y in range((h + top + bottom - ky) // s + 1)
    ]  # fmt: skip


def conv_transpose(op: Any, a: Tensor, _: Any) -> Tensor:
    top, left, bottom, right = op.padding
    weight, (n, ky, kx, i) = op.weight.tolist(), op.weight.shape
    s = op.stride
    height, width = (len(a) - 1) * s + ky, (len(a[0]) - 1) * s + kx
    acc = [[[int(b) for b in op.bias] for _ in range(width)] for _ in range(height)]
    for y, row in enumerate(a):
        for x, sample in enumerate(row):
            for c in range(n):
                g = c // (n // op.groups)
                for v in range(ky):
                    for u in range(kx):
                        acc[y * s + v][x * s + u][c] += sum(
                            weight[c][v][u][j] * sample[g * i + j] for j in range(i)
                        )
    kept = [row[left : width - right] for row in acc[top : height - bottom]]
    return each(lambda c, value: rounded(value, op, c), kept)


def requantise(op: Any, a: Tensor, _: Any) -> Tensor:
    return each(lambda c, v: rounded(v, op, c), a)


def lut(op: Any, a: Tensor, dtypes: dict[str, str]) -> Tensor:
    lowest = {"u8": 0, "s8": -128}[dtypes[op.inputs[0]]]
    return each(lambda _, v: int(op.table[v - lowest]), a)


def add(op: Any, a: Tensor, b: Tensor, _: Any) -> Tensor:
    return each(lambda _, v, u: max(op.lo, min(op.hi, v + u)), a, b)


def mul(op: Any, a: Tensor, b: Tensor, _: Any) -> Tensor:
    return each(lambda c, v, u: rounded(v * u, op, c), a, b)


def div(op: Any, a: Tensor, b: Tensor, _: Any) -> Tensor:
    def quotient(_: int, v: int, u: int) -> int:
        return max(op.lo, min(op.hi, (2 * v * 2**op.left_shift + u) // (2 * u)))

    return each(quotient, a, b)


def depth_to_space(op: Any, a: Tensor, _: Any) -> Tensor:
    b, h, w = op.block, len(a), len(a[0])
    n = len(a[0][0]) // b**2
    return [
        [[a[y // b][x // b][(c * b + y % b) * b + x % b] for c in range(n)] for x in range(w * b)]
        for y in range(h * b)
    ]


def space_to_depth(op: Any, a: Tensor, _: Any) -> Tensor:
    b, n = op.block, len(a[0][0])
    return [
        [[a[y * b + k // b % b][x * b + k % b][k // b**2] for k in range(n * b**2)]
         for x in range(len(a[0]) // b)]
        for y in range(len(a) // b)
    ]  # fmt: skip


def concat(op: Op, *arguments: Any) -> Tensor:
    tensors = arguments[:-1]
    return [
        [[v for t in tensors for v in t[y][x]] for x in range(len(tensors[0][0]))]
        for y in range(len(tensors[0]))
    ]


def slice(op: Any, a: Tensor, _: Any) -> Tensor:  # noqa: A001  # the operation's name
    return [[[sample[c] for c in range(op.begin, op.end)] for sample in row] for row in a]


def pad(op: Any, a: Tensor, _: Any) -> Tensor:
    top, left, bottom, right = op.padding
    h, w, n = len(a), len(a[0]), len(a[0][0])

    def sample(y: int, x: int) -> list[int]:
        if op.mode == "zero" and not (0 <= y < h and 0 <= x < w):
            return [0] * n
        return a[max(0, min(h - 1, y))][max(0, min(w - 1, x))]

    return [[sample(y, x) for x in range(-left, w + right)] for y in range(-top, h + bottom)]


def crop(op: Any, a: Tensor, _: Any) -> Tensor:
    top, left, bottom, right = op.padding
    return [row[left : len(row) - right] for row in a[top : len(a) - bottom]]
