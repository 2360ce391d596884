"""What a Python under test prints: facts as JSON, then a line for each vector.

A line has, between tabs, the id, `pass` or what is wrong, and seconds. Standard library only: it
runs where nothing else is. Ids come in a file, so that both ends know what must be printed.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

Json = dict[str, Any]
PASS = "pass"


class Run(NamedTuple):
    """What a Python printed: `pass` or what is wrong, by id."""

    facts: Json
    cases: dict[str, str]
    seconds: float

    @property
    def passed(self) -> int:
        """Vectors that came out as they say."""
        return sum(result == PASS for result in self.cases.values())


def facts() -> Json:
    """What this Python is."""
    return {
        "machine": platform.machine(), "byteorder": sys.byteorder, "maxsize": sys.maxsize,
        "python": platform.python_version(),
    }  # fmt: skip


def vectors(folder: Path) -> Iterator[Json]:
    """Every vector of the index, class by class."""
    for kind in json.loads((folder / "index.json").read_text("utf-8"))["classes"]:
        yield from json.loads((folder / f"{kind}.json").read_text("utf-8"))["vectors"]


def chosen(folder: Path, ids: Path) -> Iterator[Json]:
    """Those whose ids a file lists."""
    wanted = set(json.loads(ids.read_text("utf-8")))
    return (vector for vector in vectors(folder) if vector["id"] in wanted)


def write(facts: Json, cases: Iterable[tuple[str, Callable[[], str]]]) -> None:
    """Print; a case gives its id and, called, what is wrong."""
    print(json.dumps(facts), flush=True)
    for name, case in cases:
        began = time.perf_counter()
        try:
            fault = case()
        except Exception as error:  # noqa: BLE001  # a crash is a result too, and others still run
            fault = f"{type(error).__name__}: {error}"
        seconds = time.perf_counter() - began
        print(name, " ".join(fault.split())[:300] or PASS, f"{seconds:.3f}", sep="\t", flush=True)


def parse(text: str, seconds: float) -> Run:
    """The other end of `write`. Raises ValueError where there are no cases, or one came twice."""
    first, *rest = text.splitlines() or [""]
    pairs = [tuple(line.split("\t")[:2]) for line in rest if line.count("\t") == 2]
    if not pairs or len(pairs) != len(rest):
        raise ValueError(f"no cases in what was printed: {text[:200]!r}")
    cases = dict(pairs)
    if len(cases) != len(pairs):
        raise ValueError(f"{len(pairs) - len(cases)} cases came twice")
    return Run(json.loads(first), cases, seconds)
