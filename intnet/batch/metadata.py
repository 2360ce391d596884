"""Metadata of Zarr arrays, format 2 or 3: what a chunk is, and the codecs it goes through."""

from __future__ import annotations

from typing import Any

from intnet.batch.stores import Document

SHARDS = "sharding_indexed"
NAME = "intnet"
ZSTD = {"level": 0, "checksum": False}  # what Zarr compresses with unless it is asked


def chunk_of(document: Document) -> tuple[int, ...]:
    """Shape of what is coded at once: a chunk, within a shard where there are shards.

    Raises ValueError for another dtype than uint8, for chunks of unlike sizes, and for a codec that
    turns what shards are made of.
    """
    dtype = document.get("dtype", document.get("data_type"))
    if dtype not in ("uint8", "|u1"):
        raise ValueError(f"dtype {dtype}, must be uint8")
    if document["zarr_format"] == 2:
        return tuple(document["chunks"])
    grid = document["chunk_grid"]
    if grid["name"] != "regular":
        raise ValueError(f"chunk grid {grid['name']}, must be regular")
    shape, codecs = grid["configuration"]["chunk_shape"], document["codecs"]
    while shards := shards_in(codecs):
        if name_of(codecs[0]) != SHARDS:
            raise ValueError(f"codec {name_of(codecs[0])} before shards, must be none")
        shape, codecs = shards["chunk_shape"], shards["codecs"]
    return tuple(shape)


def is_coded(document: Document) -> bool:
    """Whether its chunks are streams of ours."""
    if document["zarr_format"] == 2:
        codecs = [document["compressor"], *(document.get("filters") or [])]
        return any(codec and codec["id"] == NAME for codec in codecs)
    codecs = document["codecs"]
    while shards := shards_in(codecs):
        codecs = shards["codecs"]
    return any(name_of(codec) == NAME for codec in codecs)


def with_codec(document: Document, codec: Document | None) -> Document:
    """The same array, its chunks coded by one codec, as its format names it; None: Zarr's default.

    What is around them stays: shards, and what codes these.
    """
    if document["zarr_format"] == 2:
        compressor = codec or {"id": "zstd", **ZSTD}
        return document | {"compressor": compressor, "filters": None, "order": "C"}
    plain: list[Document] = [{"name": "bytes"}, {"name": "zstd", "configuration": ZSTD}]
    return document | {"codecs": innermost(document["codecs"], [codec] if codec else plain)}


def innermost(codecs: list[Any], new: list[Document]) -> list[Any]:
    """New codecs instead of these, or within their shards."""
    shards = shards_in(codecs)
    if shards is None:
        return new
    configuration = shards | {"codecs": innermost(shards["codecs"], new)}
    changed = {"name": SHARDS, "configuration": configuration}
    return [changed if name_of(codec) == SHARDS else codec for codec in codecs]


def shards_in(codecs: list[Any]) -> Document | None:
    """Configuration of the codec that makes shards, if there is one."""
    return next((codec["configuration"] for codec in codecs if name_of(codec) == SHARDS), None)


def name_of(codec: Any) -> Any:
    """A codec without configuration may be its name alone."""
    return codec if isinstance(codec, str) else codec["name"]
