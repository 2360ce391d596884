"""Planted faults: a check that never fails shows nothing, so each run must see these fail."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from emulation.debian import MissingError
from emulation.lines import Run
from emulation.pythons import Architecture

ROOT = Path(__file__).resolve().parents[2]
DECODER = "conformance/reference_decoder.py"
COPIED = {"reference": (DECODER,), "numpy": ("intnet", "rangecoder")}
SKIPPED = shutil.ignore_patterns("__pycache__", "*.inm", "*.png", "bench", "training", "commands")


class Fault(NamedTuple):
    """Right text and a wrong one in its place; `kind` is a class of vectors that must show it."""

    name: str
    decoder: str
    path: str
    right: str
    wrong: str
    kind: str
    bits: tuple[int, ...] = (32, 64)  # processors that show it
    byteorder: tuple[str, ...] = ("little", "big")

    def shows_on(self, architecture: Architecture) -> bool:
        """Whether a processor must show it."""
        return architecture.bits in self.bits and architecture.byteorder in self.byteorder


FAULTS = (
    Fault("ties rounded down", "reference", DECODER, "return (a + (1 << (s - 1))) >> s",
          "return (a + (1 << (s - 1)) - 1) >> s", "op"),
    Fault("bytes not swapped", "reference", DECODER, 'sys.byteorder == "big"', "False", "model",
          byteorder=("big",)),
    Fault("ties rounded down", "numpy", "intnet/backends/rounding.py",
          "return (value + (1 << (shift - 1))) >> shift",
          "return (value + (1 << (shift - 1)) - 1) >> shift", "op"),
    Fault("bytes not swapped", "numpy", "intnet/model_file.py",
          'np.ascontiguousarray(x, x.dtype.newbyteorder("<"))', "np.ascontiguousarray(x)", "model",
          byteorder=("big",)),
    Fault("products of the machine's word", "numpy", "intnet/backends/numpy_reference.py",
          "acc.astype(np.int64) * multiplier.astype(np.int64)",
          "acc.astype(np.intp) * multiplier.astype(np.intp)", "op", bits=(32,)),
)  # fmt: skip


def plant(fault: Fault, folder: Path, root: Path = ROOT) -> Path:
    """A copy of what a decoder consists of, with a fault; it takes the place of `root`."""
    for name in COPIED[fault.decoder]:
        source, target = root / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=SKIPPED)
        else:
            shutil.copyfile(source, target)
    planted = folder / fault.path
    text = planted.read_text(encoding="utf-8")
    if fault.right not in text:
        raise MissingError(f"{fault.path} has no text {fault.right!r} to plant a fault in")
    planted.write_text(text.replace(fault.right, fault.wrong), encoding="utf-8")
    return folder


def judge(name: str, run: Run, ids: Sequence[str]) -> tuple[str, list[str]]:
    """A line about a planted fault, and faults of the check: unseen, or cut short."""
    line = f"{name}: {len(run.cases) - run.passed} of {len(ids)} vectors differ"
    if set(run.cases) != set(ids):
        return line, [f"a control ran {len(run.cases)} vectors of {len(ids)}: {name}"]
    return line, [f"a planted fault went unseen: {name}"] if run.passed == len(ids) else []
