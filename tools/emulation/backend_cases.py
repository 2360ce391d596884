"""What runs in each Python that has NumPy: a backend of intnet on vectors; see `lines`.

    python backend_cases.py VECTORS IDS BACKEND [--photograph] [--plant]

The NumPy backend needs nothing but NumPy. `--photograph` adds the bundled photograph, encoded and
decoded, against selftest.json. `--plant` makes weights of the numba backend wrong.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import lines
import numpy as np

from intnet import backends
from intnet.backends.threads import thread_count
from intnet.conform.folder import Setting
from intnet.conform.running import run_vector


def facts(backend: str) -> lines.Json:
    """What this Python is, and what the backend runs on."""
    found = lines.facts() | {"numpy": np.__version__}
    if backend == "numba":
        simd = import_module("intnet.backends.simd.choose").chosen()
        found |= {"numba": import_module("numba").__version__, "simd": simd,
                  "threads": thread_count()}  # fmt: skip
    return found


def fault(vector: lines.Json, setting: Setting) -> str:
    """What is wrong with a vector."""
    case = run_vector(vector["class"], vector, setting)
    return "" if case.result == "pass" else f"{case.result}: {case.detail}"


def photograph(backend: str) -> str:
    """What is wrong with the bundled photograph; selftest.json was written on other machines."""
    from intnet import selftest, shipped  # noqa: PLC0415  # they need more than NumPy

    model = shipped.load()
    got = selftest.pin(model, selftest.outcome(model, backend))
    must = json.loads(selftest.pin_path().read_text(encoding="utf-8"))
    return "" if got == must else f"{got}, must be {must}"


def plant() -> None:
    """Make a weight of every layer wrong, with tiles and without."""
    pack, numba_cpu = (
        import_module(f"intnet.backends.{name}") for name in ("simd.pack", "numba_cpu")
    )
    pack.weights = planted(pack.weights)
    packed = numba_cpu.packed  # it keeps what it gives
    numba_cpu.packed = planted(lambda op: packed(op).copy())


def planted(weights: Callable[..., Any]) -> Callable[..., Any]:
    """A function that packs weights, with one of them wrong."""

    def wrong(*arguments: Any) -> Any:
        packed = weights(*arguments)
        packed.flat[0] ^= 1
        return packed

    return wrong


def cases(options: argparse.Namespace) -> Iterator[tuple[str, Callable[[], str]]]:
    """The vectors, then the photograph."""
    setting = Setting(options.vectors, options.backend)
    for vector in lines.chosen(options.vectors, options.ids):
        yield vector["id"], partial(fault, vector, setting)
    if options.photograph:
        yield "photograph", partial(photograph, options.backend)


def main() -> None:
    """Print the facts and the lines."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("vectors", type=Path)
    parser.add_argument("ids", type=Path)
    parser.add_argument("backend", choices=list(backends.MODULES))
    parser.add_argument("--photograph", action="store_true")
    parser.add_argument("--plant", action="store_true")
    options = parser.parse_args()
    if options.plant:
        plant()
    lines.write(facts(options.backend), cases(options))


if __name__ == "__main__":
    main()
