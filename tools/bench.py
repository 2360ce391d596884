"""`make bench`: median seconds to encode and decode the bundled picture, per backend."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from intnet import codec, pictures, selftest, shipped

REPEATS = {"numpy": 3, "numba": 11}
QUALITY = 32


def median_seconds(function: Callable[[], object], repeats: int) -> float:
    """Median over repeats, after one call that compiles or loads kernels."""
    function()
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def machine() -> dict[str, Any]:
    """What the times belong to."""
    names = [
        line.split(":", 1)[1].strip()
        for line in (Path("/proc/cpuinfo").read_text().splitlines() if os.name == "posix"
                     and Path("/proc/cpuinfo").exists() else [])
        if line.startswith("model name")
    ]  # fmt: skip
    packages = {name: metadata.version(name) for name in ("intnet", "numpy", "numba")}
    return {
        "cpu": names[0] if names else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **packages,
    }


def main() -> None:
    """Time, print; with --json one object."""
    model = shipped.load()
    picture = pictures.read(selftest.sample_path())
    stream = codec.encode(picture, model, QUALITY)
    times = {
        backend: {
            "encode": median_seconds(lambda b=backend: codec.encode(picture, model, QUALITY, b), n),
            "decode": median_seconds(lambda b=backend: codec.decode(stream, [model], b), n),
        }
        for backend, n in REPEATS.items()
    }
    where = machine()
    if "--json" in sys.argv:
        print(json.dumps({"machine": where, "model": model.sha256, "seconds": times}))
        return
    print(", ".join(f"{key} {value}" for key, value in where.items()))
    height, width = picture.shape[:2]
    print(f"{width}x{height}, model {model.name}, quality {QUALITY}; median seconds")
    print(f"{'':8}{'numpy':>10}{'numba':>10}{'ratio':>8}")
    for verb in ("encode", "decode"):
        slow, fast = times["numpy"][verb], times["numba"][verb]
        print(f"{verb:8}{slow:10.4f}{fast:10.4f}{slow / fast:8.1f}")


if __name__ == "__main__":
    main()
