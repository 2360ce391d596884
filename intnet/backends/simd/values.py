"""Words of LLVM IR that the tiles are written in: constants, memory, lanes."""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir
from numba.core import cgutils

I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))


def constant(vector: ir.VectorType, value: int) -> ir.Constant:
    """The same number in every lane."""
    return ir.Constant(vector, [value] * vector.count)


def splat(builder: ir.IRBuilder, value: ir.Value, lanes: int) -> ir.Value:
    """A scalar copied to all lanes."""
    vector = ir.VectorType(value.type, lanes)
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, I32(0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(I32, lanes), [0] * lanes))


def shuffle(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, lanes: Sequence[int]) -> ir.Value:
    """Lanes of a and, counting on, of b."""
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(I32, len(lanes)), list(lanes)))


def call(builder: ir.IRBuilder, name: str, result: ir.Type, arguments: list[ir.Value]) -> ir.Value:
    """An LLVM intrinsic."""
    kind = ir.FunctionType(result, [a.type for a in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def pointer(builder: ir.IRBuilder, address: ir.Value, element: ir.Type) -> ir.Value:
    """An address as a pointer."""
    return builder.inttoptr(address, element.as_pointer())


def load(builder: ir.IRBuilder, address: ir.Value, element: ir.Type, align: int = 1) -> ir.Value:
    """What lies at an address."""
    value = builder.load(pointer(builder, address, element))
    value.align = align
    return value


def store(builder: ir.IRBuilder, value: ir.Value, address: ir.Value, align: int = 1) -> None:
    """Put a value at an address."""
    builder.store(value, pointer(builder, address, value.type)).align = align


def shifted(builder: ir.IRBuilder, address: ir.Value, *steps: tuple[ir.Value, int]) -> ir.Value:
    """Address plus the sum of index * bytes."""
    for index, size in steps:
        address = builder.add(address, builder.mul(index, I64(size)))
    return address


def clip(builder: ir.IRBuilder, value: ir.Value, lo: ir.Value, hi: ir.Value) -> ir.Value:
    """Value limited to [lo, hi], lane by lane."""
    bits, lanes = value.type.element.width, value.type.count
    value = call(builder, f"llvm.smax.v{lanes}i{bits}", value.type, [value, lo])
    return call(builder, f"llvm.smin.v{lanes}i{bits}", value.type, [value, hi])
