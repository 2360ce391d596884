"""Checkpoints of the training."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from fuzzing import checkpoints
from fuzzing.edits import edited


class CheckpointTarget:
    """`training.checkpoint` and `evaluate.load_model`: weights, state of training, and models.

    The first byte of an input says which of the three it is.
    """

    def __init__(self) -> None:
        import torch  # noqa: PLC0415  # seconds, for this target alone

        from intnet.training import checkpoint, evaluate  # noqa: PLC0415

        self.loads: tuple[Callable[[Path], Any], ...] = (
            checkpoint.load_weights, checkpoint.load_resume, evaluate.load_model,
        )  # fmt: skip
        self.folder = Path(tempfile.mkdtemp(prefix="intnet-fuzz-"))
        state = {"a.weight": torch.arange(12.0).reshape(3, 4), "a.bias": torch.zeros(3)}
        checkpoint.save_weights(self.folder / "0", state, {"step": 3, "channels": [1, 2]})
        checkpoint.save_resume(self.folder / "1", {"weights": state, "step": 3})
        checkpoints.save_models(self.folder / "2", self.folder / "3")
        self.bases = [(min(n, 2), (self.folder / f"{n}").read_bytes()) for n in range(4)]

    def mutated(self, rng: Random) -> tuple[bytes, bool]:
        """A base, changed."""
        kind, base = rng.choice(self.bases)
        data = edited(rng, base) if kind == 1 else checkpoints.mutated(rng, base)
        return bytes([kind]) + data, True

    def run(self, data: bytes, *, remade: bool, compare: bool) -> str:  # noqa: ARG002
        """Contents or a ValueError."""
        path, load = self.folder / "x", self.loads[min(data[0], 2) if data else 0]
        path.write_bytes(data[1:])
        try:
            load(path)
        except ValueError as error:
            why = str(error).partition(": ")[2].split(" ")[0]
            return f"{load.__name__}: ValueError: {why}"
        return load.__name__
