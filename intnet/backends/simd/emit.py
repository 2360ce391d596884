"""The dense tiles as LLVM IR, derived from the plain loop step by step.

What it computes, for `positions` neighbouring outputs, MR at a time, and `columns` <= NR output
channels:

(1)  acc[i, n] = bias[n] + sum over k of a[i, k] * weight[n, k]            the definition
(2)  k = (run, group, lane): a run is a stretch of input that lies together in memory (one kernel
     row of a convolution, a whole position of a 1x1), a group is GROUP_BYTES = 4 bytes of it: four
     u8 or two s16. Rounds up with zero weights.
(3)  MR x NR sums stay in registers for the whole of k. One group of a position is loaded as a
     32-bit word and copied to all lanes; one group of NR channels of weight is NR words, packed in
     the order in which they are read (`pack.py`).
(4)  acc[i, n] += dot(a word, weight word): one instruction, or two, of the ISA. Integers add up
     alike in any order and no partial sum overflows (`intnet.bounds`), hence the bits of (1).
(5)  The sums pass through a buffer into the epilogue: requantise, clip, add, clip, narrow, store.
     With shift >= 32 the quotient needs the high word of the product alone:
     (p >> shift) = (high word of p) >> (shift - 32), both floors.
     A depthwise layer differs in (4) alone: acc[i, n] += a[i, n] * weight[n], tap by tap.
(6)  Positions beyond the last one repeat it and are not stored; columns beyond `columns` are stored
     to the buffer alone. So nothing is read or written outside the caller's arrays.

A panel of tiles is called with the address of a job, int64 words at the indexes below; it trusts
them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

# The words of a job. Addresses and steps are in bytes.
(
    RUNS,  # address of int64[n_runs]: where each run of position 0 starts
    OFFSET,  # added to each of them
    STEP,  # from a position to the next
    N_RUNS,
    GROUPS,  # of a run; taps of a run if depthwise
    TAP_STEP,  # bytes from a tap to the next if depthwise
    WEIGHTS,  # address of the panel
    PARAMETERS,  # address of the panel's parameters, see `pack.py`
    OUT,  # address of the first output
    OUT_STEP,
    OUT_BYTES,  # 1, 2 or 4 for each output
    ADDEND,  # address of s16 to add after the clip, or 0
    ADDEND_STEP,
    HIGH,  # 1: every shift >= 32 and stored less 32; 0: any shift
    LO,
    HI,
    SUM_LO,  # clip after the addition
    SUM_HI,
    POSITIONS,
    COLUMNS,
) = range(20)
JOB_WORDS = 20
GROUP_BYTES = 4

I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))

# dot(builder, acc, a, weight): acc plus the products of the words, all <lanes x i32>
Dot = Callable[[ir.IRBuilder, ir.Value, ir.Value, ir.Value], ir.Value]
Sums = list[list[ir.Value]]  # a register of sums for each row and vector of a tile
Halves = list[ir.Value]  # the first and second lanes of `Isa.halves`, 64 bits each
Scale = Callable[[ir.Value], ir.Value]  # sums to outputs
Requantise = Callable[[ir.Value, ir.Value], Scale]  # addresses of parameters and rounding


@dataclass(frozen=True)
class Isa:
    """A register file and its dot products.

    lanes: 32-bit sums in a register. rows, vectors: the tile is rows x (vectors * lanes).
    dots: by the type of the input, "u8" (times s8) or "s16" (times s16).
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


