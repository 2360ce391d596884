"""Which vectors a decoder is given: all, or those that it is quick with, or one in so many."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import NamedTuple

from emulation.lines import Json, vectors


class Limit(NamedTuple):
    """The largest vectors that an emulated decoder takes seconds for, not minutes."""

    pixels: int
    elements: int  # of an array: symbols of a payload, weights of a layer
    model: int  # bytes of a model file


LIMITS = {
    "reference": Limit(2**14, 2**16, 2**22),
    "numpy": Limit(2**30, 2**30, 2**30),
    "numba": Limit(2**30, 2**30, 2**30),
}


def ids(
    folder: Path, decoder: str, *, slow: bool = False, kind: str = "", sample: int = 1
) -> list[str]:
    """Ids in the order of the index.

    slow: those beyond the limit too. kind: only a class. sample: one of so many of each class, the
    first included.
    """
    chosen, seen = [], dict[str, int]()
    for vector in vectors(folder):
        if kind in ("", vector["class"]) and (slow or quick(vector, folder, LIMITS[decoder])):
            seen[vector["class"]] = number = seen.get(vector["class"], -1) + 1
            if number % sample == 0:
                chosen.append(vector["id"])
    return chosen


def quick(vector: Json, folder: Path, limit: Limit) -> bool:
    """Whether a vector is within the limit in everything."""
    expected = vector["expected"]
    pixels = expected.get("width", 0) * expected.get("height", 0)
    elements = max(map(prod, shapes(vector)), default=0)
    model = (folder / vector["model"]).stat().st_size if "model" in vector else 0
    return pixels <= limit.pixels and elements <= limit.elements and model <= limit.model


def shapes(document: object) -> Iterator[list[int]]:
    """Every `shape` in a vector."""
    if isinstance(document, list):
        for item in document:
            yield from shapes(item)
    elif isinstance(document, dict):
        if isinstance(document.get("shape"), list):
            yield document["shape"]
        for value in document.values():
            yield from shapes(value)
