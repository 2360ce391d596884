"""AVX2: two products of s16 and their sum in one instruction, `vpmaddwd`.

Never the saturating `vpmaddubsw`: u8 inputs are widened when they are read.
"""

from __future__ import annotations

from functools import cache

from llvmlite import ir

from intnet.backends.simd import emit
from intnet.backends.simd.compiled import address, source_stamp
from intnet.backends.simd.isa import Isa
from intnet.backends.simd.values import I16, call, constant


def pair(builder: ir.IRBuilder, acc: ir.Value, a: ir.Value, weight: ir.Value) -> ir.Value:
    """acc + two products of s16.

    Their sum wraps only where all four are -2**15, which the proof of `intnet.bounds` refuses.
    """
    words = ir.VectorType(I16, 16)
    sides = [builder.bitcast(x, words) for x in (a, weight)]
    return builder.add(acc, call(builder, "llvm.x86.avx2.pmadd.wd", acc.type, sides))


def one(builder: ir.IRBuilder, acc: ir.Value, a: ir.Value, weight: ir.Value) -> ir.Value:
    """acc + a * weight: the high half of a, which repeats its sign, times 0.

    Several times faster than a product of 32 bits.
    """
    return pair(builder, acc, a, builder.and_(weight, constant(weight.type, 0xFFFF)))


ISA = Isa("avx2", lanes=8, rows=6, vectors=2, even_odd=True, dots={"s16": pair}, one=one)
s16 = emit.panel(ISA, "s16")
depthwise = emit.panel(ISA, "depthwise")


@cache
def panels() -> dict[str, int]:
    """Addresses of the compiled panels by kind, for processors that have these instructions."""
    stamp = source_stamp()

    def s16_panel(job: int) -> None:
        s16(job, stamp)

    def depthwise_panel(job: int) -> None:
        depthwise(job, stamp)

    return {"s16": address(s16_panel), "depthwise": address(depthwise_panel)}
