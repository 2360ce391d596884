"""Break one rule at a time in a copy of the tree, and see the conformance vectors go red.

    python tools/break_conformance.py                      every break, in both implementations
    python tools/break_conformance.py --only '*luma*'      some of them
    python tools/break_conformance.py --class arith --class op     with fewer vectors
    python tools/break_conformance.py --json               one JSON object on stdout

`ours` is the package with the NumPy backend, run by `intnet.conform`; `reference` is
`conformance/reference_decoder.py`, run by `check_reference.py`. Each line has how many vectors went
red and the clauses that they name. Exit code 1: a break stayed green, or the clause of the broken
rule was not named, or something was red without a break. Vectors of cost large are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

from breaks import BREAKS, Break

ROOT = Path(__file__).resolve().parents[1]
VECTORS = Path("conformance/vectors/v1")
TIMEOUT = 1200  # seconds that one run may take
RUN = """
import json, sys
from pathlib import Path
from intnet.conform import running
print(json.dumps(running.run("numpy", Path(sys.argv[1]))["cases"]))
"""
Json = dict[str, Any]
Red = dict[str, str]  # id of a vector -> its clause


class Outcome(NamedTuple):
    """A break and what came of it."""

    name: str
    clause: str  # of the broken rule; none of a control
    red: Red
    fault: str

    def line(self) -> str:
        """For people."""
        clauses = sorted(set(self.red.values()))
        found = f"{len(self.red):4} red  {', '.join(clauses)}"
        return f"{self.name:46} {found}".rstrip() + (
            f"\n  FAILED: {self.fault}" if self.fault else ""
        )

    def json(self) -> Json:
        """For programs."""
        return {"name": self.name, "clause": self.clause, "red": sorted(self.red),
                "clauses": sorted(set(self.red.values())), "fault": self.fault}  # fmt: skip


def judge(name: str, clause: str, red: Red) -> Outcome:
    """A break must be seen, and by its clause; a control must not. clause: empty for a control."""
    if clause:
        seen = clause in red.values()
        fault = "" if seen else f"{clause} is not named" if red else "stayed green"
    else:
        fault = f"red without a break: {', '.join(sorted(red)[:5])}" if red else ""
    return Outcome(name, clause, red, fault)


# ---- Copies -------------------------------------------------------------------------------------
def reduce(vectors: Path, folder: Path, kinds: Sequence[str]) -> None:
    """The vectors of some classes, less those of cost large, as a folder of their own."""
    shutil.copytree(vectors, folder)
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    for kind in set(index["classes"]) - set(kinds):
        (folder / f"{kind}.json").unlink()
    index["classes"] = {kind: ids for kind, ids in index["classes"].items() if kind in kinds}
    index["files"] = [path for path in index["files"] if (folder / path).is_file()]
    for kind in index["classes"]:
        document = json.loads((folder / f"{kind}.json").read_text(encoding="utf-8"))
        document["vectors"] = [v for v in document["vectors"] if v.get("cost") != "large"]
        index["classes"][kind] = [v["id"] for v in document["vectors"]]
        (folder / f"{kind}.json").write_text(json.dumps(document), encoding="utf-8")
    (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")


def copy_tree(source: Path, target: Path) -> None:
    """What the runners need; the vectors are shared."""
    skip = shutil.ignore_patterns("vectors", "models", "samples", "training", "bench")
    for name in ("intnet", "rangecoder", "conformance"):
        shutil.copytree(source / name, target / name, ignore=skip)


def apply(tree: Path, change: Break) -> None:
    """Break one thing. Raises ValueError unless its text is there exactly once."""
    path = tree / change.path
    text = path.read_text(encoding="utf-8")
    if text.count(change.right) != 1:
        raise ValueError(
            f"{change.name}: {change.path} has {text.count(change.right)} times "
            f"{change.right!r}, must have it once"
        )
    path.write_text(text.replace(change.right, change.wrong), encoding="utf-8")


# ---- Running ------------------------------------------------------------------------------------
def start(tree: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A Python in the copy."""
    environment = os.environ | {"PYTHONPATH": str(tree)}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(
        command, cwd=tree, env=environment, capture_output=True, text=True, timeout=TIMEOUT,
        check=False,
    )  # fmt: skip


