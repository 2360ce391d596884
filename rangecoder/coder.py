"""The loops of `reference`, compiled: one call codes a batch of symbols.

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

from rangecoder import layout
from rangecoder.compile import inlined, jit
from rangecoder.errors import PayloadError
from rangecoder.layout import check_lanes
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

Int64Array = npt.NDArray[np.int64]
UInt16Array = npt.NDArray[np.uint16]
UInt32Array = npt.NDArray[np.uint32]
Int = int | np.int64  # compiled, both are int64


def encode(symbols: Int32Array, indexes: npt.NDArray[Any], tables: Tables, lanes: int = 1) -> bytes:
    """Code symbols[i] with table indexes[i]; in one lane no symbols give no bytes.

    symbols: int32 (n,), each within [-32768, 32767].
    indexes: integer (n,), each within [0, n_tables).
    lanes: 1 .. 8; symbol i belongs to lane i % lanes.
    Raises ValueError for anything else.
    """
    encoder = Encoder(tables, lanes)
    encoder.push(symbols, indexes)
    return encoder.finish()


def decode(data: bytes, indexes: npt.NDArray[Any], tables: Tables, lanes: int = 1) -> Int32Array:
    """Inverse of `encode`, one symbol per index.

    data: any bytes.  indexes: integer (n,), each within [0, n_tables).
    Returns int32 (n,), each within [-32768, 32767].
    Raises PayloadError unless data is exactly what `encode` writes for the result, ValueError for
    other arguments.
    """
    decoder = Decoder(data, tables, lanes)
    symbols = decoder.pull(indexes)
    decoder.finish()
    return symbols


class Encoder:
    """A payload written batch by batch; its bytes do not depend on the batches.

    lanes: 1 .. 8. Raises ValueError for other numbers.
    """

    def __init__(self, tables: Tables, lanes: int = 1) -> None:
        self.tables, self.lanes, self.coded = tables, check_lanes(lanes), 0
        # of each lane: low, range_, where its next word goes, where its first one lies
        self.states = np.array([(0, 1 << TOP, 0, 0)] * lanes, np.int64)
        self.words = np.empty(0, np.uint32)

    def push(self, symbols: Int32Array, indexes: npt.NDArray[Any]) -> None:
        """Code the next symbols; see `encode` for the arguments and what is raised."""
        if not isinstance(symbols, np.ndarray) or symbols.dtype != np.int32 or symbols.ndim != 1:
            msg = f"symbols: {_describe(symbols)}, must be a 1-D array of int32"
            raise ValueError(msg)
        index = _index_array(indexes, self.tables)
        if symbols.size != index.size:
            msg = f"symbols: {symbols.size}, but {index.size} indexes; must be equal"
            raise ValueError(msg)
        if symbols.size and not (symbols.min() >= SYMBOL_MIN and symbols.max() <= SYMBOL_MAX):
            got = f"{symbols.min()} .. {symbols.max()}"
            msg = f"symbols: {got}, must be within [{SYMBOL_MIN}, {SYMBOL_MAX}]"
            raise ValueError(msg)
        self._reserve(WORDS_PER_SYMBOL * (symbols.size // self.lanes + 1) + 1)
        t = self.tables
        _encode(_readonly(symbols), index, self.coded % self.lanes, t.cdf, t.start, t.minimum,
                self.states, self.words)  # fmt: skip
        self.coded += symbols.size

    def _reserve(self, more: int) -> None:
        """Make room for so many words more in every lane; doubling keeps all copies linear."""
        used, room = int(self._sizes().max()), self.words.size // self.lanes
        if used + more > room:
            room = max(used + more, 2 * room)
            words = np.empty(self.lanes * room, np.uint32)
            for lane, old in enumerate(self._lanes()):
                words[lane * room : lane * room + old.size] = old
            self.states[:, 2:] -= self.states[:, 3:]
            self.states[:, 2:] += room * np.arange(self.lanes)[:, None]
            self.words = words

    def _sizes(self) -> Int64Array:
        """Words of each lane."""
        sizes: Int64Array = self.states[:, 2] - self.states[:, 3]
        return sizes

    def _lanes(self) -> list[UInt32Array]:
        """The words of each lane."""
        return [self.words[begin:end] for end, begin in self.states[:, 2:].tolist()]

    def finish(self) -> bytes:
        """The payload."""
        self._reserve(1)
        _finish(self.states, self.words)
        return layout.join([words.astype(">u4").tobytes().rstrip(b"\0") for words in self._lanes()])


class Decoder:
    """A payload read batch by batch.

    data: any bytes. lanes: as the encoder's. Raises PayloadError for lengths of lanes that do not
    fit, ValueError for other arguments.
    """

    def __init__(self, data: bytes, tables: Tables, lanes: int = 1) -> None:
        if not isinstance(data, bytes):
            msg = f"data: {type(data).__name__}, must be bytes"
            raise ValueError(msg)  # noqa: TRY004  # a bad argument is a ValueError throughout
        self.tables, self.lanes, self.decoded = tables, check_lanes(lanes), 0
        self.parts = layout.split(data, lanes)
        self.size = len(data)
        # The kernel reads zeros past the end; padding to whole words is all that is needed here.
        padded = [part + bytes(-len(part) % 4) for part in self.parts]
        self.words = _readonly(np.frombuffer(b"".join(padded), dtype=">u4").astype(np.uint32))
        ends = np.cumsum([len(part) // 4 for part in padded])
        # of each lane: value, range_, position, first word, word after its last
        self.states = np.zeros((lanes, 5), np.int64)
        self.states[:, 3], self.states[:, 4] = np.concatenate([[0], ends[:-1]]), ends
        _start(self.states, self.words)

    def pull(self, indexes: npt.NDArray[Any]) -> Int32Array:
        """The next symbols, one per index; see `decode`."""
        index = _index_array(indexes, self.tables)
        symbols = np.empty(index.size, dtype=np.int32)
        t = self.tables
        status, i, detail = _decode(
            self.words, index, self.decoded % self.lanes, t.cdf, t.start, t.minimum, t.lookup,
            self.states, symbols,
        )  # fmt: skip
        self._refuse(status, self.decoded + i, (self.decoded + i) % self.lanes, detail)
        self.decoded += index.size
        return symbols

    def finish(self) -> None:
        """Raise PayloadError unless the payload is what the encoder writes for these symbols."""
        for lane, part in enumerate(self.parts):
            status, detail = _check_end(self.words, self.states[lane], len(part))
            if status == VALID and part.endswith(b"\0"):
                status, detail = BAD_LAST_BYTE, 0
            self._refuse(status, self.decoded, lane, detail)

    def _refuse(self, status: Int, i: Int, lane: Int, detail: Int) -> None:
        """A fault as an error that says where."""
        if status != VALID:
            which = f"lane {lane} of {self.lanes}, " if self.lanes > 1 else ""
            msg = (f"payload of {self.size} bytes, {which}after {i} symbols: "
                   f"{FAULTS[int(status)].format(detail)}")  # fmt: skip
            raise PayloadError(msg)


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
    symbols: Int32Array, indexes: UInt16Array, first_lane: int, cdf: Int32Array, start: Int32Array,
    minimum: Int32Array, states: Int64Array, words: UInt32Array,
) -> None:  # fmt: skip
    """Code symbol i in lane (first_lane + i) % lanes.

    A lane of n symbols takes at most 2 * n + 1 words in all. Proof: a step of b bits divides
    range_ by less than 2**(b + 2**-13), since range_ >= 2**30 makes the remainder range_ % 2**16
    less than 2**-14 of it.  Each word multiplies range_ by 2**32, and range_ ends at or below
    2**62 where it began: 32 bits of steps were spent for each word.  A symbol spends at most
    16 + 32 bits and 33 remainders.

    Lanes do not wait for one another: the processor overlaps a step of one with the next.
    """
    lane = first_lane
    for i in range(symbols.size):
        low, range_, position = encode_symbol(
            np.int64(symbols[i]), np.int64(indexes[i]), cdf, start, minimum, states[lane, 0],
            states[lane, 1], words, states[lane, 2], states[lane, 3],
        )  # fmt: skip
        states[lane, 0], states[lane, 1], states[lane, 2] = low, range_, position
        lane += 1
        if lane == len(states):
            lane = 0


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
    entry = k if 0 <= k < n else n
    cdf_low = np.int64(cdf[first + entry])
    # low + range_ never grows here: scale * cdf_high <= scale * 2**16 <= range_.
    scale = range_ >> PRECISION  # >= 2**14
    low += scale * cdf_low
    range_ = scale * (np.int64(cdf[first + entry + 1]) - cdf_low)  # >= 2**14
    if range_ < 1 << REST:
        low, range_, position = _emit(low, range_, words, position, begin)
    if entry == n:
        below = k < 0
        excess = -1 - k if below else k - n
        low, range_, position = _encode_bit(below, low, range_, words, position, begin)
        low, range_, position = _encode_excess(excess, low, range_, words, position, begin)
    return low, range_, position


@jit
def _finish(states: Int64Array, words: UInt32Array) -> None:
    """Write the last word of every lane."""
    for lane in range(len(states)):
        word = _final_code(states[lane, 0], states[lane, 1]) >> REST
        states[lane, 2] = _append_word(words, states[lane, 2], states[lane, 3], word)


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
def _final_code(low: Int, range_: Int) -> Int:
    """Return the number in [low, low + range_) with the most trailing zero bits."""
    last = low + range_ - 1  # 0 <= last < 2**63
    t = TOP + 1
    while last >> t << t < low:
        t -= 1
    return last >> t << t


@jit
def _start(states: Int64Array, words: UInt32Array) -> None:
    """The first window of every lane."""
    for lane in range(len(states)):
        states[lane, 0] = _window(words, states[lane, 3], states[lane, 4])
        states[lane, 1], states[lane, 2] = 1 << TOP, states[lane, 3]


@jit
def _decode(
    words: UInt32Array, indexes: UInt16Array, first_lane: int, cdf: Int32Array, start: Int32Array,
    minimum: Int32Array, lookup: UInt16Array, states: Int64Array, symbols: Int32Array,
) -> tuple[Int, int, Int]:  # fmt: skip
    """Fill symbols; return (status, symbols decoded, detail for the message)."""
    lane = first_lane
    for i in range(indexes.size):
        status, symbol, value, range_, position = decode_symbol(
            np.int64(indexes[i]), cdf, start, minimum, lookup, states[lane, 0], states[lane, 1],
            states[lane, 2], words, states[lane, 4],
        )  # fmt: skip
        if status != VALID:
            return status, i, symbol
        states[lane, 0], states[lane, 1], states[lane, 2] = value, range_, position
        symbols[i] = symbol
        lane += 1
        if lane == len(states):
            lane = 0
    return VALID, indexes.size, 0


@inlined
def decode_symbol(
    index: Int, cdf: Int32Array, start: Int32Array, minimum: Int32Array, lookup: UInt16Array,
    value: Int, range_: Int, position: Int, words: UInt32Array, end: Int,
) -> tuple[Int, Int, Int, Int, Int]:  # fmt: skip
    """Decode one symbol of a lane: (status, symbol, value, range_, position).

    For kernels that decode between other work. words, position, end: the lane's next word and the
    one after its last. A status other than VALID comes with its detail as symbol.
    """
    # Invariant: 2**30 <= range_ <= 2**62, 0 <= value < range_.
    first = np.int64(start[index]) & WORD_MASK
    scale = range_ >> PRECISION  # >= 2**14
    quantile = (value & TOP_MASK) // (scale & TOP_MASK)  # see READ ME FIRST, 5
    if quantile >> PRECISION:
        return BAD_QUANTILE, quantile, value, range_, position
    # The guess is at or below the entry, and cdf[n + 1] = 2**16 > quantile ends the search.
    k = np.int64(lookup[(index << LOOKUP_BITS) + (quantile >> LOOKUP_SHIFT)])
    while cdf[first + k + 1] <= quantile:
        k += 1
    cdf_low = np.int64(cdf[first + k])
    # cdf_low <= quantile < cdf_high gives 0 <= value < range_ for the new ones.
    value -= scale * cdf_low
    range_ = scale * (np.int64(cdf[first + k + 1]) - cdf_low)
    if range_ < 1 << REST:
        value, range_, position = _refill(value, range_, words, position, end)
    symbol = minimum[index] + k
    n = np.int64(start[index + 1]) - first - 2
    if k == n:
        excess, below, value, range_, position = _decode_excess(value, range_, words, position, end)
        if excess < 0:
            return -excess, value, value, range_, position
        symbol = minimum[index] - 1 - excess if below else symbol + excess
        if symbol < SYMBOL_MIN or symbol > SYMBOL_MAX:
            return BAD_SYMBOL, symbol, value, range_, position
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
    tail = (_word(words, position + 1, end) << REST & WORD_MASK) | (
        _word(words, position + 2, end) >> (WORD - REST)
    )
    return value << WORD | tail, range_ << WORD, position + 1


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
def _check_end(words: UInt32Array, state: Int64Array, n_bytes: int) -> tuple[int, Int]:
    """Refuse any lane but the one the encoder writes; see `Decoder.check_end` of `reference`."""
    value, range_, position, first, end = state[0], state[1], state[2], state[3], state[4]
    window = _window(words, position, end)
    low = (window - value) & TOP_MASK  # arithmetic on two's complement: modulo 2**62
    code = _final_code(low, range_) & TOP_MASK
    if window != code:
        return BAD_LAST_BITS, code
    if n_bytes > 4 * (position - first + 1):
        return LEFT_OVER, 4 * (position - first + 1)
    return VALID, 0
