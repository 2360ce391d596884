"""Mutated streams: bytes as they are, bytes under right checksums, fields and payloads."""

from __future__ import annotations

import contextlib
import struct
import zlib
from itertools import pairwise
from random import Random
from typing import NamedTuple

from fuzzing.edits import edited
from intnet import chunks, container
from intnet.chunks import Chunk
from intnet.container import ENTRY, FIXED, U32

MINOR_AT, TILE_AT = 7, FIXED.size
MOST_TILES = 4096


class Base(NamedTuple):
    """A stream that decodes, parsed."""

    data: bytes
    parsed: container.Stream


def base(data: bytes) -> Base:
    """Parse a stream."""
    return Base(data, container.unpack(data))


def sealed(data: bytes) -> bytes:
    """The same bytes with every checksum made anew, as far as its lengths lead to them."""
    with contextlib.suppress(struct.error):
        if len(data) > MINOR_AT and data[MINOR_AT] == container.MINOR_TILED:
            return sealed_tiles(bytearray(data))
    return container.sealed(data[:-4])


def sealed_tiles(data: bytearray) -> bytes:
    """Version 1.2. Raises struct.error where the head is cut."""
    flags, *_, width, height = FIXED.unpack_from(data)[4:]
    (side,) = container.TILE_SIDE.unpack_from(data, TILE_AT)
    at = TILE_AT + 2 + 4 * bool(flags & container.PIXEL_CRC)
    chunk_bytes = 0
    if flags & container.CHUNKS:
        (chunk_bytes,) = U32.unpack_from(data, at)
        at += 4
    step = max(side, 1) * 64
    tiles = min(-(-width // step) * -(-height // step), MOST_TILES)
    begin = at + ENTRY.size * tiles + 4
    for n in range(tiles):
        entry = at + ENTRY.size * n
        z, y, _, _ = ENTRY.unpack_from(data, entry)
        ends = begin, begin + z, begin + z + y
        crcs = (zlib.crc32(data[a:b]) for a, b in pairwise(ends))
        ENTRY.pack_into(data, entry, z, y, *crcs)
        begin = ends[-1]
    head = at + ENTRY.size * tiles
    U32.pack_into(data, head, zlib.crc32(data[:head]))
    if chunk_bytes:
        seal_chunks(data, begin)
    return bytes(data)


def seal_chunks(data: bytearray, at: int) -> None:
    """The CRC of every chunk from a place on."""
    while at + chunks.HEAD.size <= len(data):
        kind, size, _ = chunks.HEAD.unpack_from(data, at)
        body = at + chunks.HEAD.size
        crc = zlib.crc32(kind + data[body : body + size])
        chunks.HEAD.pack_into(data, at, kind, size, crc)
        at = body + size


def rebuilt(rng: Random, base: Base) -> bytes:
    """Some of header, payloads and chunks changed, then packed with the right lengths."""
    header, tiles = base.parsed
    what = rng.random()
    if what < 0.3:
        header = with_field(rng, header)
    if what > 0.2:
        tiles = list(tiles)
        n = rng.randrange(len(tiles))
        z, y = tiles[n]
        kind = rng.random()
        if kind < 0.35:
            z = edited(rng, z)
        elif kind < 0.9:
            y = edited(rng, y)
        elif kind < 0.95:
            tiles[n], z, y = tiles[-1], *tiles[-1]
        else:
            z, y = y, z
        tiles[n] = container.Tile(z, y)
    if header.chunks and rng.random() < 0.4:
        header = header._replace(chunks=with_chunk(rng, header.chunks))
    if rng.random() < 0.5:  # its CRC would refuse what the networks make of other symbols
        header = header._replace(pixel_crc=None)
    if not header.tile:
        tiles = tiles[:1]  # there is no room for more
    return container.pack(container.Stream(header, tiles))


def with_lost_tile(rng: Random, base: Base) -> bytes:
    """A payload changed under the old checksums: what is lost is one tile, and what needs it."""
    header, tiles = base.parsed
    payloads = sum(len(z) + len(y) for z, y in tiles)
    begin = len(base.data) - len(chunks.pack(header.chunks)) - payloads
    data = bytearray(base.data)
    data[begin + rng.randrange(payloads)] ^= rng.randint(1, 255)
    return bytes(data)


def with_field(rng: Random, header: container.Header) -> container.Header:
    """One field changed."""
    side = rng.choice((1, 15, 16, 17, 63, 64, 65, rng.randint(1, 200), 2**24, 2**32 - 1))
    change = rng.choice((
        {"quality": rng.choice((0, 31, 63, 64, 255))}, {"width": side}, {"height": side},
        {"width": header.height, "height": header.width}, {"grey": not header.grey},
        {"pixel_crc": rng.getrandbits(32)},
        {"minor": rng.randrange(4)}, {"tile": rng.choice((0, 1, 2, 3, 65535))},
        {"model_id": edited(rng, header.model_id)[:8].ljust(8, b"\0")},
    ))  # fmt: skip
    return header._replace(**change)


def with_chunk(rng: Random, found: chunks.Chunks) -> chunks.Chunks:
    """A chunk changed, repeated, moved, or one more."""
    made = list(found)
    n = rng.randrange(len(made))
    kind, data = made[n]
    choice = rng.randrange(6)
    if choice == 0:
        made[n] = Chunk(kind, edited(rng, data))
    elif choice == 1 and kind == chunks.ALPHA:
        samples = zlib.decompress(data)
        made[n] = Chunk(kind, zlib.compress(edited(rng, samples)))
    elif choice == 2:
        made.insert(rng.randrange(len(made) + 1), made[n])
    elif choice == 3:
        made[n] = Chunk(rng.choice((b"note", b"NOTE", b"ALPH", b"iccp", rng.randbytes(4))), data)
    elif choice == 4:
        made[n] = Chunk(kind, data * rng.choice((0, 2, 9)))
    else:
        rng.shuffle(made)
    return tuple(made)


def mutated(rng: Random, base: Base) -> tuple[bytes, bool]:
    """A stream that is not base, and whether its checksums were made anew."""
    choice = rng.random()
    data = rebuilt(rng, base) if choice > 0.5 else edited(rng, base.data)
    if choice > 0.3:
        data = sealed(data)
    return data, choice > 0.3
