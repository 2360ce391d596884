"""The range coder in Python ints: slow, obvious, in the order of the specification.

READ ME FIRST
1. A code is a binary fraction 0.b1 b2 b3 ...; the payload holds its bits, most significant first,
   without the trailing zero bytes.  Past its end the decoder reads zeros.
2. The encoder narrows [low, low + range_).  low may exceed its 62 bits by one: that bit is a
   carry, added to the words already written when the next word leaves.
3. `decode` accepts a payload only if `encode` would write exactly these bytes.
"""

from collections.abc import Iterator, Sequence
from typing import NoReturn

from rangecoder.errors import PayloadError
from rangecoder.layout import check_lanes, join, split
from rangecoder.tables import PRECISION, SYMBOL_MAX, SYMBOL_MIN, Tables

TOP = 62  # bits of the window on the code
WORD = 32  # bits written at a time
REST = TOP - WORD  # bits of low that stay when a word leaves
MAX_PREFIX = 15  # an excess is at most 65534, so that excess + 1 has at most 16 bits


def encode(symbols: Sequence[int], indexes: Sequence[int], tables: Tables, lanes: int = 1) -> bytes:
    """Code symbols[i] with table indexes[i] in lane i % lanes; see `layout`.

    symbols: ints within [-32768, 32767].  indexes: as many ints within [0, n_tables).
    Raises ValueError for anything else.
    """
    if len(symbols) != len(indexes):
        msg = f"symbols: {len(symbols)}, but {len(indexes)} indexes; must be equal"
        raise ValueError(msg)
    check_lanes(lanes)
    return join([encode_lane(symbols[k::lanes], indexes[k::lanes], tables) for k in range(lanes)])


def decode(data: bytes, indexes: Sequence[int], tables: Tables, lanes: int = 1) -> list[int]:
    """Inverse of `encode`, one symbol per index.

    Raises PayloadError unless data is exactly what `encode` writes for the result, ValueError for
    a table index outside [0, n_tables).
    """
    check_lanes(lanes)
    symbols = [0] * len(indexes)
    for lane, part in enumerate(split(data, lanes)):
        symbols[lane::lanes] = decode_lane(part, indexes[lane::lanes], tables)
    return symbols


def encode_lane(symbols: Sequence[int], indexes: Sequence[int], tables: Tables) -> bytes:
    """The bytes of one lane; no symbols give no bytes."""
    # Invariant: 2**30 <= range_ <= 2**62, 0 <= low, low + range_ < 2**63.
    low, range_ = 0, 1 << TOP
    words: list[int] = []
    for symbol, index in zip(symbols, indexes, strict=True):
        for cdf_low, cdf_high in intervals(symbol, index, tables):
            scale = range_ >> PRECISION
            low += scale * cdf_low
            range_ = scale * (cdf_high - cdf_low)
            if range_ < 1 << REST:
                append_word(words, low >> REST)
                low = (low % (1 << REST)) << WORD
                range_ <<= WORD
    append_word(words, final_code(low, range_) >> REST)
    return b"".join(word.to_bytes(4, "big") for word in words).rstrip(b"\0")


def decode_lane(data: bytes, indexes: Sequence[int], tables: Tables) -> list[int]:
    """Inverse of `encode_lane`."""
    decoder = Decoder(data)
    symbols = [decoder.symbol(index, tables) for index in indexes]
    decoder.check_end()
    return symbols


def intervals(symbol: int, index: int, tables: Tables) -> Iterator[tuple[int, int]]:
    """Yield the (cdf_low, cdf_high) that code one symbol: its entry, or the escape and its bits."""
    if not SYMBOL_MIN <= symbol <= SYMBOL_MAX:
        msg = f"symbol: {symbol}, must be within [{SYMBOL_MIN}, {SYMBOL_MAX}]"
        raise ValueError(msg)
    cdf, minimum = table(index, tables)
    n = len(cdf) - 2
    k = symbol - minimum
    if 0 <= k < n:
        yield cdf[k], cdf[k + 1]
        return
    yield cdf[n], cdf[n + 1]
    excess = -1 - k if k < 0 else k - n
    for bit in f"{int(k < 0)}{exp_golomb(excess)}":
        yield (0, 1 << 15) if bit == "0" else (1 << 15, 1 << 16)


def exp_golomb(value: int) -> str:
    """Exp-Golomb order 0: write value + 1 in binary after one zero less than it has digits.

    >>> [exp_golomb(value) for value in range(4)]
    ['1', '010', '011', '00100']
    """
    digits = f"{value + 1:b}"
    return "0" * (len(digits) - 1) + digits


