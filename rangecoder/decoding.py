"""The loops of the decoder; see READ ME FIRST of `coder`, and `encoding`."""

import numpy as np

from rangecoder.compile import inlined, jit, quotient
from rangecoder.lookup import FIELD_MASK, HEAD_BITS, SYMBOL_SHIFT, WIDTH_SHIFT
from rangecoder.state import (
    HALF,
    LANE_MASK,
    REST,
    TOP,
    TOP_MASK,
    WORD,
    WORD_MASK,
    Int,
    Int32Array,
    Int64Array,
    UInt16Array,
    UInt32Array,
    final_code,
)
from rangecoder.tables import PRECISION, SYMBOL_MAX, SYMBOL_MIN, TOTAL

MAX_PREFIX = 15
HEAD_MASK = (1 << HEAD_BITS) - 1

VALID, BAD_QUANTILE, BAD_PREFIX, BAD_SYMBOL, BAD_LAST_BITS, LEFT_OVER, BAD_LAST_BYTE = range(7)
FAULTS = {
    BAD_QUANTILE: "quantile {0}, must be below 65536",
    BAD_PREFIX: "escape prefix of {0} zeros, at most 15 allowed",
    BAD_SYMBOL: "symbol {0}, must be within [-32768, 32767]",
    BAD_LAST_BITS: "last bits differ from the encoder's {0:#x}",
    LEFT_OVER: "more than the {0} bytes that are in use",
    BAD_LAST_BYTE: "last byte {0}, must not be",
}


@jit
def start_lanes(states: Int64Array, words: UInt32Array) -> None:
    """The first window of every lane."""
    for lane in range(len(states)):
        states[lane, 0] = _window(words, states[lane, 3], states[lane, 4])
        states[lane, 1], states[lane, 2] = 1 << TOP, states[lane, 3]


@jit
def decode_batch(
    words: UInt32Array, indexes: UInt16Array, first_lane: int, cdf: Int32Array, start: Int32Array,
    minimum: Int32Array, lookup: Int64Array, states: Int64Array, symbols: Int32Array,
) -> tuple[Int, Int, Int]:  # fmt: skip
    """Fill symbols; return (status, symbols decoded, detail for the message).

    states: int64 (lanes, 5), see `coder.Decoder`; useless after a fault. Of several faults the one
    of the first symbol is returned.
    """
    lanes = len(states)
    status: Int = VALID
    done: Int = indexes.size
    detail: Int = 0
    for first in range(0, lanes, 2):
        a, b = (first_lane + first) % lanes, (first_lane + first + 1) % lanes
        fault: Int = VALID
        i: Int = first
        why: Int = 0
        if first + 1 < lanes:
            fault, i, why = _decode_pair(
                words, indexes, i, cdf, start, minimum, lookup, states, a, b, symbols
            )
        if fault == VALID:
            fault, i, why = _decode_lane(
                words, indexes, i, cdf, start, minimum, lookup, states, a, symbols
            )
        if fault != VALID and i < done:
            status, done, detail = fault, i, why
    return status, done, detail


@jit
def _decode_pair(
    words: UInt32Array, indexes: UInt16Array, first: Int, cdf: Int32Array, start: Int32Array,
    minimum: Int32Array, lookup: Int64Array, states: Int64Array, a: Int, b: Int,
    symbols: Int32Array,
) -> tuple[Int, Int, Int]:  # fmt: skip
    """The lanes of `encoding._encode_pair`: (status, where it ends, detail)."""
    value_a, range_a, position_a, end_a = states[a, 0], states[a, 1], states[a, 2], states[a, 4]
    value_b, range_b, position_b, end_b = states[b, 0], states[b, 1], states[b, 2], states[b, 4]
    i, lanes = first & LANE_MASK, len(states) & LANE_MASK
    while i + 1 < indexes.size:
        status, symbol, value_a, range_a, position_a = decode_symbol(
            np.int64(indexes[i]), cdf, start, minimum, lookup, value_a, range_a, position_a, words,
            end_a,
        )  # fmt: skip
        if status != VALID:
            return status, i, symbol
        symbols[i] = symbol
        status, symbol, value_b, range_b, position_b = decode_symbol(
            np.int64(indexes[i + 1]), cdf, start, minimum, lookup, value_b, range_b, position_b,
            words, end_b,
        )  # fmt: skip
        if status != VALID:
            return status, i + 1, symbol
        symbols[i + 1] = symbol
        i += lanes
    states[a, 0], states[a, 1], states[a, 2] = value_a, range_a, position_a
    states[b, 0], states[b, 1], states[b, 2] = value_b, range_b, position_b
    return VALID, i, 0


@jit
def _decode_lane(
    words: UInt32Array, indexes: UInt16Array, first: Int, cdf: Int32Array, start: Int32Array,
    minimum: Int32Array, lookup: Int64Array, states: Int64Array, a: Int, symbols: Int32Array,
) -> tuple[Int, Int, Int]:  # fmt: skip
    """The lane of `encoding._encode_lane`: (status, where it ends, detail)."""
    value, range_, position, end = states[a, 0], states[a, 1], states[a, 2], states[a, 4]
    i, lanes = first & TOP_MASK, len(states) & LANE_MASK
    while i < indexes.size:
        status, symbol, value, range_, position = decode_symbol(
            np.int64(indexes[i]), cdf, start, minimum, lookup, value, range_, position, words, end
        )
        if status != VALID:
            return status, i, symbol
        symbols[i] = symbol
        i += lanes
    states[a, 0], states[a, 1], states[a, 2] = value, range_, position
    return VALID, i, 0


