"""What times belong to: the machine and the versions."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from intnet.backends.simd import choose
from intnet.machine import model_name, version

GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
PACKAGES = (
    "intnet", "numpy", "numba", "torch", "onnxruntime", "constriction", "torchac", "compressai",
    "pillow", "pillow-jxl-plugin",
)  # fmt: skip


def machine(threads: int) -> dict[str, Any]:
    """Processor, its features that matter here, cores, load, governor where known, versions."""
    known = {feature for needs in choose.FEATURES.values() for feature in needs}
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None  # not on Windows
    return {
        "cpu": model_name(),
        "features": sorted(known & choose.features()),
        "cores": os.cpu_count(),
        "threads": threads,
        "isa": choose.chosen(),
        "governor": GOVERNOR.read_text().strip() if GOVERNOR.is_file() else "unknown",
        "load": None if load is None else round(load, 2),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": installed(),
    }


def installed() -> dict[str, str]:
    """Versions of the packages that are installed."""
    found = {name: version(name) for name in PACKAGES}
    return {name: there for name, there in found.items() if there}


def lines(facts: dict[str, Any]) -> list[str]:
    """The same for people."""
    features = " ".join(facts["features"]) or "none of those used here"
    load = "" if facts["load"] is None else f", load {facts['load']}"
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    return [
        f"machine: {facts['cpu']}, {facts['cores']} cores, governor {facts['governor']}{load}",
        f"features: {features}",
        f"used: {facts['threads']} threads, instruction set {facts['isa']}",
        f"versions: python {facts['python']}, {versions}",
    ]
