"""The stream container `.inic`: a header, the payloads of z and y of every tile, checksums.

Little-endian. Offsets in bytes:

    0   6  magic 89 'I' 'N' 0D 0A 1A     damaged by any text-mode transfer
    6   1  major version, 1              7   1  minor version, 0, 1 or 2
    8   8  model id                      first 8 bytes of the model's SHA-256
   16   1  flags                         bit 0: grey, 1: pixel CRC, 2: chunks, others zero
   17   1  quality                       0..63
   18   4  width                         22   4  height

Versions 1.0 and 1.1 have one tile, the whole picture:

   26   4  bytes of the z payload
   30   4  CRC-32 of the decoded samples, only with flag bit 1
   ..      z payload, y payload          the y payload ends where the checksum starts
   last 4  CRC-32 of everything before it

Version 1.2 has tiles, row by row, each on its own:

   26   2  side of a tile in units of 64 pixels
   28   4  CRC-32 of the decoded samples, only with flag bit 1
   ..   4  bytes of all chunks, only with flag bit 2
   ..  16  for each tile: bytes of its z payload, of its y payload, CRC-32 of z, of y
   ..   4  CRC-32 of everything before it
   ..      for each tile: z payload, y payload
   ..      chunks, only with flag bit 2; see `intnet.chunks`

Version 1.0 has one lane in each payload, the later ones `rangecoder.lanes_for` its symbols. 1.1 is
written for one tile without chunks, 1.2 for all else; all are read. CRC-32 is that of zlib and PNG:
every language has it in its standard library.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import IO, NamedTuple

from intnet import chunks
from intnet.chunks import Chunks
from intnet.errors import StreamError
from intnet.limits import NO_LIMITS, Limits
from intnet.tiles import MAX_SIDE as MAX_TILE
from intnet.tiles import Grid

MAGIC = b"\x89IN\r\n\x1a"
MAJOR, MINOR, MINOR_TILED = 1, 1, 2
GREY, PIXEL_CRC, CHUNKS = 1, 2, 4
QUALITIES = 64
MAX_PIXELS = 2**30
MAX_SIDE = 2**24
FIXED = struct.Struct("<6sBB8sBBII")
TILE_SIDE = struct.Struct("<H")
ENTRY = struct.Struct("<IIII")
U32 = struct.Struct("<I")
MINOR_AT, FLAGS_AT = 7, 16
SMALLEST = FIXED.size + 2 * U32.size
LARGEST_FIXED = FIXED.size + TILE_SIDE.size + 3 * U32.size  # all of a head but its entries


class Header(NamedTuple):
    """What a stream says of itself. pixel_crc is None where the encoder did not verify.

    tile: side of a tile in units of 64 pixels, 1..65535; 0: one tile, the whole picture.
    chunks: alpha, ICC profile, EXIF and others; only with tiles.
    """

    model_id: bytes
    quality: int
    width: int
    height: int
    grey: bool
    pixel_crc: int | None
    minor: int = MINOR
    tile: int = 0
    chunks: Chunks = ()

    @property
    def channels(self) -> int:
        """1 to 4: grey or RGB, and alpha."""
        alpha = chunks.of_type(self.chunks, chunks.ALPHA) is not None
        return (1 if self.grey else 3) + alpha

    @property
    def grid(self) -> Grid:
        """The tiles of the picture."""
        return Grid(self.height, self.width, self.tile)


class Tile(NamedTuple):
    """The two payloads of the range coder of one tile."""

    z: bytes
    y: bytes


class Entry(NamedTuple):
    """Where the payloads of a tile lie in a stream, and their CRC-32."""

    begin: int
    middle: int  # where z ends and y begins
    end: int
    z_crc: int
    y_crc: int

    def of(self, data: bytes) -> Tile:
        """Its payloads, of which a truncated stream lacks some."""
        return Tile(data[self.begin : self.middle], data[self.middle : self.end])


class Stream(NamedTuple):
    """A parsed stream: its header and its tiles, row by row."""

    header: Header
    tiles: list[Tile]


def pack(stream: Stream) -> bytes:
    """The bytes of a stream; 34 of overhead in version 1.1, 38 with a pixel CRC.

    In version 1.2 it is 32, or 36, and 16 for each tile; with chunks 4 more, and 12 for each.
    """
    head, tiles = stream
    crc = b"" if head.pixel_crc is None else U32.pack(head.pixel_crc)
    flags = GREY * head.grey | PIXEL_CRC * (head.pixel_crc is not None)
    flags |= CHUNKS * bool(head.chunks)
    fixed = FIXED.pack(
        MAGIC, MAJOR, head.minor, head.model_id, flags, head.quality, head.width, head.height
    )
    if not head.tile:
        (tile,) = tiles
        return sealed(b"".join((fixed, U32.pack(len(tile.z)), crc, *tile)))
    entries = (ENTRY.pack(len(z), len(y), zlib.crc32(z), zlib.crc32(y)) for z, y in tiles)
    more = chunks.pack(head.chunks)
    extra = U32.pack(len(more)) if more else b""
    fixed += TILE_SIDE.pack(head.tile) + crc + extra
    payloads = (payload for tile in tiles for payload in tile)
    return b"".join((sealed(fixed + b"".join(entries)), *payloads, more))


def sealed(data: bytes) -> bytes:
    """data and the CRC-32 of it."""
    return data + U32.pack(zlib.crc32(data))


def unpack(data: bytes, limits: Limits = NO_LIMITS) -> Stream:
    """Parse and check everything that can be checked without the model.

    limits: the caller's own; those of the format hold in any case.
    Raises StreamError; nothing is allocated beyond slices of data.
    """
    tiled = minor_version(data) == MINOR_TILED
    return (unpack_tiles if tiled else unpack_whole)(data, limits)


def peek(data: bytes, limits: Limits = NO_LIMITS) -> Header:
    """The header alone; of version 1.2, whatever became of the payloads. Raises StreamError."""
    if minor_version(data) == MINOR_TILED:
        return unpack_head(data, limits)[0]
    return unpack_whole(data, limits).header


def minor_version(data: bytes) -> int:
    """Of a stream that is long enough and has magic and version of one that is read here."""
    if not data:
        raise StreamError("stream: empty, 0 bytes")
    if data[: len(MAGIC)] != MAGIC[: len(data)]:
        raise StreamError(f"stream: starts with {data[:6]!r}, must start with {MAGIC!r}")
    if len(data) < SMALLEST:
        raise StreamError(f"stream: {len(data)} bytes, header and checksum need {SMALLEST}")
    major, minor = data[6:8]
    if major != MAJOR or minor > MINOR_TILED:
        raise StreamError(
            f"stream: format version {major}.{minor}, this decoder reads {MAJOR}.0 to "
            f"{MAJOR}.{MINOR_TILED}"
        )
    return minor


def unpack_whole(data: bytes, limits: Limits) -> Stream:
    """Versions 1.0 and 1.1."""
    body = data[: -U32.size]
    check_crc("stream", body, U32.unpack(data[-U32.size :])[0])
    header, start = fixed_part(body, limits, len(data))
    (z_bytes,) = U32.unpack_from(body, FIXED.size)
    if start + z_bytes > len(body):
        available = len(body) - start
        raise StreamError(f"stream: z payload of {z_bytes} bytes, only {available} are there")
    return Stream(header, [Tile(body[start : start + z_bytes], body[start + z_bytes :])])


def unpack_tiles(data: bytes, limits: Limits) -> Stream:
    """Version 1.2."""
    header, entries, chunk_bytes = unpack_head(data, limits)
    check_length(entries, chunk_bytes, len(data))
    z, y = ([payload_of(data, header, n, entries, stage) for n in range(len(entries))]
            for stage in ("z", "y"))  # fmt: skip
    found = chunks.unpack(data[entries[-1].end :])
    return Stream(header._replace(chunks=found), [Tile(*pair) for pair in zip(z, y, strict=True)])


def unpack_head(
    data: bytes, limits: Limits = NO_LIMITS, size: int | None = None
) -> tuple[Header, list[Entry], int]:
    """Header, entries and bytes of chunks of version 1.2, whatever follows. Raises StreamError.

    size: of the stream that data is the beginning of; None: data is the stream.
    """
    header, start = fixed_part(data, limits, len(data) if size is None else size)
    chunk_bytes = 0
    if data[FLAGS_AT] & CHUNKS:
        need_room(data, start + U32.size, "the length of its chunks")
        (chunk_bytes,) = U32.unpack_from(data, start)
        start += U32.size
    tiles = header.grid.tiles
    end = start + ENTRY.size * tiles
    need_room(data, end + U32.size, f"{tiles} tiles")
    check_crc("stream, header", data[:end], U32.unpack_from(data, end)[0])
    entries, begin = [], end + U32.size
    for z_bytes, y_bytes, z_crc, y_crc in ENTRY.iter_unpack(data[start:end]):
        entries.append(Entry(begin, begin + z_bytes, begin + z_bytes + y_bytes, z_crc, y_crc))
        begin = entries[-1].end
    return header, entries, chunk_bytes


def fixed_part(data: bytes, limits: Limits, size: int) -> tuple[Header, int]:
    """Header without chunks, and where it ends, of the beginning of a stream of `size` bytes.

    Raises StreamError.
    """
    tiled = data[MINOR_AT] == MINOR_TILED
    (side,) = TILE_SIDE.unpack_from(data, FIXED.size) if tiled else (0,)
    header, end = read_header(data, side, FIXED.size + (TILE_SIDE if tiled else U32).size)
    limits.check_size(header.width, header.height, size)
    if side not in range(tiled, MAX_TILE + 1):
        raise StreamError(f"stream: tiles of {side} units, must be in 1..{MAX_TILE}")
    return header, end


def read_head(file: IO[bytes], limits: Limits = NO_LIMITS) -> Header:
    """Header and chunks of a stream in a file that can seek; no payload is read or checked.

    Nor is the checksum of versions 1.0 and 1.1, which is of all. Raises StreamError, OSError.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    data = file.read(LARGEST_FIXED)
    minor = minor_version(data)
    header, _ = fixed_part(data, limits, size)
    if minor != MINOR_TILED:
        return header
    data += file.read(ENTRY.size * header.grid.tiles)
    header, entries, chunk_bytes = unpack_head(data, limits, size)
    check_length(entries, chunk_bytes, size)
    file.seek(entries[-1].end)
    return header._replace(chunks=chunks.unpack(file.read(chunk_bytes)))


