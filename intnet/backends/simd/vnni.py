"""AVX-VNNI: 32 products of u8 and s8, or 16 of s16, in one instruction.

LLVM knows the forms of 256 bits by the name of AVX-512 and picks the encoding that there is.
"""

from __future__ import annotations

from functools import cache

from llvmlite import ir

from intnet.backends.simd import emit
from intnet.backends.simd.compiled import address, source_stamp
from intnet.backends.simd.isa import Isa
from intnet.backends.simd.values import call, constant


def quad(builder: ir.IRBuilder, acc: ir.Value, a: ir.Value, weight: ir.Value) -> ir.Value:
    """acc + four products of u8 and s8; it wraps, it does not saturate."""
    return call(builder, "llvm.x86.avx512.vpdpbusd.256", acc.type, [acc, a, weight])


def pair(builder: ir.IRBuilder, acc: ir.Value, a: ir.Value, weight: ir.Value) -> ir.Value:
    """acc + two products of s16."""
    return call(builder, "llvm.x86.avx512.vpdpwssd.256", acc.type, [acc, a, weight])


def one(builder: ir.IRBuilder, acc: ir.Value, a: ir.Value, weight: ir.Value) -> ir.Value:
    """acc + a * weight: the high half of a, which repeats its sign, times 0.

    Several times faster than a product of 32 bits.
    """
    return pair(builder, acc, a, builder.and_(weight, constant(weight.type, 0xFFFF)))


DOTS = {"u8": quad, "s16": pair}
ISA = Isa("vnni", lanes=8, rows=6, vectors=2, even_odd=True, dots=DOTS, one=one)
u8 = emit.panel(ISA, "u8")
s16 = emit.panel(ISA, "s16")
depthwise = emit.panel(ISA, "depthwise")


@cache
def panels() -> dict[str, int]:
    """Addresses of the compiled panels by kind, for processors that have these instructions."""
    stamp = source_stamp()

    def u8_panel(job: int) -> None:
        u8(job, stamp)

    def s16_panel(job: int) -> None:
        s16(job, stamp)

    def depthwise_panel(job: int) -> None:
        depthwise(job, stamp)

    made = {"u8": u8_panel, "s16": s16_panel, "depthwise": depthwise_panel}
    return {kind: address(panel) for kind, panel in made.items()}
