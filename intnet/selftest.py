"""Checks that an installation gives the bytes it must; each result says what was compared."""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import rangecoder
import rangecoder.reference
from intnet import codec, model_file, pictures, shipped
from intnet.model_file import Model

BACKENDS = ("numpy", "numba")
QUALITY = 32


class Check(NamedTuple):
    """One result."""

    name: str
    ok: bool
    detail: str


def sample_path() -> Path:
    """The bundled photograph."""
    return Path(str(resources.files("intnet") / "samples" / "giraffe.png"))


def pin_path() -> Path:
    """SHA-256 that the default model must give on the bundled photograph."""
    return sample_path().with_name("selftest.json")


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


def run(name_or_path: str | None = None) -> list[Check]:
    """Every check. The pins belong to the default model."""
    model = shipped.load(name_or_path)
    proofs = sum(len(bounds) for bounds in model_file.certify(model).values())
    checks = [Check("proof", proofs > 0, f"{proofs} bounds of model {model.name} hold"), coder()]
    results = {backend: outcome(model, backend) for backend in BACKENDS}
    first = results[BACKENDS[0]]
    for other in BACKENDS[1:]:
        streams = results[other].stream == first.stream
        pixels = np.array_equal(results[other].pixels, first.pixels)
        detail = f"{BACKENDS[0]} and {other}: {{}} streams, {{}} pixels"
        detail = detail.format(*("equal" if same else "DIFFERENT" for same in (streams, pixels)))
        checks.append(Check("backends", streams and pixels, detail))
    if name_or_path is None:
        checks.append(pinned(pin(model, first)))
    return checks


def pinned(got: dict[str, Any]) -> Check:
    """Comparison with selftest.json."""
    if not pin_path().is_file():
        return Check("pin", ok=False, detail=f"{pin_path()} is missing")
    wanted = json.loads(pin_path().read_text(encoding="utf-8"))
    wrong = [key for key in got if got[key] != wanted.get(key)]
    detail = f"{', '.join(wrong)} changed" if wrong else f"stream {got['stream_sha256'][:16]}"
    return Check("pin", not wrong, detail)


def coder() -> Check:
    """The compiled range coder against the reference, escapes included."""
    tables = rangecoder.build([[1, 6, 1, 1], [5, 1, 1, 1]], minimum=[-1, 0])
    symbols = np.array([0, 0, -1, 1, 0, 700, -32768, 2] * 8, np.int32)
    indexes = np.arange(len(symbols), dtype=np.uint8) % 2
    fast = rangecoder.encode(symbols, indexes, tables)
    slow = rangecoder.reference.encode(symbols.tolist(), indexes.tolist(), tables)
    back = rangecoder.decode(fast, indexes, tables)
    ok = fast == slow and np.array_equal(back, symbols)
    return Check("range coder", ok, f"{len(fast)} bytes, compiled against reference")
