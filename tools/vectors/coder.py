"""Vectors of CDF tables and of the range coder, written by the coder in Python ints."""

from __future__ import annotations

import struct
from typing import Any
from unittest import mock

import numpy as np

import rangecoder
from intnet.conform.arrays import described, expand
from rangecoder import PayloadError, Tables, reference
from vectors.building import array

Json = dict[str, Any]
Table = tuple[int, list[int]]  # minimum, cdf without its first 0 and last 2**16

CERTAIN: Table = (7, [65535])
COIN: Table = (0, [32768])
THIRDS: Table = (-1, [21845, 43691])
PEAKED: Table = (-3, [1, 3, 40, 65000, 65500, 65530, 65535])
WIDE: Table = (-20, [i * i + 1000 * i for i in range(1, 42)])
LOWEST: Table = (-32768, [5, 30000])
HIGHEST: Table = (32766, [5, 30000])


def serialised(*tables: Table, version: int = 1, reserved: int = 0, extra: int = 0) -> bytes:
    """The bytes of tables, by the rule in `rangecoder.tables.to_bytes` and not by its code."""
    sizes = [len(cdf) for _, cdf in tables]
    data = struct.pack("<BBHI", version, reserved, len(tables), sum(sizes) + extra)
    data += b"".join(struct.pack("<h", minimum) for minimum, _ in tables)
    data += b"".join(struct.pack("<H", size) for size in sizes)
    return data + b"".join(struct.pack("<H", value) for _, cdf in tables for value in cdf)


def valid_tables(name: str, comment: str, *tables: Table) -> Json:
    """Tables that load."""
    minimum, cdf = [m for m, _ in tables], [[0, *inner, 65536] for _, inner in tables]
    return {
        "id": f"tables/{name}", "class": "tables", "clause": "table.bytes", "comment": comment,
        "tables": serialised(*tables).hex(), "result": "valid",
        "expected": {"minimum": minimum, "cdf": cdf},
    }  # fmt: skip


def invalid_tables(name: str, comment: str, data: bytes, clause: str = "table.bytes") -> Json:
    """Tables that must be refused, by that clause."""
    return {
        "id": f"tables/invalid/{name}", "class": "tables", "clause": clause, "comment": comment,
        "tables": data.hex(), "result": "invalid", "expected": {"error": "TableError"},
    }  # fmt: skip


def tables() -> list[Json]:
    """All of this class."""
    return [
        valid_tables(
            "smallest", "One symbol and the escape, which has the least count, 1.", CERTAIN
        ),
        valid_tables("four", "Unlike sizes and minima.", THIRDS, COIN, PEAKED, WIDE),
        valid_tables("ends", "Supports that begin at -32768 and end at 32767.", LOWEST, HIGHEST),
        *refused_tables(),
    ]


def refused_tables() -> list[Json]:
    """One fault each."""
    good, entries = serialised(THIRDS, COIN), "table.entries"
    short, many = serialised(THIRDS, extra=1) + b"\xff\xff", 2**22 - 1
    return [
        invalid_tables("empty", "No bytes.", b""),
        invalid_tables(
            "version-2", "Version 2.", serialised(THIRDS, version=2), "table.bytes.version"
        ),
        invalid_tables(
            "version-0", "Version 0.", serialised(THIRDS, version=0), "table.bytes.version"
        ),
        invalid_tables(
            "reserved-1",
            "The reserved byte is 1.",
            serialised(THIRDS, reserved=1),
            "table.bytes.reserved",
        ),
        invalid_tables("count-0", "No table.", serialised(), "table.bytes.n_tables"),
        invalid_tables(
            "entries-too-many",
            "2**22 + 1 cdf values, more than a reader need have room for.",
            struct.pack("<BBHI", 1, 0, 1, many),
            "table.bytes.sum_n",
        ),
        invalid_tables("truncated-to-7", "Half of the sum of sizes.", good[:7]),
        invalid_tables("truncated-by-1", "The last byte is missing.", good[:-1]),
        invalid_tables("trailing-byte", "A byte too many.", good + b"\1"),
        invalid_tables(
            "sum-wrong",
            "The header's sum of sizes is one more, and so is the length.",
            short,
            "table.bytes.n",
        ),
        invalid_tables("cdf-repeats", "An entry of count 0.", serialised((0, [9, 9])), entries),
        invalid_tables("cdf-falls", "9, then 8.", serialised((0, [9, 8])), entries),
        invalid_tables(
            "cdf-starts-at-0", "The first entry has count 0.", serialised((0, [0, 9])), entries
        ),
        invalid_tables(
            "support-empty", "No symbol but the escape.", serialised((0, [])), "table.bytes.n"
        ),
        invalid_tables(
            "support-past-32767",
            "The last symbol is 32768.",
            serialised((32767, [1, 2])),
            "table.support",
        ),
    ]


