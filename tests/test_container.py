"""The container says what it holds, or is refused."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intnet.chunks import Chunk
from intnet.container import FIXED, MAGIC, U32, Header, Stream, Tile, pack, read_head, unpack
from intnet.errors import StreamError
from intnet.limits import Limits

HEADERS = st.builds(
    Header, st.binary(min_size=8, max_size=8), st.integers(0, 63), st.integers(1, 800),
    st.integers(1, 800), st.booleans(), st.none() | st.integers(0, 2**32 - 1), st.just(1),
    st.just(0), st.just(()),
)  # fmt: skip
CHUNKS = st.lists(
    st.builds(Chunk, st.sampled_from([b"note", b"ours"]), st.binary(max_size=9)), max_size=3
).map(tuple)
TILES = st.builds(Tile, st.binary(max_size=40), st.binary(max_size=40))
EXAMPLE = Stream(Header(b"modelid8", 7, 30, 20, False, None), [Tile(b"zz", b"yyyy")])
# 3 x 2 tiles of 128 pixels
TILED = Stream(
    Header(b"modelid8", 7, 150, 300, False, None, 2, 2),
    [Tile(bytes([n]), bytes([n, n])) for n in range(6)],
)


@given(HEADERS, TILES, st.integers(0, 1))
def test_round_trip(header, tile, minor):
    """Every stream of one tile is read as it was written."""
    stream = Stream(header._replace(minor=minor), [tile])
    assert unpack(pack(stream)) == stream


@given(HEADERS, st.data())
def test_round_trip_of_tiles(header, data):
    """Every stream of version 1.2."""
    tile = data.draw(st.integers(3, 20) | st.just(65535))
    header = header._replace(minor=2, tile=tile, chunks=data.draw(CHUNKS))
    count = header.grid.tiles
    stream = Stream(header, data.draw(st.lists(TILES, min_size=count, max_size=count)))
    assert unpack(pack(stream)) == stream


@given(HEADERS, CHUNKS, st.integers(0, 5), st.integers(0, 60))
def test_a_head_is_read_without_payloads(header, found, tile, cut):
    """From a file; what a payload holds does not matter, a missing byte of a tiled stream does."""
    header = header._replace(minor=2 if tile else 1, tile=tile, chunks=found if tile else ())
    data = pack(Stream(header, [Tile(b"zz", b"yyyy")] * header.grid.tiles))
    file = io.BytesIO(data.replace(b"zzyyyy", b"damage"))
    assert read_head(file) == header
    if tile and cut:
        with pytest.raises(StreamError):
            read_head(io.BytesIO(data[: max(0, len(data) - cut)]))


@pytest.mark.parametrize("minor", [0, 1])
def test_golden_bytes(minor):
    """The bytes of versions 1.0 and 1.1 never change."""
    expected = MAGIC + bytes([1, minor]) + b"modelid8" + bytes([0, 7])
    expected += struct.pack("<III", 30, 20, 2) + b"zzyyyy"
    stream = EXAMPLE._replace(header=EXAMPLE.header._replace(minor=minor))
    assert pack(stream) == expected + struct.pack("<I", zlib.crc32(expected))


def test_golden_bytes_of_tiles():
    """The bytes of version 1.2 never change."""
    head = MAGIC + bytes([1, 2]) + b"modelid8" + bytes([0, 7]) + struct.pack("<IIH", 150, 300, 2)
    parts = [bytes([n] * 3) for n in range(6)]
    head += b"".join(
        struct.pack("<IIII", 1, 2, zlib.crc32(part[:1]), zlib.crc32(part[1:])) for part in parts
    )
    assert pack(TILED) == head + struct.pack("<I", zlib.crc32(head)) + b"".join(parts)


def test_overhead():
    """At most 40 bytes around the payloads of a tile, the pixel CRC included."""
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
    (pack(EXAMPLE)[: FIXED.size + U32.size], "header and checksum need"),
    (pack(EXAMPLE)[:-1], "checksum"),
    (pack(EXAMPLE) + b"\0", "checksum"),
    (with_field(6, b"\x02"), "format version 2.1"),
    (with_field(7, b"\x03"), "format version 1.3"),
    (with_field(16, b"\x04"), "flags 0x04"),
    (with_field(17, b"\x40"), "quality 64"),
    (with_field(18, bytes(4)), "width 0"),
    (with_field(22, bytes(4)), "height 0"),
    (with_field(18, b"\xff\xff\xff\xff"), "width 4294967295"),
    (with_field(18, b"\xff\xff\xff\0\x41"), "limit 1073741824"),
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


@pytest.mark.parametrize("limit", [2**30, 2**30 + 1, 2**40, 2**64])
def test_pixel_limit_of_the_format(limit):
    """No caller can raise the limit of 2**30 pixels; below it, the caller's limit holds."""
    allowed = Limits(limit, 2**64)
    sides = struct.pack("<II", 2**15, 2**15)
    assert unpack(with_field(18, sides), allowed).header.width == 2**15
    with pytest.raises(StreamError, match=r"32768x32769 pixels, limit 1073741824 pixels of the"):
        unpack(with_field(18, struct.pack("<II", 2**15, 2**15 + 1)), allowed)
    with pytest.raises(StreamError, match=r"32768x32768 pixels, limit 1073741823 \(see --max"):
        unpack(with_field(18, sides), Limits(2**30 - 1, 2**64))


def with_head(offset: int, value: bytes) -> bytes:
    """TILED with bytes of its head replaced and the checksum of that made right again."""
    data = bytearray(pack(TILED))
    data[offset : offset + len(value)] = value
    end = 28 + 16 * 6
    data[end : end + 4] = struct.pack("<I", zlib.crc32(bytes(data[:end])))
    return bytes(data)


@pytest.mark.parametrize("bad, message", [
    (with_head(26, bytes(2)), r"tiles of 0 units, must be in 1\.\.65535"),
    (with_head(26, b"\x01"), "146 bytes, 15 tiles need 272"),
    (with_head(18, struct.pack("<II", 2**24, 16)), "131072 tiles need 2097184"),
    (with_head(28, b"\x02"), "146 bytes, its tiles say 147"),
    (with_head(28, b"\xff" * 8), "146 bytes, its tiles say 85899"),
    (with_head(36, bytes(4)), r"tile 0 \(row 0, column 0\), stage z: checksum"),
    (with_head(120, bytes(4)), r"tile 5 \(row 2, column 1\), stage y: checksum"),
    (with_head(16, b"\x02"), "6 tiles need 132|checksum"),
    (with_head(16, b"\x08"), "flags 0x08, bits other than 0x07"),
    (pack(TILED)[:-1], "145 bytes, its tiles say 146"),
    (pack(TILED) + b"\0", "147 bytes, its tiles say 146"),
])  # fmt: skip
def test_one_fault_of_tiles(bad, message):
    """Each fault is named, with the tile where there is one."""
    with pytest.raises(StreamError, match=message):
        unpack(bad)


@pytest.mark.parametrize("stream", [EXAMPLE, TILED])
def test_every_bit_is_protected(stream):
    """Any flipped bit and any cut is refused without a model, but for the id of the model."""
    data = pack(stream)
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(StreamError):
            unpack(bytes(flipped))
    for length in range(len(data)):
        with pytest.raises(StreamError):
            unpack(data[:length])
