"""The conformance vectors, by the reference decoder, on processors that this machine is not.

    python tools/conform_arches.py                       all six architectures, two at a time
    python tools/conform_arches.py --only s390x          one of them
    python tools/conform_arches.py --all --json out/arches.json

Debian's Python of each architecture runs under qemu's user-mode emulation: big-endian (s390x),
32 bits (i386, armhf), and three others of 64. Result, clause of a refusal and a hash of everything
that came out are compared, case by case, with the same run on this machine, which must itself be
as the vectors say. `--all` takes the vectors of cost large too.

Two controls run on each architecture, and must be seen: a decoder that rounds ties the other way,
and on big-endian ones a decoder that does not swap bytes.

Exit code 1: a difference, a control that went unseen, an architecture that is missing.
It needs an x86-64 Linux with apt-get, dpkg-deb and Debian's keys; packages are unpacked in a cache
folder, once, and nothing is installed. qemu shows what instruction sets, word sizes, byte orders
and libraries do, not what real chips do.

Measured on two shared cores of an EPYC, other work running:

    set-up, once      qemu 22 s and 85 MB; each architecture 6 to 10 s and 37 to 70 MB
    default, 303 cases  15 to 43 s an architecture, all six 112 s; 118 s with set-up; here 1.2 s
    --all, 307 cases    59 to 96 s an architecture, all six 250 s; here 3.1 s
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from emulation import pythons, reference_cases
from emulation.debian import MissingError
from emulation.pythons import Architecture

ROOT = Path(__file__).resolve().parents[1]
CONFORMANCE = ROOT / "conformance"
CACHE = Path.home() / ".cache" / "intnet-emulation"
TIMEOUT = 3600  # seconds that one Python may take
HERE = "this machine"
FAILURES = (MissingError, OSError, ValueError, subprocess.SubprocessError)


class Fault(NamedTuple):
    """A line of the decoder, and a wrong one in its place."""

    name: str
    right: str
    wrong: str
    kind: str  # a class of vectors that must show it


TIES = Fault(
    "ties rounded down", "return (a + (1 << (s - 1))) >> s",
    "return (a + (1 << (s - 1)) - 1) >> s", "op",
)  # fmt: skip
SWAP = Fault("bytes not swapped", 'sys.byteorder == "big"', "False", "model")


class Case(NamedTuple):
    """What was observed of a vector."""

    id: str
    result: str
    digest: str

    def __str__(self) -> str:
        """For people."""
        return f"{self.result} {self.digest[:12]}"


class Run(NamedTuple):
    """What a Python printed."""

    facts: dict[str, Any]
    cases: list[Case]
    seconds: float


class Outcome(NamedTuple):
    """An architecture after all its runs; `missing` says why there are none."""

    name: str
    run: Run | None = None
    faults: Sequence[str] = ()
    controls: Sequence[str] = ()
    setup: float = 0.0
    suite: str = ""
    missing: str = ""


class Work(NamedTuple):
    """What every Python is given."""

    conformance: Path
    planted: dict[Fault, Path]
    leave_out: list[str]


# ---- Reading and comparing ----------------------------------------------------------------------
def parse(text: str, seconds: float) -> Run:
    """Facts and cases of what reference_cases.py printed."""
    first, *rest = text.splitlines() or [""]
    cases = []
    for line in rest:
        case, result, digest, _ = line.split("\t")
        cases.append(Case(case, result, digest))
    if not cases:
        raise ValueError(f"no cases in what was printed: {text[:200]!r}")
    return Run(json.loads(first), cases, seconds)


def compare(here: Sequence[Case], there: Sequence[Case]) -> list[str]:
    """A fault for each case that differs, is missing, came twice, or is not of this machine."""
    mine, theirs = ({case.id: case for case in cases} for cases in (here, there))
    faults = []
    if len(theirs) != len(there):
        faults.append(f"{len(there) - len(theirs)} cases came twice")
    for name in mine | theirs:
        if name not in theirs:
            faults.append(f"{name}: missing")
        elif name not in mine:
            faults.append(f"{name}: not run on {HERE}")
        elif mine[name] != theirs[name]:
            faults.append(f"{name}: {theirs[name]}, on {HERE} {mine[name]}")
    return faults


def wrong(cases: Sequence[Case]) -> list[str]:
    """Cases that are not as their vectors say."""
    return [f"{case.id}: {case.result}" for case in cases if case.result.startswith("WRONG")]


def agreeing(here: Sequence[Case], there: Sequence[Case]) -> int:
    """How many cases are the same."""
    return len(set(here) & set(there))


def is_architecture(architecture: Architecture, facts: dict[str, Any]) -> list[str]:
    """Faults unless the Python ran on the processor that it was meant for."""
    must = {"byteorder": architecture.byteorder, "maxsize": 2 ** (architecture.bits - 1) - 1}
    faults = [f"{k} is {facts[k]}, must be {v}" for k, v in must.items() if facts[k] != v]
    if facts["machine"] not in architecture.machine:
        faults.append(f"machine is {facts['machine']}, must be of {architecture.machine}")
    return faults


def judge_control(name: str, good: Sequence[Case], planted: Sequence[Case]) -> tuple[str, bool]:
    """A line about a planted fault, and whether it was seen; a run cut short does not count."""
    ids = {case.id for case in planted}
    same = [case for case in good if case.id in ids]
    seen = len(ids) - agreeing(same, planted)
    return f"{name}: {seen} of {len(ids)} cases differ", seen > 0 and len(same) == len(planted)


# ---- Running ------------------------------------------------------------------------------------
def run_python(
    python: Sequence[str], environment: dict[str, str], decoder: Path, kinds: Sequence[str],
    work: Work,
) -> Run:  # fmt: skip
    """The vectors of some classes, in one Python."""
    arguments = [*python, reference_cases.__file__, work.conformance, decoder, *kinds]
    began = time.perf_counter()
    done = subprocess.run(
        [*map(str, arguments), "--leave-out", *work.leave_out],
        env=environment, capture_output=True, text=True, check=False, timeout=TIMEOUT,
    )  # fmt: skip
    if done.returncode:
        raise ValueError(f"ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    return parse(done.stdout, time.perf_counter() - began)


def reason(error: Exception) -> str:
    """Why something did not run; apt has said more, and its command line is long."""
    if isinstance(error, subprocess.CalledProcessError):
        return f"{Path(error.cmd[0]).name} ended with {error.returncode}, see above"
    return str(error)


def run_architecture(
    architecture: Architecture, cache: Path, programs: Path, work: Work, here: Run
) -> Outcome:
    """Set up, run, compare, and the controls."""
    try:
        began = time.perf_counter()
        root = pythons.sysroot(cache, architecture)
        setup = time.perf_counter() - began
        python = pythons.command(programs, root, architecture)
        environment = pythons.environment(cache, root, architecture)
        start = partial(run_python, python, environment, work=work)
        run = start(work.conformance / "reference_decoder.py", reference_cases.CLASSES)
        faults = is_architecture(architecture, run.facts) + compare(here.cases, run.cases)
        controls = []
        for fault in (TIES, SWAP) if architecture.byteorder == "big" else (TIES,):
            planted = start(work.planted[fault], [fault.kind])
            line, seen = judge_control(fault.name, run.cases, planted.cases)
            controls.append(line)
            faults += [] if seen else [f"a planted fault went unseen: {line}"]
    except FAILURES as error:
        return Outcome(architecture.name, missing=reason(error))
    print(f"{architecture.name} ran: {run.facts}", flush=True)
    suite = (root / "suite").read_text(encoding="utf-8")
    return Outcome(architecture.name, run, faults, controls, setup, suite)


def run_all(wanted: Sequence[Architecture], cache: Path, work: Work, here: Run) -> list[Outcome]:
    """Two architectures at a time."""
    try:
        if (sys.platform, platform.machine()) != ("linux", "x86_64"):
            raise MissingError("the emulators are programs for x86-64 Linux")
        cache.mkdir(parents=True, exist_ok=True)
        programs = pythons.emulators(cache)
    except FAILURES as error:
        return [Outcome(architecture.name, missing=reason(error)) for architecture in wanted]
    with ThreadPoolExecutor(max_workers=2) as pool:
        runs = [
            pool.submit(run_architecture, architecture, cache, programs, work, here)
            for architecture in wanted
        ]
        return [run.result() for run in runs]


# ---- What is run --------------------------------------------------------------------------------
def large(conformance: Path) -> list[str]:
    """Vectors that take long."""
    found = []
    for kind in reference_cases.CLASSES:
        text = (conformance / "vectors" / "v1" / f"{kind}.json").read_text(encoding="utf-8")
        found += [v["id"] for v in json.loads(text)["vectors"] if v.get("cost") == "large"]
    return found


def plant(decoder: str, fault: Fault) -> str:
    """The text of a decoder with a fault."""
    if not decoder.count(fault.right):
        raise MissingError(f"reference_decoder.py has no line {fault.right!r} to plant a fault in")
    return decoder.replace(fault.right, fault.wrong)


def prepare(conformance: Path, folder: Path, *, everything: bool) -> Work:
    """What every Python is given; planted decoders go into the folder."""
    decoder = conformance / "reference_decoder.py"
    if not decoder.is_file():
        raise MissingError(f"there is no {decoder}; --conformance takes another folder")
    planted = {}
    for i, fault in enumerate((TIES, SWAP)):
        planted[fault] = folder / f"planted_{i}.py"
        text = plant(decoder.read_text(encoding="utf-8"), fault)
        planted[fault].write_text(text, encoding="utf-8")
    return Work(conformance, planted, [] if everything else large(conformance))


# ---- Reporting ----------------------------------------------------------------------------------
def row(outcome: Outcome, here: Run) -> list[str]:
    """A row of the table."""
    if outcome.run is None:
        return [outcome.name, "-", "-", "NOT RUN", "-", "-", "-"]
    facts, cases = outcome.run.facts, outcome.run.cases
    agree = agreeing(here.cases, cases)
    bits = facts["maxsize"].bit_length() + 1
    return [outcome.name, str(bits), facts["byteorder"], str(len(cases)), str(agree),
            f"{outcome.run.seconds:.1f}", f"{facts['python']} {outcome.suite}".strip()]  # fmt: skip


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of columns, the first of them heads."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        for cells in rows
    ]
    rule = " | ".join("-" * width for width in widths)
    return "\n".join(f"| {line} |" for line in (lines[0], rule, *lines[1:]))


def report(outcomes: Sequence[Outcome], here: Run, work: Work) -> bool:
    """Print everything; True if all is as it must be."""
    heads = ["architecture", "bits", "byte order", "cases", "agree", "seconds", "Python"]
    rows = [row(outcome, here) for outcome in (Outcome(HERE, here), *outcomes)]
    print(f"\n{table([heads, *rows])}\n")
    if work.leave_out:
        print(f"left out without --all: {', '.join(work.leave_out)}")
    for outcome in outcomes:
        for line in outcome.controls:
            print(f"control on {outcome.name}: {line}")
    faults = [f"{HERE}: {fault}" for fault in wrong(here.cases)]
    faults += [f"{outcome.name}: {fault}" for outcome in outcomes for fault in outcome.faults]
    missing = [outcome for outcome in outcomes if outcome.missing]
    for fault in faults:
        print(f"FAULT {fault}", file=sys.stderr)
    for outcome in missing:
        print(f"NOT RUN: {outcome.name}: {outcome.missing}", file=sys.stderr)
    return not faults and not missing


def as_json(outcomes: Sequence[Outcome], here: Run, work: Work) -> dict[str, Any]:
    """Everything, for machines."""
    return {
        "here": {"facts": here.facts, "seconds": here.seconds},
        "cases": [case._asdict() for case in here.cases],
        "left_out": work.leave_out,
        "architectures": [
            {
                "name": outcome.name,
                "suite": outcome.suite,
                "facts": outcome.run.facts if outcome.run else None,
                "cases": len(outcome.run.cases) if outcome.run else 0,
                "agree": agreeing(here.cases, outcome.run.cases) if outcome.run else 0,
                "seconds": outcome.run.seconds if outcome.run else None,
                "setup_seconds": outcome.setup,
                "controls": list(outcome.controls),
                "faults": list(outcome.faults),
                "missing": outcome.missing,
            }
            for outcome in outcomes
        ],
    }


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    names = [architecture.name for architecture in pythons.ARCHITECTURES]
    parser.add_argument("--only", action="append", choices=names, help="one architecture; repeats")
    parser.add_argument("--all", action="store_true", help="large pictures too")
    parser.add_argument("--json", type=Path, metavar="F", help="write everything to F")
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"default: {CACHE}")
    parser.add_argument("--conformance", type=Path, default=CONFORMANCE, metavar="DIR",
                        help="folder of reference_decoder.py and vectors")  # fmt: skip
    return parser.parse_args()


def main() -> int:
    """Run here, run there, compare."""
    chosen = options()
    wanted = [a for a in pythons.ARCHITECTURES if a.name in (chosen.only or a.name)]
    with tempfile.TemporaryDirectory() as folder:
        try:
            work = prepare(chosen.conformance.resolve(), Path(folder), everything=chosen.all)
            decoder = work.conformance / "reference_decoder.py"
            here = run_python(
                [sys.executable], dict(os.environ), decoder, reference_cases.CLASSES, work
            )
        except FAILURES as error:
            print(f"NOT RUN: {error}", file=sys.stderr)
            return 1
        outcomes = run_all(wanted, chosen.cache.resolve(), work, here)
    right = report(outcomes, here, work)
    if chosen.json:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(as_json(outcomes, here, work), indent=1)
        chosen.json.write_text(f"{text}\n", encoding="utf-8")
    print("all as it must be" if right else "FAILED")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
