"""The numba backend on this machine in all the ways that it can run here.

    python tools/conform_here.py               everything
    python tools/conform_here.py --installed   without other versions of numba and NumPy
    python tools/conform_here.py --json out/here.json

Each is a process of its own: every instruction set that this processor has (INTNET_SIMD) with 1, 2
and more threads (INTNET_THREADS); then the lowest versions of numba and NumPy that pyproject.toml
allows, and the newest, in folders side by side. All vectors must come out as they say, and the
bundled photograph, encoded and decoded, as selftest.json says, which other machines wrote.

Controls must be seen: for each instruction set a process in which a weight of every layer is wrong.

One line for each process; exit code 1 on any difference. Other versions need pip and a network,
once: they are unpacked in a cache folder, where compiled kernels are kept too.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from conform_arches import CACHE, write
from emulation import choice, controls, debian
from emulation.lines import Run
from emulation.running import FAILURES, ROOT, VECTORS, Python, faults_of, kernels, reason

from intnet.backends.simd import choose

PHOTOGRAPH = "photograph"
NEEDED = ("numpy", "numba", "pillow", "safetensors")  # all that encoding and decoding import


class Place(NamedTuple):
    """A process: what starts it, and what it must say of itself."""

    name: str
    python: Python
    must: Mapping[str, Any]
    plant: bool = False


class Outcome(NamedTuple):
    """What it printed, or why it did not run; what is wrong."""

    place: Place
    run: Run | None
    faults: Sequence[str]

    def line(self) -> str:
        """For people."""
        word = "FAULT" if self.faults else "ok"
        if self.run is None:
            return f"{word} {self.place.name}: {self.faults[0]}"
        facts = self.run.facts
        on = (f"{facts['simd']}, {facts['threads']} threads, numba {facts['numba']}, "
              f"NumPy {facts['numpy']}, Python {facts['python']}")  # fmt: skip
        count, told = self.run.passed, "right"
        if self.place.plant:
            count, told = len(self.run.cases) - count, "wrong, as some must be"
        seen = f"{count} of {len(self.run.cases)} {told}"
        return f"{word} {self.place.name}: {on}: {seen}, {self.run.seconds:.1f} s"


def places(cache: Path, *, installed: bool) -> Iterator[Place]:
    """All of them; other versions are unpacked when their turn comes."""
    here = Python([sys.executable], clean(cache, "installed"))
    for simd in choose.available():
        for threads in (1, 2, max(4, os.cpu_count() or 1)):
            yield Place(f"{simd}-{threads}", set_to(here, simd, threads),
                        {"simd": simd, "threads": threads})  # fmt: skip
        yield Place(f"control-{simd}", set_to(here, simd, 1), {"simd": simd}, plant=True)
    for name in () if installed else ("lowest", "newest"):
        yield versions(cache, name)


def versions(cache: Path, name: str) -> Place:
    """A process with packages of other versions, and none of this environment (-S)."""
    wanted = requirements(lowest=name == "lowest")
    tag = f"{name}-{sys.version_info.major}.{sys.version_info.minor}"
    site = debian.prepared(
        cache / f"site-{tag}", "\n".join(wanted), lambda folder: install(wanted, folder)
    )
    environment = clean(cache, tag) | {"PYTHONPATH": str(site)}
    must = {n: text[:-2] for n, _, text in (w.partition("==") for w in wanted) if n in NEEDED[:2]}
    return Place(name, Python([sys.executable, "-S"], environment), must)


def requirements(*, lowest: bool) -> list[str]:
    """What pyproject.toml asks for, of what is needed; `a>=1.2` as `a==1.2.*` for the lowest."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [text for text in project["dependencies"] if text.split(">=")[0] in NEEDED]
    return [f"{text.replace('>=', '==')}.*" for text in wanted] if lowest else wanted


def install(wanted: Sequence[str], folder: Path) -> None:
    """Packages into a folder."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder)]
    subprocess.run([*pip, *wanted], check=True)


def clean(cache: Path, tag: str) -> dict[str, str]:
    """No setting of Python, numba or intnet but that of the kernels' folder."""
    ours = ("PYTHON", "NUMBA_", "INTNET_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {
        "NUMBA_CACHE_DIR": str(kernels(cache / "here-numba") / tag), "PYTHONNOUSERSITE": "1",
        "PYTHONPYCACHEPREFIX": str(cache / "here-pyc"),
    }  # fmt: skip


def set_to(python: Python, simd: str, threads: int) -> Python:
    """A Python with an instruction set and a number of threads."""
    more = {"INTNET_SIMD": simd, "INTNET_THREADS": str(threads)}
    return python._replace(environment={**python.environment, **more})


def run(place: Place, ids: Sequence[str]) -> Outcome:
    """One process, and what is wrong with it."""
    options = ["--photograph", *(["--plant"] if place.plant else [])]
    try:
        with TemporaryDirectory() as folder:
            made = place.python.backend("numba", ids, Path(folder), *options)
    except FAILURES as error:
        return Outcome(place, None, [reason(error)])
    return Outcome(place, made, judge(place, made, [*ids, PHOTOGRAPH]))


def judge(place: Place, made: Run, ids: Sequence[str]) -> list[str]:
    """What is wrong with what a process printed."""
    faults = [f"{key} is {made.facts[key]}, must be {value}" for key, value in place.must.items()
              if not is_version(made.facts[key], value)]  # fmt: skip
    if place.plant:
        return faults + controls.judge("wrong weights", made, ids)[1]
    return faults + faults_of(made, ids, "numba backend")


def is_version(got: Any, must: Any) -> bool:
    """Equal, or a version of a series."""
    return bool(got == must or str(got).startswith(f"{must}."))


def main() -> int:
    """Run each, print its line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--installed", action="store_true", help="no other versions")
    parser.add_argument("--sample", type=int, default=1, metavar="N", help="one vector in N")
    parser.add_argument("--json", type=Path, metavar="F", help="write everything to F")
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"default: {CACHE}")
    chosen = parser.parse_args()
    ids = choice.ids(ROOT / VECTORS, "numba", slow=True, sample=chosen.sample)
    outcomes = []
    try:
        for place in places(chosen.cache.resolve(), installed=chosen.installed):
            outcomes.append(run(place, ids))
            print(outcomes[-1].line(), flush=True)
            for fault in outcomes[-1].faults:
                print(f"FAULT {place.name}: {fault}", file=sys.stderr)
    except FAILURES as error:
        print(f"NOT RUN: {reason(error)}", file=sys.stderr)
        return 1
    if chosen.json:
        write(chosen.json, {o.place.name: {"run": o.run and o.run._asdict(), "faults": o.faults}
                            for o in outcomes})  # fmt: skip
    right = not any(outcome.faults for outcome in outcomes)
    print("all as it must be" if right else "FAILED")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
