"""The fast backend: SIMD tiles and numba loops over threads, the bits of `numpy_reference`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from intnet.backends import numba_latents as latents
from intnet.backends import reshape
from intnet.backends.execute import Backend, Compute, Rows, Step, execute
from intnet.backends.fuse import steps
from intnet.backends.reshape import same_rows
from intnet.backends.simd import choose
from intnet.backends.simd import linear as simd_linear
from intnet.backends.threads import spread
from intnet.program import (
    DTYPES,
    Add,
    Array,
    Conv,
    ConvTranspose,
    DepthToSpace,
    Div,
    Lut,
    Mul,
    Op,
    Program,
    Requantise,
    SpaceToDepth,
)

__all__ = ["BACKEND", "latents", "run", "serial"]

PACKED: WeakKeyDictionary[Op, Array] = WeakKeyDictionary()


@cache
def kernels() -> ModuleType:
    """The plain loops, which pictures and the shipped model do not need where there are tiles."""
    return import_module("intnet.backends.numba_kernels")


def run(program: Program, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Outputs of the program by name; see `execute` for shapes, ranges and errors.

    INTNET_THREADS threads share each operation, by default one per processor. INTNET_SIMD names
    the instruction set, by default the best one.
    """
    return execute(program, inputs, BACKEND)


def serial() -> Any:
    """Serial context models: `intnet.context`, fused; imported when first needed."""
    fused, context = map(import_module, ("intnet.backends.numba_serial", "intnet.context"))
    return fused.Fused(context.Plain(run, latents))


def compute(step: Step, inputs: list[Rows], out: Rows) -> None:
    """In one pass where the instruction set has tiles for a step, else operation by operation."""
    module = choose.load()
    ready = module and simd_linear.packed(module, step, inputs[0].array.dtype)
    if module and ready:
        simd_linear.compute(module, step, ready, inputs, out)
    else:
        one_after_another(step, inputs, out)


def one_after_another(step: Step, inputs: list[Rows], out: Rows) -> None:
    """The operations of a step with tensors between them; see `fuse` for what there is."""
    *before, last = step.ops
    for op in before:
        first, count, width = out.first, len(out.array), out.array.shape[1]
        if isinstance(last, DepthToSpace):
            first, count, width = first // last.block, count // last.block, width // last.block
        between = Rows(between_rows(op, inputs[0], count, width), first, out.height)
        OPERATIONS[type(op)](op, inputs[:1], between)
        inputs = [between, *inputs[1:]]
    if isinstance(last, Add) and before:
        inputs = inputs if last.inputs[0] == before[-1].name else inputs[::-1]
    OPERATIONS[type(last)](last, inputs, out)


def between_rows(op: Op, x: Rows, rows: int, width: int) -> Array:
    """An array for the rows of a space_to_depth or a convolution of x."""
    if isinstance(op, SpaceToDepth):
        return np.empty((rows, width, x.array.shape[2] * op.block**2), x.array.dtype)
    assert isinstance(op, Conv | ConvTranspose)
    return np.empty((rows, width, len(op.bias)), DTYPES[op.dtype])


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


def flat(x: Array) -> Array:
    """(h, w, channels) as (h, w * channels), the same memory."""
    return x.reshape(len(x), -1)


def linear(op: Conv | ConvTranspose, inputs: list[Rows], out: Rows) -> None:
    """Convolution, depthwise convolution, transposed convolution: plain loops."""
    x, weight = widened(inputs[0].array), packed(op)
    ky, kx, groups, i, n = weight.shape
    top, left, _, _ = op.padding
    if isinstance(op, Conv):
        kernel = kernels().conv_rows
        top += inputs[0].first - out.first * op.stride
        if i == n == 1 and groups > 1:
            kernel, weight = kernels().depthwise_rows, weight.reshape(ky, kx, groups)
    else:
        kernel = kernels().conv_transpose_rows
        top += out.first - inputs[0].first * op.stride
    spread(
        kernel, len(out.array), out.array.size * ky * kx * i, x, weight, contiguous(op.bias),
        contiguous(op.multiplier), contiguous(op.shift), op.stride, top, left, op.lo, op.hi,
        out.array,
    )  # fmt: skip


def contiguous(parameter: Array) -> Array:
    """A parameter as the one kind of array that kernels are compiled for."""
    return parameter if parameter.flags.carray else parameter.copy()


def requantise(op: Requantise, inputs: list[Rows], out: Rows) -> None:
    """Per channel."""
    x = same_rows(inputs[0], out)
    spread(
        kernels().requantise_rows, len(x), x.size, x, contiguous(op.multiplier),
        contiguous(op.shift), op.lo, op.hi, out.array,
    )  # fmt: skip


def lut(op: Lut, inputs: list[Rows], out: Rows) -> None:
    """Entry 0 belongs to the lowest value of the input's dtype."""
    x = same_rows(inputs[0], out)
    table, lowest = contiguous(op.table), int(np.iinfo(x.dtype).min)
    spread(kernels().lut_rows, len(x), x.size, flat(x), table, lowest, flat(out.array))


def add(op: Add, inputs: list[Rows], out: Rows) -> None:
    """clip(a + b)."""
    a, b = (flat(same_rows(x, out)) for x in inputs)
    spread(kernels().add_rows, len(a), a.size, a, b, op.lo, op.hi, flat(out.array))


def mul(op: Mul, inputs: list[Rows], out: Rows) -> None:
    """requantise(a * b)."""
    a, b = (same_rows(x, out) for x in inputs)
    spread(
        kernels().mul_rows, len(a), a.size, a, b, contiguous(op.multiplier), contiguous(op.shift),
        op.lo, op.hi, out.array,
    )  # fmt: skip


def div(op: Div, inputs: list[Rows], out: Rows) -> None:
    """The quotient rounded to nearest, ties toward plus infinity."""
    a, b = (flat(same_rows(x, out)) for x in inputs)
    spread(kernels().div_rows, len(a), a.size, a, b, op.left_shift, op.lo, op.hi, flat(out.array))


OPERATIONS: dict[type[Op], Compute] = {
    **reshape.OPERATIONS, Conv: linear, ConvTranspose: linear, Requantise: requantise, Lut: lut,
    Add: add, Mul: mul, Div: div,
}  # fmt: skip
BACKEND = Backend(steps, compute)
