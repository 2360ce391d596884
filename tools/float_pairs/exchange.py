"""Files between the tool and its environments. NumPy and the standard library only.

An environment may be an old NumPy on an emulated processor, so nothing of intnet is imported here.

inputs.npz: z0, z1, ... int8 (h/64, w/64, Z); grid0, ... (h/16, w/16) rounded up;
            weight0, bias0, ... of the prior's layers, (out, in, k, k) and (out,), float32;
            log_gain, float32 (M,), of the quality; limits: log of the smallest scale, step of the
            log-scale table, its last index; for the integer prior nothing of these but z and grid.
N.mean.npy: (h/16, w/16, M), float32 or integer; N.table.npy: uint8, the table of each symbol.
environment.json: what the environment says about itself.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Array = Any  # old NumPy has no numpy.typing.NDArray worth naming
Prior = Callable[[Array, tuple[int, int]], tuple[Array, Array]]


def parser(description: str | None) -> argparse.ArgumentParser:
    """A worker's command line: INPUTS OUTPUT and its own options."""
    p = argparse.ArgumentParser(description=description)
    p.add_argument("inputs", type=Path)
    p.add_argument("output", type=Path)
    return p


def run(inputs: Array, output: Path, prior: Prior, about: dict[str, Any]) -> None:
    """Write mean and table of every picture in turn: prior(z, grid) -> both, (h, w, M)."""
    output.mkdir(parents=True, exist_ok=True)
    for i in range(sum(name.startswith("z") for name in inputs)):
        height, width = (int(n) for n in inputs[f"grid{i}"])
        mean, table = prior(inputs[f"z{i}"], (height, width))
        np.save(output / f"{i}.mean.npy", np.ascontiguousarray(mean))
        np.save(output / f"{i}.table.npy", np.ascontiguousarray(table))
    about |= {"machine": platform.machine(), "numpy": np.__version__,
              "python": platform.python_version()}  # fmt: skip
    (output / "environment.json").write_text(json.dumps(about))


def outputs(folder: Path, picture: int) -> tuple[Array, Array]:
    """(mean, table) of a picture as an environment wrote them."""
    return np.load(folder / f"{picture}.mean.npy"), np.load(folder / f"{picture}.table.npy")


def done(folder: Path) -> int:
    """How many pictures an environment has finished."""
    return sum(1 for _ in folder.glob("*.table.npy"))
