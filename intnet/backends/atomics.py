"""Words that several threads read and write: int64 at an address, a multiple of 8."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types

from intnet.backends.simd.values import I32, I64
from rangecoder.compile import intrinsic


@intrinsic
def load(_context: Any, address: Any) -> Any:
    """The word at an address, before anything that follows."""

    def codegen(_ctx: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        return builder.load_atomic(builder.inttoptr(args[0], I64.as_pointer()), "acquire", 8)

    return types.int64(types.int64), codegen


@intrinsic
def store(_context: Any, address: Any, value: Any) -> Any:
    """Write a word, after everything before it."""

    def codegen(ctx: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        pointer = builder.inttoptr(args[0], I64.as_pointer())
        builder.store_atomic(args[1], pointer, "release", 8)
        return ctx.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def add(_context: Any, address: Any, value: Any) -> Any:
    """Add to a word at once; what it was."""

    def codegen(_ctx: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        pointer = builder.inttoptr(args[0], I64.as_pointer())
        return builder.atomic_rmw("add", pointer, args[1], "acq_rel")

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def swap(_context: Any, address: Any, old: Any, new: Any) -> Any:
    """Write a word if it is still the old one; whether it was."""

    def codegen(_ctx: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        pointer = builder.inttoptr(args[0], I64.as_pointer())
        both = builder.cmpxchg(pointer, args[1], args[2], "acq_rel", "acquire")
        return builder.zext(builder.extract_value(both, 1), I64)

    return types.int64(types.int64, types.int64, types.int64), codegen


@intrinsic
def give_way(_context: Any, address: Any) -> Any:
    """Call the C function without arguments at an address."""

    def codegen(ctx: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(I32, [])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), [])
        return ctx.get_dummy_value()

    return types.void(types.int64), codegen
