"""Forms of examples of tables and of the range coder: `tables`, `payload`, `encoding`, `decoding`.

With the NumPy backend goes the coder in Python ints, with numba the compiled one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from unittest import mock

import numpy as np
from spec_text import UnreadableError, numbers, spaced

import rangecoder
from rangecoder import reference

TABLE = re.compile(r"table (\d+) minimum (-?\d+) cdf ([\d ]+)")
NOTHING = "nothing"  # an empty payload, so that a line has something at both ends
BYTES = re.compile(r" *(\d+)  +((?:[0-9a-f]{2} ?)+)(?:  +(.*))?")


def bytes_of(lines: list[str]) -> tuple[bytes, list[str]]:
    """Annotated bytes `offset  hex  note`, which must follow each other; the other lines."""
    data, rest = b"", []
    for line in lines:
        found = BYTES.fullmatch(line)
        if found is None:
            rest.append(line)
        elif int(found[1]) != len(data):
            raise UnreadableError(f"offset {found[1]}, must be {len(data)}: {line!r}")
        else:
            data += bytes.fromhex(found[2])
    return data, rest


def written(tables: rangecoder.Tables) -> list[str]:
    """Tables as lines."""
    cdfs = np.split(tables.cdf, tables.start[1:-1])
    both = zip(tables.minimum, cdfs, strict=True)
    return [f"table {t} minimum {m} cdf {spaced(cdf)}" for t, (m, cdf) in enumerate(both)]


def read(lines: list[str]) -> rangecoder.Tables:
    """Tables from lines."""
    found = [TABLE.fullmatch(" ".join(line.split())) for line in lines]
    if not lines or not all(found):
        raise UnreadableError(f"tables: {lines}")
    cdfs = [numbers(match[3]) for match in found if match]
    start = np.cumsum([0, *map(len, cdfs)])
    return rangecoder.Tables(np.concatenate(cdfs), start, np.array([int(m[2]) for m in found if m]))


def tables_form(lines: list[str], backend: str) -> Iterator[str]:
    """Annotated bytes, then the tables that they are; or `result = TableError`."""
    data, _ = bytes_of(lines)
    yield from (line for line in lines if BYTES.fullmatch(line))
    try:
        tables = rangecoder.from_bytes(data)
    except rangecoder.TableError as error:
        yield f"result = {type(error).__name__}"
        return
    assert rangecoder.to_bytes(tables) == data
    yield from written(tables)


def encode(symbols: list[int], indexes: list[int], tables: rangecoder.Tables, lanes: int,
           backend: str) -> bytes:  # fmt: skip
    """A payload, by the coder that goes with the backend."""
    if backend == "numpy":
        return reference.encode(symbols, indexes, tables, lanes)
    both = np.array(symbols, np.int32), np.array(indexes, np.uint8)
    return rangecoder.encode(*both, tables, lanes)


def decode(data: bytes, indexes: list[int], tables: rangecoder.Tables, lanes: int,
           backend: str) -> list[int]:  # fmt: skip
    """Symbols, by the coder that goes with the backend."""
    if backend == "numpy":
        return reference.decode(data, indexes, tables, lanes)
    return [int(s) for s in rangecoder.decode(data, np.array(indexes, np.uint8), tables, lanes)]


def payload_form(lines: list[str], backend: str) -> Iterator[str]:
    """Tables, `lanes`, `indexes`; then `symbols A = BYTES` and `payload BYTES = PayloadError`."""
    tables = read([line for line in lines if line.startswith("table")])
    lanes, indexes = 1, [0]
    for line in lines:
        word, _, rest = line.partition(" ")
        before = line.partition(" = ")[0].removeprefix(word).strip()
        if word == "lanes":
            lanes = int(rest)
        elif word == "indexes":
            indexes = numbers(rest)
        elif word == "symbols":
            symbols = numbers(before)
            data = encode(symbols, indexes, tables, lanes, backend)
            assert decode(data, indexes, tables, lanes, backend) == symbols
            yield f"symbols {before} = {data.hex(' ') or NOTHING}"
            continue
        elif word == "payload":
            try:
                got = spaced(
                    decode(
                        bytes.fromhex(before.replace(NOTHING, "")), indexes, tables, lanes, backend
                    )
                )
            except rangecoder.PayloadError as error:
                got = type(error).__name__
            yield f"payload {before} = {got}"
            continue
        elif word != "table":
            raise UnreadableError(line)
        yield line


def encoding_form(lines: list[str], backend: str) -> Iterator[str]:
    """A table and `symbols A = BYTES`; then every state of the encoder, in hexadecimal."""
    head = [line for line in lines if line.startswith(("table", "symbols"))]
    yield from without_indexes(head, backend)
    tables, symbols = read(head[:1]), numbers(head[1].partition(" = ")[0].partition(" ")[2])
    words: list[int] = []
    low, range_ = 0, 1 << 62
    yield f"start = low {low:x} range {range_:x}"
    for symbol in symbols:
        for a, b in reference.intervals(symbol, 0, tables):
            scale = range_ >> 16
            low, range_ = low + scale * a, scale * (b - a)
            yield f"interval {a} {b} = low {low:x} range {range_:x}"
            if range_ < 1 << 30:
                out, low, range_ = low >> 30, low % (1 << 30) << 32, range_ << 32
                words.append(out)
                yield f"word = {shown(out)} low {low:x} range {range_:x}"
    code = reference.final_code(low, range_)
    words.append(code >> 30)
    yield f"final = {code:x} {shown(code >> 30)}"
    with mock.patch.object(reference, "append_word", wraps=reference.append_word) as spy:
        reference.encode(symbols, [0] * len(symbols), tables)
    assert [call.args[1] for call in spy.call_args_list] == words


def shown(word: int) -> str:
    """33 bits: the carry and the word."""
    return f"carry {word >> 32} {word % (1 << 32):08x}"


def without_indexes(head: list[str], backend: str) -> Iterator[str]:
    """One table and one line of symbols as a payload, each symbol with table 0."""
    if len(head) != 2 or not head[1].startswith("symbols"):
        raise UnreadableError(f"one table and one line of symbols: {head}")
    count = len(numbers(head[1].partition(" = ")[0].partition(" ")[2]))
    lines = payload_form([head[0], f"indexes {'0 ' * count}", head[1]], backend)
    return (line for line in lines if not line.startswith("indexes"))


class Traced(reference.Decoder):
    """Writes its states down."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.lines = [f"start = value {self.value:x} range {self.range_:x}"]

    def entry(self, cdf: object) -> int:
        """One entry; the state before and after the window moved."""
        quantile, position = self.value // (self.range_ >> 16), self.position
        before = self.value, self.range_
        k = super().entry(cdf)  # type: ignore[arg-type]
        a, b = cdf[k], cdf[k + 1]  # type: ignore[index]
        scale = before[1] >> 16
        value, range_ = before[0] - scale * a, scale * (b - a)
        self.lines.append(f"quantile {quantile} = {a} {b} value {value:x} range {range_:x}")
        if self.position > position:
            state = f"value {self.value:x} range {self.range_:x}"
            self.lines.append(f"word = {self.bits(62 + 32 * position, 32):08x} {state}")
        assert (self.value, self.range_) == ((value, range_) if self.position == position else
                                             (self.value, range_ << 32))  # fmt: skip
        return k


def decoding_form(lines: list[str], backend: str) -> Iterator[str]:
    """A table and `symbols A = BYTES`; then every state of the decoder, in hexadecimal."""
    head = [line for line in lines if line.startswith(("table", "symbols"))]
    yield from without_indexes(head, backend)
    tables, symbols = read(head[:1]), numbers(head[1].partition(" = ")[0].partition(" ")[2])
    decoder = Traced(reference.encode(symbols, [0] * len(symbols), tables))
    assert [decoder.symbol(0, tables) for _ in symbols] == symbols
    yield from decoder.lines
    window = decoder.bits(32 * decoder.position, 62)
    low = (window - decoder.value) % (1 << 62)
    code = reference.final_code(low, decoder.range_) % (1 << 62)
    yield f"end = window {window:x} low {low:x} final {code:x}"
    decoder.check_end()


FORMS = {
    "tables": tables_form,
    "payload": payload_form,
    "encoding": encoding_form,
    "decoding": decoding_form,
}
