"""The reference backend: NumPy, integers only, one small function per operation.

Sums of convolutions stay in int32, which the proof of `intnet.bounds` makes safe in any order.
Everything that is rescaled or divided is int64, proved below 2**63. There is no uint64, and no true
division: NumPy would answer either with floats.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from intnet.backends import reshape
from intnet.backends.execute import Operation, execute
from intnet.backends.rounding import round_shift
from intnet.program import (
    DTYPES,
    Add,
    Array,
    Clipped,
    Conv,
    ConvTranspose,
    Div,
    Lut,
    Mul,
    Op,
    Program,
    Requantise,
)
from intnet.shapes import Size


def run(program: Program, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Outputs of the program by name; see `execute` for shapes, ranges and errors."""
    return execute(program, inputs, OPERATIONS)


def requantise(acc: Array, multiplier: Array, shift: Array, lo: int, hi: int) -> Array:
    """clip(round(acc * multiplier / 2**shift), lo, hi) as int64.

    acc: int (..., channels). multiplier, shift: int32 (channels,).
    """
    product = acc.astype(np.int64) * multiplier.astype(np.int64)
    value: Array = np.clip(round_shift(product, shift.astype(np.int64)), lo, hi)
    return value


def rescaled(op: Conv | ConvTranspose | Requantise | Mul, acc: Array) -> Array:
    """Requantised by the operation's own parameters, in its dtype."""
    return requantise(acc, op.multiplier, op.shift, op.lo, op.hi).astype(DTYPES[op.dtype])


def clipped(op: Clipped, value: Array) -> Array:
    """Value (int64) within the operation's interval, in its dtype."""
    return np.clip(value, op.lo, op.hi).astype(DTYPES[op.dtype])


def add_tap(acc: Array, x: Array, weight: Array, groups: int) -> None:
    """Add weight . x at every position: one tap of a kernel.

    acc: int32 (h, w, N). x: int32 (h, w, groups * I). weight: int32 (N, I).
    """
    n, i = len(weight) // groups, weight.shape[1]
    if i == 1:  # depthwise: every output channel reads one input channel
        acc += np.repeat(x, n, axis=2) * weight[:, 0]
        return
    for g in range(groups):
        outs, ins = slice(g * n, (g + 1) * n), slice(g * i, (g + 1) * i)
        taps = np.ascontiguousarray(weight[outs].T)
        acc[:, :, outs] += np.einsum("hwi,in->hwn", x[:, :, ins], taps)


def conv(op: Conv, inputs: list[Array], size: Size) -> Array:
    """Every tap of the kernel reads the padded picture at its own offset."""
    (height, width), stride = size, op.stride
    top, left, bottom, right = op.padding
    x = np.pad(inputs[0].astype(np.int32), ((top, bottom), (left, right), (0, 0)))
    n, kernel_y, kernel_x, _ = op.weight.shape
    acc = np.empty((height, width, n), np.int32)
    acc[:] = op.bias
    for ky in range(kernel_y):
        for kx in range(kernel_x):
            rows = slice(ky, ky + (height - 1) * stride + 1, stride)
            columns = slice(kx, kx + (width - 1) * stride + 1, stride)
            add_tap(acc, x[rows, columns], op.weight[:, ky, kx].astype(np.int32), op.groups)
    return rescaled(op, acc)


def conv_transpose(op: ConvTranspose, inputs: list[Array], size: Size) -> Array:
    """Every tap of the kernel writes the uncropped picture at its own offset."""
    x, stride = inputs[0].astype(np.int32), op.stride
    height, width, _ = x.shape
    n, kernel_y, kernel_x, _ = op.weight.shape
    acc = np.empty(((height - 1) * stride + kernel_y, (width - 1) * stride + kernel_x, n), np.int32)
    acc[:] = op.bias
    for ky in range(kernel_y):
        for kx in range(kernel_x):
            rows = slice(ky, ky + (height - 1) * stride + 1, stride)
            columns = slice(kx, kx + (width - 1) * stride + 1, stride)
            add_tap(acc[rows, columns], x, op.weight[:, ky, kx].astype(np.int32), op.groups)
    top, left, _, _ = op.padding
    return rescaled(op, acc[top : top + size[0], left : left + size[1]])


def requantise_op(op: Requantise, inputs: list[Array], size: Size) -> Array:
    """Per channel."""
    return rescaled(op, inputs[0])


def lut(op: Lut, inputs: list[Array], size: Size) -> Array:
    """Entry 0 belongs to the lowest value of the input's dtype."""
    lowest = int(np.iinfo(inputs[0].dtype).min)
    return op.table[inputs[0].astype(np.int64) - lowest].astype(DTYPES[op.dtype])


def add(op: Add, inputs: list[Array], size: Size) -> Array:
    """clip(a + b)."""
    return clipped(op, inputs[0].astype(np.int64) + inputs[1])


def mul(op: Mul, inputs: list[Array], size: Size) -> Array:
    """requantise(a * b)."""
    return rescaled(op, inputs[0].astype(np.int64) * inputs[1])


def div(op: Div, inputs: list[Array], size: Size) -> Array:
    """floor((2 * n + b) / (2 * b)): n / b to nearest, ties toward plus infinity."""
    n, b = inputs[0].astype(np.int64) << op.left_shift, inputs[1].astype(np.int64)
    return clipped(op, (2 * n + b) // (2 * b))


OPERATIONS: dict[type[Op], Operation] = {
    **reshape.OPERATIONS, Conv: conv, ConvTranspose: conv_transpose, Requantise: requantise_op,
    Lut: lut, Add: add, Mul: mul, Div: div,
}  # fmt: skip
