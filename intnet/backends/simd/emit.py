"""The dense tiles as LLVM IR, derived from the plain loop step by step.

What it computes, for `positions` neighbouring outputs, MR at a time, and NR output channels:

(1)  acc[i, n] = bias[n] + sum over k of a[i, k] * weight[n, k]            the definition
(2)  k = (run, group, lane): a run is a stretch of input that lies together in memory (one kernel
     row of a convolution, a whole position of a 1x1), a group is GROUP_BYTES = 4 bytes of it: four
     u8 or two s16. Rounds up with zero weights.
(3)  MR x NR sums stay in registers for the whole of k. One group of a position is loaded as a
     32-bit word and copied to all lanes; one group of NR channels of weight is NR words, packed in
     the order in which they are read (`pack.py`).
(4)  acc[i, n] += dot(a word, weight word): one instruction, or two, of the ISA. Integers add up
     alike in any order and no partial sum overflows (`intnet.bounds`), hence the bits of (1).
(5)  The sums pass through a buffer into the epilogue (`epilogue.py`): requantise, clip, add or look
     up, narrow, store. With shift > 32 the quotient needs the high word of the product alone:
     (p + 2**(shift - 1)) >> shift = (high word of p + 2**(shift - 33)) >> (shift - 32), all floors,
     since the low word of what is added is 0.
     A depthwise layer differs in (4) alone: acc[i, n] += a[i, n] * weight[n], tap by tap.
(6)  Positions beyond the last one repeat it and are not stored; lanes that are no output are stored
     to a buffer alone. So nothing is read or written outside the caller's arrays.

A panel of tiles is called with the address of a `job`.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from intnet.backends.simd import job
from intnet.backends.simd.epilogue import Epilogue
from intnet.backends.simd.isa import Dot, Isa
from intnet.backends.simd.values import I16, I32, I64, load, shifted, splat, store
from rangecoder.compile import intrinsic

GROUP_BYTES = 4

Sums = list[list[ir.Value]]  # a register of sums for each row and vector of a tile


def panel(isa: Isa, kind: str) -> Any:
    """The numba intrinsic `tiles(job, stamp)` of an ISA for a kind of layer.

    kind: "u8" (times s8), "s16" (times s16), or "depthwise" (s16 times s16, one input channel for
    each output channel). stamp: not read, see `compiled.source_stamp`.
    """

    @intrinsic
    def tiles(context: Any, job: Any, stamp: Any) -> Any:
        def codegen(ctx: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
            Tiles(isa, builder, args[0]).emit(isa.dots.get(kind))
            return ctx.get_dummy_value()

        return types.void(types.int64, types.int64), codegen

    return tiles


def module(isa: Isa, kind: str) -> ir.Module:
    """The same as a function `void panel(i64 job)` in a module of LLVM IR by itself."""
    made = ir.Module(f"{isa.name} {kind}")
    function = ir.Function(made, ir.FunctionType(ir.VoidType(), [I64]), "panel")
    builder = ir.IRBuilder(function.append_basic_block())
    Tiles(isa, builder, function.args[0]).emit(isa.dots.get(kind))
    builder.ret_void()
    return made


class Tiles:
    """Tiles of one panel being emitted: the builder, the job and the buffer of sums."""

    def __init__(self, isa: Isa, builder: ir.IRBuilder, address: ir.Value) -> None:
        self.isa, self.builder = isa, builder
        buffer = cgutils.alloca_once(builder, ir.ArrayType(isa.vector, isa.rows * isa.vectors))
        buffer.align = 64
        self.buffer = builder.ptrtoint(buffer, I64)
        # Read once: for all LLVM knows, each store to the output could change the job.
        self.words = [load(builder, builder.add(address, I64(8 * index)), I64, 8)
                      for index in range(job.JOB_WORDS)]  # fmt: skip

    def emit(self, dot: Dot | None) -> None:
        """(3) and (4), then (5), for MR positions at a time."""
        b, rows, count = self.builder, self.isa.rows, self.words[job.POSITIONS]
        epilogue = Epilogue(self.isa, b, self.words, self.buffer)
        n_tiles = b.sdiv(b.add(count, I64(rows - 1)), I64(rows))
        with cgutils.for_range(b, n_tiles) as tile:
            first = b.mul(tile.index, I64(rows))
            left = b.sub(count, first)
            positions = b.select(b.icmp_signed("<", left, I64(rows)), left, I64(rows))
            self.sums(dot, first, positions)
            epilogue.emit(first, positions)

    def sums(self, dot: Dot | None, first: ir.Value, positions: ir.Value) -> None:
        """Fill the buffer with acc[i, n] of (1)."""
        b, isa = self.builder, self.isa
        n_runs, groups = self.words[job.N_RUNS], self.words[job.GROUPS]
        accs = [[cgutils.alloca_once(b, isa.vector) for _ in range(isa.vectors)]
                for _ in range(isa.rows)]  # fmt: skip
        for j in range(isa.vectors):
            bias = load(b, b.add(self.words[job.PARAMETERS], I64(j * isa.lanes * 4)), isa.vector)
            for row in accs:
                b.store(bias, row[j])
        steps = self.row_steps(first, positions)
        group_bytes = isa.columns * (4 if dot else 2)
        with cgutils.for_range(b, n_runs) as run:
            start = load(b, shifted(b, self.words[job.RUNS], (run.index, 8)), I64, 8)
            rows = [b.add(start, step) for step in steps]
            panel = shifted(b, self.words[job.WEIGHTS], (b.mul(run.index, groups), group_bytes))
            with cgutils.for_range(b, groups) as group:
                here = shifted(b, panel, (group.index, group_bytes))
                if dot:
                    self.add_group(dot, accs, rows, group.index, here)
                else:
                    self.add_tap(accs, rows, group.index, here)
        for i, row in enumerate(accs):
            for j, acc in enumerate(row):
                at = b.add(self.buffer, I64((i * isa.vectors + j) * isa.lanes * 4))
                store(b, b.load(acc), at, isa.lanes * 4)

    def add_group(
        self, dot: Dot, accs: Sums, rows: list[ir.Value], group: ir.Value, weights: ir.Value
    ) -> None:
        """(3) and (4): a word of each position times a word of each channel."""
        b, isa = self.builder, self.isa
        bytes_ = isa.lanes * 4
        w = [load(b, b.add(weights, I64(j * bytes_)), isa.vector, bytes_)
             for j in range(isa.vectors)]  # fmt: skip
        for i, start in enumerate(rows):
            word = load(b, shifted(b, start, (group, GROUP_BYTES)), I32)
            a = splat(b, word, isa.lanes)
            for j in range(isa.vectors):
                b.store(dot(b, b.load(accs[i][j]), a, w[j]), accs[i][j])

    def add_tap(self, accs: Sums, rows: list[ir.Value], tap: ir.Value, weights: ir.Value) -> None:
        """Depthwise: each channel of a position, s16, times its own weight, s16."""
        b, isa = self.builder, self.isa
        bytes_, narrow = isa.lanes * 2, ir.VectorType(I16, isa.lanes)
        w = [b.sext(load(b, b.add(weights, I64(j * bytes_)), narrow, bytes_), isa.vector)
             for j in range(isa.vectors)]  # fmt: skip
        for i, start in enumerate(rows):
            at = b.add(start, b.mul(tap, self.words[job.TAP_STEP]))
            for j in range(isa.vectors):
                x = b.sext(load(b, b.add(at, I64(j * bytes_)), narrow), isa.vector)
                b.store(isa.one(b, b.load(accs[i][j]), x, w[j]), accs[i][j])

    def row_steps(self, first: ir.Value, positions: ir.Value) -> list[ir.Value]:
        """Bytes from position 0 to each one from `first` on, the last one repeated; see (6)."""
        b, last = self.builder, self.builder.sub(positions, I64(1))
        rows = [b.select(b.icmp_signed("<", last, I64(i)), last, I64(i))
                for i in range(self.isa.rows)]  # fmt: skip
        offset = self.words[job.OFFSET]
        return [b.add(offset, b.mul(b.add(first, row), self.words[job.STEP])) for row in rows]
