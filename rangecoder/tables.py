"""Ragged CDF tables: build from integer weights, validate, write and read.

READ ME FIRST
1. A table has n support symbols, `minimum .. minimum + n - 1`, and one escape, always the LAST
   entry.  So it has n + 1 entries and n + 2 cdf values: 0 = cdf[0] < ... < cdf[n + 1] = 2**16.
2. An invalid `Tables` cannot exist: the constructor validates, copies and freezes its arrays.
   The coder relies on that and does not look again.
3. Floats appear in `symbol_bits` alone, which measures; nothing that decides bytes calls it.
"""

import functools
import heapq
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rangecoder import lookup
from rangecoder.errors import TableError

PRECISION = 16
TOTAL = 1 << PRECISION
SYMBOL_MIN = -(1 << 15)
SYMBOL_MAX = (1 << 15) - 1
MAX_TABLES = (1 << 16) - 1
MAX_ENTRIES = 1 << 22  # cdf values of all tables together: 16 MiB as int32

VERSION = 1
HEADER = struct.Struct("<BBHI")  # version, reserved (0), number of tables, sum of n

Int32Array = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Tables:
    """CDF tables, one after the other; table t owns `cdf[start[t]:start[t + 1]]`.

    cdf: int32 (total cdf values,), each table 0 = first < ... < last = 2**16.
    start: int32 (n_tables + 1,), strictly increasing offsets into cdf, from 0 to cdf.size.
    minimum: int32 (n_tables,), the value of each table's first support symbol.

    Arrays of another integer dtype are converted if each value fits.  All three are read-only
    copies.  Raises TableError (see `validate`).
    """

    cdf: Int32Array
    start: Int32Array
    minimum: Int32Array

    def __post_init__(self) -> None:
        """Copy, freeze, validate."""
        for name in ("cdf", "start", "minimum"):
            object.__setattr__(self, name, _frozen_int32(name, getattr(self, name)))
        validate(self)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle through the constructor: by default arrays come back writable, unvalidated."""
        return Tables, (self.cdf, self.start, self.minimum)

    @property
    def n_tables(self) -> int:
        """Number of tables, 1 .. 65535."""
        return int(self.minimum.size)

    @functools.cached_property
    def lookup(self) -> npt.NDArray[np.int64]:
        """Where the decoder's search begins: see `lookup.make`."""
        return lookup.make(self.cdf, self.start, self.minimum)


def validate(tables: Tables) -> None:
    """Check every rule of the format; the constructor of `Tables` calls this.

    Raises TableError naming table, entry, what was found and what is allowed: 1 .. 65535 tables;
    at most 2**22 cdf values; offsets from 0 to the end with at least 3 values per table (one
    support symbol and the escape); support within [-32768, 32767]; each cdf from 0 to exactly
    2**16, strictly increasing.
    """
    cdf, start, minimum = tables.cdf, tables.start, tables.minimum
    _check_sizes(cdf, start, minimum)
    sizes = np.diff(start)
    # n + 2 values: n = sizes - 2, last symbol minimum + n - 1; int64, as minimum is unchecked
    maximum = minimum.astype(np.int64) + sizes - 3
    for t in _first(minimum < SYMBOL_MIN):
        msg = f"minimum of table {t}: {minimum[t]}, must be at least {SYMBOL_MIN}"
        raise TableError(msg)
    for t in _first(maximum > SYMBOL_MAX):
        msg = f"last support symbol of table {t}: {maximum[t]}, must be at most {SYMBOL_MAX}"
        raise TableError(msg)
    for t in _first(cdf[start[:-1]] != 0):
        msg = f"cdf of table {t}, entry 0: {cdf[start[t]]}, must be 0"
        raise TableError(msg)
    for t in _first(cdf[start[1:] - 1] != TOTAL):
        msg = f"cdf of table {t}: total {cdf[start[t + 1] - 1]}, must be {TOTAL}"
        raise TableError(msg)
    falls = cdf[1:] <= cdf[:-1]  # np.diff could wrap
    falls[start[1:-1] - 1] = False  # from the last value of a table to the first of the next
    for i in _first(falls):
        t = int(np.searchsorted(start, i, side="right")) - 1
        where = f"cdf of table {t}, entry {i + 1 - start[t]}"
        msg = f"{where}: {cdf[i + 1]} after {cdf[i]}, must strictly increase"
        raise TableError(msg)


