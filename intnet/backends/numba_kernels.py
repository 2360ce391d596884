"""Compiled loops of the numba backend: integers only, each over a range [begin, end) of rows.

READ ME FIRST
1. Numba widens int32 * int32 to int64; `np.int32(...)` around a sum lets LLVM narrow it again,
   which is exact because the proof keeps every partial sum below 2**31.
2. A convolution fills a scratch `acc` of BLOCK positions x N channels, tap by tap; the innermost
   loop runs over contiguous output channels, which LLVM vectorises.
3. Rows are independent: any split over threads gives the same bits.
"""

from typing import Any

import numpy as np

from intnet.backends import rounding
from intnet.program import Array
from rangecoder.compile import jit

BLOCK = (
    16  # positions whose sums stay in the first-level cache: 16 * 128 channels * 4 bytes = 8 KiB
)

round_shift = jit(rounding.round_shift)


@jit
def clip(value: Any, lo: Any, hi: Any) -> Any:
    """Value limited to [lo, hi]; int64."""
    return min(max(value, lo), hi)


@jit
def requantise(acc: Any, multiplier: Any, shift: Any, lo: Any, hi: Any) -> Any:
    """Rescale one accumulator; the product in 64 bits, proved below 2**63."""
    return clip(round_shift(np.int64(acc) * np.int64(multiplier), np.int64(shift)), lo, hi)


@jit
def start_sums(acc: Array, bias: Array, count: int) -> None:
    """Fill the first `count` positions of acc with the bias.

    Not acc[k] = bias: numba's check of those shapes compiles a logarithm in floats.
    """
    for k in range(count):
        for n in range(bias.size):
            acc[k, n] = bias[n]


@jit
def store(
    acc: Array, multiplier: Array, shift: Array, lo: int, hi: int, out: Array, count: int
) -> None:
    """Requantise the first `count` positions of acc (at least count, N) into out (same)."""
    for k in range(count):
        for n in range(out.shape[1]):
            out[k, n] = requantise(acc[k, n], multiplier[n], shift[n], lo, hi)


@jit
def add_tap(
    acc: Array, first: int, step: int, count: int, x: Array, start: int, stride: int, weight: Array
) -> None:
    """Add one tap to `count` positions: acc[first + k * step] += weight . x[start + k * stride].

    acc: int32 (BLOCK, groups * N). x: int16 or int32 (width, groups * I).
    weight: int16 (groups, I, N).
    """
    groups, inputs, outputs = weight.shape
    quads = inputs - inputs % 4
    for g in range(groups):
        for i in range(0, quads, 4):
            w0, w1, w2, w3 = weight[g, i], weight[g, i + 1], weight[g, i + 2], weight[g, i + 3]
            for k in range(count):
                # A slice, not a sum of indices: numba would test a[base + n] for a negative index
                # and LLVM would then not vectorise.
                a, v = acc[first + k * step][g * outputs :], x[start + k * stride][g * inputs :]
                x0, x1 = np.int32(v[i]), np.int32(v[i + 1])
                x2, x3 = np.int32(v[i + 2]), np.int32(v[i + 3])
                for n in range(outputs):
                    a[n] = np.int32(a[n] + x0 * w0[n] + x1 * w1[n] + x2 * w2[n] + x3 * w3[n])
        for i in range(quads, inputs):
            w0 = weight[g, i]
            for k in range(count):
                a, v = acc[first + k * step][g * outputs :], x[start + k * stride][g * inputs :]
                x0 = np.int32(v[i])
                for n in range(outputs):
                    a[n] = np.int32(a[n] + x0 * w0[n])


