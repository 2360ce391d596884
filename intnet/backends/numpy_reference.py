"""The reference backend: NumPy, integers only, one small function per operation.

Sums of convolutions stay in int32, which the proof of `intnet.bounds` makes safe in any order.
Everything that is rescaled or divided is int64, proved below 2**63. There is no uint64, and no true
division: NumPy would answer either with floats.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from intnet import latents
from intnet.backends import reshape
from intnet.backends.execute import Backend, Compute, Rows, Step, execute, one_by_one
from intnet.backends.reshape import same_rows
from intnet.backends.rounding import round_shift
from intnet.context import Plain
from intnet.program import (
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

__all__ = ["BACKEND", "latents", "run", "serial"]


def run(program: Program, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Outputs of the program by name; see `execute` for shapes, ranges and errors."""
    return execute(program, inputs, BACKEND)


def serial() -> Plain:
    """Serial context models, see `intnet.context`."""
    return Plain(run, latents)


def compute(step: Step, inputs: list[Rows], out: Rows) -> None:
    """Steps are single operations here."""
    (op,) = step.ops
    OPERATIONS[type(op)](op, inputs, out)


def requantise(acc: Array, multiplier: Array, shift: Array, lo: int, hi: int) -> Array:
    """clip(round(acc * multiplier / 2**shift), lo, hi) as int64.

    acc: int (..., channels). multiplier, shift: int32 (channels,).
    """
    product = acc.astype(np.int64) * multiplier.astype(np.int64)
    value: Array = np.clip(round_shift(product, shift.astype(np.int64)), lo, hi)
    return value


def rescaled(op: Conv | ConvTranspose | Requantise | Mul, acc: Array, out: Rows) -> None:
    """Requantised by the operation's own parameters."""
    out.array[:] = requantise(acc, op.multiplier, op.shift, op.lo, op.hi)


def clipped(op: Clipped, value: Array, out: Rows) -> None:
    """Value (int64) within the operation's interval."""
    out.array[:] = np.clip(value, op.lo, op.hi)


def window(x: Rows, begin: int, end: int) -> Array:
    """Rows [begin, end) as int32, zeros outside the picture and where no row is at hand."""
    window = np.zeros((end - begin, *x.array.shape[1:]), np.int32)
    lo, hi = max(begin, x.first), min(end, x.first + len(x.array))
    if lo < hi:
        window[lo - begin : hi - begin] = x.array[lo - x.first : hi - x.first]
    return window


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


def conv(op: Conv, inputs: list[Rows], out: Rows) -> None:
    """Every tap of the kernel reads the padded picture at its own offset."""
    (height, width, n), stride = out.array.shape, op.stride
    top, left, _, right = op.padding
    _, kernel_y, kernel_x, _ = op.weight.shape
    above = out.first * stride - top
    x = window(inputs[0], above, above + (height - 1) * stride + kernel_y)
    x = np.pad(x, ((0, 0), (left, right), (0, 0)))
    acc = np.empty((height, width, n), np.int32)
    acc[:] = op.bias
    for ky in range(kernel_y):
        for kx in range(kernel_x):
            rows = slice(ky, ky + (height - 1) * stride + 1, stride)
            columns = slice(kx, kx + (width - 1) * stride + 1, stride)
            add_tap(acc, x[rows, columns], op.weight[:, ky, kx].astype(np.int32), op.groups)
    rescaled(op, acc, out)


def conv_transpose(op: ConvTranspose, inputs: list[Rows], out: Rows) -> None:
    """Every tap of the kernel writes the uncropped picture at its own offset."""
    (height, width, n), stride = out.array.shape, op.stride
    top, left, _, _ = op.padding
    _, kernel_y, kernel_x, _ = op.weight.shape
    # uncropped rows [begin * stride, ...) cover those wanted and all that their inputs reach
    begin = min((out.first + top - kernel_y + 1) // stride, (out.first + top) // stride)
    end = (out.first + top + height - 1) // stride + 1
    x = window(inputs[0], begin, end)
    acc = np.empty(((len(x) - 1) * stride + max(kernel_y, stride),
                    (x.shape[1] - 1) * stride + kernel_x, n), np.int32)  # fmt: skip
    acc[:] = op.bias
    for ky in range(kernel_y):
        for kx in range(kernel_x):
            rows = slice(ky, ky + (len(x) - 1) * stride + 1, stride)
            columns = slice(kx, kx + (x.shape[1] - 1) * stride + 1, stride)
            add_tap(acc[rows, columns], x, op.weight[:, ky, kx].astype(np.int32), op.groups)
    first = out.first + top - begin * stride
    rescaled(op, acc[first : first + height, left : left + width], out)


def requantise_op(op: Requantise, inputs: list[Rows], out: Rows) -> None:
    """Per channel."""
    rescaled(op, same_rows(inputs[0], out), out)


def lut(op: Lut, inputs: list[Rows], out: Rows) -> None:
    """Entry 0 belongs to the lowest value of the input's dtype."""
    x = same_rows(inputs[0], out)
    out.array[:] = op.table[x.astype(np.int64) - int(np.iinfo(x.dtype).min)]


def both(inputs: list[Rows], out: Rows) -> tuple[Array, Array]:
    """The rows of two inputs as int64."""
    a, b = (same_rows(x, out).astype(np.int64) for x in inputs)
    return a, b


def add(op: Add, inputs: list[Rows], out: Rows) -> None:
    """clip(a + b)."""
    a, b = both(inputs, out)
    clipped(op, a + b, out)


def mul(op: Mul, inputs: list[Rows], out: Rows) -> None:
    """requantise(a * b)."""
    a, b = both(inputs, out)
    rescaled(op, a * b, out)


def div(op: Div, inputs: list[Rows], out: Rows) -> None:
    """floor((2 * n + b) / (2 * b)): n / b to nearest, ties toward plus infinity."""
    a, b = both(inputs, out)
    clipped(op, (2 * (a << op.left_shift) + b) // (2 * b), out)


OPERATIONS: dict[type[Op], Compute] = {
    **reshape.OPERATIONS, Conv: conv, ConvTranspose: conv_transpose, Requantise: requantise_op,
    Lut: lut, Add: add, Mul: mul, Div: div,
}  # fmt: skip
BACKEND = Backend(one_by_one, compute)
