"""Starts a Python that prints `lines`; nothing of this machine's settings reaches it unasked."""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from emulation import lines
from emulation.controls import ROOT
from emulation.debian import MissingError
from emulation.lines import Run

HERE = Path(__file__).parent
VECTORS = Path("conformance/vectors/v1")
TIMEOUT = 3600  # seconds that one Python may take
FAILURES = (MissingError, OSError, ValueError, subprocess.SubprocessError)


class Python(NamedTuple):
    """What starts it, its environment, and where our files lie that it runs."""

    command: Sequence[str]
    environment: Mapping[str, str]
    root: Path = ROOT

    def reference(self, ids: Sequence[str], folder: Path) -> Run:
        """The reference decoder on vectors; the folder takes the list of them."""
        decoder = self.root / "conformance/reference_decoder.py"
        return self.run("reference_cases.py", [ROOT / "conformance", decoder], ids, folder)

    def backend(self, name: str, ids: Sequence[str], folder: Path, *options: str) -> Run:
        """A backend of intnet on vectors."""
        return self.run("backend_cases.py", [ROOT / VECTORS], ids, folder, name, *options)

    def run(
        self, script: str, paths: Sequence[Path], ids: Sequence[str], folder: Path, *more: str
    ) -> Run:
        """Start, wait, read. Raises ValueError unless it ends well."""
        listed = folder / "ids.json"
        listed.write_text(json.dumps(list(ids)), encoding="utf-8")
        command = [*self.command, HERE / script, *paths, listed, *more]
        began = time.perf_counter()
        done = subprocess.run(
            list(map(str, command)), env={**self.environment, "PYTHONPATH": self.path()},
            capture_output=True, text=True, check=False, timeout=TIMEOUT,
        )  # fmt: skip
        if done.returncode:
            raise ValueError(f"ended with {done.returncode}: {done.stderr.strip()[-300:]}")
        return lines.parse(done.stdout, time.perf_counter() - began)

    def path(self) -> str:
        """Our packages, then those of the environment."""
        given = self.environment.get("PYTHONPATH")
        return f"{self.root}:{given}" if given else str(self.root)


def faults_of(run: Run, ids: Sequence[str], name: str) -> list[str]:
    """Vectors that did not come out as they say, are missing or were not asked for."""
    wrong = [f"{name}: {case}: {result}" for case, result in run.cases.items()
             if result != lines.PASS]  # fmt: skip
    missing = [f"{name}: {case}: missing" for case in ids if case not in run.cases]
    return wrong + missing + [f"{name}: {case}: unasked" for case in run.cases if case not in ids]


def kernels(folder: Path) -> Path:
    """Where numba keeps kernels of these sources: it looks at one file of each kernel only."""
    sources = sorted(path for name in ("intnet", "rangecoder")
                     for path in (ROOT / name).rglob("*.py"))  # fmt: skip
    return folder / hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]


def reason(error: Exception) -> str:
    """Why something did not run; apt has said more, and its command line is long."""
    if isinstance(error, subprocess.CalledProcessError):
        return f"{Path(error.cmd[0]).name} ended with {error.returncode}, see above"
    return str(error)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of columns, the first of them heads, in Markdown."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = [
        " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        for cells in rows
    ]
    rule = " | ".join("-" * width for width in widths)
    return "\n".join(f"| {line} |" for line in (padded[0], rule, *padded[1:]))
