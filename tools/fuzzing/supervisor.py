"""Workers, watched: a process that dies or stands still is a finding, its input is kept."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from fuzzing.targets import TARGETS
from fuzzing.worker import HEAD

WORKER = Path(__file__).with_name("worker.py")
HANG = 10.0  # seconds that one input may take
START = 300.0  # seconds before the first: kernels are compiled
PATIENCE = 12  # times that on the clock, for what waits for a processor
SLICE = 60.0  # seconds of a process


@dataclass
class Totals:
    """Of one target."""

    executions: int = 0
    seconds: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)

    def json(self) -> dict[str, Any]:
        """For logs; the rate is per second, starts of processes included."""
        rate = round(self.executions / self.seconds, 1) if self.seconds else 0
        return {"executions": self.executions, "seconds": round(self.seconds, 1), "rate": rate,
                "outcomes": dict(self.outcomes.most_common())}  # fmt: skip


class Log:
    """Totals by target and findings; continued from a file and written to it, if there is one."""

    def __init__(self, path: Path | None, crashes: Path) -> None:
        self.path, self.crashes, self.lock = path, crashes, threading.Lock()
        self.totals: dict[str, Totals] = {}
        self.findings: list[dict[str, str]] = []
        if path and path.exists():
            had = json.loads(path.read_text(encoding="utf-8"))
            self.findings = had["findings"]
            for name, t in had["targets"].items():
                self.totals[name] = Totals(t["executions"], t["seconds"], Counter(t["outcomes"]))

    def count(self, name: str, outcomes: Counter[str], seconds: float) -> None:
        """Add what a worker told."""
        with self.lock:
            totals = self.totals.setdefault(name, Totals())
            totals.executions += outcomes.total()
            totals.seconds += seconds
            totals.outcomes += outcomes
            if self.path:
                temporary = self.path.with_suffix(".tmp")
                temporary.write_text(json.dumps(self.json(), indent=1), encoding="utf-8")
                temporary.replace(self.path)

    def find(self, name: str, why: str, text: str, data: bytes, *, remade: bool) -> None:
        """Keep a finding: its input as a file named after target and hash."""
        self.crashes.mkdir(parents=True, exist_ok=True)
        kind = "remade" if remade else "raw"
        path = self.crashes / f"{name}-{kind}-{hashlib.sha256(data).hexdigest()[:12]}"
        path.write_bytes(data)
        path.with_name(f"{path.name}.txt").write_text(f"{why}\n{text}", encoding="utf-8")
        with self.lock:
            self.findings.append({"target": name, "why": why, "input": str(path)})
        print(f"{name}: {why}, see {path}", file=sys.stderr, flush=True)

    def json(self) -> dict[str, Any]:
        """All of it."""
        targets = {name: totals.json() for name, totals in sorted(self.totals.items())}
        return {"targets": targets, "findings": self.findings}


def watch(log: Log, name: str, seed: int, seconds: float, mebibytes: int, done: Callable[[], bool]
) -> None:  # fmt: skip
    """One process, until its time is over, it dies, hangs, or `done`."""
    with tempfile.TemporaryDirectory(prefix="intnet-fuzz-") as folder:
        words = [name, str(seed), str(seconds), folder, str(mebibytes)]
        errors = (Path(folder) / "stderr").open("w+b")
        process = subprocess.Popen(
            [sys.executable, str(WORKER), *words], stdout=subprocess.PIPE, stderr=errors, text=True
        )
        assert process.stdout is not None
        reader = threading.Thread(target=listen, args=(process.stdout, log, name), daemon=True)
        reader.start()
        hung = wait(process, Path(folder) / "current", done)
        process.kill()
        process.wait()
        reader.join()
        if not done() and (hung or process.returncode):
            errors.seek(0)
            text = errors.read().decode("utf-8", "replace")[-4000:]
            why = f"hangs for {HANG:.0f} s" if hung else f"process ends with {process.returncode}"
            data, remade = last_input(Path(folder) / "current")
            log.find(name, why, text, data, remade=remade)


def wait(process: subprocess.Popen[str], path: Path, done: Callable[[], bool]) -> bool:
    """Until the process ends; True if it stood still.

    That is HANG seconds of its processors' time on one input, and of the clock PATIENCE times that:
    on a busy machine a process may wait for long and do nothing wrong.
    """
    begun, since, spent = 0, time.monotonic(), 0.0
    while process.poll() is None and not done():
        time.sleep(0.2)
        if path.exists():
            now = HEAD.unpack(path.read_bytes()[: HEAD.size].ljust(HEAD.size, b"\0"))[0]
            if now != begun:
                begun, since, spent = now, time.monotonic(), processor_seconds(process.pid)
        limit = HANG if begun else START
        waited = time.monotonic() - since
        if waited > PATIENCE * limit:
            return True
        if waited > limit and processor_seconds(process.pid) - spent > limit:
            return True
    return False


def processor_seconds(pid: int) -> float:
    """That a process has had; without end where this system does not tell."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return float("inf")
    user, system = text.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def last_input(path: Path) -> tuple[bytes, bool]:
    """What the process began last."""
    data = path.read_bytes() if path.exists() else bytes(HEAD.size)
    _, size, remade = HEAD.unpack_from(data)
    return data[HEAD.size : HEAD.size + size], remade


def listen(lines: Any, log: Log, name: str) -> None:
    """Take a worker's lines."""
    before = time.monotonic()
    for line in lines:
        told, now = json.loads(line), time.monotonic()
        log.count(name, Counter(told["outcomes"]), now - before)
        before = now
        for finding in told["findings"]:
            data = bytes.fromhex(finding["data"])
            log.find(name, finding["why"], finding["text"], data, remade=finding["remade"])


def fuzz(
    log: Log, names: list[str], minutes: float, jobs: int, seed: int, mebibytes: int, *,
    first: bool = False,
) -> None:  # fmt: skip
    """Run targets in turns, by their shares of the time, which starts of processes do not count in.

    first: until there is a finding.
    """
    rng, budget = Random(seed), 60 * minutes * jobs
    spent, lock, before = dict.fromkeys(names, 0.0), threading.Lock(), len(log.findings)
    part = min(SLICE, 60 * minutes / len(names))

    def done() -> bool:
        return first and len(log.findings) > before

    def work() -> None:
        while not done():
            with lock:
                if sum(spent.values()) > budget - part / 2:
                    return
                name = min(names, key=lambda n: spent[n] / TARGETS[n].share)
                spent[name] += part
                own = rng.getrandbits(32)
            watch(log, name, own, part, mebibytes, done)

    threads = [threading.Thread(target=work) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
