"""The loops of `reference`, compiled: one call codes a whole batch of symbols.

READ ME FIRST
1. Same names, same steps, same bytes as `reference`; read that first.
2. All state is int64 below 2**63 by proof.  No unsigned 64-bit integer, no float, no wrap.
3. Kernels trust their caller: `encode` and `decode` below check every argument first.  The bytes
   of a payload need no trust: any of them lead to a status, never outside an array.
4. Arrays reach a kernel contiguous, read-only and in one dtype, so that each kernel is compiled
   once for all callers.
5. `value & TOP_MASK` and the like change nothing: they tell LLVM that a number is not negative,
   so that a division floors and an index counts from the start without further instructions.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from rangecoder.compile import jit
from rangecoder.errors import PayloadError
from rangecoder.tables import LOOKUP_BITS, PRECISION, SYMBOL_MAX, SYMBOL_MIN, Int32Array, Tables

TOP = 62
WORD = 32
REST = TOP - WORD
MAX_PREFIX = 15
WORD_MASK = (1 << WORD) - 1
REST_MASK = (1 << REST) - 1
TOP_MASK = (1 << TOP) - 1
HALF = 1 << (PRECISION - 1)  # width of a bit of probability 1/2
LOOKUP_SHIFT = PRECISION - LOOKUP_BITS

# A 49-bit escape (16 for its entry, 33 for its bits) takes less than two words.
WORDS_PER_SYMBOL = 2

VALID, BAD_QUANTILE, BAD_PREFIX, BAD_SYMBOL, BAD_LAST_BITS, LEFT_OVER, BAD_LAST_BYTE = range(7)
FAULTS = {
    BAD_QUANTILE: "quantile {0}, must be below 65536",
    BAD_PREFIX: "escape prefix of {0} zeros, at most 15 allowed",
    BAD_SYMBOL: "symbol {0}, must be within [-32768, 32767]",
    BAD_LAST_BITS: "last bits differ from the encoder's {0:#x}",
    LEFT_OVER: "more than the {0} bytes that are in use",
    BAD_LAST_BYTE: "last byte {0}, must not be",
}

UInt16Array = npt.NDArray[np.uint16]
UInt32Array = npt.NDArray[np.uint32]
Int = int | np.int64  # compiled, both are int64


def encode(symbols: Int32Array, indexes: npt.NDArray[Any], tables: Tables) -> bytes:
    """Code symbols[i] with table indexes[i]; no symbols give no bytes.

    symbols: int32 (n,), each within [-32768, 32767].
    indexes: integer (n,), each within [0, n_tables).
    Raises ValueError for anything else.
    """
    if not isinstance(symbols, np.ndarray) or symbols.dtype != np.int32 or symbols.ndim != 1:
        msg = f"symbols: {_describe(symbols)}, must be a 1-D array of int32"
        raise ValueError(msg)
    index = _index_array(indexes, tables)
    if symbols.size != index.size:
        msg = f"symbols: {symbols.size}, but {index.size} indexes; must be equal"
        raise ValueError(msg)
    if symbols.size and not (symbols.min() >= SYMBOL_MIN and symbols.max() <= SYMBOL_MAX):
        got = f"{symbols.min()} .. {symbols.max()}"
        msg = f"symbols: {got}, must be within [{SYMBOL_MIN}, {SYMBOL_MAX}]"
        raise ValueError(msg)
    words = np.empty(WORDS_PER_SYMBOL * symbols.size + 1, dtype=np.uint32)
    n_words = _encode(_readonly(symbols), index, tables.cdf, tables.start, tables.minimum, words)
    return words[:n_words].astype(">u4").tobytes().rstrip(b"\0")


def decode(data: bytes, indexes: npt.NDArray[Any], tables: Tables) -> Int32Array:
    """Inverse of `encode`, one symbol per index.

    data: any bytes.  indexes: integer (n,), each within [0, n_tables).
    Returns int32 (n,), each within [-32768, 32767].
    Raises PayloadError unless data is exactly what `encode` writes for the result, ValueError for
    other arguments.
    """
    if not isinstance(data, bytes):
        msg = f"data: {type(data).__name__}, must be bytes"
        raise ValueError(msg)  # noqa: TRY004  # a bad argument is a ValueError throughout
    index = _index_array(indexes, tables)
    symbols = np.empty(index.size, dtype=np.int32)
    # The kernel reads zeros past the end; padding to whole words is all that is needed here.
    padded = data + bytes(-len(data) % 4)
    words = _readonly(np.frombuffer(padded, dtype=">u4").astype(np.uint32))
    status, i, detail = _decode(
        words, len(data), index, tables.cdf, tables.start, tables.minimum, tables.lookup, symbols
    )
    if status == VALID and data.endswith(b"\0"):
        status, detail = BAD_LAST_BYTE, 0
    if status != VALID:
        where = f"payload of {len(data)} bytes, after {i} of {index.size} symbols"
        msg = f"{where}: {FAULTS[int(status)].format(detail)}"
        raise PayloadError(msg)
    return symbols


def _index_array(indexes: npt.NDArray[Any], tables: Tables) -> UInt16Array:
    """Check table indexes; return them as read-only uint16 (n,); that dtype holds 65535 tables."""
    if not isinstance(indexes, np.ndarray) or indexes.dtype.kind not in "iu" or indexes.ndim != 1:
        msg = f"indexes: {_describe(indexes)}, must be a 1-D array of integers"
        raise ValueError(msg)
    if indexes.size and not (int(indexes.min()) >= 0 and int(indexes.max()) < tables.n_tables):
        got = f"{indexes.min()} .. {indexes.max()}"
        msg = f"indexes: {got}, must be within [0, {tables.n_tables})"
        raise ValueError(msg)
    return _readonly(indexes.astype(np.uint16, copy=False))


def _readonly(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Make a contiguous read-only view: one array type for numba, whatever the caller holds."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def _describe(got: object) -> str:
    if isinstance(got, np.ndarray):
        return f"array of {got.dtype} with shape {got.shape}"
    return type(got).__name__


@jit
def _encode(
    symbols: Int32Array,
    indexes: UInt16Array,
    cdf: Int32Array,
    start: Int32Array,
    minimum: Int32Array,
    words: UInt32Array,
) -> int:
    """Write all words of the payload and return their number, at most 2 * n + 1.

    Proof of that bound: a step of b bits divides range_ by less than 2**(b + 2**-13), since
    range_ >= 2**30 makes the remainder range_ % 2**16 less than 2**-14 of it.  Each word
    multiplies range_ by 2**32, and range_ ends at or below 2**62 where it began: 32 bits of steps
    were spent for each word.  A symbol spends at most 16 + 32 bits and 33 remainders.
    """
    # Invariant: 2**30 <= range_ <= 2**62, 0 <= low, low + range_ < 2**63.
    low: Int = 0
    range_: Int = 1 << TOP
    n_words = 0
    for i in range(symbols.size):
        index = np.int64(indexes[i])
        first = np.int64(start[index]) & WORD_MASK
        n = np.int64(start[index + 1]) - first - 2
        k = np.int64(symbols[i]) - minimum[index]
        entry = k if 0 <= k < n else n
        cdf_low = np.int64(cdf[first + entry])
        # low + range_ never grows here: scale * cdf_high <= scale * 2**16 <= range_.
        scale = range_ >> PRECISION  # >= 2**14
        low += scale * cdf_low
        range_ = scale * (np.int64(cdf[first + entry + 1]) - cdf_low)  # >= 2**14
        if range_ < 1 << REST:
            low, range_, n_words = _emit(low, range_, words, n_words)
        if entry == n:
            below = k < 0
            excess = -1 - k if below else k - n
            low, range_, n_words = _encode_bit(below, low, range_, words, n_words)
            low, range_, n_words = _encode_excess(excess, low, range_, words, n_words)
    return _append_word(words, n_words, _final_code(low, range_) >> REST)


@jit
def _emit(low: Int, range_: Int, words: UInt32Array, n_words: int) -> tuple[Int, Int, int]:
    """Restore the invariant when 2**14 <= range_ < 2**30; one word is enough.

    low <= (2**30 - 1) * 2**32 and 2**46 <= range_ <= (2**30 - 1) * 2**32 afterwards, whence
    low + range_ <= 2**63 - 2**33.
    """
    n_words = _append_word(words, n_words, low >> REST)
    return (low & REST_MASK) << WORD, range_ << WORD, n_words


@jit
def _append_word(words: UInt32Array, n_words: int, word: Int) -> int:
    """Append the low 32 bits of a 33-bit word, add its carry to the words before."""
    if word >> WORD:
        # The code is less than 1, so a word below 2**32 - 1 precedes; i >= 0 costs nothing.
        i = n_words - 1
        while i >= 0 and words[i] == WORD_MASK:
            words[i] = 0
            i -= 1
        if i >= 0:
            words[i] += 1
    words[n_words] = word & WORD_MASK
    return n_words + 1


@jit
def _encode_bit(
    bit: Int, low: Int, range_: Int, words: UInt32Array, n_words: int
) -> tuple[Int, Int, int]:
    """Code a bit of probability 1/2: the interval [0, 2**15) or [2**15, 2**16)."""
    half = (range_ >> PRECISION) * HALF
    if bit:
        low += half
    if half < 1 << REST:
        return _emit(low, half, words, n_words)
    return low, half, n_words


@jit
def _encode_excess(
    excess: Int, low: Int, range_: Int, words: UInt32Array, n_words: int
) -> tuple[Int, Int, int]:
    """Exp-Golomb code of order 0; 0 <= excess <= 65534."""
    digits = 1
    while (excess + 1) >> digits:
        digits += 1
    # The zeros before are the leading bits of excess + 1 written with 2 * digits - 1 bits.
    for shift in range(2 * digits - 2, -1, -1):
        bit = (excess + 1) >> shift & 1
        low, range_, n_words = _encode_bit(bit, low, range_, words, n_words)
    return low, range_, n_words


@jit
def _final_code(low: Int, range_: Int) -> Int:
    """Return the number in [low, low + range_) with the most trailing zero bits."""
    last = low + range_ - 1  # 0 <= last < 2**63
    t = TOP + 1
    while last >> t << t < low:
        t -= 1
    return last >> t << t


@jit
def _decode(
    words: UInt32Array,
    n_bytes: int,
    indexes: UInt16Array,
    cdf: Int32Array,
    start: Int32Array,
    minimum: Int32Array,
    lookup: UInt16Array,
    symbols: Int32Array,
) -> tuple[Int, int, Int]:
    """Fill symbols; return (status, symbols decoded, detail for the message)."""
    # Invariant: 2**30 <= range_ <= 2**62, 0 <= value < range_.
    range_: Int = 1 << TOP
    position = 0
    value = _window(words, 0)
    for i in range(indexes.size):
        index = np.int64(indexes[i])
        first = np.int64(start[index]) & WORD_MASK
        scale = range_ >> PRECISION  # >= 2**14
        quantile = (value & TOP_MASK) // (scale & TOP_MASK)  # see READ ME FIRST, 5
        if quantile >> PRECISION:
            return BAD_QUANTILE, i, quantile
        # The guess is at or below the entry, and cdf[n + 1] = 2**16 > quantile ends the search.
        k = np.int64(lookup[(index << LOOKUP_BITS) + (quantile >> LOOKUP_SHIFT)])
        while cdf[first + k + 1] <= quantile:
            k += 1
        cdf_low = np.int64(cdf[first + k])
        # cdf_low <= quantile < cdf_high gives 0 <= value < range_ for the new ones.
        value -= scale * cdf_low
        range_ = scale * (np.int64(cdf[first + k + 1]) - cdf_low)
        if range_ < 1 << REST:
            value, range_, position = _refill(value, range_, words, position)
        n = np.int64(start[index + 1]) - first - 2
        symbol = minimum[index] + k
        if k == n:
            excess, below, value, range_, position = _decode_excess(value, range_, words, position)
            if excess < 0:
                return -excess, i, value
            if below:
                symbol = minimum[index] - 1 - excess
            else:
                symbol += excess
            if symbol < SYMBOL_MIN or symbol > SYMBOL_MAX:
                return BAD_SYMBOL, i, symbol
        symbols[i] = symbol
    status, detail = _check_end(value, range_, words, position, n_bytes)
    return status, indexes.size, detail


@jit
def _word(words: UInt32Array, position: int) -> Int:
    """Return the word at a position >= 0, zero past the end."""
    return np.int64(words[position]) if position < words.size else np.int64(0)


@jit
def _window(words: UInt32Array, position: int) -> Int:
    """Return 62 bits of the code from word `position` on: that word and 30 bits of the next."""
    return _word(words, position) << REST | _word(words, position + 1) >> (WORD - REST)


@jit
def _refill(value: Int, range_: Int, words: UInt32Array, position: int) -> tuple[Int, Int, int]:
    """Restore the invariant when range_ < 2**30, as `_emit` does for the encoder.

    value < range_ < 2**30: value <= range_ - 1, so that value * 2**32 + (2**32 - 1) stays below
    range_ * 2**32 < 2**62.  The 32 bits that follow the window are 2 of one word, 30 of the next.
    """
    tail = (_word(words, position + 1) << REST & WORD_MASK) | (
        _word(words, position + 2) >> (WORD - REST)
    )
    return value << WORD | tail, range_ << WORD, position + 1


@jit
def _decode_bit(
    value: Int, range_: Int, words: UInt32Array, position: int
) -> tuple[Int, Int, Int, int]:
    """Decode a bit of probability 1/2; the first result is 0, 1 or, for a bad quantile, 2."""
    half = (range_ >> PRECISION) * HALF
    bit = 0
    if value >= half:
        bit = 1
        value -= half
        if value >= half:
            return 2, value, range_, position
    range_ = half
    if range_ < 1 << REST:
        value, range_, position = _refill(value, range_, words, position)
    return bit, value, range_, position


@jit
def _decode_excess(
    value: Int, range_: Int, words: UInt32Array, position: int
) -> tuple[Int, Int, Int, Int, int]:
    """Decode sign and excess; an excess < 0 is minus a status, and value then its detail."""
    below, value, range_, position = _decode_bit(value, range_, words, position)
    if below == 2:
        return -BAD_QUANTILE, 0, 1 << PRECISION, range_, position
    number: Int = 0
    zeros, left = 0, 1  # left: bits of number still to come
    while left > 0:
        bit, value, range_, position = _decode_bit(value, range_, words, position)
        if bit == 2:
            return -BAD_QUANTILE, 0, 1 << PRECISION, range_, position
        if number == 0 and bit == 0:
            zeros += 1
            if zeros > MAX_PREFIX:
                return -BAD_PREFIX, 0, zeros, range_, position
        elif number == 0:
            number, left = 1, zeros
        else:
            number, left = 2 * number + bit, left - 1
    return number - 1, below, value, range_, position


@jit
def _check_end(
    value: Int, range_: Int, words: UInt32Array, position: int, n_bytes: int
) -> tuple[int, Int]:
    """Refuse any payload but the one the encoder writes; see `Decoder.check_end`."""
    window = _window(words, position)
    low = (window - value) & TOP_MASK  # arithmetic on two's complement: modulo 2**62
    code = _final_code(low, range_) & TOP_MASK
    if window != code:
        return BAD_LAST_BITS, code
    if n_bytes > 4 * (position + 1):
        return LEFT_OVER, 4 * (position + 1)
    return VALID, 0
