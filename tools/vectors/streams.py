"""Vectors of models, of the prior, and of valid streams; `bad_streams` has the others."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np

import rangecoder
from intnet import codec, container, latents, model_file, networks, tile_coding
from intnet.conform.arrays import described, expand, lcg
from intnet.model_file import QUALITIES, Model, certify
from vectors import bad_models, definition, family_models, minimal_model, tiny_model, wide_model
from vectors.building import array

Json = dict[str, Any]
Made = tuple[Json, str, bytes]  # a vector, the path of its file, the file
LARGE_PIXELS = 128 * 128
MODELS: dict[str, Callable[[], Model]] = {
    "tiny": tiny_model.build, "minimal": minimal_model.build, "wide": wide_model.build,
    **family_models.FAMILIES,
}  # fmt: skip


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


def models(faults: dict[str, bad_models.Bad]) -> Iterator[Made]:
    """Valid files, and the damaged ones."""
    for name in MODELS:
        yield model_vector(name, model(name), model_file.to_bytes(model(name)))
    for name, bad in faults.items():
        path = f"model/invalid/{name}.inm"
        yield {
            "id": f"model/invalid/{name}", "class": "model", "clause": bad.clause,
            "comment": bad.comment, "model": path, "result": "invalid",
            "expected": {"error": bad.error},
        }, path, bad.data  # fmt: skip


def model_vector(name: str, loaded: Model, data: bytes) -> Made:
    """A valid file with its hash and its proof."""
    bounds = [[p, b.op, b.channel, b.quantity, b.bound]
              for p, found in certify(loaded).items() for b in found]  # fmt: skip
    path = f"model/{name}.inm"
    return {"id": f"model/{name}", "class": "model", "clause": "model.hash",
            "comment": "Loads; see `bounds`.", "model": path, "result": "valid",
            "expected": {"sha256": loaded.sha256, "bounds": bounds}}, path, data  # fmt: skip


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
    return {"id": f"prior/{name}", "class": "prior", "clause": "decode.table_index",
            "comment": comment, "model": "model/tiny.inm", "z": z,
            "qualities": list(tables), "result": "valid", "expected": expected}  # fmt: skip


def stream_vector(
    name: str, clause: str, comment: str, data: bytes, using: str = "tiny"
) -> Made:  # fmt: skip
    """A stream with what it decodes to, checked to be no trivial picture."""
    path, expected = f"stream/{name}.inic", decoded(data, model(using))
    return {
        "id": f"stream/{name}", "class": "stream", "clause": clause, "comment": comment,
        **cost(expected), "model": f"model/{using}.inm", "stream": path, "result": "valid",
        "expected": expected,
    }, path, data  # fmt: skip


def cost(expected: Json) -> Json:
    """A field of vectors that a slow decoder may leave out."""
    return {"cost": "large"} if expected["width"] * expected["height"] > LARGE_PIXELS else {}


def decoded(data: bytes, using: Model) -> Json:
    """What a stream decodes to."""
    pixels = codec.decode(data, [using], "numpy").pixels
    height, width, channels = pixels.shape
    digest = hashlib.sha256(pixels.tobytes()).hexdigest()
    return {"width": width, "height": height, "channels": channels, "sha256": digest}


@cache
def encoded(
    size: tuple[int, int, int], quality: int, using: str = "tiny", crc: bool = False
) -> bytes:
    """`picture(*size)` as the NumPy backend codes it, as a stream of version 1.0."""
    return version_1_0(codec.encode(picture(*size), model(using), quality, "numpy", verify=crc))


def version_1_0(data: bytes, y: bytes | None = None) -> bytes:
    """Under the older version; of few symbols 1.0 and 1.1 have the same payloads. y: another."""
    header, (tile,) = container.unpack(data)
    tile = tile if y is None else tile._replace(y=y)
    return container.pack(container.Stream(header._replace(minor=0), [tile]))


def any_symbols(extreme: bool) -> bytes:
    """A stream that no encoder writes: z at its ends, symbols at the ends of 16 bits or noise."""
    m = model("tiny")
    z = np.array([31, -31, 31, -31], np.int32)
    mean, index = networks.prior(m, z.astype(np.int8).reshape(1, 1, 4), 40, 33, "numpy")
    tables = latents.table_indexes(index, m.scaling, 40, m.y_tables.n_tables).ravel()
    ends = [-(2**15), 2**15 - 1, 0, 1, -1] if extreme else lcg(97, 71, -9, 9)
    symbols = np.resize(np.array(ends, np.int32), mean.size)
    header = container.Header(m.model_id, 40, 33, 40, False, None, minor=0)
    payloads = (
        rangecoder.encode(z, tile_coding.z_indexes((1, 1, 4)), m.z_tables),
        rangecoder.encode(symbols, tables, m.y_tables),
    )
    return container.pack(container.Stream(header, [container.Tile(*payloads)]))


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
        clause = "decode.luma" if size[2] == 1 else "decode.sizes"
        yield stream_vector(name, clause, comment, encoded(size, 31))
    yield from lanes()
    for quality in (0, 63):
        comment = f"Quality {quality}, the {'lowest' if quality == 0 else 'highest'}."
        yield stream_vector(
            f"quality-{quality}", "decode.dequantise", comment, encoded((45, 67, 3), quality)
        )
        yield stream_vector(
            f"quality-{quality}-grey",
            "decode.luma",
            f"{comment} Grey.",
            encoded((19, 5, 1), quality),
        )
    for quality in range(QUALITIES):
        name, comment = f"every-quality-{quality:02}", f"Row {quality} of the scaling."
        size = 17 + quality % 4, 20, 3 if quality % 3 else 1
        yield stream_vector(name, "decode.dequantise", comment, encoded(size, quality))
    crc = "decode.pixel_crc"
    yield stream_vector(
        "pixel-crc", crc, "Carries the CRC of its samples.", encoded((20, 30, 3), 31, crc=True)
    )
    yield stream_vector("pixel-crc-grey", crc, "Both flags.", encoded((20, 30, 1), 63, crc=True))
    yield stream_vector(
        "minimal",
        "decode.example",
        "Another model: one latent.",
        encoded((90, 130, 3), 31, "minimal"),
        "minimal",
    )
    yield stream_vector(
        "symbols-extreme",
        "decode.dequantise",
        "Symbols at the ends of 16 bits, z at the ends of its interval: y_hat is clipped.",
        any_symbols(extreme=True),
    )
    yield stream_vector(
        "symbols-noise",
        "decode.symbols",
        "Symbols unlike any picture's.",
        any_symbols(extreme=False),
    )


def lanes() -> Iterator[Made]:
    """65536 symbols and nearly so many, by version; 64 channels of y."""
    clause, wide = "stream.version", model("wide")
    pixels, below = picture(505, 511, 1), picture(490, 511, 1)
    large = codec.encode(pixels, wide, 0, "numpy")
    yield stream_vector(
        "two-lanes", clause, "Version 1.1: 65536 symbols of y are in two lanes.", large, "wide"
    )
    symbols, tables = codec.y_symbols(codec.analyse(pixels, wide, "numpy"), wide, 0, "numpy")
    assert symbols.size == 2**16
    one = rangecoder.encode(symbols.ravel(), tables.ravel(), wide.y_tables)
    comment = "Version 1.0: 65536 symbols are in one lane."
    yield stream_vector("one-lane-1.0", clause, comment, version_1_0(large, y=one), "wide")
    header = container.unpack(large).header
    empty = container.pack(container.Stream(header, [container.Tile(b"", b"\0")]))
    comment = "Symbols that cost nothing: the length of lane 0 is all there is of two payloads."
    yield stream_vector("two-lanes-empty", "coder.payload", comment, empty, "wide")
    comment = "Version 1.1: 63488 symbols are in one lane."
    yield stream_vector(
        "one-lane-1.1", clause, comment, codec.encode(below, wide, 0, "numpy"), "wide"
    )