def panel(isa: Isa, kind: str) -> Any:
    """The numba intrinsic `tiles(job)` of an ISA for a kind of layer.

    kind: "u8" (times s8), "s16" (times s16), or "depthwise" (s16 times s16, one input channel for
    each output channel).
    """

    @intrinsic
    def tiles(context: Any, job: Any) -> Any:
        def codegen(ctx: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
            Tiles(isa, builder, args[0]).emit(isa.dots.get(kind))
            return ctx.get_dummy_value()

        return types.void(types.int64), codegen

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

    def __init__(self, isa: Isa, builder: ir.IRBuilder, job: ir.Value) -> None:
        self.isa, self.builder = isa, builder
        buffer = cgutils.alloca_once(builder, ir.ArrayType(isa.vector, isa.rows * isa.vectors))
        buffer.align = 64
        self.buffer = builder.ptrtoint(buffer, I64)
        # Read once: for all LLVM knows, each store to the output could change the job.
        self.words = [load(builder, builder.add(job, I64(8 * index)), I64, 8)
                      for index in range(JOB_WORDS)]  # fmt: skip

    def word(self, index: int) -> ir.Value:
        """A word of the job."""
        return self.words[index]

    def emit(self, dot: Dot | None) -> None:
        """(3) and (4), then (5), for MR positions at a time."""
        b, rows, count = self.builder, self.isa.rows, self.word(POSITIONS)
        n_tiles = b.sdiv(b.add(count, I64(rows - 1)), I64(rows))
        with cgutils.for_range(b, n_tiles) as tile:
            first = b.mul(tile.index, I64(rows))
            left = b.sub(count, first)
            positions = b.select(b.icmp_signed("<", left, I64(rows)), left, I64(rows))
            self.sums(dot, first, positions)
            with b.if_else(b.icmp_signed("!=", self.word(HIGH), I64(0))) as (high, general):
                with high:
                    self.epilogue(self.requantise_high, first, positions)
                with general:
                    self.epilogue(self.requantise, first, positions)

    def sums(self, dot: Dot | None, first: ir.Value, positions: ir.Value) -> None:
        """Fill the buffer with acc[i, n] of (1)."""
        b, isa = self.builder, self.isa
        n_runs, groups = self.word(N_RUNS), self.word(GROUPS)
        accs = [[cgutils.alloca_once(b, isa.vector) for _ in range(isa.vectors)]
                for _ in range(isa.rows)]  # fmt: skip
        for j in range(isa.vectors):
            bias = load(b, b.add(self.word(PARAMETERS), I64(j * isa.lanes * 4)), isa.vector)
            for row in accs:
                b.store(bias, row[j])
        steps = self.row_steps(first, positions)
        group_bytes = isa.columns * (4 if dot else 2)
        with cgutils.for_range(b, n_runs) as run:
            start = load(b, shifted(b, self.word(RUNS), (run.index, 8)), I64, 8)
            rows = [b.add(start, step) for step in steps]
            panel = b.add(self.word(WEIGHTS), b.mul(b.mul(run.index, groups), I64(group_bytes)))
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
            at = b.add(start, b.mul(tap, self.word(TAP_STEP)))
            for j in range(isa.vectors):
                x = b.sext(load(b, b.add(at, I64(j * bytes_)), narrow), isa.vector)
                b.store(b.add(b.load(accs[i][j]), b.mul(x, w[j])), accs[i][j])

    def row_steps(self, first: ir.Value, positions: ir.Value) -> list[ir.Value]:
        """Bytes from position 0 to each one from `first` on, the last one repeated; see (6)."""
        b, last = self.builder, self.builder.sub(positions, I64(1))
        rows = [b.select(b.icmp_signed("<", last, I64(i)), last, I64(i))
                for i in range(self.isa.rows)]  # fmt: skip
        offset = self.word(OFFSET)
        return [b.add(offset, b.mul(b.add(first, row), self.word(STEP))) for row in rows]

    def epilogue(self, requantise: Requantise, first: ir.Value, positions: ir.Value) -> None:
        """Every vector of the buffer to its place in the output."""
        b, isa = self.builder, self.isa
        columns = self.word(COLUMNS)
        vectors = b.sdiv(b.add(columns, I64(isa.lanes - 1)), I64(isa.lanes))
        with cgutils.for_range(b, vectors) as j:
            column = b.mul(j.index, I64(isa.lanes))
            parameters = shifted(b, self.word(PARAMETERS), (column, 4))
            rounding = shifted(b, self.word(PARAMETERS), (column, 8), (I64(isa.columns), 12))
            scale = requantise(parameters, rounding)
            left, sums = b.sub(columns, column), shifted(b, self.buffer, (column, 4))
            with cgutils.for_range(b, positions) as i:
                at = shifted(b, sums, (i.index, isa.columns * 4))
                value = scale(load(b, at, isa.vector, isa.lanes * 4))
                self.put(value, b.add(first, i.index), column, left)

    def wide(self, parameters: ir.Value, rounding: ir.Value) -> Callable[[ir.Value], Halves]:
        """acc -> acc * multiplier + rounding in 64 bits, for each half of the lanes."""
        b, isa = self.builder, self.isa
        multiplier = self.widened(load(b, b.add(parameters, I64(4 * isa.columns)), isa.vector))
        half = ir.VectorType(I64, isa.lanes // 2)
        add = [load(b, b.add(rounding, I64(h * isa.lanes * 4)), half) for h in range(2)]

        def product(acc: ir.Value) -> Halves:
            factors = zip(self.widened(acc), multiplier, add, strict=True)
            return [b.add(b.mul(x, y), r) for x, y, r in factors]

        return product

    def widened(self, x: ir.Value) -> Halves:
        """Both halves of x as signed 64-bit numbers."""
        b, half = self.builder, ir.VectorType(I64, self.isa.lanes // 2)
        if not self.isa.even_odd:
            return [b.sext(shuffle(b, x, x, lanes), half) for lanes in self.isa.halves()]
        both, by = b.bitcast(x, half), constant(half, 32)  # odd lanes are the high words
        return [b.ashr(b.shl(both, by), by), b.ashr(both, by)]

    def joined(self, halves: Halves, word: int) -> ir.Value:
        """The low (0) or high (1) words of both halves, in the order of the lanes."""
        b, n = self.builder, self.isa.lanes
        if self.isa.even_odd:
            order = [2 * (lane // 2) + word + n * (lane % 2) for lane in range(n)]
        else:
            order = [2 * lane + word for lane in range(n)]
        first, second = (b.bitcast(half, self.isa.vector) for half in halves)
        return shuffle(b, first, second, order)

    def requantise_high(self, parameters: ir.Value, rounding: ir.Value) -> Scale:
        """(5), shifts stored less 32."""
        b, isa = self.builder, self.isa
        shift = load(b, b.add(parameters, I64(8 * isa.columns)), isa.vector)
        wide, lo, hi = self.wide(parameters, rounding), self.limit(LO), self.limit(HI)
        return lambda acc: clip(b, b.ashr(self.joined(wide(acc), 1), shift), lo, hi)

    def requantise(self, parameters: ir.Value, rounding: ir.Value) -> Scale:
        """Any shift: all in 64 bits."""
        b, isa = self.builder, self.isa
        shift = self.widened(load(b, b.add(parameters, I64(8 * isa.columns)), isa.vector))
        lo, hi = (splat(b, self.word(index), isa.lanes // 2) for index in (LO, HI))
        wide = self.wide(parameters, rounding)

        def scale(acc: ir.Value) -> ir.Value:
            halves = zip(wide(acc), shift, strict=True)
            return self.joined([clip(b, b.ashr(p, s), lo, hi) for p, s in halves], 0)

        return scale

    def limit(self, index: int) -> ir.Value:
        """A limit of the job in every lane."""
        return splat(self.builder, self.builder.trunc(self.word(index), I32), self.isa.lanes)

    def put(self, value: ir.Value, i: ir.Value, column: ir.Value, left: ir.Value) -> None:
        """Add what is to be added, narrow, store the `left` first lanes at position i."""
        b = self.builder
        addend = self.word(ADDEND)
        total = cgutils.alloca_once_value(b, value)
        with b.if_then(b.icmp_signed("!=", addend, I64(0)), likely=False):
            at = b.add(addend, b.add(b.mul(i, self.word(ADDEND_STEP)), b.mul(column, I64(2))))
            other = b.sext(self.some(at, left), self.isa.vector)
            both = clip(b, b.add(value, other), self.limit(SUM_LO), self.limit(SUM_HI))
            b.store(both, total)
        size = self.word(OUT_BYTES)
        at = b.add(self.word(OUT), b.add(b.mul(i, self.word(OUT_STEP)), b.mul(column, size)))
        for element in (I8, I16, I32):
            with b.if_then(b.icmp_signed("==", size, I64(element.width // 8))):
                self.narrow(b.load(total), element, at, left)

    def some(self, at: ir.Value, left: ir.Value) -> ir.Value:
        """The first `left` s16 at an address; beyond them anything."""
        b = self.builder
        vector = ir.VectorType(I16, self.isa.lanes)
        whole = cgutils.alloca_once(b, vector)
        with b.if_else(b.icmp_signed(">=", left, I64(self.isa.lanes))) as (all_, part):
            with all_:
                b.store(load(b, at, vector), whole)
            with part:
                self.copy(at, b.ptrtoint(whole, I64), left, I16)
        return b.load(whole)

    def narrow(self, value: ir.Value, element: ir.IntType, at: ir.Value, left: ir.Value) -> None:
        """The first `left` lanes, each in fewer bits; they fit, having been clipped."""
        b = self.builder
        vector = ir.VectorType(element, self.isa.lanes)
        small = value if element == I32 else b.trunc(value, vector)
        with b.if_else(b.icmp_signed(">=", left, I64(self.isa.lanes))) as (all_, part):
            with all_:
                store(b, small, at)
            with part:
                buffer = cgutils.alloca_once_value(b, small)
                self.copy(b.ptrtoint(buffer, I64), at, left, element)

    def copy(self, source: ir.Value, target: ir.Value, count: ir.Value, kind: ir.IntType) -> None:
        """Elements one by one."""
        b, size = self.builder, kind.width // 8
        with cgutils.for_range(b, count) as k:
            element = load(b, shifted(b, source, (k.index, size)), kind)
            store(b, element, shifted(b, target, (k.index, size)))