def run_ours(tree: Path, kinds: Sequence[str]) -> Red:  # noqa: ARG001  # one signature for both
    """Vectors that do not pass on the NumPy backend."""
    done = start(tree, "-c", RUN, tree / VECTORS)
    if done.returncode:
        raise ValueError(f"the runner ended with {done.returncode}: {done.stderr[-300:]}")
    cases = json.loads(done.stdout)
    return {case["id"]: case["clause"] for case in cases if case["result"] != "pass"}


def run_reference(tree: Path, kinds: Sequence[str]) -> Red:
    """Vectors that do not pass with the reference decoder."""
    chosen = [part for kind in kinds for part in ("--class", kind)]
    done = start(tree, "conformance/check_reference.py", *chosen)
    red = dict(re.findall(r"^  (\S+) \[(\S+)\]: ", done.stderr, re.MULTILINE))
    passed = re.findall(r"^(\w+): \d+ passed", done.stdout, re.MULTILINE)
    if done.returncode != (1 if red else 0) or len(passed) < len(kinds):
        raise ValueError(f"the runner ended with {done.returncode}: {done.stderr[-300:]}")
    return red


RUNNERS: dict[str, Callable[[Path, Sequence[str]], Red]] = {
    "ours": run_ours, "reference": run_reference,
}  # fmt: skip


def run(base: Path, change: Break, kinds: Sequence[str]) -> Outcome:
    """A copy of the copy, so that several breaks run at a time; compiled code comes with it."""
    name = f"{change.what}: {change.name}"
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        copy_tree(base, tree)
        (tree / VECTORS).parent.mkdir()
        (tree / VECTORS).symlink_to(base / VECTORS)
        try:
            apply(tree, change)
            return judge(name, change.clause, RUNNERS[change.what](tree, kinds))
        except (ValueError, subprocess.TimeoutExpired) as error:
            return Outcome(name, change.clause, {}, str(error))


def run_all(changes: Sequence[Break], kinds: Sequence[str], jobs: int) -> list[Outcome]:
    """Controls first, which also compile the coder."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as pool:
        base = Path(folder) / "base"
        copy_tree(ROOT, base)
        reduce(ROOT / VECTORS, base / VECTORS, kinds)
        whats = sorted({change.what for change in changes})
        controls = [judge(f"{what}: no break", "", RUNNERS[what](base, kinds)) for what in whats]
        return controls + list(pool.map(lambda change: run(base, change, kinds), changes))


def options() -> argparse.Namespace:
    """The command line."""
    classes = json.loads((ROOT / VECTORS / "index.json").read_text(encoding="utf-8"))["classes"]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", action="append", help="breaks by pattern, as 'ours: *'; repeats")
    parser.add_argument("--class", dest="kinds", action="append", choices=list(classes))
    parser.add_argument("--jobs", type=int, default=2, help="breaks at a time")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    chosen = parser.parse_args()
    chosen.kinds = chosen.kinds or list(classes)
    return chosen


def main() -> int:
    """Run, print, and judge."""
    chosen = options()
    wanted = chosen.only or ["*"]
    changes = [b for b in BREAKS if any(fnmatch(f"{b.what}: {b.name}", w) for w in wanted)]
    if not changes:
        print(f"no break is called {' or '.join(wanted)}", file=sys.stderr)
        return 1
    outcomes = run_all(changes, chosen.kinds, chosen.jobs)
    failed = [outcome for outcome in outcomes if outcome.fault]
    if chosen.json:
        print(json.dumps({"failed": len(failed), "breaks": [o.json() for o in outcomes]}))
    else:
        print("\n".join(outcome.line() for outcome in outcomes))
        print(f"{len(changes)} breaks, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
