"""The encoder of packed tensors: what `packed` reads back. It chooses forms and exponents.

Costs are integers, 1/256 of a bit, so that a model is packed into the same bytes everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

import rangecoder
from intnet import packed
from intnet.errors import ModelError
from intnet.model_frame import PACKED_VERSION
from intnet.packed import Grid, Int64Array
from intnet.program import Array

UNIT = 256  # of a bit
COLUMN_REACH = 14  # a column's exponent, at most, on either side of 0
ROUNDS = 2  # of fitting rows and columns in turn
IMPOSSIBLE = 2**16 - 1
NEVER = 2**40  # more than a line of MAX_LINES numbers costs; as many of it fit 63 bits
NAMES = {np.dtype(dtype): name for name, dtype in packed.TYPES.items()}

Costs = npt.NDArray[np.uint16]
Exponents = npt.NDArray[np.int64]


class Plan(NamedTuple):
    """A tensor as it will be coded: form, numbers, exponents of rows and columns."""

    form: int
    numbers: Int64Array
    row: Exponents
    column: Exponents


def packed_file(tensors: Mapping[str, Array]) -> tuple[str, Array]:
    """What the metadata says of the tensors, as JSON, and the payload, u8 (bytes,)."""
    listed = {
        name: {"dtype": NAMES[x.dtype], "shape": list(x.shape)} for name, x in tensors.items()
    }
    found = {"tensors": listed, "version": PACKED_VERSION}
    text = json.dumps(found, sort_keys=True, separators=(",", ":"))
    return text, np.frombuffer(pack(tensors), np.uint8)


def pack(tensors: Mapping[str, Array]) -> bytes:
    """The payload of the tensors, in order of their names. Integers of TYPES, 1 to 4 axes."""
    encoder = rangecoder.Encoder(packed.tables(), packed.LANES)
    for name in sorted(tensors):
        write(encoder, best(tensors[name]), grid_of(tensors[name]))
    return encoder.finish()


def best(tensor: Array) -> Plan:
    """The form of least cost as far as rows alone tell, with exponents of rows and columns."""
    grid = grid_of(tensor)
    found = [(form, numbers, costs_of(numbers, grid)) for form, numbers in forms_of(tensor, grid)]
    form, numbers, costs = min(found, key=lambda one: row_sums(one[2]).min(0).sum())
    return Plan(form, numbers, *fitted(costs))


def grid_of(tensor: Array) -> Grid:
    """How a tensor is coded."""
    return packed.grid_of(NAMES[tensor.dtype], tensor.shape)


def write(encoder: rangecoder.Encoder, plan: Plan, grid: Grid) -> None:
    """One tensor: parameters, exponents, numbers."""
    steps = [np.diff(exponents, prepend=0) for exponents in (plan.row, plan.column)]
    scales = [int(steps_cost(step).argmin()) for step in steps]
    push_bits(encoder, np.array([plan.form, *scales]), packed.PARAMETER_BITS)
    for step, scale in zip(steps, scales, strict=True):
        push(encoder, step, np.full(step.size, scale))
    exponent = np.add.outer(plan.row, plan.column).reshape(-1)[: grid.size]
    exponent = exponent.clip(0, packed.EXPONENTS - 1).astype(np.int8)
    run = packed.rows_of_run(grid) * grid.columns
    for begin in range(0, grid.size, run):
        push_run(encoder, plan.numbers[begin : begin + run], exponent[begin : begin + run])


def push_run(encoder: rangecoder.Encoder, numbers: Int64Array, exponent: packed.Exponents) -> None:
    """First symbols of all numbers, then their low bits, most significant first."""
    left = packed.low_bits_of(exponent)
    push(encoder, numbers >> left, exponent - 2 * left)
    while left.any():
        (where,) = left.nonzero()
        bits = np.minimum(left[where], packed.LOW_BITS)
        left[where] -= bits
        push_bits(encoder, numbers[where] >> left[where] & ((1 << bits.astype(np.int64)) - 1), bits)


def push_bits(
    encoder: rangecoder.Encoder, numbers: Int64Array, bits: npt.NDArray[np.integer]
) -> None:
    """Numbers of so many bits each."""
    push(encoder, numbers, packed.SCALE_TABLES - 1 + bits)


def push(encoder: rangecoder.Encoder, symbols: Int64Array, tables: npt.NDArray[np.integer]) -> None:
    """Symbols, with the table of each."""
    encoder.push(symbols.astype(np.int32), tables.astype(np.uint16))


def forms_of(tensor: Array, grid: Grid) -> Iterator[tuple[int, Int64Array]]:
    """Every form that this tensor can have, and its numbers.

    Weights are only themselves: neighbours among them know nothing of one another.
    """
    table = table_of(tensor, grid)
    for form in range(1 if tensor.ndim > 2 else packed.RECIPROCAL + 1):
        try:
            packed.check_form(form, grid, tensor.shape)
        except ModelError:
            continue
        numbers = formed(form, table)
        if numbers is not None:
            yield form, numbers.reshape(-1)


def table_of(tensor: Array, grid: Grid) -> Int64Array:
    """The elements as they are coded, int64 (sequence, others)."""
    little = tensor.astype(tensor.dtype.newbyteorder("<")).tobytes()
    elements = np.frombuffer(little, grid.element.newbyteorder("<"))
    return elements.astype(np.int64).reshape(grid.sequence, -1)


def formed(form: int, table: Int64Array) -> Int64Array | None:
    """The numbers of which `packed.original` makes this table; None where there are none."""
    if form == packed.RATIO:
        numbers = table.copy()
        for i in range(1, len(table)):
            numbers[i] -= packed.expected(table[:i][-2:])
        return numbers
    if form == packed.RECIPROCAL:
        return divisors(table)
    for _ in range(form):
        table = np.diff(table, axis=0, prepend=np.zeros_like(table[:1]))
    return table


def divisors(table: Int64Array) -> Int64Array | None:
    """For each element the least number whose reciprocal it is; None where one has none."""
    found = np.zeros_like(table)
    if table.min() < 2**packed.RECIPROCAL_BITS:
        return None
    for bits in range(packed.RECIPROCAL_BITS, 2 * packed.RECIPROCAL_BITS + 1):
        c = ((np.int64(2) << bits) + table) // (2 * table)
        right = (found == 0) & (c >= 1) & (packed.reciprocal(np.maximum(c, 1)) == table)
        found[right] = c[right]
    return found if found.all() else None


def fitted(costs: Costs) -> tuple[Exponents, Exponents]:
    """Exponents of rows and of columns, each the best for the others as they are, in turn."""
    exponents, _, columns = costs.shape
    row, column = smooth(row_sums(costs)), np.zeros(columns, np.int64)
    reach, every = np.arange(-COLUMN_REACH, COLUMN_REACH + 1), np.arange(exponents)
    for _ in range(ROUNDS):
        by_column = [row_sums(costs_at(costs, row + s, axis=1), axis=0) for s in reach]
        column = smooth(np.array(by_column)) - COLUMN_REACH
        by_row = [row_sums(costs_at(costs, column + e, axis=2), axis=1) for e in every]
        row = smooth(np.array(by_row))
    return row, column


def costs_at(costs: Costs, exponents: Exponents, axis: int) -> Costs:
    """Of every number, with the exponent of its row (axis 1) or of its column (axis 2)."""
    chosen = exponents.clip(0, len(costs) - 1)
    line = np.arange(chosen.size)
    found: Costs = costs[chosen, line] if axis == 1 else costs[chosen, :, line].T
    return found


def row_sums(costs: Costs, axis: int = -1) -> Int64Array:
    """Of costs along an axis; by default of each row. What is impossible outweighs all else."""
    sums: Int64Array = costs.sum(axis, np.int64) + NEVER * (costs == IMPOSSIBLE).any(axis)
    return sums


def costs_of(numbers: Int64Array, grid: Grid) -> Costs:
    """By exponent, row and column."""
    bits = int(np.abs(numbers).max()).bit_length()
    exponents = min(packed.EXPONENTS, packed.SCALE_TABLES + 2 * max(0, bits - 7))
    costs = np.zeros((exponents, grid.rows * grid.columns), np.uint16)
    for exponent in range(exponents):
        low = int(packed.low_bits_of(np.array([exponent], np.int8))[0])
        symbols = (numbers >> low) - rangecoder.SYMBOL_MIN
        of_symbol = symbol_costs()[exponent - 2 * low]
        cost = of_symbol[symbols.clip(0, of_symbol.size - 1)] + UNIT * low
        fits = (symbols >= 0) & (symbols < of_symbol.size)
        costs[exponent, : grid.size] = np.where(fits, cost, IMPOSSIBLE)
    return costs.reshape(exponents, grid.rows, grid.columns)


@cache
def symbol_costs() -> npt.NDArray[np.int64]:
    """Of every symbol under the table of every scale."""
    symbols = np.arange(rangecoder.SYMBOL_MIN, rangecoder.SYMBOL_MAX + 1)
    scales = np.arange(packed.SCALE_TABLES)[:, None]
    index, symbol = np.broadcast_arrays(scales, symbols)
    bits = rangecoder.symbol_bits(symbol.astype(np.int32), index, packed.tables())
    return np.rint(UNIT * bits).astype(np.int64)


def steps_cost(steps: Exponents) -> Int64Array:
    """Of coding steps with the table of each scale."""
    costs: Int64Array = symbol_costs()[:, steps - rangecoder.SYMBOL_MIN].sum(1)
    return costs


STEP_COST = 2 * UNIT  # about, of one step up or down


def smooth(costs: Int64Array) -> Exponents:
    """For each line the choice, 0 .. len(costs) - 1, so that costs and steps are least together.

    costs: (choices, lines). Viterbi's algorithm; a step costs in proportion to its size.
    """
    choice = np.arange(len(costs))
    steps = STEP_COST * np.abs(choice[:, None] - choice)
    best, came = costs[:, 0], []
    for line in costs.T[1:]:
        reached = best + steps
        came.append(reached.argmin(1))
        best = reached.min(1) + line
    path = [int(best.argmin())]
    for before in reversed(came):
        path.append(int(before[path[-1]]))
    return np.array(path[::-1], np.int64)
