"""What runs in each Python: the reference decoder on vectors; `lines` says what is printed.

    python reference_cases.py CONFORMANCE DECODER IDS

Standard library only, in process, as an emulated Python can start no other. A refusal must have
the class and the clause of its vector: `check_reference.py` judges, and it knows the classes.
"""

from __future__ import annotations

import importlib.util
import sys
from functools import partial
from pathlib import Path
from typing import Any

import lines


def load(path: Path, name: str) -> Any:
    """The module at a path, wherever it lies."""
    sys.dont_write_bytecode = True
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def fault(check: Any, vector: lines.Json) -> str:
    """What is wrong with a vector; it raises, or nothing is."""
    check.run_vector(vector)
    return ""


def main(conformance: Path, decoder: Path, ids: Path) -> None:
    """Print the facts and the lines."""
    load(decoder, "reference_decoder")  # what check_reference imports
    check = load(conformance / "check_reference.py", "check_reference")
    chosen = lines.chosen(conformance / "vectors" / "v1", ids)
    lines.write(lines.facts(), ((v["id"], partial(fault, check, v)) for v in chosen))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
