"""AVX2: two products of s16 and their sum in one instruction (`vpmaddwd`), never the saturating
`vpmaddubsw`. u8 inputs are widened when they are read.
"""

from __future__ import annotations

from llvmlite import ir

from intnet.backends.simd import emit
from intnet.backends.simd.compiled import compiled
from intnet.backends.simd.emit import I16, Isa


def pair(builder: ir.IRBuilder, acc: ir.Value, a: ir.Value, weight: ir.Value) -> ir.Value:
    """acc + the sum of two products of s16; it wraps for four times -2**15 only, refused by the
    proof."""
    words = ir.VectorType(I16, 16)
    sides = [builder.bitcast(x, words) for x in (a, weight)]
    return builder.add(acc, emit.call(builder, "llvm.x86.avx2.pmadd.wd", acc.type, sides))


ISA = Isa("avx2", lanes=8, rows=6, vectors=2, even_odd=True, dots={"s16": pair})
s16 = emit.panel(ISA, "s16")
depthwise = emit.panel(ISA, "depthwise")


@compiled
def s16_panel(job: int) -> None:
    """Tiles of one panel, inputs s16."""
    s16(job)


@compiled
def depthwise_panel(job: int) -> None:
    """Tiles of one panel of a depthwise layer."""
    depthwise(job)


PANELS = {"s16": s16_panel.address, "depthwise": depthwise_panel.address}
