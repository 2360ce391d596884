"""Streams of version 1.2: valid ones, and ones with a fault each."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from intnet import codec, container
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
    header, tiles = container.unpack(coded((20, 30, 3), 40, 0))
    one = container.pack(container.Stream(header._replace(minor=2, tile=65535), tiles))
    yield stream_vector(
        "tiles-one", "stream.header.tile", "One tile, larger than the picture.", one
    )


def patched(at: int, new: bytes, data: bytes) -> bytes:
    """Bytes of the head replaced, its checksum made anew; four tiles, no CRC of samples."""
    head = data[:at] + new + data[at + len(new) : HEAD]
    return head + struct.pack("<I", zlib.crc32(head)) + data[HEAD + 4 :]


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
            "2**24 x 16 pixels: 262144 tiles, of which 4 are there.",
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
