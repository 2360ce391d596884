#!/usr/bin/env python3
"""Fuzz what reads strangers' files: mutated inputs, of which each must give a result or an error.

Targets: stream, model, parts (regions, salvage), coder, chunks, checkpoint. Half of the mutations
know the format and make checksums anew, so that they reach what lies behind. A finding is an
exception of another type, an answer that must not be, a hang, a crash, or too much memory; its
input is kept, and the exit code is 1.

  python tools/fuzz.py --minutes 10                    all targets
  python tools/fuzz.py stream model --minutes 600 --log out/fuzz.json   counts go on from the log
  python tools/fuzz.py --replay out/fuzz/stream-raw-0123456789ab
  python tools/fuzz.py --plant all                     are planted bugs found?
  python tools/fuzz.py --coverage stream --minutes 10  guided by coverage; needs atheris
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]
from fuzzing import planted, supervisor  # noqa: E402  # found by the line above
from fuzzing.planted import PLANTS  # noqa: E402
from fuzzing.targets import TARGETS  # noqa: E402


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument("--seed", type=int, help="of the mutations; else a random one")
    parser.add_argument("--memory", type=int, default=1024, help="MiB a process may add")
    parser.add_argument("--first", action="store_true", help="stop at the first finding")
    parser.add_argument("--crashes", type=Path, default=ROOT / "out" / "fuzz")
    parser.add_argument("--log", type=Path, help="JSON of all runs so far, written every second")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--plant", choices=["all", *PLANTS], help="a bug in a copy; is it found?")
    parser.add_argument(
        "--coverage", action="store_true", help="let atheris guide one target; counts are its own"
    )
    parser.add_argument("--replay", type=Path, help="run one input of the folder of findings")
    chosen = parser.parse_args()
    unknown = set(chosen.targets) - set(TARGETS)
    if unknown:
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    return chosen


def replay(path: Path) -> int:
    """Run one input where errors are seen. Its name says target and kind."""
    name, kind, _ = path.name.split("-", 2)
    print(TARGETS[name].make().run(path.read_bytes(), remade=kind == "remade", compare=True))
    return 0


def find_planted(names: list[str], seed: int, *, as_json: bool) -> int:
    """Plant bugs, one at a time, and see whether they are found."""
    results = {name: planted.found(name, seed) for name in names}
    if as_json:
        print(json.dumps({n: {"why": w, "seconds": round(s, 1)} for n, (w, s) in results.items()}))
    else:
        for name, (why, seconds) in results.items():
            print(f"{name}: {f'found in {seconds:.0f} s, {why}' if why else 'NOT FOUND'}")
    return 0 if all(why for why, _ in results.values()) else 1


def main() -> int:
    """Fuzz, print, and judge."""
    chosen = options()
    if chosen.replay:
        return replay(chosen.replay)
    os.nice(10)
    seed = random.getrandbits(32) if chosen.seed is None else chosen.seed
    if chosen.plant:
        names = list(PLANTS) if chosen.plant == "all" else [chosen.plant]
        return find_planted(names, seed, as_json=chosen.json)
    if chosen.coverage:
        from fuzzing import guided  # noqa: PLC0415  # needs atheris

        return guided.run(chosen.targets, chosen.minutes, seed, chosen.crashes)
    log, started = supervisor.Log(chosen.log, chosen.crashes), time.monotonic()
    before = len(log.findings)
    names = chosen.targets or list(TARGETS)
    supervisor.fuzz(
        log, names, chosen.minutes, chosen.jobs, seed, chosen.memory, first=chosen.first
    )
    found = len(log.findings) - before
    report = log.json() | {"seed": seed, "seconds": round(time.monotonic() - started, 1)}
    if chosen.json:
        print(json.dumps(report))
    else:
        for name, totals in report["targets"].items():
            print(f"{name}: {totals['executions']} inputs, {totals['rate']} a second")
            for outcome, count in totals["outcomes"].items():
                print(f"  {count:>9}  {outcome}")
        print(f"{found} findings")
    return 1 if found or not log.totals else 0


if __name__ == "__main__":
    sys.exit(main())
