"""Step (5) of `emit`: from the buffer of sums to the outputs.

    value = clip((acc * multiplier + rounding) >> shift)     in 64 bits
    value = clip(value + addend), or table[value], or itself
    store it in 1, 2 or 4 bytes

A position at a time, all registers of a panel together. Whatever is the same for a whole panel (is
there an addend, how wide is an output) is asked once for each position, which costs next to
nothing: the answer never changes.
"""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir
from numba.core import cgutils

from intnet.backends.simd import job
from intnet.backends.simd.isa import Isa
from intnet.backends.simd.values import (
    I8,
    I16,
    I32,
    I64,
    clip,
    constant,
    load,
    shifted,
    shuffle,
    splat,
    store,
)

Halves = list[ir.Value]  # the first and second lanes of `Isa.halves`, 64 bits each
Scale = Callable[[ir.Value], ir.Value]  # sums to outputs


class Epilogue:
    """Sums of a tile to their places.

    words: of the job. buffer: address of rows x columns sums.
    """

    def __init__(
        self, isa: Isa, builder: ir.IRBuilder, words: list[ir.Value], buffer: ir.Value
    ) -> None:
        self.isa, self.builder, self.words, self.buffer = isa, builder, words, buffer
        row = cgutils.alloca_once(builder, ir.ArrayType(isa.vector, isa.vectors))
        self.row = builder.ptrtoint(row, I64)  # what is not a whole panel passes through it

    def emit(self, first: ir.Value, positions: ir.Value) -> None:
        """`positions` rows of the buffer, which are positions `first` and on of the job."""
        b, isa = self.builder, self.isa
        whole = b.icmp_signed("==", load(b, self.words[job.TARGETS], I64, 8), I64(isa.columns))
        full = b.and_(whole, b.icmp_signed("==", positions, I64(isa.rows)))
        usual = b.and_(b.and_(full, self.given(job.HIGH)), b.not_(self.given(job.TABLE)))
        bytes_, adds = self.words[job.OUT_BYTES], self.given(job.ADDEND)
        narrow, wide = (b.icmp_signed("==", bytes_, I64(size)) for size in (1, 2))
        done = cgutils.alloca_once_value(b, cgutils.false_bit)
        for element, which, addend in (
            (I8, b.and_(narrow, b.not_(adds)), False), (I16, b.and_(wide, b.not_(adds)), False),
            (I16, b.and_(wide, adds), True),
        ):  # fmt: skip
            with b.if_then(b.and_(usual, which)):
                self.straight(element, first, addend=addend)
                b.store(cgutils.true_bit, done)
        with b.if_then(b.not_(b.load(done)), likely=False):
            self.row_by_row(first, positions, whole)

    def given(self, index: int) -> ir.Value:
        """Whether a word of the job is not 0."""
        return self.builder.icmp_signed("!=", self.words[index], I64(0))

    def straight(self, element: ir.IntType, first: ir.Value, *, addend: bool) -> None:
        """A whole tile of the usual kind, without a branch; for what is there, see `emit`."""
        b, isa = self.builder, self.isa
        out = b.add(self.words[job.OUT], b.mul(first, self.words[job.OUT_STEP]))
        other = b.add(self.words[job.ADDEND], b.mul(first, self.words[job.ADDEND_STEP]))
        lo, hi = self.limit(job.SUM_LO), self.limit(job.SUM_HI)
        for j in range(isa.vectors):
            scale, at = self.requantise_high(j), b.add(out, self.target(I64(j)))
            added = b.add(other, I64(j * isa.lanes * 2))
            for i in range(isa.rows):
                acc = b.add(self.buffer, I64((i * isa.vectors + j) * isa.lanes * 4))
                value = scale(load(b, acc, isa.vector, isa.lanes * 4))
                if addend:
                    more = load(b, added, ir.VectorType(I16, isa.lanes))
                    value = clip(b, b.add(value, b.sext(more, isa.vector)), lo, hi)
                    added = b.add(added, self.words[job.ADDEND_STEP])
                store(b, b.trunc(value, ir.VectorType(element, isa.lanes)), at)
                at = b.add(at, self.words[job.OUT_STEP])

    def row_by_row(self, first: ir.Value, positions: ir.Value, whole: ir.Value) -> None:
        """Any tile."""
        b, isa = self.builder, self.isa
        with cgutils.for_range(b, positions) as i:
            at = shifted(b, self.buffer, (i.index, isa.columns * 4))
            sums = [load(b, b.add(at, I64(j * isa.lanes * 4)), isa.vector, isa.lanes * 4)
                    for j in range(isa.vectors)]  # fmt: skip
            values = [cgutils.alloca_once(b, isa.vector) for _ in sums]
            with b.if_else(self.given(job.HIGH)) as (high, general):
                for block, requantise in (high, self.requantise_high), (general, self.requantise):
                    with block:
                        for j, (value, acc) in enumerate(zip(values, sums, strict=True)):
                            b.store(requantise(j)(acc), value)
            position = b.add(first, i.index)
            self.add(values, position, whole)
            self.look_up(values)
            self.put([b.load(value) for value in values], position, whole)

    def parameter(self, row: int, j: int) -> ir.Value:
        """Register j of a row of the panel's parameters."""
        at = I64(4 * (row * self.isa.columns + j * self.isa.lanes))
        return load(self.builder, self.builder.add(self.words[job.PARAMETERS], at), self.isa.vector)

    def products(self, j: int) -> Callable[[ir.Value], Halves]:
        """acc -> acc * multiplier in 64 bits, for each half of the lanes."""
        multiplier = self.widened(self.parameter(1, j))

        def product(acc: ir.Value) -> Halves:
            factors = zip(self.widened(acc), multiplier, strict=True)
            return [self.builder.mul(x, y) for x, y in factors]

        return product

    def roundings(self, j: int) -> Halves:
        """2**(shift - 1) in 64 bits, for each half of the lanes."""
        b, isa = self.builder, self.isa
        half = ir.VectorType(I64, isa.lanes // 2)
        at = b.add(self.words[job.PARAMETERS], I64(12 * isa.columns + j * isa.lanes * 8))
        return [load(b, b.add(at, I64(h * isa.lanes * 4)), half) for h in range(2)]

    def widened(self, x: ir.Value) -> Halves:
        """Both halves of x as signed 64-bit numbers.

        Odd lanes are moved into even ones first: from a plain shift by 32 LLVM makes a shift of 64
        bits, which AVX2 lacks, and no longer sees that 32 bits are multiplied.
        """
        b, half = self.builder, ir.VectorType(I64, self.isa.lanes // 2)
        if not self.isa.even_odd:
            return [b.sext(shuffle(b, x, x, lanes), half) for lanes in self.isa.halves()]
        by = constant(half, 32)
        odd = shuffle(b, x, x, [lane | 1 for lane in range(self.isa.lanes)])
        return [b.ashr(b.shl(b.bitcast(y, half), by), by) for y in (x, odd)]

    def joined(self, halves: Halves, word: int) -> ir.Value:
        """The low (0) or high (1) words of both halves, in the order of the lanes."""
        b, n = self.builder, self.isa.lanes
        if self.isa.even_odd:
            order = [2 * (lane // 2) + word + n * (lane % 2) for lane in range(n)]
        else:
            order = [2 * lane + word for lane in range(n)]
        first, second = (b.bitcast(half, self.isa.vector) for half in halves)
        return shuffle(b, first, second, order)

    def requantise_high(self, j: int) -> Scale:
        """Shifts of 33 or more, stored less 32: the high word of the product alone.

        2**(shift - 1) has no bit in the low word, so it is added to the high one.
        """
        b = self.builder
        shift, rounding, product = self.parameter(2, j), self.parameter(3, j), self.products(j)
        lo, hi = self.limit(job.LO), self.limit(job.HI)

        def scale(acc: ir.Value) -> ir.Value:
            total = b.add(self.joined(product(acc), 1), rounding)
            return clip(b, b.ashr(total, shift), lo, hi)

        return scale

    def requantise(self, j: int) -> Scale:
        """Any shift: all in 64 bits."""
        b, isa = self.builder, self.isa
        shift, rounding = self.widened(self.parameter(2, j)), self.roundings(j)
        lo, hi = (splat(b, self.words[index], isa.lanes // 2) for index in (job.LO, job.HI))
        product = self.products(j)

        def scale(acc: ir.Value) -> ir.Value:
            halves = zip(product(acc), rounding, shift, strict=True)
            return self.joined([clip(b, b.ashr(b.add(p, r), s), lo, hi) for p, r, s in halves], 0)

        return scale

    def limit(self, index: int) -> ir.Value:
        """A limit of the job in every lane."""
        return splat(self.builder, self.builder.trunc(self.words[index], I32), self.isa.lanes)

    def add(self, values: list[ir.Value], i: ir.Value, whole: ir.Value) -> None:
        """Add what is to be added at position i, if there is; values: places of registers."""
        b, isa = self.builder, self.isa
        addend, vector = self.words[job.ADDEND], ir.VectorType(I16, isa.lanes)
        with b.if_then(self.given(job.ADDEND), likely=False):
            start = b.add(addend, b.mul(i, self.words[job.ADDEND_STEP]))
            at = cgutils.alloca_once_value(b, start)
            with b.if_then(b.not_(whole), likely=False):
                self.each(lambda j, count: self.copy(
                    self.lane(start, j, 2), self.lane(self.row, j, 2), count, I16
                ))  # fmt: skip
                b.store(self.row, at)
            lo, hi = self.limit(job.SUM_LO), self.limit(job.SUM_HI)
            for j, value in enumerate(values):
                other = load(b, b.add(b.load(at), I64(j * isa.lanes * 2)), vector)
                total = b.add(b.load(value), b.sext(other, isa.vector))
                b.store(clip(b, total, lo, hi), value)

    def look_up(self, values: list[ir.Value]) -> None:
        """Look values up in the table, if there is; values: places of registers.

        Lane by lane: gathering is no faster where it exists.
        """
        b, table = self.builder, self.words[job.TABLE]
        with b.if_then(self.given(job.TABLE), likely=False):
            for value in values:
                found = b.load(value)
                for lane in range(self.isa.lanes):
                    index = b.sext(b.extract_element(found, I32(lane)), I64)
                    entry = load(b, shifted(b, table, (index, 4)), I32, 4)
                    found = b.insert_element(found, entry, I32(lane))
                b.store(found, value)

    def put(self, values: list[ir.Value], i: ir.Value, whole: ir.Value) -> None:
        """Narrow and store at position i; the values fit, having been clipped."""
        b, size = self.builder, self.words[job.OUT_BYTES]
        at = b.add(self.words[job.OUT], b.mul(i, self.words[job.OUT_STEP]))
        for element in (I8, I16, I32):
            with b.if_then(b.icmp_signed("==", size, I64(element.width // 8))):
                self.put_as(element, values, at, whole)

    def put_as(
        self, element: ir.IntType, values: list[ir.Value], at: ir.Value, whole: ir.Value
    ) -> None:
        """Every register to its target: whole, or as many elements as there are."""
        b, isa, size = self.builder, self.isa, element.width // 8
        vector = ir.VectorType(element, isa.lanes)
        small = values if element == I32 else [b.trunc(value, vector) for value in values]
        with b.if_else(whole) as (all_, part):
            with all_:
                for j, value in enumerate(small):
                    store(b, value, b.add(at, self.target(I64(j))))
            with part:
                for j, value in enumerate(small):
                    store(b, value, b.add(self.row, I64(j * isa.lanes * size)))
                self.each(lambda j, count: self.copy(
                    self.lane(self.row, j, size), b.add(at, self.target(j)), count, element
                ))  # fmt: skip

    def target(self, j: ir.Value) -> ir.Value:
        """Bytes from a position to the outputs of register j."""
        at = shifted(self.builder, self.words[job.TARGETS], (I64(1), 8), (j, 8))
        return load(self.builder, at, I64, 8)

    def each(self, body: Callable[[ir.Value, ir.Value], None]) -> None:
        """body(j, count) for every register, a loop; count: how many of its lanes are outputs."""
        b, n = self.builder, self.isa.vectors
        with cgutils.for_range(b, I64(n)) as j:
            at = shifted(b, self.words[job.TARGETS], (I64(1 + n), 8), (j.index, 8))
            body(j.index, load(b, at, I64, 8))

    def lane(self, start: ir.Value, j: ir.Value, size: int) -> ir.Value:
        """Where the lanes of register j begin in a row of elements of a size."""
        return shifted(self.builder, start, (j, self.isa.lanes * size))

    def copy(self, source: ir.Value, target: ir.Value, count: ir.Value, kind: ir.IntType) -> None:
        """Elements one by one."""
        b, size = self.builder, kind.width // 8
        with cgutils.for_range(b, count) as k:
            element = load(b, shifted(b, source, (k.index, size)), kind)
            store(b, element, shifted(b, target, (k.index, size)))
