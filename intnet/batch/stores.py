"""Zarr stores that are folders: which of their files are metadata, and which are chunks.

Files alone are looked at, of format 2 or 3; `arrays` knows what is in them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from intnet.batch.journal import NAME, Record
from intnet.errors import IntnetError

Document = dict[str, Any]  # JSON of metadata

NODES = ("zarr.json", ".zarray", ".zgroup")  # what makes a folder an array or a group
DOCUMENTS = (*NODES, ".zattrs", ".zmetadata")


class Store(NamedTuple):
    """What is in a store, by names relative to it; others: how many files are neither.

    arrays: their metadata by path, that of an array which is the store itself is ".". chunks: files
    below each array, a shard where it is sharded.
    """

    documents: list[str]
    arrays: dict[str, Document]
    chunks: dict[str, list[str]]
    others: int


def is_store(folder: Path) -> bool:
    """Whether a folder is a group or an array."""
    return any((folder / name).is_file() for name in NODES)


def find(root: Path) -> Store:
    """All of a store, links to folders followed. Raises IntnetError for metadata that are none."""
    documents, arrays, chunks, others = list[str](), dict[str, Document](), {}, 0
    for place, folders, names in os.walk(root, onerror=give_up, followlinks=True):
        folders.sort()
        folder = Path(place)
        path = folder.relative_to(root).as_posix()
        found = [name for name in DOCUMENTS if name in names]
        documents += [(folder / name).relative_to(root).as_posix() for name in found]
        document = array_of(folder)
        if document is None:
            others += len(names) - len(found)
            continue
        arrays[path] = document
        chunks[path] = [file.relative_to(root).as_posix() for file in files_below(folder)]
        folders.clear()  # an array holds no nodes
    return Store(documents, arrays, chunks, others)


def give_up(error: OSError) -> None:
    """A folder that is passed over would look like one that is finished."""
    raise error


def files_below(array: Path) -> list[Path]:
    """What may be chunks: neither metadata nor hidden. Sorted; none where there is no folder."""
    found = []
    for place, _, names in os.walk(array, followlinks=True):
        shown = [name for name in names if not name.startswith(".") and name not in DOCUMENTS]
        found += [Path(place, name) for name in shown]
    return sorted(found)


def array_of(folder: Path) -> Document | None:
    """Metadata, if the folder is an array. Raises IntnetError for damaged ones, OSError."""
    old, new = folder / ".zarray", folder / "zarr.json"
    document = parsed(new) if new.is_file() else {}
    if old.is_file():
        if document:
            raise IntnetError(f"{folder}: zarr.json and .zarray, must be of one format")
        return parsed(old)
    return document if document.get("node_type") == "array" else None


def parsed(path: Path) -> Document:
    """A JSON object. Raises IntnetError for anything else, OSError."""
    try:
        document = json.loads(path.read_bytes())
    except ValueError as error:
        raise IntnetError(f"{path}: damaged metadata ({error})") from None
    if not isinstance(document, dict):
        raise IntnetError(f"{path}: damaged metadata, must be a JSON object")
    return document


def home_of(chunk: Path) -> tuple[Path, str]:
    """The folder of the array that a chunk is of, and its name there. Raises IntnetError."""
    for folder in chunk.parents:
        if is_store(folder):
            return folder, chunk.relative_to(folder).as_posix()
    raise IntnetError(f"{chunk}: no array above it")


def check(source: Path, target: Path, store: Store) -> None:
    """Raise IntnetError for a target that the store cannot be converted to."""
    left, right = source.resolve(), target.resolve()
    if left.is_relative_to(right) or right.is_relative_to(left):
        raise IntnetError(f"{target}: one of SRC and DST holds the other, must be apart")
    if (target / NAME).exists():
        raise IntnetError(f"{target}: a folder of files, must be a Zarr store as SRC is")
    for name in store.documents:
        folder = (target / name).parent
        for other in {"zarr.json", ".zarray"} - {Path(name).name}:
            if (folder / other).exists() and not (source / name).with_name(other).exists():
                raise IntnetError(f"{folder / other} is in the way: SRC has no such file")


def surplus(
    target: Path, store: Store, known: dict[str, Record], *, overwrite: bool
) -> list[Path]:  # fmt: skip
    """Chunks in the target that the store lacks, of an earlier state of it: they must go.

    Raises IntnetError for those that no record is about, unless overwrite.
    """
    found = []
    for path, chunks in store.chunks.items():
        kept: Collection[str] = set(chunks)
        for file in files_below(target / path):
            name = file.relative_to(target).as_posix()
            if name in kept:
                continue
            if name not in known and not overwrite:
                raise IntnetError(
                    f"{file} is in the way: SRC has no such chunk; --overwrite removes it"
                )
            found.append(file)
    return found
