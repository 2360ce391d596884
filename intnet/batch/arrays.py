"""Plans for Zarr stores: what is done to a file of one, a chunk, a shard or a metadata document.

A chunk is read and written by Zarr itself, in memory: what is stored is what `array[...] = x` would
store. An array that a plan does not convert is copied, file by file.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import zarr
from numcodecs.registry import register_codec as register_numcodec
from zarr.core.buffer import default_buffer_prototype
from zarr.registry import register_codec
from zarr.storage import MemoryStore

from intnet.batch import metadata, stores
from intnet.batch.plans import Evaluate, FilePlan, Means, Part, Task, sha256_of
from intnet.batch.stores import Document, Store
from intnet.numcodecs import Intnet, picture_shape
from intnet.zarr import IntnetCodec

register_numcodec(Intnet)  # a checkout has no entry points
register_codec("intnet", IntnetCodec)

Array = zarr.Array[Any]


def check_plain(document: Document) -> None:
    """Raise ValueError for an array that is not of pictures, or not for the first time."""
    picture_shape(metadata.chunk_of(document), np.uint8)
    if metadata.is_coded(document):
        raise ValueError("coded by intnet already")


def digest_of(task: Task) -> str:
    """Of a chunk and the metadata that say how to read it; attributes change no sample."""
    document = stores.array_of(stores.home_of(task.source)[0]) or {}
    said = {key: value for key, value in document.items() if key != "attributes"}
    text = json.dumps(said, sort_keys=True) + sha256_of(task.source)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class StorePlan(FilePlan):
    """A file of the target for each file of a store."""

    @abstractmethod
    def converted(self, document: Document) -> Document:
        """Metadata of the new array. Raises ValueError for one that is copied."""

    def reason(self, document: Document) -> str:
        """Why an array is copied, empty if it is converted."""
        try:
            in_memory(self.converted(document), {})
        except (KeyError, TypeError) as error:
            return f"metadata that are not understood ({error!r})"
        except ValueError as error:  # UnknownCodecError is one
            return str(error).removeprefix("intnet: ")
        return ""

    def changed(self, document: Document) -> Document:
        """Metadata of what the target gets."""
        return document if self.reason(document) else self.converted(document)

    def digest(self, task: Task) -> str:
        """Of a metadata document, or of a chunk with what says how to read it."""
        document = task.source.name in stores.DOCUMENTS
        return sha256_of(task.source) if document else digest_of(task)

    def coded(self, task: Task, means: Means) -> bytes | None:  # noqa: ARG002  # the codec has none
        """A metadata document, or a chunk; None for one of the fill value alone."""
        if task.source.name in stores.DOCUMENTS:
            return self.document(task)
        folder, key = stores.home_of(task.source)
        old = stores.array_of(folder) or {}
        new = self.changed(old)
        data = task.source.read_bytes()
        if new is old:
            return data
        source, target = in_memory(old, {key: data}), in_memory(new, {})
        index = index_of(source, key)
        target.blocks[index] = source.blocks[index]
        return stored(target, key)

    def document(self, task: Task) -> bytes:
        """Metadata of a node; in those of a group others may be consolidated."""
        data = task.source.read_bytes()
        if task.source.name in (".zattrs", ".zgroup"):
            return data
        old = stores.parsed(task.source)
        new = self.array_or_group(old)
        return data if new == old else json.dumps(new, indent=2).encode() + b"\n"

    def array_or_group(self, document: Document) -> Document:
        """Metadata with those that they hold."""
        if document.get("node_type") == "array" or "chunks" in document:
            return self.changed(document)
        if document.get("consolidated_metadata"):
            inner = self.array_or_group(document["consolidated_metadata"])
            return document | {"consolidated_metadata": inner}
        held = document.get("metadata", {})
        nodes = {
            name: node if name.endswith(".zattrs") else self.array_or_group(node)
            for name, node in held.items()
        }
        return document | {"metadata": nodes} if held else document


@dataclass(frozen=True)
class EncodeStore(StorePlan):
    """Arrays of pictures get the codec `intnet`. model: its id, in hex."""

    verb = "encode"

    model: str
    quality: int

    def converted(self, document: Document) -> Document:
        """With the codec."""
        check_plain(document)
        codec = IntnetCodec(self.quality, self.model)
        if document["zarr_format"] == 2:
            return metadata.with_codec(document, codec.chunk_codec.get_config())
        return metadata.with_codec(document, codec.to_dict())


@dataclass(frozen=True)
class DecodeStore(StorePlan):
    """Arrays of the codec `intnet` get the one that Zarr takes by default."""

    verb = "decode"

    def converted(self, document: Document) -> Document:
        """Without the codec."""
        if not metadata.is_coded(document):
            raise ValueError("not coded by intnet")
        return metadata.with_codec(document, None)


@dataclass(frozen=True)
class EvaluateStore(Evaluate):
    """A row for each chunk and quality, of shards too."""

    def reason(self, document: Document) -> str:
        """Why an array is passed over, empty if it is not."""
        return EncodeStore(self.model, self.qualities[0]).reason(document)

    def digest(self, task: Task) -> str:
        """Of the chunk with what says how to read it."""
        return digest_of(task)

    def parts(self, task: Task, means: Means) -> Iterator[Part]:  # noqa: ARG002  # as Evaluate says
        """Chunks as they are coded, and how much of each is of the array; not those of the fill."""
        folder, key = stores.home_of(task.source)
        document = stores.array_of(folder) or {}
        array = in_memory(document, {key: task.source.read_bytes()})
        samples = np.asarray(array.blocks[index_of(array, key)])
        fill = np.uint8(document["fill_value"] or 0)
        chunk = metadata.chunk_of(document)
        counts = [-(-side // part) for side, part in zip(samples.shape, chunk, strict=True)]
        for place in itertools.product(*map(range, counts)):
            corner = [n * part for n, part in zip(place, chunk, strict=True)]
            visible = samples[tuple(slice(c, c + n) for c, n in zip(corner, chunk, strict=True))]
            whole = np.full(chunk, fill)
            whole[tuple(map(slice, visible.shape))] = visible
            if (whole != fill).any():
                picture = whole.reshape((*picture_shape(chunk, np.uint8), 1)[:3])
                axes = len(picture_shape(chunk, np.uint8))
                height, width = visible.shape[-axes:][:2]
                name = task.key if array.shards is None else f"{task.key}:{shown(place)}"
                yield Part(name, picture, height, width)


def shown(index: tuple[int, ...]) -> str:
    """Of a chunk within its shard."""
    return ".".join(map(str, index))


def in_memory(document: Document, chunks: dict[str, bytes]) -> Array:
    """An array of these chunks alone. Raises ValueError, TypeError, KeyError for its metadata."""
    name = ".zarray" if document["zarr_format"] == 2 else "zarr.json"
    files = {name: json.dumps(document).encode()} | chunks
    buffer = default_buffer_prototype().buffer
    store = MemoryStore({key: buffer.from_bytes(data) for key, data in files.items()})
    with zarr.config.set({"array.write_empty_chunks": False}):  # open_array passes over a config
        return zarr.open_array(store, mode="r+")


def stored(array: Array, key: str) -> bytes | None:
    """A chunk of an array in memory, as its bytes."""
    store = array.store
    assert isinstance(store, MemoryStore)
    found = store._store_dict.get(key)  # noqa: SLF001  # what was given to it; get() is a coroutine
    return None if found is None else found.to_bytes()


def index_of(array: Array, key: str) -> tuple[int, ...]:
    """Of a chunk or shard in its grid. Raises ValueError for a name that no chunk has."""
    index = tuple(map(int, re.findall("[0-9]+", key)))
    sides = zip(array.shape, array.shards or array.chunks, strict=True)
    grid = [-(-side // part) for side, part in sides]
    within = len(index) == len(grid) and all(n < most for n, most in zip(index, grid, strict=True))
    if not within or array.metadata.encode_chunk_key(index) != key:
        raise ValueError(f"{key}: no chunk of the array")
    return index


def is_chunk(array: Array, key: str) -> bool:
    """Whether a file of this name is a chunk of the array."""
    try:
        index_of(array, key)
    except ValueError:
        return False
    return True


def survey(plan: StorePlan | EvaluateStore, root: Path) -> tuple[Store, dict[str, str]]:
    """A store, and by path the reasons of arrays that the plan has nothing to do with.

    Of the arrays that it converts, files that are no chunks count as others.
    """
    store = stores.find(root)
    reasons = {path: plan.reason(document) for path, document in store.arrays.items()}
    chunks, others = dict[str, list[str]](), store.others
    for path, names in store.chunks.items():
        chunks[path] = names
        if not reasons[path]:
            array = in_memory(store.arrays[path], {})
            keys = {name: PurePosixPath(name).relative_to(path).as_posix() for name in names}
            chunks[path] = [name for name, key in keys.items() if is_chunk(array, key)]
            others += len(names) - len(chunks[path])
    found = store._replace(chunks=chunks, others=others)
    return found, {path: reason for path, reason in reasons.items() if reason}
