"""The fast portable backend: numba loops over threads, the bits of `numpy_reference`."""

from __future__ import annotations

from collections.abc import Mapping
from weakref import WeakKeyDictionary

import numpy as np

from intnet.backends import numba_kernels as kernels
from intnet.backends import reshape
from intnet.backends.execute import Operation, execute
from intnet.backends.simd import choose
from intnet.backends.simd import linear as simd_linear
from intnet.backends.threads import spread
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

PACKED: WeakKeyDictionary[Op, Array] = WeakKeyDictionary()


def run(program: Program, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Outputs of the program by name; see `execute` for shapes, ranges and errors.

    INTNET_THREADS threads share each operation, by default one per processor.
    """
    return execute(program, inputs, OPERATIONS)


def packed(op: Conv | ConvTranspose) -> Array:
    """Weights as the kernels read them: int16 (KY, KX, groups, I, N / groups), made once per op.

    Two threads may both make them; they are equal, and the last one is kept.
    """
    weight = PACKED.get(op)
    if weight is None:
        n, ky, kx, i = op.weight.shape
        by_group = op.weight.astype(np.int16).reshape(op.groups, n // op.groups, ky, kx, i)
        weight = np.ascontiguousarray(by_group.transpose(2, 3, 0, 4, 1))
        PACKED[op] = weight
    return weight


def widened(x: Array) -> Array:
    """8 bits as 16, so that half as many kernels are compiled; they are no slower."""
    return x.astype(np.int16) if x.itemsize == 1 else x


def empty(op: Clipped, size: Size, channels: int) -> Array:
    """An output to be filled."""
    return np.empty((*size, channels), DTYPES[op.dtype])


def flat(x: Array) -> Array:
    """(h, w, channels) as (h, w * channels), the same memory."""
    return x.reshape(len(x), -1)


def linear(op: Conv | ConvTranspose, inputs: list[Array], size: Size) -> Array:
    """Convolution, depthwise convolution, transposed convolution."""
    module = choose.load()
    kind = module and simd_linear.kind_of(module, op, inputs[0])
    if module and kind:
        out = empty(op, size, len(op.bias))
        simd_linear.linear(module, op, kind, inputs[0], out)
        return out
    x, weight = widened(inputs[0]), packed(op)
    ky, kx, groups, i, n = weight.shape
    kernel = kernels.conv_transpose_rows
    if isinstance(op, Conv):
        kernel = kernels.conv_rows
        if i == n == 1 and groups > 1:
            kernel, weight = kernels.depthwise_rows, weight.reshape(ky, kx, groups)
    out = empty(op, size, groups * n)
    top, left, _, _ = op.padding
    spread(
        kernel, size[0], out.size * ky * kx * i, x, weight, contiguous(op.bias),
        contiguous(op.multiplier), contiguous(op.shift), op.stride, top, left, op.lo, op.hi, out,
    )  # fmt: skip
    return out


def contiguous(parameter: Array) -> Array:
    """A parameter as the one kind of array that kernels are compiled for."""
    return parameter if parameter.flags.carray else parameter.copy()


def requantise(op: Requantise, inputs: list[Array], size: Size) -> Array:
    """Per channel."""
    out = empty(op, size, inputs[0].shape[2])
    spread(
        kernels.requantise_rows, size[0], out.size, inputs[0], contiguous(op.multiplier),
        contiguous(op.shift), op.lo, op.hi, out,
    )  # fmt: skip
    return out


def lut(op: Lut, inputs: list[Array], size: Size) -> Array:
    """Entry 0 belongs to the lowest value of the input's dtype."""
    out, lowest = empty(op, size, inputs[0].shape[2]), int(np.iinfo(inputs[0].dtype).min)
    table = contiguous(op.table)
    spread(kernels.lut_rows, size[0], out.size, flat(inputs[0]), table, lowest, flat(out))
    return out


def add(op: Add, inputs: list[Array], size: Size) -> Array:
    """clip(a + b)."""
    a, b = inputs
    out = empty(op, size, a.shape[2])
    spread(kernels.add_rows, size[0], out.size, flat(a), flat(b), op.lo, op.hi, flat(out))
    return out


def mul(op: Mul, inputs: list[Array], size: Size) -> Array:
    """requantise(a * b)."""
    out = empty(op, size, inputs[0].shape[2])
    spread(
        kernels.mul_rows, size[0], out.size, *inputs, contiguous(op.multiplier),
        contiguous(op.shift), op.lo, op.hi, out,
    )  # fmt: skip
    return out


def div(op: Div, inputs: list[Array], size: Size) -> Array:
    """The quotient rounded to nearest, ties toward plus infinity."""
    a, b = inputs
    out = empty(op, size, a.shape[2])
    spread(
        kernels.div_rows, size[0], out.size, flat(a), flat(b), op.left_shift, op.lo, op.hi,
        flat(out),
    )  # fmt: skip
    return out


OPERATIONS: dict[type[Op], Operation] = {
    **reshape.OPERATIONS, Conv: linear, ConvTranspose: linear, Requantise: requantise, Lut: lut,
    Add: add, Mul: mul, Div: div,
}  # fmt: skip
