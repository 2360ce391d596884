"""Arm with dot products: `sdot` adds 16 products of s8 in one instruction.

u8 becomes s8 by a flip of the top bit, which takes 128 from it.
"""

from __future__ import annotations

from functools import cache

from llvmlite import ir

from intnet.backends.simd import emit
from intnet.backends.simd.compiled import address, source_stamp
from intnet.backends.simd.isa import Isa
from intnet.backends.simd.values import I8, call, constant


def quad(builder: ir.IRBuilder, acc: ir.Value, a: ir.Value, weight: ir.Value) -> ir.Value:
    """acc + four products of u8 less 128 and s8; `Isa.u8_offset` makes the bias fit."""
    flipped = builder.xor(a, constant(a.type, -0x7F7F7F80))  # 128 in every byte
    words = ir.VectorType(I8, 16)
    sides = [builder.bitcast(x, words) for x in (flipped, weight)]
    return call(builder, "llvm.aarch64.neon.sdot.v4i32.v16i8", acc.type, [acc, *sides])


def pair(builder: ir.IRBuilder, acc: ir.Value, a: ir.Value, weight: ir.Value) -> ir.Value:
    """acc + two products of s16: the low halves of the words, then the high ones."""
    by = constant(acc.type, 16)
    low = [builder.ashr(builder.shl(x, by), by) for x in (a, weight)]
    high = [builder.ashr(x, by) for x in (a, weight)]
    return builder.add(builder.add(acc, builder.mul(*low)), builder.mul(*high))


DOTS = {"u8": quad, "s16": pair}
ISA = Isa("neon", lanes=4, rows=6, vectors=4, even_odd=False, dots=DOTS, u8_offset=128)
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
