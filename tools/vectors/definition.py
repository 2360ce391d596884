"""Every operation as `intnet/program.py` defines it: Python ints, one element at a time.

Shares no line with a backend, so that a vector's expected result does not come from what it tests.
Arrays are NumPy's only as containers: dtype object, elements are Python ints.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from intnet.program import (
    DTYPES,
    Add,
    Array,
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
    Program,
    Requantise,
    Slice,
    SpaceToDepth,
)


def run(program: Program, inputs: dict[str, Array]) -> dict[str, Array]:
    """Outputs by name, each in the dtype that its operation states or inherits."""
    tensors = {name: x.astype(object) for name, x in inputs.items()}
    dtypes = {port.name: port.dtype for port in program.inputs}
    for op in program.ops:
        read = [tensors[name] for name in op.inputs]
        if isinstance(op, Lut):  # entry 0 belongs to the lowest value of the input's dtype
            read[0] = read[0] - int(np.iinfo(DTYPES[dtypes[op.inputs[0]]]).min)
        tensors[op.name] = MEANING[type(op)](op, *read)
        dtypes[op.name] = op.dtype if isinstance(op, Clipped) else dtypes[op.inputs[0]]
    return {name: tensors[name].astype(DTYPES[dtypes[name]]) for name in program.outputs}


def clip(value: int, lo: int, hi: int) -> int:
    """Value, or the nearer end of [lo, hi]."""
    return max(lo, min(hi, value))


def requantised(op: Any, acc: int, c: int) -> int:
    """The rounding of the project, on Python ints."""
    multiplier, shift = int(op.multiplier[c]), int(op.shift[c])
    return clip((acc * multiplier + (1 << (shift - 1))) >> shift, op.lo, op.hi)


def build(shape: tuple[int, int, int], element: Callable[[int, int, int], int]) -> Array:
    """An array from a function of row, column and channel."""
    out = np.empty(shape, object)
    for y, x, c in np.ndindex(shape):
        out[y, x, c] = element(y, x, c)
    return out


def conv(op: Conv, a: Array) -> Array:
    """Zeros outside the picture."""
    height, width, _ = a.shape
    n, kernel_y, kernel_x, depth = op.weight.shape
    top, left, bottom, right = op.padding

    def element(y: int, x: int, c: int) -> int:
        acc, base = int(op.bias[c]), c // (n // op.groups) * depth
        for ky, kx, i in np.ndindex(kernel_y, kernel_x, depth):
            row, column = y * op.stride + ky - top, x * op.stride + kx - left
            if 0 <= row < height and 0 <= column < width:
                acc += int(op.weight[c, ky, kx, i]) * a[row, column, base + i]
        return requantised(op, acc, c)

    rows = (height + top + bottom - kernel_y) // op.stride + 1
    return build((rows, (width + left + right - kernel_x) // op.stride + 1, n), element)


def conv_transpose(op: ConvTranspose, a: Array) -> Array:
    """Every input sample and tap looks for the output it belongs to."""
    height, width, _ = a.shape
    n, kernel_y, kernel_x, depth = op.weight.shape
    top, left, bottom, right = op.padding
    rows = (height - 1) * op.stride + kernel_y - top - bottom
    columns = (width - 1) * op.stride + kernel_x - left - right
    acc = build((rows, columns, n), lambda _y, _x, c: int(op.bias[c]))
    for y, x, c, ky, kx, i in np.ndindex(height, width, n, kernel_y, kernel_x, depth):
        row, column = y * op.stride + ky - top, x * op.stride + kx - left
        if 0 <= row < rows and 0 <= column < columns:
            base = c // (n // op.groups) * depth
            acc[row, column, c] += int(op.weight[c, ky, kx, i]) * a[y, x, base + i]
    return build(acc.shape, lambda y, x, c: requantised(op, acc[y, x, c], c))


def requantise(op: Requantise, a: Array) -> Array:
    """Per channel."""
    return build(a.shape, lambda y, x, c: requantised(op, a[y, x, c], c))


def lut(op: Lut, a: Array) -> Array:
    """Entry of each value, which is counted from the lowest of its dtype."""
    return build(a.shape, lambda y, x, c: int(op.table[a[y, x, c]]))


def add(op: Add, a: Array, b: Array) -> Array:
    """clip(a + b)."""
    return build(a.shape, lambda y, x, c: clip(a[y, x, c] + b[y, x, c], op.lo, op.hi))


def mul(op: Mul, a: Array, b: Array) -> Array:
    """requantise(a * b)."""
    return build(a.shape, lambda y, x, c: requantised(op, a[y, x, c] * b[y, x, c], c))


def div(op: Div, a: Array, b: Array) -> Array:
    """Nearest quotient, ties toward plus infinity; Python's // floors."""

    def element(y: int, x: int, c: int) -> int:
        numerator, divisor = a[y, x, c] * 2**op.left_shift, b[y, x, c]
        return clip((2 * numerator + divisor) // (2 * divisor), op.lo, op.hi)

    return build(a.shape, element)


def depth_to_space(op: DepthToSpace, a: Array) -> Array:
    """Channel (c * block + dy) * block + dx moves to row dy, column dx."""
    h, w, channels = a.shape
    k = op.block
    shape = h * k, w * k, channels // k**2
    return build(
        shape, lambda y, x, c: a[y // k, x // k, (c * k + y % k) * k + x % k]
    )  # fmt: skip


def space_to_depth(op: SpaceToDepth, a: Array) -> Array:
    """The way back."""
    h, w, channels = a.shape
    k = op.block
    shape = h // k, w // k, channels * k**2
    return build(
        shape, lambda y, x, c: a[y * k + c // k % k, x * k + c % k, c // k**2]
    )  # fmt: skip


def concat(op: Concat, *inputs: Array) -> Array:  # noqa: ARG001  # one signature for all
    """Channels of every input in order."""
    return np.concatenate(inputs, axis=2)


def channels(op: Slice, a: Array) -> Array:
    """Channels begin <= c < end."""
    return a[:, :, op.begin : op.end]


def pad(op: Pad, a: Array) -> Array:
    """Zeros, or the nearest sample."""
    height, width, depth = a.shape
    top, left, bottom, right = op.padding

    def element(y: int, x: int, c: int) -> int:
        row, column = y - top, x - left
        inside = 0 <= row < height and 0 <= column < width
        if op.mode == "zero" and not inside:
            return 0
        return a[clip(row, 0, height - 1), clip(column, 0, width - 1), c]

    return build((height + top + bottom, width + left + right, depth), element)


def crop(op: Crop, a: Array) -> Array:
    """Removed rows and columns."""
    top, left, bottom, right = op.padding
    return a[top : a.shape[0] - bottom, left : a.shape[1] - right]


MEANING: dict[type[Op], Callable[..., Array]] = {
    Conv: conv, ConvTranspose: conv_transpose, Requantise: requantise, Lut: lut, Add: add, Mul: mul,
    Div: div, DepthToSpace: depth_to_space, SpaceToDepth: space_to_depth, Concat: concat,
    Slice: channels, Pad: pad, Crop: crop,
}  # fmt: skip