def check_length(entries: list[Entry], chunk_bytes: int, size: int) -> None:
    """A stream of version 1.2 has so many bytes. Raises StreamError."""
    needed = entries[-1].end + chunk_bytes
    if needed != size:
        raise StreamError(f"stream: {size} bytes, its tiles say {needed}")


def payload_of(data: bytes, header: Header, number: int, entries: list[Entry], stage: str) -> bytes:
    """The payload of a tile at a stage, z or y, its checksum compared. Raises StreamError."""
    entry = entries[number]
    z, y = entry.of(data)
    payload, crc = (z, entry.z_crc) if stage == "z" else (y, entry.y_crc)
    check_crc(f"stream, {header.grid.name(number)}, stage {stage}", payload, crc)
    return payload


def check_crc(what: str, data: bytes, crc: int) -> None:
    """The CRC-32 of data is crc."""
    got = zlib.crc32(data)
    if got != crc:
        raise StreamError(f"{what}: checksum {got:08x}, must be {crc:08x}; damaged or truncated")


def read_header(data: bytes, tile: int, at: int) -> tuple[Header, int]:
    """The header, checked, and where it ends; at: where the CRC of the samples would be."""
    _, _, minor, model_id, flags, quality, width, height = FIXED.unpack_from(data)
    check_header(flags, quality, width, height, minor)
    if not flags & PIXEL_CRC:
        return Header(model_id, quality, width, height, bool(flags & GREY), None, minor, tile), at
    need_room(data, at + U32.size, "the CRC of the samples")
    (crc,) = U32.unpack_from(data, at)
    header = Header(model_id, quality, width, height, bool(flags & GREY), crc, minor, tile)
    return header, at + U32.size


def need_room(data: bytes, end: int, what: str) -> None:
    """There are `end` bytes."""
    if end > len(data):
        raise StreamError(f"stream: {len(data)} bytes, {what} need {end}")


def check_header(flags: int, quality: int, width: int, height: int, minor: int) -> None:
    """Reserved bits, ranges and the format's size limit."""
    allowed = GREY | PIXEL_CRC | CHUNKS * (minor == MINOR_TILED)
    if flags & ~allowed:
        raise StreamError(f"stream: flags {flags:#04x}, bits other than {allowed:#04x} must be 0")
    if quality >= QUALITIES:
        raise StreamError(f"stream: quality {quality}, must be in 0..{QUALITIES - 1}")
    for name, side in (("width", width), ("height", height)):
        if not 1 <= side <= MAX_SIDE:
            raise StreamError(f"stream: {name} {side}, must be in 1..{MAX_SIDE}")
    if width * height > MAX_PIXELS:
        raise StreamError(
            f"stream: {width}x{height} pixels, limit {MAX_PIXELS} pixels of the format"
        )
