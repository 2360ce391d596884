"""Promises of the coder, each held by the slow and by the compiled form."""

import math
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rangecoder
from rangecoder import PayloadError, Tables, coder, reference

FORMS = pytest.mark.parametrize("form", [reference, coder], ids=["reference", "compiled"])
ROOT = Path(__file__).parents[2]


def encode(form: ModuleType, symbols: Sequence[int], indexes: Sequence[int], t: Tables) -> bytes:
    """Encode lists with either form."""
    if form is reference:
        return reference.encode(symbols, indexes, t)
    return coder.encode(np.array(symbols, np.int32), np.array(indexes, np.int64), t)


def decode(form: ModuleType, data: bytes, indexes: Sequence[int], t: Tables) -> list[int]:
    """Decode to a list with either form."""
    if form is reference:
        return reference.decode(data, indexes, t)
    return [int(s) for s in coder.decode(data, np.array(indexes, np.int64), t)]


@dataclass
class Batch:
    """Something to code."""

    symbols: list[int]
    indexes: list[int]
    tables: Tables


weights = st.integers(0, 5) | st.integers(0, 2**70)
tables_strategy = st.lists(
    st.tuples(
        st.lists(weights, min_size=2, max_size=40).filter(any),
        st.integers(-32768, 32767 - 40) | st.integers(-30, 5),
    ),
    min_size=1,
    max_size=6,
).map(lambda pairs: rangecoder.build([w for w, _ in pairs], [m for _, m in pairs]))


@st.composite
def batches(draw: st.DrawFn, max_size: int = 60) -> Batch:
    """Random tables; symbols within the support, near it, far away and at the extremes."""
    tables = draw(tables_strategy)
    indexes = draw(st.lists(st.integers(0, tables.n_tables - 1), max_size=max_size))
    symbols = []
    for index in indexes:
        low = int(tables.minimum[index])
        high = low + int(tables.start[index + 1] - tables.start[index]) - 3
        near = st.integers(max(low - 3, -32768), min(high + 3, 32767))
        anywhere = st.integers(-32768, 32767) | st.sampled_from([-32768, 32767])
        symbols.append(draw(st.integers(low, high) | near | anywhere))
    return Batch(symbols, indexes, tables)


@settings(max_examples=300, deadline=None)
@given(batches())
def test_round_trip_and_same_bytes(batch: Batch) -> None:
    """Both forms write the same bytes and read back the symbols."""
    payload = encode(reference, batch.symbols, batch.indexes, batch.tables)
    assert encode(coder, batch.symbols, batch.indexes, batch.tables) == payload
    assert decode(reference, payload, batch.indexes, batch.tables) == batch.symbols
    assert decode(coder, payload, batch.indexes, batch.tables) == batch.symbols


def outcome(form: ModuleType, data: bytes, indexes: Sequence[int], t: Tables) -> list[int] | None:
    """Return what decoding gives, None for PayloadError; keep the promise on the way."""
    try:
        symbols = decode(form, data, indexes, t)
    except PayloadError:
        return None
    assert encode(form, symbols, indexes, t) == data
    return symbols


@settings(max_examples=200, deadline=None)
@given(batches(max_size=25), st.data())
def test_a_payload_that_decodes_is_the_encoders(batch: Batch, data: st.DataObject) -> None:
    """Any mutation is a PayloadError, or gives symbols that encode to exactly those bytes."""
    payload = encode(reference, batch.symbols, batch.indexes, batch.tables)
    size = len(payload)
    flip = data.draw(st.integers(0, max(8 * size - 1, 0)))
    flipped = (int.from_bytes(payload, "big") ^ (1 << flip)).to_bytes(size + 1, "big")[1:]
    cut = payload[: data.draw(st.integers(0, size))]
    noise = data.draw(st.binary(max_size=12))
    mutations = [flipped, cut, payload + noise, noise, payload + b"\0", cut + noise]
    for mutation in mutations:
        slow = outcome(reference, mutation, batch.indexes, batch.tables)
        fast = outcome(coder, mutation, batch.indexes, batch.tables)
        assert slow == fast
        if slow is not None and mutation != payload:
            assert slow != batch.symbols
    for indexes in (batch.indexes[:-1], [*batch.indexes, 0]):  # a symbol fewer, a symbol more
        slow = outcome(reference, payload, indexes, batch.tables)
        assert outcome(coder, payload, indexes, batch.tables) == slow


