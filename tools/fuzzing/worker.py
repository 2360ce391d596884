"""A process that mutates and runs one target: `worker.py TARGET SEED SECONDS FOLDER MIB`.

Before each call its input lies in FOLDER/current, so that it outlives the process. Every second or
so a line of JSON on stdout says what happened since the line before.
"""

from __future__ import annotations

import json
import mmap
import resource
import struct
import sys
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from random import Random

ROOT = Path(__file__).parents[2]
sys.path[:1] = [str(ROOT), str(ROOT / "tools")]  # not this folder: names of it are common
from fuzzing.target.outcome import Target  # noqa: E402  # found by the line above
from fuzzing.targets import TARGETS  # noqa: E402

COMPARED = 50  # one call in so many is compared with the reference
LARGEST = 2**20  # bytes of an input
HEAD = struct.Struct("<QQ?")  # calls begun, bytes of the input, whether checksums were made anew


def current(path: Path) -> mmap.mmap:
    """The file of the input, as memory."""
    with path.open("w+b") as file:
        file.truncate(HEAD.size + LARGEST)
        return mmap.mmap(file.fileno(), HEAD.size + LARGEST)


def limit_memory(mebibytes: int) -> None:
    """So much more address space than there is in use, and no more."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + mebibytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def call(target: Target, data: bytes, *, remade: bool, compare: bool) -> tuple[str, str]:
    """Outcome and, of a finding, its traceback."""
    try:
        return target.run(data, remade=remade, compare=compare), ""
    except Exception as error:  # noqa: BLE001  # whatever it is, it is a finding
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(frame.filename).name}:{frame.lineno}"
        return f"FINDING {type(error).__name__} at {where}", traceback.format_exc()


def tell(outcomes: Counter[str], findings: list[dict[str, object]]) -> None:
    """A line of JSON."""
    print(json.dumps({"outcomes": outcomes, "findings": findings}), flush=True)


def main() -> None:
    """Mutate and run."""
    name, seed, seconds, folder, mebibytes = sys.argv[1:]
    warnings.simplefilter("ignore")
    target, rng = TARGETS[name].make(), Random(int(seed))
    memory = current(Path(folder) / "current")
    for _ in range(COMPARED):  # compiles, starts threads
        data, remade = target.mutated(rng)
        call(target, data, remade=remade, compare=True)
    limit_memory(int(mebibytes))
    end = told = time.monotonic()
    end += float(seconds)
    begun, outcomes, findings, seen = 0, Counter[str](), [], Counter[str]()
    while (now := time.monotonic()) < end:
        data, remade = target.mutated(rng)
        begun += 1
        memory[: HEAD.size] = HEAD.pack(begun, len(data[:LARGEST]), remade)
        memory[HEAD.size : HEAD.size + len(data[:LARGEST])] = data[:LARGEST]
        outcome, text = call(target, data, remade=remade, compare=begun % COMPARED == 0)
        outcomes[outcome] += 1
        seen[outcome] += 1
        if text and seen[outcome] <= 3:
            findings.append({"why": outcome, "text": text, "remade": remade, "data": data.hex()})
        if findings or now - told > 1:
            tell(outcomes, findings)
            told, outcomes, findings = now, Counter(), []
    tell(outcomes, findings)


if __name__ == "__main__":
    main()
