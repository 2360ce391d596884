"""What a stream carries beside its samples of colour: chunks, as in PNG.

A chunk is its type, four letters, the length of its data, a CRC-32 of type and data, and the data;
numbers are 4 bytes, little-endian. A decoder refuses a type that it does not know if the first
letter is a capital, and passes over it else.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from intnet.errors import StreamError

ALPHA, ICC, EXIF = b"ALPH", b"iccp", b"exif"
KNOWN = (ALPHA, ICC, EXIF)
MAX_ANCILLARY = 2**22  # bytes of an ICC profile, and of EXIF
HEAD = struct.Struct("<4sII")


class Chunk(NamedTuple):
    """A type of four letters, and data."""

    type: bytes
    data: bytes


Chunks = tuple[Chunk, ...]


def pack(chunks: Chunks) -> bytes:
    """The bytes of all."""
    return b"".join(
        HEAD.pack(kind, len(data), zlib.crc32(kind + data)) + data for kind, data in chunks
    )


def unpack(data: bytes) -> Chunks:
    """Every chunk in its order. Raises StreamError."""
    found: list[Chunk] = []
    at = 0
    while at < len(data):
        if at + HEAD.size > len(data):
            raise StreamError(
                f"stream, chunks: {len(data) - at} bytes left, a head has {HEAD.size}"
            )
        kind, size, crc = HEAD.unpack_from(data, at)
        at += HEAD.size
        if not kind.isalpha():
            raise StreamError(f"stream, chunks: type {kind!r}, must be four letters")
        name = f"stream, chunk {kind.decode()}"
        if at + size > len(data):
            raise StreamError(f"{name}: {size} bytes, only {len(data) - at} are there")
        if too_large(kind, size):
            raise StreamError(f"{name}: {size} bytes, at most {MAX_ANCILLARY}")
        chunk = Chunk(kind, data[at : at + size])
        at += size
        got = zlib.crc32(kind + chunk.data)
        if got != crc:
            raise StreamError(f"{name}: checksum {got:08x}, must be {crc:08x}; damaged")
        if kind not in KNOWN and kind[:1].isupper():
            raise StreamError(f"{name}: unknown and critical; a newer decoder may read it")
        if kind in KNOWN and kind in (had.type for had in found):
            raise StreamError(f"{name}: occurs twice")
        found.append(chunk)
    return tuple(found)


def check(ancillary: Chunks) -> None:
    """Chunks that may go with a picture: no decoder refuses them, or takes them for alpha.

    Raises ValueError for others.
    """
    types = [chunk.type for chunk in ancillary]
    for kind, data in ancillary:
        if len(kind) != 4 or not kind.isalpha() or kind[:1].isupper():
            raise ValueError(
                f"ancillary: type {kind!r}, must be four letters, the first a small one"
            )
        if too_large(kind, len(data)):
            got = f"{kind.decode()} of {len(data)} bytes"
            raise ValueError(f"ancillary: {got}, at most {MAX_ANCILLARY}")
        if kind in KNOWN and types.count(kind) > 1:
            raise ValueError(f"ancillary: {kind.decode()} occurs twice")


def too_large(kind: bytes, size: int) -> bool:
    """Whether data of that many bytes is more than a chunk of its type may have."""
    return kind in (ICC, EXIF) and size > MAX_ANCILLARY


def of_type(chunks: Chunks, kind: bytes) -> bytes | None:
    """The data of the first chunk of a type."""
    return next((chunk.data for chunk in chunks if chunk.type == kind), None)


def sizes(chunks: Chunks) -> dict[str, int]:
    """Bytes of data by type, of all chunks of it."""
    found: dict[str, int] = {}
    for kind, data in chunks:
        found[kind.decode()] = found.get(kind.decode(), 0) + len(data)
    return found
