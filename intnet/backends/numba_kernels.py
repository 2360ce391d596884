"""Compiled loops of the numba backend: integers only, each over a range of output rows.

READ ME FIRST
1. Numba widens int32 * int32 to int64; `np.int32(...)` around a sum lets LLVM narrow it again, which
   is exact because the proof keeps every partial sum below 2**31.
2. A convolution fills a scratch `acc` of BLOCK positions x N channels, tap by tap; the innermost loop
   runs over contiguous output channels, which LLVM vectorises.
3. Rows are independent: any split of [begin, end) over threads gives the same bits.
"""

from typing import Any

import numpy as np

from intnet.backends import rounding
from intnet.program import Array
from rangecoder.compile import jit

BLOCK = 16  # positions whose sums stay in the first-level cache: 16 * 128 channels * 4 bytes = 8 KiB

round_shift = jit(rounding.round_shift)


@jit
def clip(value: Any, lo: Any, hi: Any) -> Any:
    """Value limited to [lo, hi]; int64."""
    return lo if value < lo else min(value, hi)


@jit
def requantise(acc: Any, multiplier: Any, shift: Any, lo: Any, hi: Any) -> Any:
    """Rescale one accumulator; the product in 64 bits, proved below 2**63."""
    return clip(round_shift(np.int64(acc) * np.int64(multiplier), np.int64(shift)), lo, hi)


@jit
def accumulate(
    acc: Array, first: int, step: int, count: int, x: Array, start: int, stride: int, weight: Array,
    group: int,
) -> None:  # fmt: skip
    """Add one tap to `count` positions: acc[first + k * step] += weight . x[start + k * stride].

    acc: int32 (BLOCK, N). x: (width, channels). weight: int16 (I, N / groups).
    """
    inputs, outputs = weight.shape
    xi, ai = group * inputs, group * outputs
    quads = inputs - inputs % 4
    for i in range(0, quads, 4):
        w0, w1, w2, w3 = weight[i], weight[i + 1], weight[i + 2], weight[i + 3]
        for k in range(count):
            v = x[start + k * stride]
            a = acc[first + k * step]
            x0, x1 = np.int32(v[xi + i]), np.int32(v[xi + i + 1])
            x2, x3 = np.int32(v[xi + i + 2]), np.int32(v[xi + i + 3])
            for n in range(outputs):
                a[ai + n] = np.int32(a[ai + n] + x0 * w0[n] + x1 * w1[n] + x2 * w2[n] + x3 * w3[n])
    for i in range(quads, inputs):
        w0 = weight[i]
        for k in range(count):
            a, x0 = acc[first + k * step], np.int32(x[start + k * stride, xi + i])
            for n in range(outputs):
                a[ai + n] = np.int32(a[ai + n] + x0 * w0[n])


@jit
def store(
    acc: Array, multiplier: Array, shift: Array, lo: int, hi: int, out: Array, count: int
) -> None:
    """Requantise `count` positions of acc (BLOCK, N) into out (at least count, N)."""
    for k in range(count):
        for n in range(out.shape[1]):
            out[k, n] = requantise(acc[k, n], multiplier[n], shift[n], lo, hi)


@jit
def conv_rows(
    begin: int, end: int, x: Array, weight: Array, bias: Array, multiplier: Array, shift: Array,
    stride: int, top: int, left: int, lo: int, hi: int, out: Array,
) -> None:  # fmt: skip
    """Convolution. x: (h, w, channels). weight: int16 (groups, KY, KX, I, N / groups)."""
    groups, kernel_y, kernel_x, i, n = weight.shape
    height, width, _ = x.shape
    acc = np.empty((BLOCK, groups * n), np.int32)
    for row in range(begin, end):
        for column in range(0, out.shape[1], BLOCK):
            count = min(BLOCK, out.shape[1] - column)
            for k in range(count):
                acc[k] = bias
            for ky in range(max(0, top - row * stride), min(kernel_y, height + top - row * stride)):
                line = x[row * stride + ky - top]
                for kx in range(kernel_x):
                    # position k reads column start + k * stride; only those inside the picture
                    start = column * stride + kx - left
                    first = max(0, (-start + stride - 1) // stride)
                    last = min(count, (width - 1 - start) // stride + 1)
                    for g in range(groups):
                        accumulate(
                            acc, first, 1, last - first, line, start + first * stride, stride,
                            weight[g, ky, kx], g,
                        )  # fmt: skip
            store(acc, multiplier, shift, lo, hi, out[row, column:], count)
