"""Bugs planted in a copy of the tree, to see that the fuzzer finds them.

Each takes away a check that keeps a stranger's bytes from an array, a loop or a wrong answer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from break_conformance import apply, copy_tree
from breaks import Break

ROOT = Path(__file__).parents[2]
MINUTES = 1.0


class Plant(NamedTuple):
    """A bug, and the target that meets it."""

    target: str
    change: Break


PLANTS = {name: Plant(target, Break("fuzz", name, "", *change)) for name, target, *change in (
    ("lane-length", "coder", "rangecoder/layout.py",
     "if size > len(data) - position:", "if size > len(data) + 1000:"),
    ("payload-end", "coder", "rangecoder/coder.py",
     "status == VALID and part.endswith", "False and part.endswith"),
    ("table-order", "coder", "rangecoder/tables.py",
     "falls = cdf[1:] <= cdf[:-1]", "falls = cdf[1:] < -1"),
    ("table-index", "coder", "rangecoder/arguments.py",
     "if indexes.size and not (int(indexes.min()) >= 0 and int(indexes.max()) < tables.n_tables):",
     "if False:"),
    ("tile-checksum", "stream", "intnet/container.py",
     '    check_crc(f"stream, {header.grid.name(number)}, stage {stage}", payload, crc)\n', ""),
    ("head-room", "stream", "intnet/container.py",
     "    if end > len(data):", "    if end > len(data) + 10**6:"),
    ("size-of-alpha", "chunks", "intnet/alpha.py",
     "if len(samples) != size or rest:", "if False:"),
    ("scaling-shift", "model", "intnet/model_file.py",
     'check_range(getattr(s, name), lo, hi, f"model: scaling, {name}")', "pass"),
    ("salvage-exact", "parts", "intnet/salvage.py",
     "rows, columns = areas[number].slices", "rows, columns = list(header.grid.areas(1))[number]"),
)}  # fmt: skip


def found(name: str, seed: int) -> tuple[str, float]:
    """What the fuzzer says of a copy with the bug, empty for nothing, and after how many seconds.

    The time to compile the copy's kernels is not counted.
    """
    target, change = PLANTS[name]
    with tempfile.TemporaryDirectory(prefix="intnet-plant-") as folder:
        tree = Path(folder)
        copy_tree(ROOT, tree)
        for part in ("tools", "conformance/vectors"):
            (tree / part).symlink_to(ROOT / part)
        apply(tree, change)
        command = [sys.executable, str(tree / "tools" / "fuzz.py"), target, "--json", "--first",
                   "--crashes", str(tree / "found")]  # fmt: skip
        worker = tree / "tools" / "fuzzing" / "worker.py"
        compile_first = [sys.executable, str(worker), target, "0", "0", folder, "1024"]
        subprocess.run(compile_first, capture_output=True, check=False)  # the bug may end it
        return run([*command, "--minutes", str(MINUTES), "--seed", str(seed)], str(tree))


def run(command: list[str], tree: str) -> tuple[str, float]:
    """Fuzz the copy."""
    started = time.monotonic()
    environment = os.environ | {"PYTHONPATH": tree}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if not done.stdout:
        raise ValueError(f"the fuzzer ended with {done.returncode}: {done.stderr[-500:]}")
    findings = json.loads(done.stdout)["findings"]
    return findings[0]["why"] if findings else "", time.monotonic() - started
