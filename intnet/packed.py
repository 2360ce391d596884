"""Tensors of a packed model file: how their payload is laid out, and its decoder.

Every tensor is a grid of rows and columns, most often output channels and the weights of one. A row
and a column have an exponent each; their sum is the scale of the numbers where they cross, and so
chooses the table that the range coder uses. What is coded is the tensor itself or, where that is
smaller, a form of it: differences, say. `packing` chooses; [model.packed] of SPEC.md specifies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import accumulate
from math import prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import rangecoder
from intnet.errors import ModelError
from intnet.model_frame import Entry, refuse_unless
from intnet.program import Array

Int64Array = npt.NDArray[np.int64]
Exponents = npt.NDArray[np.int8]
Shape = tuple[int, ...]

LANES = 2
SCALE_TABLES = 18  # tables of numbers, each half an octave wider than the one before
SUPPORT = range(-128, 128)  # of each of them
LOW_BITS = 8  # of a number, at most, in one symbol; their tables follow those of the scales
EXPONENTS = 64  # of rows and columns: within [-64, 64); of a number: 0 to 63
ROW = 16  # elements of a row where a tensor has one axis
RUN = 2**16  # elements in rows whose symbols come together, where a row has no more
PARAMETER_BITS = np.array([3, 5, 5], np.int8)  # form, scales of the exponents' steps
VALUES, RATIO, RECIPROCAL = 0, 4, 5  # forms; 1 to 3: differences of that order
RECIPROCAL_BITS = 30
POWERS = np.int64(1) << np.arange(31)
MAX_LINES = 2**22  # rows, and columns
MAX_FORMED = 2**20  # elements of a tensor in another form than VALUES
MAX_RATIO_ROWS = 64
TYPES = {"U8": np.uint8, "I8": np.int8, "I16": np.int16, "I32": np.int32}


class Grid(NamedTuple):
    """How a tensor is coded: the dtype of its elements, their number, rows and columns."""

    element: np.dtype[Any]
    size: int
    rows: int
    columns: int
    sequence: int  # length of the first axis, along which differences are taken


def grid_of(dtype: str, shape: Shape) -> Grid:
    """Rows are the first axis; a tensor of one axis has rows of ROW elements.

    Bytes of one axis are numbers of 16 bits, where their number is even: those of tables.
    """
    size, element = prod(shape), np.dtype(TYPES[dtype])
    if len(shape) > 1:
        return Grid(element, size, shape[0], size // shape[0], shape[0])
    if dtype == "U8" and size % 2 == 0:
        size, element = size // 2, np.dtype(np.uint16)
    return Grid(element, size, -(-size // ROW), ROW, size)


@cache
def tables() -> rangecoder.Tables:
    """Those of the scales, then those of 1 to LOW_BITS equal bits."""
    cdfs = [scale_cdf(scale) for scale in range(SCALE_TABLES)]
    cdfs += [bits_cdf(bits) for bits in range(1, LOW_BITS + 1)]
    start = list(accumulate(map(len, cdfs), initial=0))
    minimum = [SUPPORT.start] * SCALE_TABLES + [0] * LOW_BITS
    return rangecoder.Tables(np.concatenate(cdfs), np.array(start), np.array(minimum))


def scale_cdf(scale: int) -> list[int]:
    """Student's t of 3 degrees of freedom: 1 / (1 + (4 k)**2 / 2**scale)**2, in integers."""
    weights = [2**46 // (2**scale + 16 * k * k) ** 2 for k in SUPPORT]
    total, spare = sum(weights), 2**rangecoder.PRECISION - len(weights) - 1
    inner = [j + spare * upto // total for j, upto in enumerate(accumulate(weights, initial=0))]
    return [*inner, 2**rangecoder.PRECISION]


def bits_cdf(bits: int) -> list[int]:
    """All numbers of so many bits alike; one count is left to the escape, which is refused."""
    most = 2**rangecoder.PRECISION - 1
    return [*(j * most >> bits for j in range(2**bits + 1)), most + 1]


def low_bits_of(exponent: Exponents) -> Exponents:
    """Bits of each number below those that its first symbol carries."""
    low: Exponents = np.maximum(0, exponent - (SCALE_TABLES - 2) >> 1)
    return low


def rows_of_run(grid: Grid) -> int:
    """Rows whose symbols come together."""
    return max(1, RUN // grid.columns)


def unpack(payload: bytes, entries: Mapping[str, Entry]) -> dict[str, Array]:
    """Every tensor by name. entries: names ascending; sizes are theirs to have checked.

    Raises ModelError.
    """
    try:
        decoder = rangecoder.Decoder(payload, tables(), LANES)
        tensors = {}
        for name, entry in entries.items():
            try:
                tensors[name] = Reader(decoder, entry).tensor()
            except ModelError as error:
                message = str(error).removeprefix("model: ")
                where = f"model: packed tensor {name!r:.80}"
                raise ModelError(f"{where}: {message}; damaged or altered") from None
        decoder.finish()
    except rangecoder.PayloadError as error:
        raise ModelError(f"model: packed tensors: {error}; damaged or altered") from None
    return tensors


class Reader:
    """One tensor of a payload."""

    def __init__(self, decoder: rangecoder.Decoder, entry: Entry) -> None:
        self.decoder, self.shape = decoder, entry.shape
        self.dtype = np.dtype(TYPES[entry.dtype])
        self.grid = grid_of(entry.dtype, entry.shape)
        lines = max(self.grid.rows, self.grid.columns)
        refuse_unless(lines <= MAX_LINES, f"{lines} rows or columns, at most {MAX_LINES}")

    def tensor(self) -> Array:
        """Form, exponents, numbers: in this order."""
        form, *scales = self.low(PARAMETER_BITS).tolist()
        check_form(form, self.grid, self.shape)
        refuse_unless(
            max(scales) < SCALE_TABLES,
            f"scales {scales} of exponents, must be below {SCALE_TABLES}",
        )
        row, column = self.exponents(scales)
        values = np.empty(self.grid.size, self.grid.element if form == VALUES else np.int64)
        at = 0
        for run in self.runs(row, column):
            values[at : at + run.size] = checked(run, self.grid) if form == VALUES else run
            at += run.size
        if form != VALUES:
            values = original(form, values.reshape(self.grid.sequence, -1), self.grid)
        little = values.reshape(-1).astype(self.grid.element.newbyteorder("<"), copy=False)
        if self.grid.element.itemsize != self.dtype.itemsize:
            return np.frombuffer(bytearray(little.tobytes()), self.dtype)
        return little.astype(self.dtype, copy=False).reshape(self.shape)

    def pull(self, tables: npt.NDArray[np.integer]) -> npt.NDArray[np.int32]:
        """The next symbols, by the table of each."""
        return self.decoder.pull(tables.astype(np.uint16))

    def low(self, bits: Exponents) -> npt.NDArray[np.int32]:
        """Numbers of 1 to LOW_BITS bits each."""
        found = self.pull(SCALE_TABLES - 1 + bits)
        refuse_unless(not (found >> bits).any(), "escape among bits")
        return found

    def exponents(self, scales: list[int]) -> tuple[Exponents, Exponents]:
        """Those of rows, then of columns: steps from the one before, the first from 0."""
        rows, columns = self.grid.rows, self.grid.columns
        steps = self.pull(np.repeat(scales, (rows, columns)))
        sums = [np.cumsum(part, dtype=np.int64) for part in (steps[:rows], steps[rows:])]
        least, most = min(int(x.min()) for x in sums), max(int(x.max()) for x in sums)
        refuse_unless(
            least >= -EXPONENTS and most < EXPONENTS,
            f"exponents {least}..{most}, must be within {-EXPONENTS}..{EXPONENTS - 1}",
        )
        return sums[0].astype(np.int8), sums[1].astype(np.int8)

    def runs(self, row: Exponents, column: Exponents) -> Iterator[npt.NDArray[np.signedinteger]]:
        """The numbers of some rows at a time."""
        rows = rows_of_run(self.grid)
        for begin in range(0, self.grid.rows, rows):
            left = self.grid.size - begin * self.grid.columns
            sums = np.add.outer(row[begin : begin + rows], column).reshape(-1)[:left]
            yield self.numbers(sums.clip(0, EXPONENTS - 1))

    def numbers(self, exponent: Exponents) -> npt.NDArray[np.signedinteger]:
        """A number for each exponent: first their symbols, then their low bits."""
        if exponent.max() < SCALE_TABLES:
            return self.pull(exponent)
        left = low_bits_of(exponent)
        values = self.pull(exponent - 2 * left).astype(np.int64)
        while left.any():
            (where,) = left.nonzero()
            bits = np.minimum(left[where], LOW_BITS)
            values[where] = (values[where] << bits) + self.low(bits)
            left[where] -= bits
        return values


def check_form(form: int, grid: Grid, shape: Shape) -> None:
    """Raise ModelError for an unknown form, or one that this tensor cannot have."""
    refuse_unless(form <= RECIPROCAL, f"form {form}, must be 0..{RECIPROCAL}")
    refuse_unless(
        form == VALUES or grid.size <= MAX_FORMED,
        f"form {form} of {grid.size} elements, at most {MAX_FORMED}",
    )
    refuse_unless(
        form != RATIO or (len(shape) > 1 and grid.rows <= MAX_RATIO_ROWS),
        f"form {form} of {list(shape)}, must have two axes or more, the first at most "
        f"{MAX_RATIO_ROWS}",
    )


def original(form: int, values: Int64Array, grid: Grid) -> Int64Array:
    """The tensor of a form. values: int64 (sequence, others). Raises ModelError where out of range.

    Sums may wrap, but only past a value that is out of range and found to be so.
    """
    if form == RATIO:
        for i in range(1, len(values)):
            values[i] += expected(checked(values[:i][-2:], grid))
    elif form == RECIPROCAL:
        outside = (values < 1) | (values >= 2**31)
        refuse_unless(not outside.any(), "a reciprocal of a number outside 1..2147483647")
        values = reciprocal(values)
    else:
        for _ in range(form):
            values = np.cumsum(values, axis=0)
    return checked(values, grid)


def expected(before: Int64Array) -> Int64Array:
    """What follows the last one or two rows, where each is the one before times a constant."""
    b, a = before[0], before[-1]
    steady = (b < 1) | (len(before) == 1)
    follows: Int64Array = np.where(steady, a, (a * a + (b >> 1)) // np.maximum(b, 1))
    return follows


def reciprocal(c: Int64Array) -> Int64Array:
    """2**t / c to the nearest, for the least t that makes it 2**30 or more. c: 1 .. 2**31 - 1."""
    bits = POWERS.searchsorted(c - 1, side="right")  # binary digits of c - 1
    nearest: Int64Array = ((np.int64(2) << RECIPROCAL_BITS + bits) + c) // (2 * c)
    return nearest


def checked(values: Int64Array, grid: Grid) -> Int64Array:
    """The values, all of them within the range of the elements. Raises ModelError."""
    info = np.iinfo(grid.element)
    least, most = int(values.min()), int(values.max())
    inside = info.min <= least and most <= info.max
    refuse_unless(inside, f"values {least}..{most}, must be within {info.min}..{info.max}")
    return values