@jit
def conv_rows(
    begin: int, end: int, x: Array, weight: Array, bias: Array, multiplier: Array, shift: Array,
    stride: int, top: int, left: int, lo: int, hi: int, out: Array,
) -> None:  # fmt: skip
    """Convolution. x: int16 or int32 (h, w, channels).

    weight: int16 (KY, KX, groups, I, N / groups).
    """
    kernel_y, kernel_x = weight.shape[:2]
    height, width, _ = x.shape
    acc = np.empty((BLOCK, bias.size), np.int32)
    for row in range(begin, end):
        for column in range(0, out.shape[1], BLOCK):
            count = min(BLOCK, out.shape[1] - column)
            start_sums(acc, bias, count)
            above = row * stride - top
            for ky in range(max(0, -above), min(kernel_y, height - above)):
                for kx in range(kernel_x):
                    # position k reads start + k * stride: keep the k inside the picture
                    start = column * stride + kx - left
                    first = max(0, (-start + stride - 1) // stride)
                    last = min(count, (width - 1 - start) // stride + 1)
                    add_tap(
                        acc, first, 1, last - first, x[above + ky], start + first * stride, stride,
                        weight[ky, kx],
                    )  # fmt: skip
            store(acc, multiplier, shift, lo, hi, out[row, column:], count)


@jit
def conv_transpose_rows(
    begin: int, end: int, x: Array, weight: Array, bias: Array, multiplier: Array, shift: Array,
    stride: int, top: int, left: int, lo: int, hi: int, out: Array,
) -> None:  # fmt: skip
    """Transposed convolution by gathering. Arguments as in conv_rows."""
    kernel_y, kernel_x = weight.shape[:2]
    height, width, _ = x.shape
    acc = np.empty((BLOCK, bias.size), np.int32)
    for row in range(begin, end):
        for column in range(0, out.shape[1], BLOCK):
            count = min(BLOCK, out.shape[1] - column)
            start_sums(acc, bias, count)
            for ky in range(kernel_y):
                y = (row + top - ky) // stride
                if y * stride != row + top - ky or y < 0 or y >= height:
                    continue  # no input row meets this output row here
                for kx in range(kernel_x):
                    # position k reads (column + k + left - kx) / stride where that is whole
                    first = (kx - left - column) % stride
                    start = (column + first + left - kx) // stride
                    skip = max(0, -start)
                    first, start = first + skip * stride, start + skip
                    last = min((count - 1 - first) // stride + 1, width - start)
                    add_tap(acc, first, stride, last, x[y], start, 1, weight[ky, kx])
            store(acc, multiplier, shift, lo, hi, out[row, column:], count)


@jit
def depthwise_rows(
    begin: int, end: int, x: Array, weight: Array, bias: Array, multiplier: Array, shift: Array,
    stride: int, top: int, left: int, lo: int, hi: int, out: Array,
) -> None:  # fmt: skip
    """Convolution with one input and one output channel per group. weight: int16 (KY, KX, N)."""
    kernel_y, kernel_x, channels = weight.shape
    height, width, _ = x.shape
    acc = np.empty((1, channels), np.int32)
    a = acc[0]
    for row in range(begin, end):
        above = row * stride - top
        for column in range(out.shape[1]):
            start_sums(acc, bias, 1)
            start = column * stride - left
            for ky in range(max(0, -above), min(kernel_y, height - above)):
                for kx in range(max(0, -start), min(kernel_x, width - start)):
                    v, w = x[above + ky, start + kx], weight[ky, kx]
                    for n in range(channels):
                        a[n] = np.int32(a[n] + np.int32(v[n]) * w[n])
            store(acc, multiplier, shift, lo, hi, out[row, column:], 1)


@jit
def requantise_rows(
    begin: int, end: int, x: Array, multiplier: Array, shift: Array, lo: int, hi: int, out: Array
) -> None:
    """Stand-alone requantisation. x, out: (h, w, channels)."""
    for row in range(begin, end):
        store(x[row], multiplier, shift, lo, hi, out[row], x.shape[1])


@jit
def mul_rows(
    begin: int, end: int, x: Array, y: Array, multiplier: Array, shift: Array, lo: int, hi: int,
    out: Array,
) -> None:  # fmt: skip
    """Product of two tensors, requantised. x, y, out: (h, w, channels)."""
    _, width, channels = x.shape
    for row in range(begin, end):
        for column in range(width):
            a, b, o = x[row, column], y[row, column], out[row, column]
            for c in range(channels):
                acc = np.int64(a[c]) * np.int64(b[c])
                o[c] = requantise(acc, multiplier[c], shift[c], lo, hi)


@jit
def add_rows(begin: int, end: int, x: Array, y: Array, lo: int, hi: int, out: Array) -> None:
    """Sum of two tensors. x, y, out: (h, w * channels)."""
    for row in range(begin, end):
        a, b, o = x[row], y[row], out[row]
        for k in range(o.size):
            o[k] = clip(np.int64(a[k]) + np.int64(b[k]), lo, hi)


@jit
def div_rows(
    begin: int, end: int, x: Array, y: Array, left_shift: int, lo: int, hi: int, out: Array
) -> None:
    """Rounded quotient of two tensors; `//` is the floor. x, y, out: (h, w * channels), y >= 1."""
    for row in range(begin, end):
        a, b, o = x[row], y[row], out[row]
        for k in range(o.size):
            divisor = np.int64(b[k])
            numerator = 2 * (np.int64(a[k]) << left_shift) + divisor
            o[k] = clip(numerator // (2 * divisor), lo, hi)


@jit
def lut_rows(begin: int, end: int, x: Array, table: Array, lowest: int, out: Array) -> None:
    """Table entries. x, out: (h, w * channels). table: int32 (256,)."""
    for row in range(begin, end):
        a, o = x[row], out[row]
        for k in range(o.size):
            o[k] = table[a[k] - lowest]
