"""How the lanes of a payload lie in its bytes.

The lengths of all lanes but the last, then the lanes in order; the last one ends the payload. A
length is a little-endian base-128 number: 7 bits a byte, bit 7 set where another byte follows, no
more bytes than it needs, at most 5. One lane needs no length: it is the payload.
"""

from collections.abc import Sequence

from rangecoder.errors import PayloadError

LANES_MAX = 8
LENGTH_BYTES_MAX = 5
SYMBOLS_OF_TWO_LANES = 1 << 16


def lanes_for(symbols: int) -> int:
    """How many lanes serve so many symbols: part of every format that says nothing else.

    A second lane costs about four bytes and lets a processor overlap the divisions of two symbols.
    """
    return 2 if symbols >= SYMBOLS_OF_TWO_LANES else 1


def check_lanes(lanes: int) -> int:
    """Raise ValueError unless 1 <= lanes <= 8."""
    if not (isinstance(lanes, int) and 1 <= lanes <= LANES_MAX):
        msg = f"lanes: {lanes!r}, must be an integer within [1, {LANES_MAX}]"
        raise ValueError(msg)
    return lanes


def join(lanes: Sequence[bytes]) -> bytes:
    """The payload of the bytes of its lanes."""
    return b"".join([*(length(len(lane)) for lane in lanes[:-1]), *lanes])


def length(value: int) -> bytes:
    r"""A length as bytes.

    >>> length(5), length(300)
    (b'\x05', b'\xac\x02')
    """
    digits = []
    while value >> 7:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes([*digits, value])


def split(data: bytes, lanes: int) -> list[bytes]:
    """The bytes of each lane. Raises PayloadError for lengths that are malformed or too large."""
    position, lengths = 0, []
    for lane in range(lanes - 1):
        value, position = read_length(data, position, lane)
        lengths.append(value)
    parts = []
    for lane, size in enumerate(lengths):
        if size > len(data) - position:
            msg = (f"payload of {len(data)} bytes, lane {lane} of {lanes}: length {size}, only "
                   f"{len(data) - position} bytes follow")  # fmt: skip
            raise PayloadError(msg)
        parts.append(data[position : position + size])
        position += size
    return [*parts, data[position:]]


def read_length(data: bytes, position: int, lane: int) -> tuple[int, int]:
    """A length and the position after it."""
    value = 0
    for digit in range(LENGTH_BYTES_MAX):
        if position == len(data):
            msg = f"payload of {len(data)} bytes: ends within the length of lane {lane}"
            raise PayloadError(msg)
        byte, position = data[position], position + 1
        value |= (byte & 127) << 7 * digit
        if byte < 128:
            if byte == 0 and digit:
                msg = f"payload of {len(data)} bytes: length of lane {lane} ends in a zero byte"
                raise PayloadError(msg)
            return value, position
    msg = f"payload of {len(data)} bytes: length of lane {lane} takes over {LENGTH_BYTES_MAX} bytes"
    raise PayloadError(msg)
