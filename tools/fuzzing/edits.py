"""Edits of bytes that know nothing of formats."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

EDGES = (0, 1, 2, 63, 64, 127, 128, 255, 2**15 - 1, 2**15, 2**16 - 1, 2**24, 2**24 + 1,
         2**28, 2**31 - 1, 2**31, 2**32 - 1)  # fmt: skip
LONGEST = 24  # bytes of a block that is inserted, deleted or moved


def edited(rng: Random, data: bytes) -> bytes:
    """One to five edits; not the same bytes, but for luck."""
    found = bytearray(data)
    while True:
        rng.choice(EDITS)(rng, found)
        if rng.random() < 0.5:
            return bytes(found)


def place(rng: Random, data: bytearray, end: int = 0) -> int:
    """A byte of data, of the first or the last ones rather than of others; end: also after it."""
    last = max(len(data) - 1 + end, 0)
    choice = rng.random()
    if choice < 0.3:
        return min(rng.randrange(40), last)
    return last - min(rng.randrange(40), last) if choice < 0.4 else rng.randint(0, last)


def flip(rng: Random, data: bytearray) -> None:
    """One bit."""
    if data:
        data[place(rng, data)] ^= 1 << rng.randrange(8)


def replace(rng: Random, data: bytearray) -> None:
    """One byte."""
    if data:
        data[place(rng, data)] = rng.randrange(256)


def edge(rng: Random, data: bytearray) -> None:
    """A number at which something changes, little-endian or big-endian."""
    size, at = rng.choice((1, 2, 4)), place(rng, data)
    value = rng.choice(EDGES) % 256**size
    data[at : at + size] = value.to_bytes(size, rng.choice(("little", "big")))


def step(rng: Random, data: bytearray) -> None:
    """A number and a bit."""
    size, at = rng.choice((1, 2, 4)), place(rng, data)
    value = int.from_bytes(data[at : at + size], "little") + rng.randint(-8, 8)
    data[at : at + size] = (value % 256**size).to_bytes(size, "little")


def insert(rng: Random, data: bytearray) -> None:
    """A few bytes, random or all the same."""
    at, size = place(rng, data, 1), rng.randint(1, LONGEST)
    data[at:at] = rng.choice((rng.randbytes(size), bytes([rng.randrange(256)]) * size))


def delete(rng: Random, data: bytearray) -> None:
    """A few bytes."""
    at = place(rng, data)
    del data[at : at + rng.randint(1, LONGEST)]


def copy(rng: Random, data: bytearray) -> None:
    """A block once more, elsewhere."""
    at, to = place(rng, data), place(rng, data, 1)
    data[to:to] = data[at : at + rng.randint(1, LONGEST)]


def swap(rng: Random, data: bytearray) -> None:
    """Two blocks of one size."""
    size = rng.randint(1, LONGEST)
    a, b = sorted((place(rng, data), place(rng, data)))
    if a + size <= b and b + size <= len(data):
        data[a : a + size], data[b : b + size] = data[b : b + size], data[a : a + size]


def cut(rng: Random, data: bytearray) -> None:
    """The end is missing."""
    del data[place(rng, data) :]


EDITS: tuple[Callable[[Random, bytearray], None], ...] = (
    flip, flip, flip, replace, replace, edge, edge, step, insert, delete, copy, swap, cut,
)  # fmt: skip
