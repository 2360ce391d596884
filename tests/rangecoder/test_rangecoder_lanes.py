"""Lanes and batches: layouts of a payload that change no symbol."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rangecoder
from rangecoder import PayloadError, coder, layout, reference, uncompiled

TABLES = rangecoder.build([[5, 9, 1, 1], [1, 30, 300, 30, 1, 2]], minimum=[-1, -2])
FORMS = [reference, coder, uncompiled]
BATCHED = [coder, uncompiled]


def batch(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Symbols, one in nine of them outside its table's support, and table indexes."""
    rng = np.random.default_rng(seed)
    symbols = rng.integers(-2, 3, n)
    symbols[rng.integers(0, 9, n) == 0] = rng.integers(-(2**15), 2**15)
    return symbols.astype(np.int32), rng.integers(0, 2, n).astype(np.uint8)


def as_sequence(form: ModuleType, values: np.ndarray) -> object:
    return values.tolist() if form is reference else values


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("lanes", range(1, 9))
@pytest.mark.parametrize("n", [0, 1, 2, 7, 8, 9, 1000])
def test_lanes_are_one_lane_payloads_of_every_nth_symbol(
    form: ModuleType, lanes: int, n: int
) -> None:
    """More lanes than symbols included."""
    symbols, indexes = batch(n)
    parts = [reference.encode(symbols[k::lanes].tolist(), indexes[k::lanes].tolist(), TABLES)
             for k in range(lanes)]  # fmt: skip
    args = as_sequence(form, symbols), as_sequence(form, indexes), TABLES, lanes
    data = form.encode(*args)
    assert data == layout.join(parts)
    np.testing.assert_array_equal(form.decode(data, *args[1:]), symbols)


@pytest.mark.parametrize("form", BATCHED)
@settings(max_examples=50)
@given(
    n=st.integers(0, 300), lanes=st.integers(1, 5), seed=st.integers(0, 99),
    cuts=st.lists(st.integers(0, 300), max_size=4),
)  # fmt: skip
def test_batches_change_no_byte(
    form: ModuleType, n: int, lanes: int, seed: int, cuts: list[int]
) -> None:
    """Any split into batches, empty ones included, for encoder and decoder."""
    symbols, indexes = batch(n, seed)
    edges = [0, *sorted(min(cut, n) for cut in cuts), n]
    encoder = form.Encoder(TABLES, lanes)
    for a, b in pairwise(edges):
        encoder.push(symbols[a:b], indexes[a:b])
    data = encoder.finish()
    assert data == rangecoder.encode(symbols, indexes, TABLES, lanes)
    decoder = form.Decoder(data, TABLES, lanes)
    got = [decoder.pull(indexes[a:b]) for a, b in pairwise(edges)]
    decoder.finish()
    np.testing.assert_array_equal(np.concatenate(got), symbols, strict=True)
    decoder = form.Decoder(data + b"\0", TABLES, lanes)
    decoder.pull(indexes)
    with pytest.raises(PayloadError):
        decoder.finish()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("bit", range(8))
def test_a_flipped_bit_is_refused_or_gives_other_symbols(form: ModuleType, bit: int) -> None:
    """Every byte of three lanes, their lengths included."""
    symbols, indexes = batch(60)
    data = rangecoder.encode(symbols, indexes, TABLES, 3)
    for k in range(len(data)):
        damaged = bytearray(data)
        damaged[k] ^= 1 << bit
        try:
            got = form.decode(bytes(damaged), as_sequence(form, indexes), TABLES, 3)
        except PayloadError:
            continue
        assert list(got) != symbols.tolist()


FAULTS = {
    "no-length": (b"", "ends within the length of lane 0"),
    "cut-length": (b"\x80", "ends within the length of lane 0"),
    "long-form": (b"\x80\x00", "length of lane 0 ends in a zero byte"),
    "endless": (b"\xff" * 9, "length of lane 0 takes over 5 bytes"),
    "beyond": (b"\x03\x00ab", r"lane 0 of 3: length 3, only 2 bytes follow"),
    "left-over": (b"\x00\x00\x01", r"lane 2 of 3, after 0 symbols: "),
    "last-byte": (b"\x01\x00\x00", r"lane 0 of 3, after 0 symbols: last byte 0"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("fault", FAULTS)
def test_malformed_lanes_are_refused(form: ModuleType, fault: str) -> None:
    """A PayloadError that says which lane."""
    data, message = FAULTS[fault]
    none = as_sequence(form, np.zeros(0, np.uint8))
    with pytest.raises(PayloadError) as caught:
        form.decode(data, none, TABLES, 3)
    if form is coder:
        caught.match(message)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("lanes", [0, 9, -1])
def test_numbers_of_lanes(form: ModuleType, lanes: int) -> None:
    none = as_sequence(form, np.zeros(0, np.int32))
    with pytest.raises(ValueError, match=r"lanes: -?\d, must be an integer within \[1, 8\]"):
        form.encode(none, none, TABLES, lanes)


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 2**14, 2**31, 2**35 - 1])
def test_lengths(value: int) -> None:
    data = layout.length(value)
    assert layout.read_length(data, 0, 0) == (value, len(data))


def test_importing_the_package_loads_no_compiler() -> None:
    """numba takes half a second; it is loaded by the first call."""
    code = "import sys, rangecoder; assert 'numba' not in sys.modules; rangecoder.encode"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("lanes", range(1, 9))
def test_the_first_fault_is_named(lanes: int) -> None:
    """Lanes are decoded in pairs, and still a fault is that of the first symbol that has one."""
    tables = rangecoder.build([[9, 1]], [32767])  # half of all escapes lead above 32767
    indexes = np.zeros(200, np.uint8)
    rng = np.random.default_rng(lanes)
    named = set()
    for _ in range(40):
        data = layout.join([rng.bytes(60) for _ in range(lanes)])
        with pytest.raises(PayloadError) as caught:
            rangecoder.Decoder(data, tables, lanes).pull(indexes)
        after = int(str(caught.value).split(" symbols: ")[0].split()[-1])
        rangecoder.Decoder(data, tables, lanes).pull(indexes[:after])
        with pytest.raises(PayloadError, match=f"after {after} symbols: "):
            rangecoder.Decoder(data, tables, lanes).pull(indexes[: after + 1])
        named.add(after % lanes)
    assert named == set(range(lanes))
