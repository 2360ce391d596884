"""The loops of the encoder; see READ ME FIRST of `coder`.

Lanes are coded two at a time. They do not wait for one another, so that the processor overlaps a
step of one with a step of the other, and what they hold stays in registers.
"""

import numpy as np

from rangecoder.compile import inlined, jit
from rangecoder.state import (
    HALF,
    LANE_MASK,
    REST,
    REST_MASK,
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
from rangecoder.tables import PRECISION, TOTAL


@jit
def encode_batch(
    symbols: Int32Array, indexes: UInt16Array, first_lane: int, cdf: Int32Array, start: Int32Array,
    minimum: Int32Array, states: Int64Array, words: UInt32Array,
) -> None:  # fmt: skip
    """Code symbol i in lane (first_lane + i) % lanes.

    states: int64 (lanes, 4), see `coder.Encoder`.

    A lane of n symbols takes at most 2 * n + 1 words in all. Proof: a step of b bits divides
    range_ by less than 2**(b + 2**-13), since range_ >= 2**30 makes the remainder range_ % 2**16
    less than 2**-14 of it.  Each word multiplies range_ by 2**32, and range_ ends at or below
    2**62 where it began: 32 bits of steps were spent for each word.  A symbol spends at most
    16 + 32 bits and 33 remainders.
    """
    lanes = len(states)
    for first in range(0, lanes, 2):
        a, b = (first_lane + first) % lanes, (first_lane + first + 1) % lanes
        i: Int = first
        if first + 1 < lanes:
            i = _encode_pair(symbols, indexes, i, cdf, start, minimum, states, a, b, words)
        _encode_lane(symbols, indexes, i, cdf, start, minimum, states, a, words)


@jit
def _encode_pair(
    symbols: Int32Array, indexes: UInt16Array, first: Int, cdf: Int32Array, start: Int32Array,
    minimum: Int32Array, states: Int64Array, a: Int, b: Int, words: UInt32Array,
) -> Int:  # fmt: skip
    """Code symbol `first` in lane a, the one after it in lane b, and on by as many as all lanes.

    Returns the first symbol of lane a whose neighbour is beyond the end, or is itself.
    """
    low_a, range_a, position_a, begin_a = states[a, 0], states[a, 1], states[a, 2], states[a, 3]
    low_b, range_b, position_b, begin_b = states[b, 0], states[b, 1], states[b, 2], states[b, 3]
    i, lanes = first & LANE_MASK, len(states) & LANE_MASK
    while i + 1 < symbols.size:
        low_a, range_a, position_a = encode_symbol(
            np.int64(symbols[i]), np.int64(indexes[i]), cdf, start, minimum, low_a, range_a, words,
            position_a, begin_a,
        )  # fmt: skip
        low_b, range_b, position_b = encode_symbol(
            np.int64(symbols[i + 1]), np.int64(indexes[i + 1]), cdf, start, minimum, low_b,
            range_b, words, position_b, begin_b,
        )  # fmt: skip
        i += lanes
    states[a, 0], states[a, 1], states[a, 2] = low_a, range_a, position_a
    states[b, 0], states[b, 1], states[b, 2] = low_b, range_b, position_b
    return i


@jit
def _encode_lane(
    symbols: Int32Array, indexes: UInt16Array, first: Int, cdf: Int32Array, start: Int32Array,
    minimum: Int32Array, states: Int64Array, a: Int, words: UInt32Array,
) -> None:  # fmt: skip
    """Code symbol `first` in lane a, and on by as many as there are lanes."""
    low, range_, position, begin = states[a, 0], states[a, 1], states[a, 2], states[a, 3]
    i, lanes = first & TOP_MASK, len(states) & LANE_MASK
    while i < symbols.size:
        low, range_, position = encode_symbol(
            np.int64(symbols[i]), np.int64(indexes[i]), cdf, start, minimum, low, range_, words,
            position, begin,
        )  # fmt: skip
        i += lanes
    states[a, 0], states[a, 1], states[a, 2] = low, range_, position


@inlined
def encode_symbol(
    symbol: Int, index: Int, cdf: Int32Array, start: Int32Array, minimum: Int32Array, low: Int,
    range_: Int, words: UInt32Array, position: Int, begin: Int,
) -> tuple[Int, Int, Int]:  # fmt: skip
    """Code one symbol: the new low, range_ and position. Words of the lane begin at `begin`."""
    # Invariant: 2**30 <= range_ <= 2**62, 0 <= low, low + range_ < 2**63.
    first = np.int64(start[index]) & WORD_MASK
    n = np.int64(start[index + 1]) - first - 2
    k = symbol - minimum[index]
    if k & WORD_MASK >= n:  # also where k < 0: |k| < 2**17 and n < 2**16
        cdf_low = np.int64(cdf[(first + n) & WORD_MASK])
        return _encode_escape(k, n, cdf_low, low, range_, words, position, begin)
    entry = (first + k) & WORD_MASK
    cdf_low = np.int64(cdf[entry])
    width = np.int64(cdf[entry + 1]) - cdf_low
    return _encode_entry(cdf_low, width, low, range_, words, position, begin)


@inlined
def _encode_entry(
    cdf_low: Int, width: Int, low: Int, range_: Int, words: UInt32Array, position: Int, begin: Int
) -> tuple[Int, Int, Int]:
    """Code the interval [cdf_low, cdf_low + width)."""
    # low + range_ never grows here: scale * (cdf_low + width) <= scale * 2**16 <= range_.
    scale = range_ >> PRECISION  # >= 2**14
    low += scale * cdf_low
    range_ = scale * width  # >= 2**14
    if range_ < 1 << REST:
        low, range_, position = _emit(low, range_, words, position, begin)
    return low, range_, position


@inlined
def _emit(
    low: Int, range_: Int, words: UInt32Array, position: Int, begin: Int
) -> tuple[Int, Int, Int]:
    """Restore the invariant when 2**14 <= range_ < 2**30; one word is enough.

    low <= (2**30 - 1) * 2**32 and 2**46 <= range_ <= (2**30 - 1) * 2**32 afterwards, whence
    low + range_ <= 2**63 - 2**33.
    """
    position = _append_word(words, position, begin, low >> REST)
    return (low & REST_MASK) << WORD, range_ << WORD, position


@inlined
def _append_word(words: UInt32Array, position: Int, begin: Int, word: Int) -> Int:
    """Put the low 32 bits of a 33-bit word, add its carry to the words before; where to go on."""
    position &= TOP_MASK
    if word >> WORD:
        # The code is less than 1, so a word below 2**32 - 1 precedes; i >= begin costs nothing.
        i = position - 1
        while i >= begin and words[i] == WORD_MASK:
            words[i] = 0
            i -= 1
        if i >= begin:
            words[i] += 1
    words[position] = word & WORD_MASK
    return position + 1


@jit
def _encode_escape(
    k: Int, n: Int, cdf_low: Int, low: Int, range_: Int, words: UInt32Array, position: Int,
    begin: Int,
) -> tuple[Int, Int, Int]:  # fmt: skip
    """Code entry n, which begins at cdf_low, then by how much k is off 0 .. n - 1."""
    low, range_, position = _encode_entry(
        cdf_low, TOTAL - cdf_low, low, range_, words, position, begin
    )
    below = 1 if k < 0 else 0
    excess = -1 - k if k < 0 else k - n
    low, range_, position = _encode_bit(below, low, range_, words, position, begin)
    return _encode_excess(excess, low, range_, words, position, begin)


@jit
def _encode_bit(
    bit: Int, low: Int, range_: Int, words: UInt32Array, position: Int, begin: Int
) -> tuple[Int, Int, Int]:
    """Code a bit of probability 1/2: the interval [0, 2**15) or [2**15, 2**16)."""
    half = (range_ >> PRECISION) * HALF
    if bit:
        low += half
    if half < 1 << REST:
        return _emit(low, half, words, position, begin)
    return low, half, position


@jit
def _encode_excess(
    excess: Int, low: Int, range_: Int, words: UInt32Array, position: Int, begin: Int
) -> tuple[Int, Int, Int]:
    """Exp-Golomb code of order 0; 0 <= excess <= 65534."""
    digits = 1
    while (excess + 1) >> digits:
        digits += 1
    # The zeros before are the leading bits of excess + 1 written with 2 * digits - 1 bits.
    for shift in range(2 * digits - 2, -1, -1):
        bit = (excess + 1) >> shift & 1
        low, range_, position = _encode_bit(bit, low, range_, words, position, begin)
    return low, range_, position


@jit
def finish_lanes(states: Int64Array, words: UInt32Array) -> None:
    """Write the last word of every lane."""
    for lane in range(len(states)):
        word = final_code(states[lane, 0], states[lane, 1]) >> REST
        states[lane, 2] = _append_word(words, states[lane, 2], states[lane, 3], word)