def table(index: int, tables: Tables) -> tuple[list[int], int]:
    """Return the cdf values and the first support symbol of one table."""
    if not 0 <= index < tables.n_tables:
        msg = f"index: {index}, must be within [0, {tables.n_tables})"
        raise ValueError(msg)
    start, stop = int(tables.start[index]), int(tables.start[index + 1])
    return [int(value) for value in tables.cdf[start:stop]], int(tables.minimum[index])


def append_word(words: list[int], word: int) -> None:
    """Append the low 32 bits of a 33-bit word; add its top bit, the carry, to those before."""
    if word >> WORD:
        # Some word before is below 2**32 - 1: the code is less than 1, as all intervals lie
        # within the first, [0, 1).
        i = len(words) - 1
        while words[i] == (1 << WORD) - 1:
            words[i] = 0
            i -= 1
        words[i] += 1
    words.append(word % (1 << WORD))


def final_code(low: int, range_: int) -> int:
    """Return the number in [low, low + range_) with the most trailing zero bits.

    It is unique: between two multiples of 2**t lies, or is one of them, a multiple of 2**(t+1).
    It is a multiple of 2**30, since range_ >= 2**30: one last word holds it.
    """
    last = low + range_ - 1
    t = TOP + 1
    while last >> t << t < low:
        t -= 1
    return last >> t << t


class Decoder:
    """Reads one payload.  Invariant: 0 <= value < range_, 2**30 <= range_ <= 2**62."""

    def __init__(self, data: bytes) -> None:
        """Start at the first bit, with the first interval of the encoder."""
        self.data = data
        self.position = 0  # words that left the window
        self.range_ = 1 << TOP
        self.value = self.bits(0, TOP)  # the code less low

    def bits(self, first: int, count: int) -> int:
        """Return `count` bits of the payload from bit `first` on, zeros past its end."""
        begin, end = first // 8, (first + count + 7) // 8
        value = int.from_bytes(self.data[begin:end].ljust(end - begin, b"\0"), "big")
        return (value >> (8 * end - first - count)) % (1 << count)

    def entry(self, cdf: Sequence[int]) -> int:
        """Decode one entry k of a cdf, that with cdf[k] <= value // scale < cdf[k + 1]."""
        scale = self.range_ >> PRECISION
        quantile = self.value // scale
        if quantile >> PRECISION:
            self.fail(f"quantile {quantile}, must be below {1 << PRECISION}")
        k = 0
        while cdf[k + 1] <= quantile:
            k += 1
        self.value -= scale * cdf[k]
        self.range_ = scale * (cdf[k + 1] - cdf[k])
        if self.range_ < 1 << REST:
            # value < range_ < 2**30, so that both stay below 2**62.
            self.value = (self.value << WORD) + self.bits(TOP + WORD * self.position, WORD)
            self.range_ <<= WORD
            self.position += 1
        return k

    def bit(self) -> int:
        """Decode one bit of probability 1/2."""
        return self.entry((0, 1 << 15, 1 << 16))

    def symbol(self, index: int, tables: Tables) -> int:
        """Decode one symbol with table `index`."""
        cdf, minimum = table(index, tables)
        n = len(cdf) - 2
        k = self.entry(cdf)
        if k < n:
            return minimum + k
        below = self.bit()
        prefix = 0
        while not self.bit():
            prefix += 1
            if prefix > MAX_PREFIX:
                self.fail(f"escape prefix of {prefix} zeros, at most {MAX_PREFIX} allowed")
        excess = 1
        for _ in range(prefix):
            excess = 2 * excess + self.bit()
        excess -= 1
        symbol = minimum - 1 - excess if below else minimum + n + excess
        if not SYMBOL_MIN <= symbol <= SYMBOL_MAX:
            self.fail(f"symbol {symbol}, must be within [{SYMBOL_MIN}, {SYMBOL_MAX}]")
        return symbol

    def check_end(self) -> None:
        """Refuse any payload but the one the encoder writes.

        The window has the bits of the code from word `position` on.  code - value = low up to a
        multiple of 2**62, hence the encoder's state is known.  The window equal to its final code
        makes both codes equal, as they lie less than 2**62 apart.
        """
        window = self.bits(WORD * self.position, TOP)
        low = (window - self.value) % (1 << TOP)
        code = final_code(low, self.range_) % (1 << TOP)
        if window != code:
            self.fail(f"last bits {window:#x}, must be {code:#x}")
        if len(self.data) > 4 * (self.position + 1):
            self.fail(f"more than the {4 * (self.position + 1)} bytes that are in use")
        if self.data.endswith(b"\0"):
            self.fail("last byte 0, must not be")

    def fail(self, fault: str) -> NoReturn:
        """Raise PayloadError."""
        msg = f"payload of {len(self.data)} bytes, around byte {4 * self.position}: {fault}"
        raise PayloadError(msg)
