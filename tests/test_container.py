"""The container says what it holds, or is refused."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intnet.container import FIXED, MAGIC, Header, Stream, pack, unpack
from intnet.errors import StreamError

HEADERS = st.builds(
    Header, st.binary(min_size=8, max_size=8), st.integers(0, 63), st.integers(1, 8000),
    st.integers(1, 8000), st.booleans(), st.none() | st.integers(0, 2**32 - 1),
    st.integers(0, 1),
)  # fmt: skip
EXAMPLE = Stream(Header(b"modelid8", 7, 30, 20, False, None), b"zz", b"yyyy")


@given(st.builds(Stream, HEADERS, st.binary(max_size=40), st.binary(max_size=40)))
def test_round_trip(stream):
    """Every stream is read as it was written."""
    assert unpack(pack(stream)) == stream


@pytest.mark.parametrize("minor", [0, 1])
def test_golden_bytes(minor):
    """The bytes of versions 1.0 and 1.1 never change."""
    expected = MAGIC + bytes([1, minor]) + b"modelid8" + bytes([0, 7])
    expected += struct.pack("<III", 30, 20, 2) + b"zzyyyy"
    stream = EXAMPLE._replace(header=EXAMPLE.header._replace(minor=minor))
    assert pack(stream) == expected + struct.pack("<I", zlib.crc32(expected))


def test_overhead():
    """At most 40 bytes around the payloads, the pixel CRC included."""
    verified = EXAMPLE._replace(header=EXAMPLE.header._replace(pixel_crc=1))
    assert len(pack(EXAMPLE)) - 6 == 34
    assert len(pack(verified)) - 6 == 38


def with_field(offset: int, value: bytes) -> bytes:
    """EXAMPLE with bytes replaced and the checksum made right again."""
    body = bytearray(pack(EXAMPLE)[:-4])
    body[offset : offset + len(value)] = value
    return bytes(body) + struct.pack("<I", zlib.crc32(bytes(body)))


@pytest.mark.parametrize("bad, message", [
    (b"", "empty"),
    (b"\x89PNG\r\n\x1a\n" + bytes(40), "must start with"),
    (pack(EXAMPLE)[: FIXED.size], "header and checksum need"),
    (pack(EXAMPLE)[:-1], "checksum"),
    (pack(EXAMPLE) + b"\0", "checksum"),
    (with_field(6, b"\x02"), "format version 2.1"),
    (with_field(7, b"\x02"), "format version 1.2"),
    (with_field(16, b"\x04"), "flags 0x04"),
    (with_field(17, b"\x40"), "quality 64"),
    (with_field(18, bytes(4)), "width 0"),
    (with_field(22, bytes(4)), "height 0"),
    (with_field(18, b"\xff\xff\xff\xff"), "width 4294967295"),
    (with_field(18, b"\xff\xff\xff\0"), "limit 268435456"),
    (with_field(26, b"\x07\0\0\0"), "z payload of 7 bytes, only 6"),
])  # fmt: skip
def test_one_fault(bad, message):
    """Each fault is named."""
    with pytest.raises(StreamError, match=message):
        unpack(bad)


def test_text_mode_damage():
    """A transfer that rewrites line ends is noticed at the magic."""
    with pytest.raises(StreamError, match="must start with"):
        unpack(pack(EXAMPLE).replace(b"\r\n", b"\n"))


@pytest.mark.parametrize("limit", [2**28, 2**28 + 1, 2**40, 2**64])
def test_pixel_limit_of_the_format(limit):
    """No caller can raise the limit of 2**28 pixels; below it, the caller's limit holds."""
    sides = struct.pack("<II", 2**14, 2**14)
    assert unpack(with_field(18, sides), limit).header.width == 2**14
    with pytest.raises(StreamError, match=r"16384x16385 pixels, limit 268435456"):
        unpack(with_field(18, struct.pack("<II", 2**14, 2**14 + 1)), limit)
    with pytest.raises(StreamError, match=r"16384x16384 pixels, limit 268435455"):
        unpack(with_field(18, sides), 2**28 - 1)
