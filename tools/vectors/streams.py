"""Vectors of models, of the prior, and of whole streams, valid and with one fault each."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

import rangecoder
from intnet import codec, container, latents, model_file
from intnet.conform import described, expand, lcg
from intnet.model_file import Model, certify
from vectors import definition, minimal_model, tiny_model
from vectors.building import array

Json = dict[str, Any]
Made = tuple[Json, str, bytes]  # a vector, the path of its file, the file
MODELS = {"tiny": tiny_model.build, "minimal": minimal_model.build}


@cache
def model(name: str) -> Model:
    """One of MODELS, built once."""
    return MODELS[name]()


def picture(height: int, width: int, channels: int) -> codec.Pixels:
    """Ramps, a checkerboard and some noise: nothing flat, something sharp."""
    y, x = np.mgrid[0:height, 0:width]
    planes = (x * 255 // width, y * 255 // height, (x // 9 + y // 7) % 2 * 180 + 40)[:channels]
    noise = np.array(lcg(height * width, 51, -12, 12)).reshape(height, width, 1)
    return np.clip(np.stack(planes, -1) + noise, 0, 255).astype(np.uint8)


def models() -> Iterator[Made]:
    """Two valid files, and the damaged ones."""
    for name in MODELS:
        bounds = [[p, b.op, b.channel, b.quantity, b.bound]
                  for p, found in certify(model(name)).items() for b in found]  # fmt: skip
        path = f"model/{name}.inm"
        vector = {"id": f"model/{name}", "class": "model", "comment": "Loads; see `bounds`.",
                  "model": path, "result": "valid",
                  "expected": {"sha256": model(name).sha256, "bounds": bounds}}  # fmt: skip
        yield vector, path, model_file.to_bytes(model(name))
    for name, (comment, error, data) in minimal_model.invalid().items():
        path = f"model/invalid/{name}.inm"
        yield {
            "id": f"model/invalid/{name}", "class": "model", "comment": comment, "model": path,
            "result": "invalid", "expected": {"error": error},
        }, path, data  # fmt: skip


def priors() -> list[Json]:
    """Hyper-latents that no encoder need have written."""
    wanted = {
        "zero": ("Biases alone.", array("s8", 1, 1, 4, fill=0)),
        "ends": ("Both ends of z's interval.", array("s8", 1, 2, 4, values=[31, -31] * 4)),
        "noise": (
            "3x2 positions over all of the interval.",
            array("s8", 3, 2, 4, lcg=[61, -31, 31]),
        ),
    }
    return [prior_vector(name, comment, z) for name, (comment, z) in wanted.items()]


def prior_vector(name: str, comment: str, z: Json) -> Json:
    """Networks by `definition`; table indexes by the rule in `intnet.latents`."""
    m = model("tiny")
    out = definition.run(m.programs["prior"], {"z": expand(z)})
    tables = {q: latents.table_indexes(out["index"], m.scaling, q, m.y_tables.n_tables)
              for q in (0, 31, 63)}  # fmt: skip
    expected = {"mean": described(out["mean"]), "index": described(out["index"]),
                "tables": {str(q): described(x) for q, x in tables.items()}}  # fmt: skip
    return {"id": f"prior/{name}", "class": "prior", "comment": comment, "model": "model/tiny.inm",
            "z": z, "qualities": list(tables), "result": "valid", "expected": expected}  # fmt: skip


def stream_vector(name: str, comment: str, data: bytes, using: str = "tiny") -> Made:
    """A stream with what it decodes to, checked to be no trivial picture."""
    pixels = codec.decode(data, [model(using)], "numpy").pixels
    height, width, channels = pixels.shape
    expected = {"width": width, "height": height, "channels": channels,
                "sha256": hashlib.sha256(pixels.tobytes()).hexdigest()}  # fmt: skip
    path = f"stream/{name}.inic"
    return {
        "id": f"stream/{name}", "class": "stream", "comment": comment,
        "model": f"model/{using}.inm", "stream": path, "result": "valid", "expected": expected,
    }, path, data  # fmt: skip


@cache
def encoded(
    size: tuple[int, int, int], quality: int, using: str = "tiny", crc: bool = False
) -> bytes:
    """`picture(*size)` as the NumPy backend codes it, as a stream of version 1.0."""
    return version_1_0(codec.encode(picture(*size), model(using), quality, "numpy", verify=crc))


def version_1_0(data: bytes) -> bytes:
    """A stream of few symbols, which 1.0 and 1.1 code alike, under the older version."""
    stream = container.unpack(data)
    return container.pack(stream._replace(header=stream.header._replace(minor=0)))


def any_symbols(extreme: bool) -> bytes:
    """A stream that no encoder writes: z at its ends, symbols at the ends of 16 bits or noise."""
    m = model("tiny")
    z = np.array([31, -31, 31, -31], np.int32)
    mean, index = codec.prior(m, z.astype(np.int8).reshape(1, 1, 4), 40, 33, "numpy")
    tables = latents.table_indexes(index, m.scaling, 40, m.y_tables.n_tables).ravel()
    ends = [-(2**15), 2**15 - 1, 0, 1, -1] if extreme else lcg(97, 71, -9, 9)
    symbols = np.resize(np.array(ends, np.int32), mean.size)
    header = container.Header(m.model_id, 40, 33, 40, False, None, minor=0)
    payloads = (
        rangecoder.encode(z, codec.z_indexes((1, 1, 4)), m.z_tables),
        rangecoder.encode(symbols, tables, m.y_tables),
    )
    return container.pack(container.Stream(header, *payloads))


def streams() -> Iterator[Made]:
    """Sizes on edges of the grids of 16 and 64, colours, qualities, flags."""
    sizes = {
        "1x1": ("The smallest picture.", (1, 1, 3)),
        "1x1-grey": ("The smallest stream.", (1, 1, 1)),
        "17x1": ("One row; one latent more than 16 pixels need.", (1, 17, 3)),
        "1x65": ("One column; one hyper-latent more than 64 pixels need.", (65, 1, 3)),
        "16x16": ("Exactly one latent.", (16, 16, 3)),
        "64x64": ("Exactly one hyper-latent.", (64, 64, 3)),
        "67x45": ("Odd sides.", (45, 67, 3)),
        "33x70-grey": ("Odd sides, one channel.", (70, 33, 1)),
    }
    for name, (comment, size) in sizes.items():
        yield stream_vector(name, comment, encoded(size, 31))
    large = codec.encode(picture(1030, 1030, 1), model("tiny"), 0, "numpy")
    yield stream_vector("two-lanes", "Version 1.1: 65536 symbols and more in two lanes.", large)
    for quality in (0, 63):
        comment = f"Quality {quality}, the {'lowest' if quality == 0 else 'highest'}."
        yield stream_vector(f"quality-{quality}", comment, encoded((45, 67, 3), quality))
        yield stream_vector(
            f"quality-{quality}-grey", f"{comment} Grey.", encoded((19, 5, 1), quality)
        )
    yield stream_vector(
        "pixel-crc", "Carries the CRC of its samples.", encoded((20, 30, 3), 31, crc=True)
    )
    yield stream_vector("pixel-crc-grey", "Both flags.", encoded((20, 30, 1), 63, crc=True))
    yield stream_vector(
        "minimal", "Another model: one latent.", encoded((90, 130, 3), 31, "minimal"), "minimal"
    )
    yield stream_vector(
        "symbols-extreme",
        "Symbols at the ends of 16 bits, z at the ends of its interval: y_hat is clipped.",
        any_symbols(extreme=True),
    )
    yield stream_vector(
        "symbols-noise", "Symbols unlike any picture's.", any_symbols(extreme=False)
    )


def sealed(body: bytes) -> bytes:
    """A stream from its bytes but the last four: the checksum fits."""
    return body + struct.pack("<I", zlib.crc32(body))


def patched(at: int, new: bytes, data: bytes) -> bytes:
    """Some bytes replaced, the checksum made anew."""
    body = data[:-4]
    return sealed(body[:at] + new + body[at + len(new) :])


def faults() -> dict[str, tuple[str, bytes]]:
    """Name -> comment, stream. The checksum fits where the comment does not say otherwise."""
    good = encoded((20, 30, 3), 31)
    checked = encoded((20, 30, 3), 31, crc=True)
    z_bytes = struct.unpack_from("<I", good, 26)[0]
    z_end = 30 + z_bytes
    beyond = rangecoder.encode(
        np.array([32, 0, 0, 0], np.int32), codec.z_indexes((1, 1, 4)), model("tiny").z_tables
    )
    return {
        "empty": ("No bytes; no checksum.", b""),
        "magic-wrong": ("Byte 1 is `i`.", patched(1, b"i", good)),
        "magic-text-mode": (
            "CR LF became LF, as a text-mode transfer does.",
            good.replace(b"\r\n", b"\n", 1),
        ),
        "truncated-to-6": ("The magic alone; no checksum.", good[:6]),
        "truncated-to-33": ("One byte less than header and checksum need.", sealed(good[:29])),
        "truncated-by-1": ("The last byte is missing; the checksum does not fit.", good[:-1]),
        "trailing-byte": ("A byte after the checksum.", good + b"\0"),
        "checksum-wrong": ("One bit of the checksum.", good[:-1] + bytes([good[-1] ^ 1])),
        "payload-bit-flipped": (
            "One bit of y; the checksum does not fit.",
            good[:z_end] + bytes([good[z_end] ^ 64]) + good[z_end + 1 :],
        ),
        "version-2": ("Major version 2.", patched(6, b"\2", good)),
        "version-1.2": ("Minor version 2.", patched(7, b"\2", good)),
        "reserved-flag-set": ("Flag bit 2.", patched(16, b"\4", good)),
        "quality-64": ("Quality 64.", patched(17, b"\x40", good)),
        "width-zero": ("Width 0.", patched(18, bytes(4), good)),
        "height-zero": ("Height 0.", patched(22, bytes(4), good)),
        "width-too-large": (
            "Width 2**24 + 1.",
            patched(18, struct.pack("<II", 2**24 + 1, 1), good),
        ),
        "z-length-too-long": (
            "One byte of z more than there is after it.",
            patched(26, struct.pack("<I", len(good) - 33), good),
        ),
        "z-payload-trailing-byte": (
            "A byte too many in z.",
            sealed(
                good[:26] + struct.pack("<I", z_bytes + 1) + good[30:z_end] + b"\1" + good[z_end:-4]
            ),
        ),
        "z-out-of-range": (
            "A z of 32; its interval ends at 31.",
            sealed(good[:26] + struct.pack("<I", len(beyond)) + beyond + good[z_end:-4]),
        ),
        "y-payload-trailing-byte": ("A byte too many in y.", sealed(good[:-4] + b"\1")),
        "y-payload-trailing-zero": ("A zero byte too many in y.", sealed(good[:-4] + b"\0")),
        "y-payload-cut": (
            "Half of y is missing; only the CRC of the samples can tell.",
            sealed(checked[:-4][: (z_end + 4 + len(checked)) // 2]),
        ),
        "pixel-crc-wrong": (
            "One bit of the CRC of the samples.",
            patched(30, bytes([checked[30] ^ 1]), checked),
        ),
        "model-unknown": ("Made with the model `minimal`.", encoded((20, 30, 3), 31, "minimal")),
    }


def invalid_streams() -> Iterator[Made]:
    """Every fault as a file named after it."""
    for name, (comment, data) in faults().items():
        path = f"invalid/{name}.inic"
        error = "ModelError" if name == "model-unknown" else "StreamError"
        yield {
            "id": f"invalid/{name}", "class": "invalid_stream", "comment": comment,
            "model": "model/tiny.inm", "stream": path, "result": "invalid",
            "expected": {"error": error},
        }, path, data  # fmt: skip
