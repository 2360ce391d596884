"""How time grows: pictures from 0.4 to 24 megapixels, and the start of a process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from intnet import codec, shipped
from intnet.bench.codec import MEGA, QUALITY, coded, load
from intnet.bench.race import Settings, Times, race
from intnet.bench.report import PRODUCT, Report

SIZES = {"0.4 MP": (768, 512), "2 MP": (1728, 1152), "8 MP": (3456, 2304), "24 MP": (6000, 4000)}
QUICK_SIZES = {"0.01 MP": (128, 96), "0.02 MP": (160, 120)}
CLI = "from intnet.cli import main; main()"
PYTHON, IMPORT, WARM, FIRST = "python alone", "import intnet", "intnet decode", "first run ever"


def run(settings: Settings, picture: Path | None) -> Report:
    """Encode and decode tilings of a picture, the sizes in turns."""
    path, pixels = load(picture, settings)
    model = shipped.load()
    report = Report("sizes", "MP/s", {"picture": str(path), "quality": QUALITY})
    sizes = QUICK_SIZES if settings.quick else SIZES
    made = {label: coded(tiled(pixels, *size), model) for label, size in sizes.items()}
    for verb in ("encode", "decode"):
        times = race(verb, {label: getattr(made[label], verb) for label in sizes}, settings)
        for label, (width, height) in sizes.items():
            megapixels = width * height / MEGA
            per_mp = {PRODUCT: float(np.median(times[label])) / megapixels}
            report.add(f"{verb} {label}", {PRODUCT: times[label]}, megapixels,
                       seconds_per_mp=per_mp)  # fmt: skip
        report.summary[f"{verb}_spread"] = spread(times, sizes)
    report.summary |= {
        f"{row['case'].replace(' ', '_').lower()}_seconds_per_mp": row["seconds_per_mp"]
        for row in report.rows
    }
    report.notes = [
        "spread: seconds per megapixel, dearest size over cheapest, less 1; the median of rounds"
    ]
    return report


def spread(times: Times, sizes: Mapping[str, tuple[int, int]]) -> float:
    """How unlike the seconds per pixel of the sizes of a round are: 0 for equal ones; a median.

    >>> spread({"a": [1.0, 3.0], "b": [2.5, 6.0]}, {"a": (10, 1), "b": (10, 2)})
    0.125
    """
    each = [np.array(times[label]) / (w * h) for label, (w, h) in sizes.items()]
    return float(np.median(np.max(each, 0) / np.min(each, 0) - 1))


def tiled(pixels: codec.Pixels, width: int, height: int) -> codec.Pixels:
    """The picture again and again."""
    rows, columns = -(-height // len(pixels)), -(-width // pixels.shape[1])
    return np.ascontiguousarray(np.tile(pixels, (rows, columns, 1))[:height, :width])


def startup(settings: Settings, picture: Path | None) -> Report:
    """Whole processes: Python alone, `import intnet`, decoding a file, the same without caches."""
    path, pixels = load(picture, settings)
    report = Report("startup", "runs/s", {"picture": str(path), "quality": QUALITY})
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.inic", Path(folder) / "out.png"
        source.write_bytes(codec.encode(pixels, shipped.load(), QUALITY))
        decode = ["-c", CLI, "decode", str(source), "-o", str(target)]
        runs = {PYTHON: ["-c", "pass"], IMPORT: ["-c", "import intnet"], WARM: decode}
        for case, arguments in runs.items():
            times = race(case, {PRODUCT: partial(process, arguments)}, settings)
            report.add(case, times, 1)
        first = partial(process, decode, NUMBA_CACHE_DIR=f"{folder}/numba")
        once = Settings(settings.threads, 1, watch=settings.watch)  # the second has the cache
        report.add(FIRST, race(FIRST, {PRODUCT: first}, once, warm=False), 1)
    seconds = {row["case"]: row["seconds"] for row in report.rows}
    report.summary = {
        "import_seconds": seconds[IMPORT] - seconds[PYTHON],
        "decode_seconds": seconds[WARM],
        "first_run_seconds": seconds[FIRST],
    }
    report.notes = ["import_seconds: what `import intnet` adds to Python alone"]
    return report


def process(arguments: list[str], **environment: str) -> None:
    """Run Python to its end. Raises CalledProcessError where it fails."""
    subprocess.run(  # noqa: S603  # ourselves
        [sys.executable, *arguments], check=True, capture_output=True, env=os.environ | environment
    )
