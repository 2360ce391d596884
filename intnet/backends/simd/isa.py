"""What an instruction set is to the tiles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from llvmlite import ir

from intnet.backends.simd.values import I32

# dot(builder, acc, a, weight): acc plus the products of the words, all <lanes x i32>
Dot = Callable[[ir.IRBuilder, ir.Value, ir.Value, ir.Value], ir.Value]


def product(builder: ir.IRBuilder, acc: ir.Value, a: ir.Value, weight: ir.Value) -> ir.Value:
    """acc + a * weight, both numbers of 16 bits: what a depthwise layer adds."""
    return builder.add(acc, builder.mul(a, weight))


@dataclass(frozen=True)
class Isa:
    """A register file and its dot products.

    lanes: 32-bit sums in a register. rows, vectors: the tile is rows x (vectors * lanes).
    dots: by the type of the input, "u8" (times s8) or "s16" (times s16). one: for depthwise layers.
    even_odd: the halves of a register that are widened to 64 bits are its even and odd lanes, else
        its first and last ones. u8_offset: what its product of u8 takes from every input.
    """

    name: str
    lanes: int
    rows: int
    vectors: int
    even_odd: bool
    dots: Mapping[str, Dot]
    u8_offset: int = 0
    one: Dot = product

    @property
    def columns(self) -> int:
        """Output channels of a tile."""
        return self.vectors * self.lanes

    @property
    def vector(self) -> ir.VectorType:
        """A register of sums."""
        return ir.VectorType(I32, self.lanes)

    def halves(self) -> tuple[list[int], list[int]]:
        """Lanes that are widened together."""
        lanes = list(range(self.lanes))
        if self.even_odd:
            return lanes[::2], lanes[1::2]
        return lanes[: self.lanes // 2], lanes[self.lanes // 2 :]
