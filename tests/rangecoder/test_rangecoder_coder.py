"""Promises of the coder, each held by every form: the reference, compiled, and not compiled."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rangecoder
from rangecoder import PayloadError, Tables, coder, reference, uncompiled

FORMS = pytest.mark.parametrize("form", [reference, coder, uncompiled], ids=lambda m: m.__name__)
ARRAYS = pytest.mark.parametrize("form", [coder, uncompiled], ids=lambda m: m.__name__)


def encode(form: ModuleType, symbols: Sequence[int], indexes: Sequence[int], t: Tables) -> bytes:
    """Encode lists with a form."""
    if form is reference:
        return reference.encode(symbols, indexes, t)
    return form.encode(np.array(symbols, np.int32), np.array(indexes, np.int64), t)


def decode(form: ModuleType, data: bytes, indexes: Sequence[int], t: Tables) -> list[int]:
    """Decode to a list with a form."""
    if form is reference:
        return reference.decode(data, indexes, t)
    return [int(s) for s in form.decode(data, np.array(indexes, np.int64), t)]


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


@settings(max_examples=300)
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


@settings(max_examples=200)
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
@pytest.mark.parametrize("symbols", [[], [5], [5] * 7, [5] * 8, [5, 0, 9] * 30])
def test_bytes_after_the_last_word_are_refused(form: ModuleType, symbols: list[int]) -> None:
    """Zeros and then a 1 behind a payload are found at any distance."""
    # At distance 7 from a whole word only the length tells: those bits are not in the window yet.
    tables = rangecoder.build([[1] * 16], [0])
    payload = encode(form, symbols, [0] * len(symbols), tables)
    for zeros in range(24):
        with pytest.raises(PayloadError):
            decode(form, payload + bytes(zeros) + b"\x01", [0] * len(symbols), tables)


@FORMS
@pytest.mark.parametrize(
    "steps",
    [
        [(0, 32767)] * 3,  # the next symbol
        [(0, 32767)] * 3 + [(32767, 65536)],  # the sign of an escape
        [(0, 32767)] * 3 + [(32767, 65536), (0, 32768)],  # the prefix of an escape
        [(0, 32767)] * 3 + [(32767, 65536)] + [(0, 32768)] * 4,
    ],
)
def test_the_remainder_of_a_range_is_refused(
    form: ModuleType, steps: list[tuple[int, int]]
) -> None:
    """A code in the part of range_ that 2**16 equal shares leave over is a PayloadError."""
    tables = Tables(np.array([0, 32767, 65536]), np.array([0, 3]), np.array([0]))
    low, range_ = 0, 1 << 62
    for cdf_low, cdf_high in steps:
        scale = range_ >> 16
        low, range_ = low + scale * cdf_low, scale * (cdf_high - cdf_low)
    assert range_ >= 1 << 30  # no word leaves, so that low is the code itself
    assert range_ % (1 << 16) > 0
    payload = ((low + range_ - 1) << 2).to_bytes(8, "big")
    with pytest.raises(PayloadError, match="quantile 65536"):
        decode(form, payload, [0] * 4, tables)


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


@ARRAYS
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
def test_wrong_types_are_refused(
    form: ModuleType, symbols: np.ndarray, indexes: np.ndarray
) -> None:
    """A coder takes int32 symbols and integer indexes, 1-D arrays both."""
    with pytest.raises(ValueError, match="must be"):
        form.encode(symbols, indexes, ONE)


@ARRAYS
@pytest.mark.parametrize("data", ["text", bytearray(b"a"), None, 5])
def test_payload_must_be_bytes(form: ModuleType, data: object) -> None:
    """Anything but bytes is a ValueError."""
    with pytest.raises(ValueError, match="must be bytes"):
        form.decode(data, np.zeros(1, np.int32), ONE)
