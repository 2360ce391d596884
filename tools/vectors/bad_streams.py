"""Streams with one fault each, as files named after it. A clause is the one that is broken."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

import rangecoder
from intnet import tile_coding
from vectors.streams import Made, encoded, model

ONE_CELL = (20, 30, 3)  # one hyper-latent, four latents


class Bad(NamedTuple):
    """A stream that is refused, the model that reads it, and the class of the error."""

    clause: str
    comment: str
    data: bytes
    error: str = "StreamError"
    model: str = "tiny"


def sealed(body: bytes) -> bytes:
    """A stream from its bytes but the last four: the checksum fits."""
    return body + struct.pack("<I", zlib.crc32(body))


def patched(at: int, new: bytes, data: bytes) -> bytes:
    """Some bytes replaced, the checksum made anew."""
    body = data[:-4]
    return sealed(body[:at] + new + body[at + len(new) :])


def with_payloads(data: bytes, z: bytes, y: bytes) -> bytes:
    """Other payloads in a stream without the CRC of its samples."""
    return sealed(data[:26] + struct.pack("<I", len(z)) + z + y)


def payloads(data: bytes) -> tuple[bytes, bytes]:
    """The two payloads of such a stream."""
    end = 30 + int(struct.unpack_from("<I", data, 26)[0])
    return data[30:end], data[end:-4]


def sized(width: int, height: int) -> bytes:
    """No payloads: symbols that cost nothing, for any size."""
    good = encoded(ONE_CELL, 31)
    return with_payloads(good[:18] + struct.pack("<II", width, height), b"", b"")


def file_faults() -> dict[str, Bad]:
    """Of the stream as bytes. The checksum fits where the comment does not say otherwise."""
    good, layout, checksum = encoded(ONE_CELL, 31), "stream.layout", "stream.checksum"
    end = 30 + len(payloads(good)[0])
    flipped = good[:end] + bytes([good[end] ^ 64]) + good[end + 1 :]
    magic = "stream.header.magic"
    return {
        "empty": Bad(layout, "No bytes; no checksum.", b""),
        "magic-wrong": Bad(magic, "Byte 1 is `i`.", patched(1, b"i", good)),
        "magic-text-mode": Bad(
            magic,
            "CR LF became LF, as a text-mode transfer does.",
            good.replace(b"\r\n", b"\n", 1),
        ),
        "truncated-to-6": Bad(layout, "The magic alone; no checksum.", good[:6]),
        "truncated-to-33": Bad(
            layout, "One byte less than header and checksum need.", sealed(good[:29])
        ),
        "truncated-by-1": Bad(
            checksum, "The last byte is missing; the checksum does not fit.", good[:-1]
        ),
        "trailing-byte": Bad(checksum, "A byte after the checksum.", good + b"\0"),
        "checksum-wrong": Bad(
            checksum, "One bit of the checksum.", good[:-1] + bytes([good[-1] ^ 1])
        ),
        "checksum-big-endian": Bad(
            checksum, "The four bytes the other way round.", good[:-4] + good[:-5:-1]
        ),
        "payload-bit-flipped": Bad(checksum, "One bit of y; the checksum does not fit.", flipped),
    }


def header_faults() -> dict[str, Bad]:
    """Of single fields."""
    good, flags, most = encoded(ONE_CELL, 31), "stream.header.reserved", 2**24
    width, height, major = (f"stream.header.{name}" for name in ("width", "height", "major"))
    unknown = good[:15] + bytes([good[15] ^ 1]) + good[16:]
    return {
        "version-0": Bad(major, "Major version 0.", patched(6, b"\0", good)),
        "version-2": Bad(major, "Major version 2.", patched(6, b"\2", good)),
        "version-1.3": Bad("stream.header.minor", "Minor version 3.", patched(7, b"\3", good)),
        "model-unknown": Bad(
            "stream.header.model_id",
            "Made with the model `minimal`.",
            encoded(ONE_CELL, 31, "minimal"),
            "ModelError",
        ),
        "model-id-last-bit": Bad(
            "stream.header.model_id",
            "The lowest bit of the eighth byte.",
            patched(0, b"", unknown),
            "ModelError",
        ),
        "reserved-flag-set": Bad(flags, "Flag bit 2.", patched(16, b"\4", good)),
        "reserved-flag-7-set": Bad(flags, "Flag bit 7.", patched(16, b"\x80", good)),
        "quality-64": Bad("stream.header.quality", "Quality 64.", patched(17, b"\x40", good)),
        "width-zero": Bad(width, "Width 0; no payloads.", sized(0, 1)),
        "height-zero": Bad(height, "Height 0; no payloads.", sized(1, 0)),
        "width-too-large": Bad(width, "Width 2**24 + 1.", sized(most + 1, 1)),
        "height-too-large": Bad(height, "Height 2**24 + 1.", sized(1, most + 1)),
        "pixels-too-many": Bad(height, "2**15 * (2**15 + 1) pixels.", sized(2**15, 2**15 + 1)),
        "pixels-2-to-the-32": Bad(
            height, "2**16 * 2**16 pixels: 0 in 32 bits.", sized(2**16, 2**16)
        ),
        "z-length-too-long": Bad(
            "stream.header.z_bytes",
            "One byte of z more than there is after it.",
            patched(26, struct.pack("<I", len(good) - 33), good),
        ),
        "z-length-2-to-the-32": Bad(
            "stream.header.z_bytes",
            "2**32 - 1, which is -1 in 32 signed bits.",
            patched(26, b"\xff" * 4, good),
        ),
        "pixel-crc-missing": Bad(
            "stream.header.pixel_crc",
            "The flag is set in a stream that ends after z_bytes.",
            patched(16, b"\2", sized(1, 1)),
        ),
    }


def payload_faults() -> dict[str, Bad]:
    """Of what is coded."""
    good, checked = encoded(ONE_CELL, 31), encoded(ONE_CELL, 31, crc=True)
    z, y = payloads(good)
    indexes, end = tile_coding.z_indexes((1, 1, 4)), "coder.end"

    def beyond(value: int) -> bytes:
        symbols = np.array([value, 0, 0, 0], np.int32)
        return rangecoder.encode(symbols, indexes, model("tiny").z_tables)

    half = (34 + len(z) + len(checked)) // 2
    return {
        "z-payload-trailing-byte": Bad(
            end, "A byte too many in z.", with_payloads(good, z + b"\1", y)
        ),
        "z-payload-trailing-zero": Bad(
            end, "A zero byte too many in z.", with_payloads(good, z + b"\0", y)
        ),
        "z-quantile": Bad(
            "coder.decode", "A code beyond every entry.", with_payloads(good, b"\xff" * 8, y)
        ),
        "z-out-of-range": Bad(
            "decode.z", "A z of 32; its interval ends at 31.", with_payloads(good, beyond(32), y)
        ),
        "z-out-of-range-below": Bad(
            "decode.z",
            "A z of -32; its interval begins at -31.",
            with_payloads(good, beyond(-32), y),
        ),
        "y-payload-trailing-byte": Bad(
            end, "A byte too many in y.", with_payloads(good, z, y + b"\1")
        ),
        "y-payload-trailing-zero": Bad(
            end, "A zero byte too many in y.", with_payloads(good, z, y + b"\0")
        ),
        "y-payload-twice": Bad(end, "y, then y again.", with_payloads(good, z, y + y)),
        "y-quantile": Bad(
            "coder.decode", "A code beyond every entry.", with_payloads(good, z, b"\xff" * 40)
        ),
        "y-payload-cut": Bad(
            "decode.pixel_crc",
            "Half of y is missing; only the CRC of the samples can tell.",
            sealed(checked[:-4][:half]),
        ),
        "pixel-crc-wrong": Bad(
            "decode.pixel_crc",
            "One bit of the CRC of the samples.",
            patched(30, bytes([checked[30] ^ 1]), checked),
        ),
    }


def lane_faults() -> dict[str, Bad]:
    """Of the length before two lanes. All symbols but the fault cost no byte."""
    header = encoded((505, 511, 1), 0, "wide")[:26]
    header = header[:7] + b"\1" + header[8:]
    length = "coder.length"

    def two(clause: str, comment: str, y: bytes) -> Bad:
        return Bad(clause, comment, with_payloads(header, b"", y), model="wide")

    return {
        "lane-length-missing": two(length, "No length of lane 0 of y.", b""),
        "lane-length-cut": two(length, "Bit 7 says that a byte follows.", b"\x80"),
        "lane-length-of-6-bytes": two(length, "0 in six bytes.", b"\x80" * 5 + b"\0"),
        "lane-length-last-byte-0": two(length, "0 in two bytes.", b"\x80\0"),
        "lane-length-too-long": two("coder.payload", "1; no byte follows.", b"\1"),
        "lane-1-trailing-zero": two("coder.end", "A zero byte too many in lane 1.", b"\0\0"),
    }


def faults() -> dict[str, Bad]:
    """Name -> stream."""
    return {**file_faults(), **header_faults(), **payload_faults(), **lane_faults()}


def invalid_streams(faults: dict[str, Bad]) -> Iterator[Made]:
    """Every fault as a file named after it."""
    for name, bad in faults.items():
        path = f"invalid/{name}.inic"
        yield {
            "id": f"invalid/{name}", "class": "invalid_stream", "clause": bad.clause,
            "comment": bad.comment, "model": f"model/{bad.model}.inm", "stream": path,
            "result": "invalid", "expected": {"error": bad.error},
        }, path, bad.data  # fmt: skip