GOLDEN_TABLES = rangecoder.build([[1, 6, 20, 6, 1, 1], [5, 3], [1] * 17], [-2, 7, -8])
GOLDEN = [
    ([], [], ""),
    ([0], [0], "80"),
    ([7], [1], ""),
    ([0, 1, -1, 0, 2, -2, 0, 0, 7, 7, 8, -8, 9, 3], [0] * 8 + [1] * 3 + [2] * 3, "a7f21a85d3"),
    ([-32768, 32767, 3, -3, 6, 8], [0, 0, 0, 0, 1, 1], "fc580e9fe1ea1dabc144a7a0"),
    (
        [i * i % 23 - 11 for i in range(40)],
        [i % 3 for i in range(40)],
        "fc9fccb2161c6da93c2e650ca72e8ab77142a3645ae0c89422e42df5caef00dddbc3616042",
    ),
]


@FORMS
@pytest.mark.parametrize(("symbols", "indexes", "payload"), GOLDEN)
def test_golden_payloads(
    form: ModuleType, symbols: list[int], indexes: list[int], payload: str
) -> None:
    """These bytes never change."""
    assert encode(form, symbols, indexes, GOLDEN_TABLES).hex() == payload
    assert decode(form, bytes.fromhex(payload), indexes, GOLDEN_TABLES) == symbols


def straddling_symbols(cdf: list[int], steps: int) -> list[int]:
    """Entries whose interval holds the code 1/2 inside, `steps` or more; then one above it."""
    range_, gap = 1 << 62, 1 << 61  # gap: 1/2 less low, in units of the window
    entries: list[int] = []
    while True:
        scale = range_ >> 16
        k = max(k for k in range(len(cdf) - 1) if scale * cdf[k] < gap)
        assert gap < scale * cdf[k + 1]
        assert k < len(cdf) - 2  # not the escape
        if len(entries) >= steps and k < len(cdf) - 3:
            return [*entries, k + 1]
        entries.append(k)
        gap -= scale * cdf[k]
        range_ = scale * (cdf[k + 1] - cdf[k])
        if range_ < 1 << 30:
            gap, range_ = gap << 32, range_ << 32


