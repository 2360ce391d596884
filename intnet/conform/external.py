"""`conformance/run.py` as a module: it stands alone and is no part of a package."""

from __future__ import annotations

import sys
from importlib import util
from pathlib import Path
from types import ModuleType
from typing import Any

from intnet.conform.arrays import Json
from intnet.conform.folder import place


def load(path: Path | None = None) -> ModuleType:
    """The runner for decoders given as command lines. Raises FileNotFoundError."""
    path = place() / "run.py" if path is None else path
    spec = util.spec_from_file_location("intnet_conformance_run", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(f"conformance runner: no file {path}")
    module = util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def classes(runner: ModuleType, report: Json) -> dict[str, Any]:
    """A report of `running.run` as that runner has one: cases by class."""
    kinds = dict.fromkeys(case["class"] for case in report["cases"])
    return {
        kind: runner.grouped(
            [
                runner.Case(case["id"], case["clause"], case["result"], case["detail"])
                for case in report["cases"]
                if case["class"] == kind
            ]
        )
        for kind in kinds
    }
