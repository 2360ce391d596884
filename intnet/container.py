"""The stream container `.inic`: a fixed header, the payloads of z and y, one checksum.

Little-endian. Offsets in bytes:

    0   6  magic 89 'I' 'N' 0D 0A 1A     damaged by any text-mode transfer
    6   1  major version, 1              7   1  minor version, 0 or 1
    8   8  model id                      first 8 bytes of the model's SHA-256
   16   1  flags                         bit 0: grey, bit 1: pixel CRC present, others zero
   17   1  quality                       0..63
   18   4  width                         22   4  height
   26   4  bytes of the z payload
   30   4  CRC-32 of the decoded samples, only with flag bit 1
   ..   z payload, y payload             the y payload ends where the checksum starts
   last 4  CRC-32 of everything before it

Minor version 0 has one lane in each payload, minor version 1 `rangecoder.lanes_for` its symbols;
1 is written, both are read. CRC-32 is that of zlib and PNG: every language has it in its standard
library.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from intnet.errors import StreamError

MAGIC = b"\x89IN\r\n\x1a"
MAJOR, MINOR = 1, 1
GREY, PIXEL_CRC = 1, 2
QUALITIES = 64
MAX_PIXELS = 2**28
MAX_SIDE = 2**24
FIXED = struct.Struct("<6sBB8sBBIII")
U32 = struct.Struct("<I")


class Header(NamedTuple):
    """What a stream says of itself. pixel_crc is None where the encoder did not verify."""

    model_id: bytes
    quality: int
    width: int
    height: int
    grey: bool
    pixel_crc: int | None
    minor: int = MINOR


class Stream(NamedTuple):
    """A parsed stream: header and the two payloads of the range coder."""

    header: Header
    z: bytes
    y: bytes


def pack(stream: Stream) -> bytes:
    """The bytes of a stream; 34 of overhead, 38 with a pixel CRC."""
    head = stream.header
    crc = b"" if head.pixel_crc is None else U32.pack(head.pixel_crc)
    flags = GREY * head.grey | PIXEL_CRC * (head.pixel_crc is not None)
    fixed = FIXED.pack(
        MAGIC, MAJOR, head.minor, head.model_id, flags, head.quality,
        head.width, head.height, len(stream.z),
    )  # fmt: skip
    body = fixed + crc + stream.z + stream.y
    return body + U32.pack(zlib.crc32(body))


def unpack(data: bytes, max_pixels: int = MAX_PIXELS) -> Stream:
    """Parse and check everything that can be checked without the model.

    max_pixels: the caller's own limit; that of the format, MAX_PIXELS, holds in any case.
    Raises StreamError; nothing is allocated beyond slices of data.
    """
    if not data:
        raise StreamError("stream: empty, 0 bytes")
    if data[: len(MAGIC)] != MAGIC[: len(data)]:
        raise StreamError(f"stream: starts with {data[:6]!r}, must start with {MAGIC!r}")
    if len(data) < FIXED.size + U32.size:
        raise StreamError(f"stream: {len(data)} bytes, header and checksum need {FIXED.size + 4}")
    _, major, minor, model_id, flags, quality, width, height, z_bytes = FIXED.unpack_from(data)
    if major != MAJOR or minor > MINOR:
        raise StreamError(
            f"stream: format version {major}.{minor}, this decoder reads {MAJOR}.0 to "
            f"{MAJOR}.{MINOR}"
        )
    body, (crc,) = data[: -U32.size], U32.unpack(data[-U32.size :])
    if zlib.crc32(body) != crc:
        got = zlib.crc32(body)
        raise StreamError(f"stream: checksum {got:08x}, must be {crc:08x}; damaged or truncated")
    check_header(flags, quality, width, height, max_pixels)
    start = FIXED.size + U32.size * bool(flags & PIXEL_CRC)
    if start + z_bytes > len(body):
        available = len(body) - start
        raise StreamError(f"stream: z payload of {z_bytes} bytes, only {available} are there")
    pixel_crc = U32.unpack_from(body, FIXED.size)[0] if flags & PIXEL_CRC else None
    header = Header(model_id, quality, width, height, bool(flags & GREY), pixel_crc, minor)
    return Stream(header, body[start : start + z_bytes], body[start + z_bytes :])


def check_header(flags: int, quality: int, width: int, height: int, max_pixels: int) -> None:
    """Reserved bits, ranges and the size limit."""
    if flags & ~(GREY | PIXEL_CRC):
        raise StreamError(
            f"stream: flags {flags:#04x}, bits other than {GREY | PIXEL_CRC:#04x} must be 0"
        )
    if quality >= QUALITIES:
        raise StreamError(f"stream: quality {quality}, must be in 0..{QUALITIES - 1}")
    for name, side in (("width", width), ("height", height)):
        if not 1 <= side <= MAX_SIDE:
            raise StreamError(f"stream: {name} {side}, must be in 1..{MAX_SIDE}")
    if width * height > MAX_PIXELS:
        raise StreamError(
            f"stream: {width}x{height} pixels, limit {MAX_PIXELS} pixels of the format"
        )
    if width * height > max_pixels:
        raise StreamError(f"stream: {width}x{height} pixels, limit {max_pixels} (see --max-pixels)")
