"""The curve of a training run, where matplotlib is installed."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path


def draw_log(log: Path, target: Path) -> None:
    """Loss and bpp over minutes, from a JSON-lines log, to a PNG. Nothing without matplotlib."""
    if importlib.util.find_spec("matplotlib") is None or not log.exists():
        return
    from matplotlib.figure import Figure  # noqa: PLC0415  # it may not be installed

    entries = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    minutes = [entry["seconds"] / 60 for entry in entries]
    figure = Figure(figsize=(8, 4), layout="constrained")
    for axes, key in zip(figure.subplots(1, 2), ("loss", "bpp"), strict=True):
        axes.plot(minutes, [entry[key] for entry in entries])
        axes.set(xlabel="minutes", ylabel=key)
        axes.grid(alpha=0.3)
    figure.savefig(target, dpi=120)