def payload_vector(
    name: str, clause: str, comment: str, used: list[Table], indexes: Json, data: bytes,
    lanes: int = 1,
) -> Json:  # fmt: skip
    """A payload with its tables and the table of every symbol."""
    return {
        "id": f"coder/{name}", "class": "coder", "clause": clause, "comment": comment,
        "tables": serialised(*used).hex(), "indexes": indexes, "lanes": lanes,
        "payload": data.hex(),
    }  # fmt: skip


def coded(
    name: str, comment: str, used: list[Table], symbols: list[int], indexes: Json | None = None,
    clause: str = "coder.decode", lanes: int = 1,
) -> Json:  # fmt: skip
    """Symbols encoded by the reference."""
    chosen = indexes or array("u8", len(symbols), fill=0)
    data = reference.encode(symbols, listed(chosen), loaded(used), lanes)
    made = payload_vector(name, clause, comment, used, chosen, data, lanes)
    expected = {"symbols": described(np.array(symbols, np.int32))}
    return made | {"result": "valid", "expected": expected}


def refused(
    clause: str, name: str, comment: str, fault: str, used: list[Table], count: int, data: bytes,
    lanes: int = 1,
) -> Json:  # fmt: skip
    """A payload that no encoder writes; the reference must name the fault that is meant."""
    indexes = array("u8", count, ramp=[0, len(used)])
    found = "nothing"
    try:
        reference.decode(data, listed(indexes), loaded(used), lanes)
    except PayloadError as error:
        found = str(error)
    assert fault in found, f"{name}: {found}"
    made = payload_vector(f"invalid/{name}", clause, comment, used, indexes, data, lanes)
    return made | {"result": "invalid", "expected": {"error": "PayloadError"}}


def loaded(used: list[Table]) -> Tables:
    """Tables as an object."""
    return rangecoder.from_bytes(serialised(*used))


def listed(indexes: Json) -> list[int]:
    """Indexes as Python ints."""
    return [int(i) for i in expand(indexes)]


def near(code: bytes, used: list[Table], count: int) -> list[int]:
    """Symbols whose intervals hold a code: what a decoder reads before it checks the end."""
    decoder = reference.Decoder(code)
    return [decoder.symbol(0, loaded(used)) for _ in range(count)]


def longest_carry(vector: Json, used: list[Table]) -> int:
    """How many written words the longest carry of a vector changes."""
    lengths = [0]
    plain = reference.append_word

    def counting(words: list[int], word: int) -> None:
        before = list(words)
        plain(words, word)
        lengths.append(sum(a != b for a, b in zip(before, words, strict=False)))

    indexes, payload = listed(vector["indexes"]), bytes.fromhex(vector["payload"])
    symbols = reference.decode(payload, indexes, loaded(used))
    with mock.patch.object(reference, "append_word", counting):
        reference.encode(symbols, indexes, loaded(used))
    return max(lengths)


def carry(words: int) -> Json:
    """A code just above 1/2: low comes from below and passes it when `words` words are written."""
    for tail in range(16, 256):
        code = bytes.fromhex("80000000" + "00000000" * (words - 1)) + bytes([tail, 1])
        symbols = near(code, [THIRDS], 20 * words + 12)
        comment = f"The carry changes {words} words that are written already."
        made = coded(f"carry-{words}", comment, [THIRDS], symbols, clause="coder.word")
        if longest_carry(made, [THIRDS]) == words:
            return made
    raise AssertionError(f"no carry of {words} words found")


