"""The conformance vectors on processors that this machine is not: both decoders, every class.

    python tools/conform_arches.py                       all six architectures, two at a time
    python tools/conform_arches.py --only s390x          one of them
    python tools/conform_arches.py --all --json out/arches.json
    python tools/conform_arches.py --numba --markdown    the table of the README

Debian's Python and NumPy of each architecture run under qemu's user-mode emulation: big-endian
(s390x), 32 bits (i386, armhf), and three others of 64; i386 without an emulator where the kernel
runs its programs. The reference decoder and `intnet.conform` with the NumPy backend must give what
the vectors say. `--numba` adds the numba backend, on this machine and on emulated aarch64 with the
wheels of PyPI and the dot products of Arm (`make simd-arm` tests more of it).

Left out, unless `--all` is given, are vectors that an emulated decoder takes minutes for.
`--sample N` takes one vector in N of each class.

Controls run on each architecture, and must be seen: decoders that round ties the other way, on
big-endian ones decoders that do not swap bytes, on 32 bits products of the machine's word.

Exit code 1: a vector that is not as it says, a control that went unseen, an architecture that is
missing. It needs an x86-64 Linux with apt-get, dpkg-deb and Debian's keys, `--numba` pip too;
packages are unpacked in a cache folder, once, and nothing is installed. qemu shows what
instruction sets, word sizes, byte orders and libraries do, not what real chips do.

Measured on two cores of an EPYC that others were using, 308 vectors a decoder: all six 10 minutes
(4 of processor time); `--numba` from nothing 23 minutes (10), most of them to compile on aarch64.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from emulation import arm, choice, controls, pythons
from emulation.debian import MissingError
from emulation.lines import Json, Run
from emulation.pythons import Architecture
from emulation.running import FAILURES, ROOT, VECTORS, Python, faults_of, reason, table

CACHE = Path.home() / ".cache" / "intnet-emulation"
NUMBA_ON = "aarch64"
TITLES = {"reference": "reference decoder", "numpy": "NumPy backend", "numba": "numba backend"}


class Outcome(NamedTuple):
    """A machine after all its runs, by decoder; `missing` says why there are none."""

    name: str
    runs: dict[str, Run]
    faults: Sequence[str] = ()
    controls: Sequence[str] = ()
    setup: float = 0.0
    suite: str = ""
    by: str = ""
    missing: str = ""


class Work(NamedTuple):
    """What every machine is given: the ids of each decoder; folders."""

    ids: dict[str, list[str]]
    cache: Path
    programs: Path


def run_here(ids: dict[str, list[str]]) -> Outcome:
    """Every decoder on this machine."""
    name, python = f"{platform.machine()} (this machine)", Python([sys.executable], os.environ)
    try:
        with TemporaryDirectory() as folder:
            runs = {decoder: run(python, decoder, ids, Path(folder)) for decoder in ids}
    except FAILURES as error:
        return Outcome(name, {}, missing=reason(error))
    return Outcome(name, runs, faults(runs, ids), by="itself")


def run(python: Python, decoder: str, ids: dict[str, list[str]], folder: Path) -> Run:
    """One decoder on its vectors."""
    if decoder == "reference":
        return python.reference(ids[decoder], folder)
    return python.backend(decoder, ids[decoder], folder)


def faults(runs: dict[str, Run], ids: dict[str, list[str]]) -> list[str]:
    """Of every decoder."""
    found = (faults_of(made, ids[decoder], TITLES[decoder]) for decoder, made in runs.items())
    return [fault for some in found for fault in some]


def is_architecture(architecture: Architecture, facts: Json) -> list[str]:
    """Faults unless the Python ran on the processor that it was meant for."""
    must = {"byteorder": architecture.byteorder, "maxsize": 2 ** (architecture.bits - 1) - 1}
    found = [f"{k} is {facts[k]}, must be {v}" for k, v in must.items() if facts[k] != v]
    if facts["machine"] not in architecture.machine:
        found.append(f"machine is {facts['machine']}, must be of {architecture.machine}")
    return found


def run_controls(
    architecture: Architecture, python: Python, folder: Path
) -> tuple[list[str], list[str]]:
    """A line for each planted fault, and those that went unseen."""
    said, unseen = [], []
    environment = {**python.environment, "PYTHONDONTWRITEBYTECODE": "1"}  # those files go away
    for number, fault in enumerate(controls.FAULTS):
        if fault.shows_on(architecture):
            root = controls.plant(fault, folder / str(number))
            planted = python._replace(root=root, environment=environment)
            ids = choice.ids(ROOT / VECTORS, fault.decoder, kind=fault.kind)  # no sample of them
            made = run(planted, fault.decoder, {fault.decoder: ids}, folder)
            line, more = controls.judge(f"{TITLES[fault.decoder]}, {fault.name}", made, ids)
            said.append(line)
            unseen += more
    return said, unseen


def run_architecture(architecture: Architecture, work: Work) -> Outcome:
    """Set up, run the decoders, and the controls."""
    try:
        began = time.perf_counter()
        root = pythons.sysroot(work.cache, architecture)
        setup = time.perf_counter() - began
        command = pythons.command(work.programs, root, architecture)
        python = Python(command, pythons.environment(work.cache, root, architecture))
        with TemporaryDirectory() as name:
            folder = Path(name)
            runs = {d: run(python, d, work.ids, folder) for d in ("reference", "numpy")}
            said, found = run_controls(architecture, python, folder)
            if "numba" in work.ids and architecture.name == NUMBA_ON:
                runs["numba"] = run(Python(*arm.python(work.cache)), "numba", work.ids, folder)
    except FAILURES as error:
        return Outcome(architecture.name, {}, missing=reason(error))
    for made in runs.values():
        found += is_architecture(architecture, made.facts)
        print(f"{architecture.name} ran: {made.facts}", file=sys.stderr, flush=True)
    by = "qemu" if command[0].startswith(str(work.programs)) else "this kernel"
    suite = (root / "suite").read_text(encoding="utf-8")
    return Outcome(
        architecture.name, runs, found + faults(runs, work.ids), said, setup, suite, by
    )  # fmt: skip


def run_all(
    wanted: Sequence[Architecture], cache: Path, ids: dict[str, list[str]]
) -> list[Outcome]:
    """The machine at hand, then two architectures at a time."""
    here = run_here(ids)
    try:
        if (sys.platform, platform.machine()) != ("linux", "x86_64"):
            raise MissingError("the emulators are programs for x86-64 Linux")
        cache.mkdir(parents=True, exist_ok=True)
        work = Work(ids, cache, pythons.emulators(cache))
    except FAILURES as error:
        return [here, *(Outcome(a.name, {}, missing=reason(error)) for a in wanted)]
    with ThreadPoolExecutor(max_workers=2) as pool:
        started = [pool.submit(run_architecture, architecture, work) for architecture in wanted]
        return [here, *(one.result() for one in started)]


# ---- Reporting ----------------------------------------------------------------------------------
def row(outcome: Outcome, ids: dict[str, list[str]]) -> list[str]:
    """A row of the table."""
    if outcome.missing:
        return [outcome.name, *["-"] * 4, *["NOT RUN"] * len(ids)]
    facts = outcome.runs["numpy"].facts
    bits = facts["maxsize"].bit_length() + 1
    counts = [f"{outcome.runs[decoder].passed} of {len(ids[decoder])}"
              if decoder in outcome.runs else "-" for decoder in ids]  # fmt: skip
    return [outcome.name, str(bits), facts["byteorder"], facts["python"], facts["numpy"], *counts]


def rows(outcomes: Sequence[Outcome], ids: dict[str, list[str]]) -> list[list[str]]:
    """The table of vectors that agree."""
    heads = ["architecture", "bits", "byte order", "Python", "NumPy", *(TITLES[d] for d in ids)]
    return [heads, *(row(outcome, ids) for outcome in outcomes)]


def report(outcomes: Sequence[Outcome]) -> bool:
    """Print times, controls and faults to stderr; True if all is as it must be."""
    right = True
    for outcome in outcomes:
        spent = ", ".join(f"{d} {made.seconds:.1f} s" for d, made in outcome.runs.items())
        lines = [f"{outcome.name}: by {outcome.by}, set-up {outcome.setup:.1f} s, {spent}"]
        lines += [f"control on {outcome.name}: {line}" for line in outcome.controls]
        if outcome.missing:
            lines = [f"NOT RUN: {outcome.name}: {outcome.missing}"]
        lines += [f"FAULT {outcome.name}: {fault}" for fault in outcome.faults]
        print(*lines, sep="\n", file=sys.stderr)
        right &= not outcome.missing and not outcome.faults
    return right


def as_json(outcomes: Sequence[Outcome], ids: dict[str, list[str]]) -> Json:
    """Everything, for machines."""
    machines = [
        outcome._asdict() | {"runs": {d: made._asdict() for d, made in outcome.runs.items()}}
        for outcome in outcomes
    ]
    return {"vectors": ids, "machines": machines}


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    names = [architecture.name for architecture in pythons.ARCHITECTURES]
    parser.add_argument("--only", action="append", choices=names, help="one architecture; repeats")
    parser.add_argument("--all", action="store_true", help="slow vectors too")
    parser.add_argument("--sample", type=int, default=1, metavar="N", help="one vector in N")
    parser.add_argument("--numba", action="store_true", help="the numba backend too")
    parser.add_argument("--markdown", action="store_true", help="print the table alone")
    parser.add_argument("--json", type=Path, metavar="F", help="write everything to F")
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"default: {CACHE}")
    return parser.parse_args()


def main() -> int:
    """Choose, run, print."""
    chosen = options()
    wanted = [a for a in pythons.ARCHITECTURES if a.name in (chosen.only or a.name)]
    ids = {
        decoder: choice.ids(ROOT / VECTORS, decoder, slow=chosen.all, sample=chosen.sample)
        for decoder in ("reference", "numpy", *(["numba"] if chosen.numba else []))
    }
    outcomes = run_all(wanted, chosen.cache.resolve(), ids)
    right = report(outcomes)
    print(table(rows(outcomes, ids)))
    if not chosen.markdown:
        print("all as it must be" if right else "FAILED")
    if chosen.json:
        write(chosen.json, as_json(outcomes, ids))
    return 0 if right else 1


def write(path: Path, document: dict[str, Any]) -> None:
    """To a temporary file, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_text(f"{json.dumps(document, indent=1)}\n", encoding="utf-8")
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main())
