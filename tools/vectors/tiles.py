"""Streams of version 1.2: valid ones, and ones with a fault each."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np

from intnet import codec, container
from intnet.chunks import Chunk, Chunks
from vectors.bad_streams import Bad
from vectors.streams import Made, model, picture, stream_vector

Size = tuple[int, int, int]
SMALL = (66, 70, 3)  # four tiles; three are slivers of 2 rows, of 6 columns, and of both
HEAD = 28 + 16 * 4  # where the checksum of the head of such a stream lies


def coded(size: Size, quality: int, tile: int, using: str = "tiny", crc: bool = False) -> bytes:
    """`picture(*size)` as the NumPy backend codes it."""
    return codec.encode(
        picture(*size), model(using), quality, "numpy", verify=crc, tile=tile
    )  # fmt: skip


def valid() -> Iterator[Made]:
    """Grids of tiles, their slivers, flags and lanes. The samples are those of one tile."""
    wanted: dict[str, tuple[str, str, Size, int, str]] = {
        "2x3": ("decode.tiles", "Two rows of three tiles.", (100, 150, 3), 64, "tiny"),
        "slivers": ("decode.tiles", "The last tiles have 2 rows, 6 columns.", SMALL, 64, "tiny"),
        "row": ("decode.tiles", "One row of four tiles.", (20, 200, 3), 64, "tiny"),
        "column": ("decode.tiles", "One column of four tiles.", (200, 20, 3), 64, "tiny"),
        "of-128": ("stream.header.tile", "Tiles of two units.", (70, 140, 1), 128, "tiny"),
        "lanes": (
            "stream.version", "65536 symbols of y in four tiles: one lane in each.",
            (505, 511, 1), 256, "wide",
        ),
    }  # fmt: skip
    for name, (clause, comment, size, tile, using) in wanted.items():
        data = coded(size, 40, tile, using)
        made = stream_vector(f"tiles-{name}", clause, comment, data, using)
        whole = stream_vector(name, clause, comment, coded(size, 40, 0, using), using)
        assert made[0]["expected"] == whole[0]["expected"]
        yield made
    crc = coded((20, 70, 1), 20, 64, crc=True)
    yield stream_vector("tiles-pixel-crc", "decode.pixel_crc", "Both flags, two tiles.", crc)
    yield from with_chunks()
    header, tiles = container.unpack(coded((20, 30, 3), 40, 0))
    one = container.pack(container.Stream(header._replace(minor=2, tile=65535), tiles))
    yield stream_vector(
        "tiles-one", "stream.header.tile", "One tile, larger than the picture.", one
    )


def with_chunks() -> Iterator[Made]:
    """Alpha, and chunks that say nothing of samples."""
    unknown = Chunk(b"note", b"to be passed over"), Chunk(b"note", b"twice")
    alpha = "decode.alpha"
    yield stream_vector("alpha", alpha, "RGB and alpha.", transparent(3))
    yield stream_vector("alpha-grey", alpha, "Grey and alpha.", transparent(1))
    yield stream_vector(
        "alpha-tiles", alpha, "Alpha of four tiles; the CRC covers colours alone.",
        codec.encode(
            picture(66, 70, 3)[:, :, [0, 1, 2, 1]], model("tiny"), 40, "numpy", verify=True, tile=64
        ),
    )  # fmt: skip
    said = Chunk(b"iccp", bytes(range(200))), Chunk(b"exif", b"Exif"), *unknown
    yield stream_vector(
        "chunks", "stream.chunk.types", "Known and unknown ones.", transparent(3, said)
    )


def transparent(channels: int, ancillary: Chunks = ()) -> bytes:
    """A small picture whose alpha is a gradient."""
    x = picture(20, 30, channels)
    y = np.add.outer(9 * np.arange(20), 7 * np.arange(30)).astype(np.uint8)
    pixels = np.concatenate([x, y[..., None]], 2)
    return codec.encode(pixels, model("tiny"), 31, "numpy", ancillary=ancillary)


def patched(at: int, new: bytes, data: bytes) -> bytes:
    """Bytes of the head replaced, its checksum made anew; four tiles, no CRC of samples."""
    head = data[:at] + new + data[at + len(new) : HEAD]
    return head + struct.pack("<I", zlib.crc32(head)) + data[HEAD + 4 :]


def head_patched(at: int, new: bytes, data: bytes) -> bytes:
    """Bytes of the head of a stream of one tile and chunks replaced, its checksum made anew."""
    end = 28 + 4 + 16
    head = data[:at] + new + data[at + len(new) : end]
    return head + struct.pack("<I", zlib.crc32(head)) + data[end + 4 :]


def with_bytes(data: bytes, more: bytes) -> bytes:
    """Such a stream with other bytes in place of its chunks."""
    (had,) = struct.unpack_from("<I", data, 28)
    return head_patched(28, struct.pack("<I", len(more)), data[: len(data) - had] + more)


def chunk_faults() -> dict[str, Bad]:
    """Of chunks; the CRC fits where the comment does not say otherwise."""
    header, tiles = container.unpack(transparent(3))
    (alpha,) = header.chunks
    kind = "stream.chunk.type"

    def bad(clause: str, comment: str, *found: Chunk) -> Bad:
        header_of = header._replace(chunks=found)
        return Bad(clause, comment, container.pack(container.Stream(header_of, tiles)))

    def of_alpha(comment: str, data: bytes) -> Bad:
        return bad("decode.alpha", comment, Chunk(b"ALPH", data))

    good = container.pack(container.Stream(header, tiles))
    at = len(good) - len(alpha.data) - 12

    def edited(offset: int, new: bytes) -> bytes:
        return good[: at + offset] + new + good[at + offset + len(new) :]

    samples = zlib.decompress(alpha.data)
    return {
        "chunk-critical": bad(kind, "A type unknown and critical.", Chunk(b"NOTE", b"")),
        "chunk-no-letters": bad(kind, "A digit in a type.", Chunk(b"not3", b"")),
        "chunk-too-large": bad(
            "stream.chunk.size", "A profile of 2**22 + 1 zero bytes.",
            alpha, Chunk(b"iccp", bytes(2**22 + 1)),
        ),
        "chunk-twice": bad("stream.chunk.types", "ALPH twice.", alpha, alpha),
        "chunk-crc": Bad(
            "stream.chunk.crc", "One bit of a CRC.", edited(8, bytes([good[at + 8] ^ 1]))
        ),
        "chunk-flipped": Bad(
            "stream.chunk.crc", "One bit of data; the CRC does not fit.",
            good[:-1] + bytes([good[-1] ^ 2]),
        ),
        "chunk-size": Bad(
            "stream.chunk.size", "Data of 2**32 - 1 bytes.", edited(4, b"\xff\xff\xff\xff")
        ),
        "chunk-cut": Bad("stream.chunks", "Eleven bytes of a chunk.", with_bytes(good, bytes(11))),
        "chunk-bytes-more": Bad(
            "stream.tile.payloads", "A byte more than chunk_bytes.", good + b"\0"
        ),
        "flag-3": Bad("stream.header.reserved", "Flag bit 3.", head_patched(16, b"\x0c", good)),
        "alpha-short": of_alpha("One sample less than the picture.", zlib.compress(samples[:-1])),
        "alpha-long": of_alpha("One sample more.", zlib.compress(samples + b"\0")),
        "alpha-empty": of_alpha("No zlib stream.", b""),
        "alpha-cut": of_alpha("The end of the zlib stream is missing.", alpha.data[:-1]),
        "alpha-trailing": of_alpha("A byte after the zlib stream.", alpha.data + b"\0"),
        "alpha-damaged": of_alpha("Not zlib's header.", b"\0" + alpha.data[1:]),
        "alpha-bomb": of_alpha("4 MiB of zeros.", zlib.compress(bytes(2**22), 9)),
    }  # fmt: skip


def faults() -> dict[str, Bad]:
    """Name -> stream. Checksums fit where the comment does not say otherwise."""
    good = coded(SMALL, 40, 64)
    header, tiles = container.unpack(good)
    size, head, crc = "stream.tile.payloads", "stream.tile.head_crc", "stream.tile.y_crc"

    def entry(tile: int, *values: int) -> bytes:
        return patched(28 + 16 * tile, container.ENTRY.pack(*values), good)

    def with_tile(number: int, tile: container.Tile) -> bytes:
        found = [*tiles[:number], tile, *tiles[number + 1 :]]
        return container.pack(container.Stream(header, found))

    last = tiles[3]
    lengths = [len(tile.z) + len(tile.y) for tile in tiles]
    second = HEAD + 4 + lengths[0]
    third = second + lengths[1]
    swapped = (
        good[:second] + good[third : third + lengths[2]] + good[second:third]
        + good[third + lengths[2] :]
    )  # fmt: skip
    sizes = len(last.z), len(last.y)
    return {
        "tile-side-0": Bad("stream.header.tile", "Tiles of 0 units.", patched(26, b"\0\0", good)),
        "tiles-cut": Bad("stream.tiles", "Ends within the last entry.", good[: HEAD - 1]),
        "tiles-too-many": Bad(
            "stream.tiles",
            "2**24 x 16 pixels: 131072 tiles, of which 4 are there.",
            patched(18, struct.pack("<II", 2**24, 16), good),
        ),
        "tiles-head-crc": Bad(
            head, "One bit of the checksum of the head.",
            good[:HEAD] + bytes([good[HEAD] ^ 1]) + good[HEAD + 1 :],
        ),
        "tiles-entry-flipped": Bad(
            head, "One bit of an entry; the checksum of the head does not fit.",
            good[:50] + bytes([good[50] ^ 4]) + good[51:],
        ),
        "tiles-truncated-by-1": Bad(size, "The last byte is missing.", good[:-1]),
        "tiles-trailing-byte": Bad(size, "A byte after the last tile.", good + b"\0"),
        "tiles-lengths-2-to-the-32": Bad(
            size, "Both lengths of the last tile are 2**32 - 1.",
            entry(3, 2**32 - 1, 2**32 - 1, 0, 0),
        ),
        "tile-z-crc-wrong": Bad(
            "stream.tile.z_crc",
            "One bit of the CRC of z of the last tile.",
            entry(3, *sizes, zlib.crc32(last.z) ^ 1, zlib.crc32(last.y)),
        ),
        "tile-y-crc-wrong": Bad(
            crc, "One bit of the CRC of y of the last tile.",
            entry(3, *sizes, zlib.crc32(last.z), zlib.crc32(last.y) ^ 1),
        ),
        "tile-payload-flipped": Bad(
            crc, "One bit of the last payload; its CRC does not fit.",
            good[:-1] + bytes([good[-1] ^ 16]),
        ),
        "tiles-swapped": Bad(
            "stream.tile.z_crc", "The payloads of tile 1 and tile 2 have changed places.", swapped
        ),
        "tile-y-trailing-zero": Bad(
            "coder.end", "A zero byte too many in y of tile 2.",
            with_tile(2, tiles[2]._replace(y=tiles[2].y + b"\0")),
        ),
        "tile-z-quantile": Bad(
            "coder.decode", "In z of the last tile, a code beyond every entry.",
            with_tile(3, last._replace(z=b"\xff" * 8)),
        ),
    }  # fmt: skip