def bits(text: str) -> bytes:
    """A payload for the table COIN, whose codes are the bits themselves."""
    digits = text.replace(" ", "")
    whole = digits.ljust(-(-len(digits) // 8) * 8, "0")
    return int(whole, 2).to_bytes(len(whole) // 8, "big").rstrip(b"\0")


def coder() -> list[Json]:
    """All of this class."""
    several = [THIRDS, COIN, PEAKED, WIDE]
    chosen = array("u8", 600, lcg=[21, 0, 3])
    many = [int(s) for s in expand(array("s32", 600, lcg=[22, -20, 20]))]
    start = [[0, 1, -1, 0, 1][i % 5] for i in range(47)]
    good = reference.encode(start, [0] * 47, loaded([THIRDS]))
    return [
        coded("nothing", "No symbols: no bytes.", [COIN], [], clause="coder.final"),
        coded("certain", "One nearly certain symbol also takes no bytes.", [CERTAIN], [7]),
        coded("coin", "Codes are the bits 0, 101, 0, 111, 0, 0.", [COIN], [0, 1, 0, -1, 0, 0]),
        coded("thirds", "Ranges that are no powers of two.", [THIRDS], start),
        coded(
            "peaked",
            "Entries of count 1 beside one of 64960.",
            [PEAKED],
            [0, -3, 0, 0, 3, -2, 0, 2] * 4,
        ),
        coded(
            "escape-near",
            "One below and one above the support: excess 0.",
            [THIRDS],
            [-2, 1, 0, -1],
            clause="coder.escape",
        ),
        coded(
            "escape-far",
            "Excesses on both sides of powers of two.",
            [THIRDS],
            [s * (2**k + d) for k in range(1, 15) for d in (-1, 0, 1) for s in (1, -1)],
            clause="coder.escape",
        ),
        coded(
            "escape-ends",
            "-32768 and 32767 from supports at the other end: the longest escapes.",
            [LOWEST, HIGHEST],
            [32767, -32768],
            array("u8", 2, values=[0, 1]),
            clause="coder.escape",
        ),
        coded("four-tables", "A table per symbol; many escapes.", several, many, chosen),
        coded(
            "cut",
            "`thirds` less its last byte: another valid payload; only checksums notice a cut.",
            [THIRDS],
            reference.decode(good[:-1], [0] * 47, loaded([THIRDS])),
            clause="coder.end",
        ),
        *(carry(words) for words in (1, 2, 3)),
        *in_lanes(),
    ]


def in_lanes() -> list[Json]:
    """More than one lane."""
    several, chosen = [THIRDS, COIN, PEAKED, WIDE], array("u8", 50, lcg=[23, 0, 3])
    many = [int(s) for s in expand(array("s32", 50, lcg=[24, -20, 20]))]
    made = [
        coded(f"lanes-{lanes}", "Symbol i in lane i mod L.", several, many, chosen,
              clause="coder.lanes", lanes=lanes)
        for lanes in (2, 3, 8)
    ]  # fmt: skip
    long = [(7 * i) % 31 - 15 for i in range(300)]
    return [
        *made,
        coded("lanes-empty", "Lanes without bytes: lengths alone.", [COIN], [0] * 5,
              clause="coder.payload", lanes=4),
        coded("lanes-of-few", "Three symbols in eight lanes.", [COIN], [1, 1, 1],
              clause="coder.payload", lanes=8),
        coded("lane-length-of-2-bytes", "A lane of more than 127 bytes.", [COIN], long,
              clause="coder.length", lanes=2),
    ]  # fmt: skip


def refused_payloads() -> list[Json]:
    """One fault each."""
    start = [[0, 1, -1, 0, 1][i % 5] for i in range(47)]
    good = reference.encode(start, [0] * 47, loaded([THIRDS]))
    longer = good + bytes([1])
    length, payload = "coder.length", "coder.payload"
    return [
        refused(
            "coder.end",
            "trailing-word",
            "Bytes past those in use.",
            "bytes that are in use",
            [THIRDS],
            47,
            good + b"\0" * 8 + b"\1",
        ),
        refused(
            "coder.end",
            "trailing-zero",
            "A zero byte too many.",
            "last byte 0",
            [COIN],
            3,
            bits("101 10 1") + b"\0",
        ),
        refused(
            "coder.end",
            "too-exact",
            "A code inside the right interval, with more bits than the encoder's.",
            "last bits",
            [THIRDS],
            47,
            longer,
        ),
        refused(
            "coder.end",
            "symbol-missing",
            "The payload holds more symbols than there are indexes.",
            "last bits",
            [THIRDS],
            20,
            good,
        ),
        refused(
            "coder.decode",
            "quantile", "A code beyond the last entry.", "quantile", [THIRDS], 99, b"\xff" * 40
        ),
        refused(
            "coder.escape",
            "escape-prefix-16",
            "Sixteen zeros: an excess of 17 digits.",
            "escape prefix",
            [COIN],
            1,
            bits("1 0 0000000000000000 1"),
        ),
        refused(
            "coder.escape",
            "symbol-32768",
            "Escape to 32768 from a support that ends at 0.",
            "symbol 32768",
            [COIN],
            1,
            bits("1 0 000000000000000 1000000000000000"),
        ),
        refused(
            "coder.escape",
            "symbol-below",
            "Escape to -32769.",
            "symbol -32769",
            [COIN],
            1,
            bits("1 1 000000000000000 1000000000000001"),
        ),
        refused(length, "lanes-nothing", "No length of lane 0.", "length", [COIN], 2, b"", 2),
        refused(length, "lane-length-cut", "Bit 7 says that a byte follows.", "length", [COIN], 2,
                b"\x80", 2),
        refused(length, "lane-length-of-6-bytes", "At most five.", "length", [COIN], 2,
                b"\x81\x80\x80\x80\x80\0\x80", 2),
        refused(length, "lane-length-last-byte-0", "1 in two bytes.", "length", [COIN], 2,
                b"\x81\0\x80", 2),
        refused(payload, "lane-length-too-long", "2 of 1 byte.", "lane", [COIN], 2, b"\2\x80", 2),
        refused("coder.end", "lane-0-trailing-zero", "A zero byte in a lane that is not the last.",
                "last byte 0", [COIN], 2, b"\2\xa0\0\xa0", 2),
    ]  # fmt: skip
