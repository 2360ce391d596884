"""Jobs for one panel, with what must come out by the definition in NumPy.

Every kind of panel with both requantisations, with an addend, a table or neither, in every output
width, at counts of positions and columns around the edges of a tile; then sums at their limits.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from intnet.backends.simd.isa import Isa

Array = np.ndarray[Any, Any]
KINDS = ("u8", "s16", "depthwise")
TOP = 2**31 - 1
HIGH_SHIFT = 33  # the least shift of the form that uses the high word alone
POSITIONS = (1, 5, 6, 7, 13)  # tiles are 6 high
# (runs, values of a run): a lone value, words that are not full, runs that are not a multiple of
# what a loop may be unrolled by, one long enough for every loop
SIZES = ((1, 1), (3, 7), (2, 36), (5, 15), (1, 192))
OUT_TYPES = {1: (np.uint8, np.int8), 2: (np.int16,), 4: (np.int32,)}


@dataclass(frozen=True)
class Case:
    """One panel. Steps, starts and the offset count samples of `inputs`.

    inputs: uint8 or int16, flat. starts: int64 (runs,). weight: (N, runs, values of a run).
    bias, multiplier, shift: int32 (N,). addend: int16 (positions, N) or None.
    table: int32 (256,), of the values 0 to 255, or None.
    """

    name: str
    kind: str
    inputs: Array
    starts: Array
    step: int
    tap_step: int
    offset: int
    weight: Array
    bias: Array
    multiplier: Array
    shift: Array
    high: bool
    out: type[np.integer]
    limits: tuple[int, int]
    addend: Array | None
    sum_limits: tuple[int, int]
    positions: int
    table: Array | None = None

    def outputs(self) -> Array:
        """(positions, N), in 64 bits, step by step."""
        acc = self.bias.astype(np.int64) + self.sums()
        assert np.abs(acc).max() <= TOP, f"{self.name}: beyond the proof"
        rounding = np.int64(1) << (self.shift.astype(np.int64) - 1)
        value = (acc * self.multiplier + rounding) >> self.shift.astype(np.int64)
        value = value.clip(*self.limits)
        if self.table is not None:
            value = self.table[value]
        if self.addend is not None:
            value = (value + self.addend).clip(*self.sum_limits)
        return value.astype(self.out)

    def sums(self) -> Array:
        """Products added up: every channel of a position reads the same, or its own."""
        n, _, values = self.weight.shape
        position = np.arange(self.positions)[:, None, None] * self.step
        first = self.offset + position + self.starts[:, None]
        weight = self.weight.astype(np.int64)
        if self.kind == "depthwise":
            at = first + np.arange(values) * self.tap_step
            own = self.inputs[at[..., None] + np.arange(n)].astype(np.int64)
            return np.asarray(np.einsum("prkn,nrk->pn", own, weight))
        shared = self.inputs[first + np.arange(values)].astype(np.int64)
        return np.asarray(np.einsum("prk,nrk->pn", shared, weight))


def every(isa: Isa) -> Iterator[Case]:
    """All cases of an instruction set; the same at every call."""
    rng = np.random.default_rng(2024)
    lanes, most = isa.lanes, isa.columns
    columns = (1, lanes - 1, lanes, lanes + 1, most - 1, most)
    kinds = [kind for kind in KINDS if kind in (*isa.dots, "depthwise")]
    options = itertools.product(kinds, (True, False), OUT_TYPES, (False, True))
    for kind, high, width, added in options:
        for positions, n in itertools.product(POSITIONS, columns):
            yield random(rng, kind, positions, n, high=high, width=width, added=added)
    for kind, high in itertools.product(kinds, (True, False)):
        for sign in (1, -1):
            yield extreme(kind, sign, most, high=high)


def random(
    rng: np.random.Generator, kind: str, positions: int, n: int, *, high: bool, width: int,
    added: bool,
) -> Case:  # fmt: skip
    """Inputs and weights over their whole types, a third of them at the ends."""
    runs, values = SIZES[rng.integers(len(SIZES))]
    deep = kind == "depthwise"
    step = int(rng.integers(1, 2 * values + 2)) + (n if deep else 0)
    tap_step = int(rng.integers(1, n + 3)) if deep else 0
    offset = int(rng.integers(0, 3))
    starts = rng.integers(0, 50, runs)
    # beyond the last value read: the rest of its word, and of a register if depthwise
    size = 50 + offset + positions * step + values * max(1, tap_step) + 64
    dtype, weights = (np.uint8, np.int8) if kind == "u8" else (np.int16, np.int16)
    inputs = ends(rng, dtype, (size,))
    weight = ends(rng, weights, (n, runs, values))
    largest = max(abs(int(np.iinfo(dtype).min)), int(np.iinfo(dtype).max))
    fit = (TOP - 2**20) // (largest * runs * values)  # what the proof lets a weight be
    weight = weight.clip(-fit, fit)
    typical = max(1, min(fit, int(np.iinfo(weights).max)) * largest * runs * values // 4)
    bias = rng.integers(-1, 2, n) * rng.integers(0, min(typical, 2**20) + 1, n)
    out = OUT_TYPES[width][rng.integers(len(OUT_TYPES[width]))]
    lo, hi = (int(np.iinfo(out).min), int(np.iinfo(out).max)) if width < 4 else (-(2**30), 2**30)
    table = None
    if not added and rng.integers(3) == 0:
        lo, hi, table = 0, 255, ends(rng, out, (256,)).astype(np.int32)
    multiplier, shift = scales(rng, n, typical, hi, high=high)
    addends = ends(rng, np.int8 if width == 1 else np.int16, (positions, n))
    addend = addends.astype(np.int16) if added else None
    name = f"{kind} {positions}x{n} of {runs}x{values}, high {high:d}, {out.__name__}, +{added:d}"
    return Case(
        name, kind, inputs, starts, step, tap_step, offset, weight, bias.astype(np.int32),
        multiplier, shift, high, out, (lo, hi), addend, (lo + 1, hi - 1), positions, table,
    )  # fmt: skip


def ends(rng: np.random.Generator, dtype: type[np.integer], shape: tuple[int, ...]) -> Array:
    """Values of a type, a third of them its lowest or highest."""
    info = np.iinfo(dtype)
    x = rng.integers(info.min, int(info.max) + 1, shape)
    which = rng.integers(0, 6, shape)
    return np.where(which == 0, info.min, np.where(which == 1, info.max, x)).astype(dtype)


def scales(
    rng: np.random.Generator, n: int, size: int, hi: int, *, high: bool
) -> tuple[Array, Array]:
    """Multipliers and shifts that bring `size` near hi / 2, or the nearest that the form allows."""
    multiplier = rng.integers(1, 2**31, n)
    multiplier[0] = TOP
    bits = [(int(m) * 2 * size // hi).bit_length() for m in multiplier]
    shift = np.clip(bits, HIGH_SHIFT if high else 1, 62)
    return multiplier.astype(np.int32), shift.astype(np.int32)


def extreme(kind: str, sign: int, n: int, *, high: bool) -> Case:
    """Every product as large as it can be and of one sign; sums are 2**31 - 1 or its negative."""
    if kind == "u8":
        x, w, values = 255, 127 if sign > 0 else -128, 65792
    else:
        x, w, values = -(2**15), -sign * (2**15 - 1), 2
    rest = TOP - abs(x * w) * values
    while rest < 0:
        values -= 1
        rest = TOP - abs(x * w) * values
    dtype, weights = (np.uint8, np.int8) if kind == "u8" else (np.int16, np.int16)
    inputs = np.full(values + n + 70, x, dtype)
    weight = np.full((n, 1, values), w, weights)
    bias = np.full(n, sign * rest, np.int32)
    multiplier = np.where(np.arange(n) % 2, TOP, 1).astype(np.int32)
    least, most = (HIGH_SHIFT, 62) if high else (1, 31)
    shift = np.where(np.arange(n) % 2, most, least).astype(np.int32)
    return Case(
        f"{kind} at {sign * TOP}, high {high:d}", kind, inputs, np.zeros(1, np.int64), 0, 1, 0,
        weight, bias, multiplier, shift, high, np.int32, (-TOP, TOP), None, (0, 0), 7,
    )  # fmt: skip


def wrong(case: Case) -> Case:
    """A case whose first weight is off by one."""
    weight = case.weight.copy()
    weight[0, 0, 0] ^= 1
    return replace(case, weight=weight)