def build(weights: Sequence[Sequence[int]], minimum: Sequence[int]) -> Tables:
    """Make tables from non-negative integer weights of any magnitude.

    weights[t]: one weight per support symbol, then the escape's weight; not all zero.
    minimum[t]: value of the first support symbol.

    The counts follow `apportion`: integer arithmetic only, hence the same on every machine.
    Raises TableError for a bad weight or whatever `validate` refuses.
    """
    if len(weights) != len(minimum):
        msg = f"weights: {len(weights)} tables, but minimum has {len(minimum)}; must be equal"
        raise TableError(msg)
    if not 1 <= len(weights) <= MAX_TABLES:
        msg = f"number of tables: {len(weights)}, must be 1 .. {MAX_TABLES}"
        raise TableError(msg)
    size = sum(len(table) + 1 for table in weights)
    if size > MAX_ENTRIES:
        msg = f"weights: {size} cdf values, limit is {MAX_ENTRIES}"
        raise TableError(msg)
    cdf: list[int] = []
    start = [0]
    for t, table in enumerate(weights):
        _check_weights(t, table)
        cdf.append(0)
        for count in apportion(table):
            cdf.append(cdf[-1] + count)
        start.append(len(cdf))
    return Tables(np.array(cdf), np.array(start), np.array(minimum))


