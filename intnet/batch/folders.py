"""Which files of a folder are taken, and what each becomes."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from intnet.batch import stores
from intnet.errors import IntnetError

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pnm")
STREAMS = (".inic",)


class Found(NamedTuple):
    """Names relative to the folder, sorted, and how many files have another suffix."""

    names: list[PurePosixPath]
    others: int


def find(folder: Path, suffixes: Collection[str]) -> Found:
    """Files below a folder by suffix, in whatever case; hidden ones are none of ours.

    Links to files are followed, links to folders are not. Raises IntnetError where there is none
    and for a Zarr store below, OSError for a folder that cannot be read.
    """
    if not folder.is_dir():
        raise IntnetError(f"{folder}: not a folder")
    names, others = [], 0
    for root, folders, files in os.walk(folder, onerror=stores.give_up):
        if stores.is_store(Path(root)):
            raise IntnetError(f"{root}: a Zarr store among files; give it alone, as SRC")
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path = Path(root, name)
            if name.startswith(".") or path.is_fifo():  # a pipe would be waited for
                continue
            if path.suffix.lower() in suffixes:
                names.append(PurePosixPath(path.relative_to(folder).as_posix()))
            else:
                others += 1
    if not names:
        raise IntnetError(
            f"{folder}: no Zarr store, and no file with a suffix of {', '.join(suffixes)}"
        )
    return Found(sorted(names), others)


def renamed(names: Collection[PurePosixPath], suffix: str) -> dict[PurePosixPath, PurePosixPath]:
    """Input to output: the same place, another suffix. Raises IntnetError for a collision.

    Names that differ by case alone collide: on some disks they are one file.

    >>> renamed([PurePosixPath("a/b.png")], ".inic")
    {PurePosixPath('a/b.png'): PurePosixPath('a/b.inic')}
    """
    outputs = {name: name.with_suffix(suffix) for name in names}
    first: dict[str, PurePosixPath] = {}
    for name, output in outputs.items():
        other = first.setdefault(str(output).casefold(), name)
        if other != name:
            raise IntnetError(f"{other} and {name} would both become {output}; rename one")
    return outputs