@FORMS
def test_carry_runs_over_several_words(form: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A carry passes through words 0xFFFFFFFF back to the first word of the payload."""
    cdf = [0, 11003, 54001, 60001, 65535, 65536]  # odd values keep low from meeting 1/2 itself
    tables = Tables(np.array(cdf), np.array([0, 6]), np.array([0]))
    symbols = straddling_symbols(cdf, 200)
    indexes = [0] * len(symbols)
    before_carry: list[list[int]] = []
    append_word = reference.append_word

    def spy(words: list[int], word: int) -> None:
        if word >> 32:
            before_carry.append(list(words))
        append_word(words, word)

    with monkeypatch.context() as patch:
        patch.setattr(reference, "append_word", spy)
        payload = encode(reference, symbols, indexes, tables)
    words = before_carry[0]  # the final code may carry once more, into the word that follows
    assert len(words) >= 5
    assert words == [0x7FFFFFFF] + [0xFFFFFFFF] * (len(words) - 1)
    assert payload.startswith(b"\x80" + bytes(4 * len(words) - 1))
    assert len(payload) > 4 * len(words)
    assert encode(form, symbols, indexes, tables) == payload
    assert decode(form, payload, indexes, tables) == symbols


@FORMS
def test_zeros_past_the_end(form: ModuleType) -> None:
    """A payload shorter than its words reads on as zeros; a trailing zero is refused."""
    tables = rangecoder.build([[1] * 16], [0])
    assert encode(form, [0] * 1000, [0] * 1000, tables) == b""
    assert decode(form, b"", [0] * 1000, tables) == [0] * 1000
    symbols = [5] + [0] * 999
    payload = encode(form, symbols, [0] * 1000, tables)
    assert payload == b"\x50"
    assert decode(form, payload, [0] * 1000, tables) == symbols
    for zeros in (1, 3, 4, 8, 400, 4000):
        with pytest.raises(PayloadError):
            decode(form, payload + bytes(zeros), [0] * 1000, tables)


@FORMS
def test_escape_errors_are_found(form: ModuleType) -> None:
    """A prefix of 16 zeros and a symbol beyond 16 bits are refused by the decoder."""
    tables = Tables(np.array([0, 1, 65536]), np.array([0, 3]), np.array([0]))
    # Under this table all but the first 2**-16 of the codes are escapes.  Rebuild what an encoder
    # without the bound would write, by asking the reference for its intervals with other bits.
    cases = {"0" + "0" * 16 + "1": "prefix", "0" + "0" * 15 + "1" * 16: "symbol 65535"}
    for bits, text in cases.items():
        low, width = 1 << 62 - 16, (1 << 62) - (1 << 46)
        for bit in bits:
            width = (width >> 16) << 15
            low += width * int(bit)
        payload = ((low + width // 2) >> 6).to_bytes(7, "big")
        with pytest.raises(PayloadError, match=text):
            decode(form, payload, [0], tables)


@FORMS
@pytest.mark.parametrize("minimum", [-32768, -1, 0, 32767])
def test_every_escape_length(form: ModuleType, minimum: int) -> None:
    """Symbols at each power of two from the support, to both extremes, round-trip."""
    tables = rangecoder.build([[1, 0]], [minimum])
    steps = [s for p in range(17) for d in (-1, 0, 1) for s in ((1 << p) + d, -(1 << p) - d)]
    symbols = [minimum + s for s in [0, *steps] if -32768 <= minimum + s <= 32767]
    symbols += [-32768, 32767]
    payload = encode(form, symbols, [0] * len(symbols), tables)
    assert decode(form, payload, [0] * len(symbols), tables) == symbols


ONE = rangecoder.build([[3, 1]], [0])


@FORMS
@pytest.mark.parametrize(
    ("symbols", "indexes", "text"),
    [
        ([32768], [0], "32768"),
        ([0, -32769], [0, 0], "-32769"),
        ([0], [1], "index.*1.*must be within .0, 1"),
        ([0, 0], [0, -1], "-1"),
        ([0, 0], [0], "2, but 1 indexes"),
        ([], [0], "0, but 1 indexes"),
    ],
)
def test_bad_arguments(form: ModuleType, symbols: list[int], indexes: list[int], text: str) -> None:
    """Wrong lengths, indexes and symbols are a ValueError with what was found."""
    with pytest.raises(ValueError, match=text) as caught:
        encode(form, symbols, indexes, ONE)
    assert not isinstance(caught.value, rangecoder.RangeCoderError)


@FORMS
@pytest.mark.parametrize("index", [-1, 1, 2**40])
def test_bad_index_to_decode(form: ModuleType, index: int) -> None:
    """A table index out of range is a ValueError, not a PayloadError."""
    with pytest.raises(ValueError, match="index") as caught:
        decode(form, b"\x80", [0, index], ONE)
    assert not isinstance(caught.value, rangecoder.RangeCoderError)


@pytest.mark.parametrize(
    ("symbols", "indexes"),
    [
        ([0], np.zeros(1, np.int32)),
        (np.zeros(1, np.int64), np.zeros(1, np.int32)),
        (np.zeros(1, np.uint32), np.zeros(1, np.int32)),
        (np.zeros(1, np.float32), np.zeros(1, np.int32)),
        (np.zeros((1, 1), np.int32), np.zeros(1, np.int32)),
        (np.zeros(1, np.int32), [0]),
        (np.zeros(1, np.int32), np.zeros(1, np.float64)),
        (np.zeros(1, np.int32), np.zeros(1, np.bool_)),
        (np.zeros(1, np.int32), np.zeros((1, 1), np.int32)),
        (np.zeros(1, np.int32), np.array([2**64 - 1], np.uint64)),
    ],
)
def test_wrong_types_are_refused(symbols: np.ndarray, indexes: np.ndarray) -> None:
    """The compiled form takes int32 symbols and integer indexes, 1-D arrays both."""
    with pytest.raises(ValueError, match="must be"):
        coder.encode(symbols, indexes, ONE)


@pytest.mark.parametrize("data", ["text", bytearray(b"a"), None, 5])
def test_payload_must_be_bytes(data: object) -> None:
    """Anything but bytes is a ValueError."""
    with pytest.raises(ValueError, match="must be bytes"):
        coder.decode(data, np.zeros(1, np.int32), ONE)  # type: ignore[arg-type]


def compiled_count(kernel: Any) -> int:  # numba's own type has no stubs
    """Return how many argument types a kernel was compiled for."""
    return len(kernel.signatures)


def test_one_compilation_serves_every_caller() -> None:
    """Unlike index dtypes, strides and read-only arrays neither change bytes nor recompile."""
    symbols = np.array([0, 3, 0, 0, -9], np.int32)
    frozen = symbols.copy()
    frozen.flags.writeable = False
    strided = np.repeat(symbols, 2)[::2]
    expected = coder.encode(symbols, np.zeros(5, np.uint8), ONE)
    for dtype in (np.int8, np.uint8, np.int16, np.uint16, ">i4", np.int32, np.int64, np.uint64):
        for variant in (symbols, frozen, strided):
            assert coder.encode(variant, np.zeros(9, dtype)[4:], ONE) == expected
        got = coder.decode(expected, np.zeros(5, dtype), ONE)
        assert got.dtype == np.int32
        np.testing.assert_array_equal(got, symbols)
    assert compiled_count(coder._encode) == 1
    assert compiled_count(coder._decode) == 1


def gaussian_tables() -> tuple[Tables, np.ndarray]:
    """64 zero-mean Gaussians, sigma 0.11 .. 256 log-spaced, as weights of 80 bits."""
    sigmas = [0.11 * (256 / 0.11) ** (i / 63) for i in range(64)]
    all_weights, minimum = [], []

    def tail(x: float, sigma: float) -> float:
        return math.erfc(x / sigma / math.sqrt(2)) / 2

    for sigma in sigmas:
        reach = max(1, math.ceil(4 * sigma))
        mass = [
            tail(abs(k) - 0.5, sigma) - tail(abs(k) + 0.5, sigma) for k in range(-reach, reach + 1)
        ]
        mass.append(2 * tail(reach + 0.5, sigma))
        all_weights.append([int(m * 2**80) for m in mass])
        minimum.append(-reach)
    return rangecoder.build(all_weights, minimum), np.array(sigmas)


def test_size_is_within_a_thousandth_of_the_information() -> None:
    """200 000 symbols of 64 Gaussians cost their information content + 0.1 % + 8 bytes at most."""
    tables, sigmas = gaussian_tables()
    rng = np.random.default_rng(20240229)
    indexes = rng.integers(0, 64, 200_000)
    symbols = np.rint(rng.normal(size=indexes.size) * sigmas[indexes]).astype(np.int32)
    payload = coder.encode(symbols, indexes, tables)
    ideal = rangecoder.ideal_bits(symbols, indexes, tables) / 8
    assert ideal <= len(payload) + 1
    assert len(payload) <= ideal * 1.001 + 8
    np.testing.assert_array_equal(coder.decode(payload, indexes, tables), symbols)
    few = slice(0, 3000)
    assert coder.encode(symbols[few], indexes[few], tables) == reference.encode(
        symbols[few].tolist(), indexes[few].tolist(), tables
    )


def test_ideal_bits_counts_escapes() -> None:
    """An escape costs its entry, a sign and its Exp-Golomb bits."""
    tables = rangecoder.build([[1, 1]], [0])  # entry and escape 1 bit each
    lengths = {0: 1, 1: 1 + 2, -1: 1 + 2, 2: 1 + 4, 3: 1 + 4, 4: 1 + 6, 32767: 1 + 30}
    for symbol, bits in lengths.items():
        got = rangecoder.ideal_bits(np.array([symbol], np.int32), np.array([0]), tables)
        assert got == bits


def test_tens_of_thousands_of_random_payloads() -> None:
    """Noise never breaks the compiled decoder; what it accepts is canonical."""
    tables, _ = gaussian_tables()
    rng = np.random.default_rng(7)
    accepted = 0
    for _ in range(40_000):
        size = int(rng.integers(0, 12))
        data = rng.bytes(size)
        indexes = rng.integers(0, 64, int(rng.integers(0, 20)))
        try:
            symbols = coder.decode(data, indexes, tables)
        except PayloadError:
            continue
        accepted += 1
        assert coder.encode(symbols, indexes, tables) == data
    assert accepted > 0


def test_every_short_payload_is_canonical() -> None:
    """All payloads of up to two bytes: those accepted are exactly those some symbols encode to."""
    tables = rangecoder.build([[2, 9, 4, 1]], [-1])
    indexes = np.zeros(3, np.uint8)
    accepted = {}
    for data in (
        [b""] + [bytes([i]) for i in range(256)] + [i.to_bytes(2, "big") for i in range(65536)]
    ):
        try:
            symbols = tuple(coder.decode(data, indexes, tables).tolist())
        except PayloadError:
            continue
        accepted[symbols] = data
    assert len(set(accepted.values())) == len(accepted)
    span = range(-1, 2)
    for symbols in [(a, b, c) for a in span for b in span for c in span]:
        assert accepted[symbols] == coder.encode(np.array(symbols, np.int32), indexes, tables)


INSPECT = """
import numpy as np, rangecoder
from rangecoder import coder
tables = rangecoder.build([[3, 1]], [0])
indexes = np.zeros(3, np.uint8)
data = coder.encode(np.array([0, 5, -5], np.int32), indexes, tables)
assert coder.decode(data, indexes, tables).tolist() == [0, 5, -5]
for kernel in (coder._encode, coder._decode):
    for text in kernel.inspect_llvm().values():
        print(text)
"""


def test_kernels_contain_no_floating_point(tmp_path: Path) -> None:
    """The LLVM code of both kernels has no float or double, so nothing can round."""
    # A fresh cache folder, since numba refuses to show the code of a cached kernel.
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", INSPECT]
    text = subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout
    assert text.count("define ") >= 2
    assert "sdiv i64" in text
    assert not re.search(r"\b(float|double|half|fp128|x86_fp80)\b|f(add|mul|div|cmp)\b", text)


def test_import_compiles_nothing() -> None:
    """`import rangecoder` leaves every kernel uncompiled."""
    code = (
        "import rangecoder; from rangecoder import coder;"
        "assert not coder._encode.signatures and not coder._decode.signatures"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], env=env, check=True)