def apportion(weights: Sequence[int]) -> list[int]:
    """Share 2**16 counts among weights, each at least 1 (the Huntington-Hill method).

    Rule, to be specified: every entry gets 1; each further count goes to the entry i with the
    greatest w[i]**2 / (f[i] * (f[i] + 1)), f[i] its count so far, ties to the smaller i.

    Why: the count that takes f to f + 1 saves w * ln((f + 1) / f).  Giving each count where it
    saves most is optimal, since savings shrink with f; and 1 / sqrt(f * (f + 1)) replaces
    ln((f + 1) / f) (2 % above it at f = 1, falling as 1 / (24 f**2)) so that the comparison is
    exact in integers.

    weights: 2 .. 65536 non-negative ints, not all zero.  Returns ints >= 1 with sum 2**16.
    """
    # The rule ranks all (entry, count) pairs and keeps the best ones, so the result does not
    # depend on where we start: from the floors, give or take until the sum is right, then swap
    # while the best pair not held outranks the worst pair held.
    sum_weights = sum(weights)
    counts = [max(1, w * TOTAL // sum_weights) for w in weights]
    gives = [(-_priority(w, f), i) for i, (w, f) in enumerate(zip(weights, counts, strict=True))]
    takes = [
        (_priority(w, f - 1), -i)
        for i, (w, f) in enumerate(zip(weights, counts, strict=True))
        if f > 1
    ]
    heapq.heapify(gives)
    heapq.heapify(takes)
    left = TOTAL - sum(counts)
    while True:
        give = _fresh_give(gives, weights, counts)
        take = _fresh_take(takes, weights, counts)
        if left > 0:
            i, change = give[1], 1
        elif left < 0 and take is not None:
            i, change = -take[1], -1
        elif take is not None and (-give[0], -give[1]) > take:
            i, change = give[1], 1  # one too many now: the next round takes the worst back
        else:
            return counts
        counts[i] += change
        left -= change
        heapq.heappush(gives, (-_priority(weights[i], counts[i]), i))
        if counts[i] > 1:
            heapq.heappush(takes, (_priority(weights[i], counts[i] - 1), -i))


def to_bytes(tables: Tables) -> bytes:
    """Serialise: little-endian, 8 + 4 * n_tables + 2 * (sum of n) bytes.

    u8 version = 1; u8 reserved = 0; u16 n_tables; u32 sum of n; i16 minimum[n_tables];
    u16 n[n_tables]; then per table u16 cdf[1 .. n].  cdf[0] = 0 and cdf[n + 1] = 2**16 are not
    stored, so a total cannot be wrong.
    """
    n = np.diff(tables.start) - 2
    inner = np.ones(tables.cdf.size, dtype=np.bool_)
    inner[tables.start[:-1]] = False
    inner[tables.start[1:] - 1] = False
    header = HEADER.pack(VERSION, 0, tables.n_tables, int(n.sum()))
    body = (tables.minimum.astype("<i2"), n.astype("<u2"), tables.cdf[inner].astype("<u2"))
    return header + b"".join(part.tobytes() for part in body)


def from_bytes(data: bytes) -> Tables:
    """Inverse of `to_bytes`: accepts exactly the bytes which `to_bytes` writes.

    Raises TableError.  Sizes are checked against limits and length before anything is allocated.
    """
    n_tables, sum_n = _read_header(data)
    at = HEADER.size
    minimum = np.frombuffer(data, dtype="<i2", count=n_tables, offset=at).astype(np.int32)
    n = np.frombuffer(data, dtype="<u2", count=n_tables, offset=at + 2 * n_tables)
    if int(n.sum(dtype=np.int64)) != sum_n:
        msg = f"support sizes at byte {at + 2 * n_tables}: sum {n.sum()}, header has {sum_n}"
        raise TableError(msg)
    start = np.zeros(n_tables + 1, dtype=np.int32)
    np.cumsum(n.astype(np.int32) + 2, out=start[1:])
    cdf = np.zeros(sum_n + 2 * n_tables, dtype=np.int32)
    inner = np.ones(cdf.size, dtype=np.bool_)
    inner[start[:-1]] = False
    inner[start[1:] - 1] = False
    cdf[inner] = np.frombuffer(data, dtype="<u2", count=sum_n, offset=at + 4 * n_tables)
    cdf[start[1:] - 1] = TOTAL
    return Tables(cdf, start, minimum)


def ideal_bits(symbols: Int32Array, indexes: npt.NDArray[Any], tables: Tables) -> float:
    """Information content of symbols under tables, in bits: the sum of `symbol_bits`."""
    return float(symbol_bits(symbols, indexes, tables).sum())


def symbol_bits(
    symbols: Int32Array, indexes: npt.NDArray[Any], tables: Tables
) -> npt.NDArray[np.float64]:
    """Information content of each symbol, in bits.  For measurement only: uses floats.

    symbols: integers of any shape, each within [-32768, 32767].  indexes: integers of the same
    shape, table of each.  Returns float64 of that shape.
    """
    table = np.asarray(indexes, dtype=np.int64)
    n = np.diff(tables.start)[table] - 2
    k = np.asarray(symbols, dtype=np.int64) - tables.minimum[table]
    escaped = (k < 0) | (k >= n)
    entry = tables.start[table] + np.where(escaped, n, k)
    width = (tables.cdf[entry + 1] - tables.cdf[entry]).astype(np.float64)
    excess = np.where(k < 0, -1 - k, k - n)[escaped]
    prefix = np.frexp((excess + 1).astype(np.float64))[1] - 1  # bit length of v + 1, less one
    bits: npt.NDArray[np.float64] = PRECISION - np.log2(width)
    bits[escaped] += 2 + 2 * prefix
    return bits


def _frozen_int32(name: str, array: npt.ArrayLike) -> Int32Array:
    values = np.asarray(array)
    if values.ndim != 1 or values.dtype.kind not in "iu":
        msg = f"{name}: {values.dtype} with {values.ndim} dimensions, must be 1-D integers"
        raise TableError(msg)
    bound = np.iinfo(np.int32)
    if values.size and not (bound.min <= int(values.min()) and int(values.max()) <= bound.max):
        msg = f"{name}: values {values.min()} .. {values.max()}, must fit int32"
        raise TableError(msg)
    frozen = np.array(values, dtype=np.int32)
    frozen.flags.writeable = False
    return frozen


def _check_sizes(cdf: Int32Array, start: Int32Array, minimum: Int32Array) -> None:
    if not 1 <= minimum.size <= MAX_TABLES:
        msg = f"number of tables: {minimum.size}, must be 1 .. {MAX_TABLES}"
        raise TableError(msg)
    if start.size != minimum.size + 1:
        msg = f"start: {start.size} offsets, must be {minimum.size + 1} (number of tables + 1)"
        raise TableError(msg)
    if cdf.size > MAX_ENTRIES:
        msg = f"cdf: {cdf.size} values, limit is {MAX_ENTRIES}"
        raise TableError(msg)
    if start[0] != 0 or start[-1] != cdf.size:
        msg = f"start: runs from {start[0]} to {start[-1]}, must be 0 to {cdf.size}"
        raise TableError(msg)
    for t in _first(start[1:] < start[:-1].astype(np.int64) + 3):
        got = int(start[t + 1]) - int(start[t])
        msg = f"table {t}: {got} cdf values, must be at least 3 (one support symbol, escape)"
        raise TableError(msg)


def _first(wrong: npt.NDArray[np.bool_]) -> list[int]:
    """Position of the first True as a list of at most one."""
    return [int(np.argmax(wrong))] if wrong.any() else []


def _check_weights(t: int, weights: Sequence[int]) -> None:
    if not 2 <= len(weights) <= TOTAL:  # each entry needs one of the 2**16 counts
        msg = f"weights of table {t}: {len(weights)} entries, must be 2 .. {TOTAL}"
        raise TableError(msg)
    for i, weight in enumerate(weights):
        if not isinstance(weight, int) or weight < 0:
            msg = f"weights of table {t}, entry {i}: {weight!r}, must be an int >= 0"
            raise TableError(msg)
    if not any(weights):
        msg = f"weights of table {t}: all zero, at least one must be positive"
        raise TableError(msg)


def _priority(weight: int, count: int) -> int:
    """Integer that orders as weight**2 / (count * (count + 1)) does, exactly.

    count <= 2**16, so denominators are below 2**33 and unequal fractions differ by more than
    2**-66: after the shift by more than 1, which the floor cannot hide.  Equal ones stay equal.
    """
    return (weight * weight << 66) // (count * (count + 1))


# Heaps keep outdated items (pushed before the count changed); an item is fresh when its priority
# is that of the present count.
def _fresh_give(
    heap: list[tuple[int, int]], weights: Sequence[int], counts: list[int]
) -> tuple[int, int]:
    while heap[0][0] != -_priority(weights[heap[0][1]], counts[heap[0][1]]):
        heapq.heappop(heap)
    return heap[0]


def _fresh_take(
    heap: list[tuple[int, int]], weights: Sequence[int], counts: list[int]
) -> tuple[int, int] | None:
    while heap:
        priority, i = heap[0][0], -heap[0][1]
        if counts[i] > 1 and priority == _priority(weights[i], counts[i] - 1):
            return heap[0]
        heapq.heappop(heap)
    return None


def _read_header(data: bytes) -> tuple[int, int]:
    if len(data) < HEADER.size:
        msg = f"tables: {len(data)} bytes, header alone has {HEADER.size}"
        raise TableError(msg)
    version, reserved, n_tables, sum_n = HEADER.unpack_from(data)
    if version != VERSION:
        msg = f"tables, byte 0: version {version}, must be {VERSION}"
        raise TableError(msg)
    if reserved != 0:
        msg = f"tables, byte 1: reserved value {reserved}, must be 0"
        raise TableError(msg)
    if n_tables == 0:
        msg = f"tables, byte 2: number of tables 0, must be 1 .. {MAX_TABLES}"
        raise TableError(msg)
    if sum_n + 2 * n_tables > MAX_ENTRIES:
        msg = f"tables, byte 4: {sum_n + 2 * n_tables} cdf values, limit is {MAX_ENTRIES}"
        raise TableError(msg)
    length = HEADER.size + 4 * n_tables + 2 * sum_n
    if len(data) != length:
        msg = f"tables: {len(data)} bytes, must be {length} by their header"
        raise TableError(msg)
    return n_tables, sum_n
