"""Promises of `rangecoder.tables`."""

import bisect
import math
import pickle
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rangecoder
from rangecoder.tables import MAX_ENTRIES, TOTAL, Tables, apportion

GOOD: dict[str, Any] = {
    "cdf": [0, 100, 65000, 65536, 0, 1, 65536],
    "start": [0, 4, 7],
    "minimum": [-1, 5],
}

BAD_TABLES: dict[str, tuple[dict[str, Any], str]] = {
    "not-increasing": ({"cdf": [0, 100, 100, 65536, 0, 1, 65536]}, "table 0, entry 2: 100 after"),
    "falling": ({"cdf": [0, 412, 400, 65536, 0, 1, 65536]}, "entry 2: 400 after 412"),
    "escape-without-mass": ({"cdf": [0, 1, 65536, 65536, 0, 1, 65536]}, "table 0, entry 3"),
    "second-table-falling": ({"cdf": [0, 1, 2, 65536, 0, 0, 65536]}, "table 1, entry 1: 0 after 0"),
    "total-short": ({"cdf": [0, 100, 65000, 65535, 0, 1, 65536]}, "total 65535, must be 65536"),
    "total-long": ({"cdf": [0, 100, 65000, 65536, 0, 1, 65537]}, "table 1: total 65537"),
    "first-not-zero": ({"cdf": [1, 100, 65000, 65536, 0, 1, 65536]}, "entry 0: 1, must be 0"),
    "difference-wraps": ({"cdf": [0, 2**31 - 1, -(2**31), 65536, 0, 1, 65536]}, "must strictly"),
    "no-support": ({"start": [0, 5, 7]}, "table 1: 2 cdf values, must be at least 3"),
    "offsets-falling": ({"start": [0, 9, 7]}, "table 1: -2 cdf values"),
    "offsets-wrap": ({"start": [0, -(2**31), 7]}, "table 0"),
    "offsets-not-from-zero": ({"start": [1, 4, 7]}, "runs from 1 to 7, must be 0 to 7"),
    "offsets-past-the-end": ({"start": [0, 4, 8]}, "runs from 0 to 8"),
    "offsets-too-few": ({"start": [0, 7]}, "2 offsets, must be 3"),
    "support-too-low": ({"minimum": [-32769, 5]}, "table 0: -32769, must be at least -32768"),
    "support-too-high": ({"minimum": [32767, 5]}, "table 0: 32768, must be at most 32767"),
    "minimum-extreme": ({"minimum": [0, 2**31 - 1]}, "table 1: 2147483647, must be at most"),
    "minimum-not-int32": ({"minimum": [0, 2**31]}, "must fit int32"),
    "no-tables": ({"minimum": np.zeros(0, np.int32)}, "of tables: 0"),
    "float-cdf": ({"cdf": [0.0, 1, 2, 65536, 0, 1, 65536]}, "float64"),
    "two-dimensions": ({"minimum": [[0, 1]]}, "2 dimensions"),
    "too-many-values": ({"cdf": np.zeros(MAX_ENTRIES + 1, np.int32)}, "limit is 4194304"),
    "too-many-tables": ({"minimum": np.zeros(65536, np.int32)}, "65536, must be 1 .. 65535"),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_bad_tables_are_refused(name: str) -> None:
    """Each rule of the format, broken alone, is a TableError that names the place."""
    change, text = BAD_TABLES[name]
    fields = {key: np.array(value) for key, value in {**GOOD, **change}.items()}
    with pytest.raises(rangecoder.TableError, match=text):
        Tables(**fields)


def test_good_tables_are_accepted_and_frozen() -> None:
    """The base of the bad cases is valid; tables are private read-only copies."""
    fields = {key: np.array(value) for key, value in GOOD.items()}
    tables = Tables(**fields)
    rangecoder.validate(tables)
    fields["cdf"][1] = 7
    assert tables.cdf[1] == 100
    for array in (tables.cdf, tables.start, tables.minimum, tables.lookup):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    copy = pickle.loads(pickle.dumps(tables))
    assert rangecoder.to_bytes(copy) == rangecoder.to_bytes(tables)
    assert not copy.cdf.flags.writeable


@pytest.mark.parametrize(
    ("weights", "minimum", "text"),
    [
        ([[1, -1]], [0], "table 0, entry 1: -1, must be an int >= 0"),
        ([[1, 1], [1, 0.5]], [0, 0], "table 1, entry 1: 0.5"),
        ([[0, 0]], [0], "table 0: all zero"),
        ([[1]], [0], "table 0: 1 entries, must be 2"),
        ([[1] * 65537], [0], "65537 entries"),
        ([[1, 1]], [0, 0], "1 tables, but minimum has 2"),
        ([], [], "number of tables: 0"),
        ([[1, 1]], [32768], "must be at most 32767"),
        ([[1, 1]], [2**70], "minimum"),
        ([[1] * 65536] * 65, [-32768] * 65, "limit is 4194304"),
    ],
)
def test_bad_weights_are_refused(weights: list[list[int]], minimum: list[int], text: str) -> None:
    """Weights no table can be made from are a TableError that names table and entry."""
    with pytest.raises(rangecoder.TableError, match=text):
        rangecoder.build(weights, minimum)


def naive_apportion(weights: list[int]) -> list[int]:
    """Follow the rule as it is specified: one count after the other."""
    counts = [1] * len(weights)
    for _ in range(TOTAL - len(weights)):
        best = 0
        for i in range(1, len(weights)):
            mine = weights[i] ** 2 * counts[best] * (counts[best] + 1)
            if mine > weights[best] ** 2 * counts[i] * (counts[i] + 1):
                best = i
        counts[best] += 1
    return counts


@pytest.mark.parametrize(
    "weights",
    [
        [1, 0],
        [0, 0, 7],
        [1, 1, 1],  # 2**16 = 3 * 21845 + 1: the tie goes to the first
        [1, 1, 1, 1, 1, 1, 1],
        [10**30, 1, 10**25],
        [2**400 + 1, 2**400, 3],
        [65535, 1, 1],  # two floors of 0 lifted to 1: counts must be taken back
        [3, 1000, 1, 5, 0],
    ],
)
def test_apportion_follows_its_rule(weights: list[int]) -> None:
    """The fast apportionment gives the counts of the rule as it is specified."""
    assert apportion(weights) == naive_apportion(weights)


@settings(max_examples=60)
@given(st.lists(st.integers(0, 2**80) | st.integers(0, 9), min_size=2, max_size=300).filter(any))
def test_apportion_cannot_be_improved(weights: list[int]) -> None:
    """Counts are >= 1, sum to 2**16, and moving one count elsewhere saves next to nothing."""
    counts = apportion(weights)
    assert min(counts) >= 1
    assert sum(counts) == TOTAL
    total = sum(weights)
    gain = max(w / total * math.log2((f + 1) / f) for w, f in zip(weights, counts, strict=True))
    pairs = zip(weights, counts, strict=True)
    loss = min((w / total * math.log2(f / (f - 1)) for w, f in pairs if f > 1), default=gain)
    # 1 / sqrt(f (f + 1)) is above ln((f + 1) / f) by 2.1 % at f = 1 and by less elsewhere.
    assert gain <= loss * 1.0211


def test_apportion_of_the_largest_table() -> None:
    """65536 entries leave one count each; the largest support is the whole symbol range."""
    assert apportion(list(range(65536))) == [1] * 65536
    tables = rangecoder.build([[5] * 65536], [-32768])
    assert rangecoder.to_bytes(rangecoder.from_bytes(rangecoder.to_bytes(tables))) == (
        rangecoder.to_bytes(tables)
    )


def test_serialised_form_is_frozen() -> None:
    """Version 1 of the bytes: header, minima, sizes, inner cdf values, little-endian."""
    tables = Tables(**{key: np.array(value) for key, value in GOOD.items()})
    data = rangecoder.to_bytes(tables)
    assert data.hex() == "0100020003000000" + "ffff0500" + "02000100" + "6400e8fd" + "0100"
    again = rangecoder.from_bytes(data)
    for name in ("cdf", "start", "minimum"):
        np.testing.assert_array_equal(getattr(again, name), getattr(tables, name))


def good_bytes() -> bytearray:
    """Serialise GOOD: header 0-7, minimum 8-11, n 12-15, cdf 16-21."""
    tables = Tables(**{key: np.array(value) for key, value in GOOD.items()})
    return bytearray(rangecoder.to_bytes(tables))


@pytest.mark.parametrize(
    ("at", "replacement", "text"),
    [
        (0, b"\x02", "byte 0: version 2, must be 1"),
        (1, b"\x01", "byte 1: reserved value 1, must be 0"),
        (2, b"\x00\x00", "number of tables 0"),
        (2, b"\x03\x00", "22 bytes, must be 26"),
        (4, struct.pack("<I", 2**32 - 1), "limit is 4194304"),
        (4, b"\x04", "22 bytes, must be 24"),
        (12, b"\x01", "sum 2, header has 3"),
        (12, b"\x03\x00\x00\x00", "table 1: 2 cdf values"),
        (18, b"\x64\x00", "table 0, entry 2: 100 after 100"),
        (20, b"\x00\x00", "table 1, entry 1: 0 after 0"),
        (8, b"\xff\x7f", "must be at most 32767"),
    ],
)
def test_corrupt_serialised_tables_are_refused(at: int, replacement: bytes, text: str) -> None:
    """One wrong field in the bytes of good tables is a TableError that names it."""
    data = good_bytes()
    data[at : at + len(replacement)] = replacement
    with pytest.raises(rangecoder.TableError, match=text):
        rangecoder.from_bytes(bytes(data))


def test_cut_or_extended_tables_are_refused() -> None:
    """The length is exact."""
    data = bytes(good_bytes())
    for wrong in [data[:cut] for cut in range(len(data))] + [data + b"\0"]:
        with pytest.raises(rangecoder.TableError, match=f"{len(wrong)} bytes"):
            rangecoder.from_bytes(wrong)


@settings(max_examples=300)
@given(st.binary(max_size=40) | st.lists(st.integers(0, 255), max_size=3).map(bytes))
def test_any_bytes_give_tables_or_table_error(noise: bytes) -> None:
    """Bytes are refused, or are exactly what `to_bytes` writes for what they gave."""
    data = good_bytes()
    data[: len(noise)] = noise
    for candidate in (noise, b"\x01\x00" + noise, bytes(data), bytes(data[:8]) + noise):
        try:
            tables = rangecoder.from_bytes(candidate)
        except rangecoder.TableError:
            continue
        assert rangecoder.to_bytes(tables) == candidate


@settings(max_examples=100)
@given(st.lists(st.sets(st.integers(1, 65535), min_size=1, max_size=50), min_size=1, max_size=9))
def test_lookup_is_the_entry_of_each_bucket(inner: list[set[int]]) -> None:
    """The decoder's first guess is the entry that holds the bucket's first quantile."""
    cdf = [[0, *sorted(values), TOTAL] for values in inner]
    start = np.cumsum([0, *map(len, cdf)])
    minimum = [(-32768, 32767 - 50, 0)[t % 3] for t in range(len(cdf))]
    tables = Tables(
        np.array([value for values in cdf for value in values]), start, np.array(minimum)
    )
    for t, (values, head) in enumerate(zip(cdf, tables.lookup, strict=False)):
        at, shift = int(head) >> 5, int(head) & 31
        for bucket in range(1 << 16 - shift):
            k = bisect.bisect_right(values, bucket << shift) - 1
            width = values[k + 1] - values[k]
            assert tables.lookup[at + bucket] == (minimum[t] + k) << 32 | width << 16 | values[k]
    assert tables.lookup.size == at + (1 << 16 - shift)


def test_lookup_of_many_tables_stays_small() -> None:
    """As many cdf values as there may be, in tables that deserve 1024 buckets each."""
    n_tables = MAX_ENTRIES // 67
    tables = Tables(
        np.tile([*range(66), TOTAL], n_tables),
        np.arange(n_tables + 1) * 67,
        np.zeros(n_tables, np.int32),
    )
    assert tables.lookup.nbytes <= 8 * (n_tables + (1 << 22))
    at, shift = tables.lookup[:n_tables] >> 5, tables.lookup[:n_tables] & 31
    np.testing.assert_array_equal(at, n_tables + np.arange(n_tables) * (1 << 16 - shift[0]))
    assert (tables.lookup[at] == 1 << 16).all()  # symbol 0, from 0, width 1