@inlined
def decode_symbol(
    index: Int, cdf: Int32Array, start: Int32Array, minimum: Int32Array, lookup: Int64Array,
    value: Int, range_: Int, position: Int, words: UInt32Array, end: Int,
) -> tuple[Int, Int, Int, Int, Int]:  # fmt: skip
    """Decode one symbol of a lane: (status, symbol, value, range_, position).

    For kernels that decode between other work. words, position, end: the lane's next word and the
    one after its last. A status other than VALID comes with its detail as symbol.
    """
    # Invariant: 2**30 <= range_ <= 2**62, 0 <= value < range_.
    scale = range_ >> PRECISION  # >= 2**14
    quantile: Int = quotient(value, scale)
    if quantile >> PRECISION:
        return BAD_QUANTILE, quantile, value, range_, position
    head = lookup[index]
    record = lookup[((head >> HEAD_BITS) + (quantile >> (head & HEAD_MASK))) & TOP_MASK]
    symbol = record >> SYMBOL_SHIFT
    cdf_low, width = record & FIELD_MASK, record >> WIDTH_SHIFT & FIELD_MASK
    if quantile - cdf_low >= width:
        # Another entry begins in this bucket; cdf[n + 1] = 2**16 > quantile ends the search.
        k = symbol - minimum[index] + 1
        first = np.int64(start[index])
        while cdf[(first + k + 1) & WORD_MASK] <= quantile:
            k += 1
        symbol = minimum[index] + k
        cdf_low = np.int64(cdf[(first + k) & WORD_MASK])
        width = np.int64(cdf[(first + k + 1) & WORD_MASK]) - cdf_low
    # cdf_low <= quantile < cdf_low + width gives 0 <= value < range_ for the new ones.
    value -= scale * cdf_low
    range_ = scale * width
    if range_ < 1 << REST:
        value, range_, position = _refill(value, range_, words, position, end)
    if cdf_low + width == TOTAL:
        return _decode_escape(minimum[index], symbol, value, range_, words, position, end)
    return VALID, symbol, value, range_, position


@inlined
def _word(words: UInt32Array, position: Int, end: Int) -> Int:
    """Return the word at a position >= 0, zero from `end` on; end <= words.size."""
    return np.int64(words[position]) if position < end else np.int64(0)


@inlined
def _window(words: UInt32Array, position: Int, end: Int) -> Int:
    """Return 62 bits of the code from word `position` on: that word and 30 bits of the next."""
    return _word(words, position, end) << REST | _word(words, position + 1, end) >> (WORD - REST)


@inlined
def _refill(
    value: Int, range_: Int, words: UInt32Array, position: Int, end: Int
) -> tuple[Int, Int, Int]:
    """Restore the invariant when range_ < 2**30, as `_emit` does for the encoder.

    value < range_ < 2**30: value <= range_ - 1, so that value * 2**32 + (2**32 - 1) stays below
    range_ * 2**32 < 2**62.  The 32 bits that follow the window are 2 of one word, 30 of the next.
    """
    position &= TOP_MASK
    tail = (_word(words, position + 1, end) << REST & WORD_MASK) | (
        _word(words, position + 2, end) >> (WORD - REST)
    )
    return value << WORD | tail, range_ << WORD, position + 1


@jit
def _decode_escape(
    minimum: Int, symbol: Int, value: Int, range_: Int, words: UInt32Array, position: Int, end: Int
) -> tuple[Int, Int, Int, Int, Int]:
    """The rest of `decode_symbol` after entry n. symbol: minimum + n."""
    excess, below, value, range_, position = _decode_excess(value, range_, words, position, end)
    if excess < 0:
        return -excess, value, value, range_, position
    symbol = minimum - 1 - excess if below else symbol + excess
    if symbol < SYMBOL_MIN or symbol > SYMBOL_MAX:
        return BAD_SYMBOL, symbol, value, range_, position
    return VALID, symbol, value, range_, position


@jit
def _decode_bit(
    value: Int, range_: Int, words: UInt32Array, position: Int, end: Int
) -> tuple[Int, Int, Int, Int]:
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
        value, range_, position = _refill(value, range_, words, position, end)
    return bit, value, range_, position


@jit
def _decode_excess(
    value: Int, range_: Int, words: UInt32Array, position: Int, end: Int
) -> tuple[Int, Int, Int, Int, Int]:
    """Decode sign and excess; an excess < 0 is minus a status, and value then its detail."""
    below, value, range_, position = _decode_bit(value, range_, words, position, end)
    if below == 2:
        return -BAD_QUANTILE, 0, 1 << PRECISION, range_, position
    number: Int = 0
    zeros, left = 0, 1  # left: bits of number still to come
    while left > 0:
        bit, value, range_, position = _decode_bit(value, range_, words, position, end)
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
def check_end(words: UInt32Array, state: Int64Array, n_bytes: int) -> tuple[int, Int]:
    """Refuse any lane but the one the encoder writes; see `Decoder.check_end` of `reference`."""
    value, range_, position, first, end = state[0], state[1], state[2], state[3], state[4]
    window = _window(words, position, end)
    low = (window - value) & TOP_MASK  # arithmetic on two's complement: modulo 2**62
    code = final_code(low, range_) & TOP_MASK
    if window != code:
        return BAD_LAST_BITS, code
    if n_bytes > 4 * (position - first + 1):
        return LEFT_OVER, 4 * (position - first + 1)
    return VALID, 0
