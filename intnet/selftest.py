"""Checks that an installation gives the bytes it must; each result says what was compared.

All that is observed, and nothing of the machine, goes into one hash: equal on every device.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from fnmatch import fnmatch
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import rangecoder
import rangecoder.reference
from intnet import codec, machine, model_file, pictures, shipped
from intnet.conform import folder, running
from intnet.conform.arrays import Json
from intnet.conform.folder import digest_of
from intnet.model_file import Model

BACKENDS = ("numpy", "numba")
QUALITY = 32
# Vectors that take long and that `--full` alone runs, by id.
LARGE = ("stream/*-lane*", "stream/every-quality-*", "stress/*", "real/*")


class Check(NamedTuple):
    """One result."""

    name: str
    ok: bool
    detail: str


class Seen:
    """What was observed, by name: one digest where all backends agree."""

    def __init__(self) -> None:
        self.digests: defaultdict[str, set[str]] = defaultdict(set)

    def add(self, name: str, observed: Any) -> None:
        """A JSON value."""
        self.digests[name].add(digest_of(observed))

    def sha256(self) -> str:
        """One hash of everything."""
        return digest_of({name: sorted(found) for name, found in self.digests.items()})


class Report(NamedTuple):
    """Every check, the machine, counts of vectors by backend, one hash of every observed result."""

    machine: Json
    checks: list[Check]
    vectors: dict[str, Json]
    sha256: str

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return all(check.ok for check in self.checks)


def sample_path() -> Path:
    """The bundled photograph."""
    return Path(str(resources.files("intnet") / "samples" / "giraffe.png"))


def pin_path() -> Path:
    """SHA-256 that the default model must give on the bundled photograph."""
    return sample_path().with_name("selftest.json")


def hash_path() -> Path:
    """What `Report.sha256` must be with the default model, of the quick and of the full list."""
    return sample_path().with_name("selftest_hash.json")


class Outcome(NamedTuple):
    """Stream of the bundled photograph and its decoded samples, by one backend."""

    stream: bytes
    pixels: codec.Pixels


def outcome(model: Model, backend: str) -> Outcome:
    """Encode and decode the bundled photograph."""
    stream = codec.encode(pictures.read(sample_path()), model, QUALITY, backend)
    return Outcome(stream, codec.decode(stream, [model], backend).pixels)


def pin(model: Model, result: Outcome) -> dict[str, Any]:
    """What selftest.json holds."""
    return {
        "model": model.sha256,
        "quality": QUALITY,
        "stream_sha256": hashlib.sha256(result.stream).hexdigest(),
        "pixel_sha256": hashlib.sha256(result.pixels.tobytes()).hexdigest(),
    }


def run(
    name_or_path: str | None = None, *, full: bool = False, allow_not_supported: bool = False
) -> Report:
    """Every check. The pins belong to the default model.

    full: large vectors too. allow_not_supported: a backend that cannot run here is no failure.
    """
    model, seen = shipped.load(name_or_path), Seen()
    checks, outcomes = [proof(model, seen), coder(seen)], {}
    counts: dict[str, Json] = {}
    for backend in BACKENDS:
        if why := running.unsupported("op", backend):
            checks.append(Check(backend, allow_not_supported, f"not supported: {why}"))
            continue
        check, counts[backend] = vectors(backend, seen, full=full)
        checks.append(check)
        outcomes[backend] = outcome(model, backend)
        seen.add("photograph", pin(model, outcomes[backend]))
    checks.append(agreement(outcomes))
    sha256 = seen.sha256()
    if name_or_path is None and outcomes:
        first = next(iter(outcomes.values()))
        checks.append(pinned("pin", pin_path(), pin(model, first)))
        checks.append(pinned("hash", hash_path(), {"full" if full else "quick": sha256}))
    return Report(machine.facts(), checks, counts, sha256)


def proof(model: Model, seen: Seen) -> Check:
    """No accumulator of the model overflows."""
    bounds = model_file.certify(model)
    seen.add("proof", [model.sha256, bounds])
    count = sum(len(found) for found in bounds.values())
    return Check("proof", count > 0, f"{count} bounds of model {model.name} hold")


def quick(vector: Json) -> bool:
    """Whether a vector is in the list of every run."""
    return not any(fnmatch(str(vector["id"]), pattern) for pattern in LARGE)


def vectors(backend: str, seen: Seen, *, full: bool) -> tuple[Check, Json]:
    """The conformance vectors that came with this installation, and how many passed."""
    report = running.run(backend, None, bool if full else quick)
    wrong = []
    for case in report["cases"]:
        seen.add(case["id"], case["digest"])
        if case["result"] != "pass":
            wrong.append(f"{case['id']} {case['result']}: {case['detail']}")
    cases, there = len(report["cases"]), len(folder.read(folder.DEFAULT)[0])
    large = "" if cases >= there else f", {there - cases} large ones left out"
    first = f"; first {wrong[0]}" if wrong else ""
    detail = f"{report['passed']} of {cases} pass{large}{first}"
    counts = {name: report[name] for name in ("passed", "failed", "not_supported")}
    return Check(f"vectors, {backend}", report["passed"] == cases > 0, detail), counts


def agreement(results: dict[str, Outcome]) -> Check:
    """The backends that ran give the same bytes on the photograph."""
    if not results:
        return Check("backends", ok=False, detail="none can run here")
    (name, first), *others = results.items()
    streams = all(other.stream == first.stream for _, other in others)
    pixels = all(np.array_equal(other.pixels, first.pixels) for _, other in others)
    equal = ("equal" if same else "DIFFERENT" for same in (streams, pixels))
    detail = f"{' and '.join(results)}: {next(equal)} streams, {next(equal)} pixels"
    return Check("backends", streams and pixels, detail if others else f"{name} alone")


def pinned(name: str, path: Path, got: dict[str, Any]) -> Check:
    """Comparison with a file that the pin tool wrote."""
    if not path.is_file():
        return Check(name, ok=False, detail=f"{path} is missing")
    wanted = json.loads(path.read_text(encoding="utf-8"))
    wrong = [key for key in got if got[key] != wanted.get(key)]
    right = ", ".join(f"{key} {str(value)[:16]}" for key, value in got.items())
    return Check(name, not wrong, f"{', '.join(wrong)} changed" if wrong else right)


def coder(seen: Seen) -> Check:
    """The compiled range coder against the reference, escapes included."""
    tables = rangecoder.build([[1, 6, 1, 1], [5, 1, 1, 1]], minimum=[-1, 0])
    symbols = np.array([0, 0, -1, 1, 0, 700, -32768, 2] * 8, np.int32)
    indexes = np.arange(len(symbols), dtype=np.uint8) % 2
    fast = rangecoder.encode(symbols, indexes, tables)
    slow = rangecoder.reference.encode(symbols.tolist(), indexes.tolist(), tables)
    back = rangecoder.decode(fast, indexes, tables)
    seen.add("range coder", [fast.hex(), back.tolist()])
    ok = fast == slow and np.array_equal(back, symbols)
    return Check("range coder", ok, f"{len(fast)} bytes, compiled against reference")
