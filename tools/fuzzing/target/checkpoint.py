"""Checkpoints of the training."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from fuzzing.edits import edited


class CheckpointTarget:
    """`training.checkpoint`: weights, and the state that training resumes from."""

    def __init__(self) -> None:
        import torch  # noqa: PLC0415  # seconds, for this target alone

        from intnet.training import checkpoint  # noqa: PLC0415

        self.checkpoint = checkpoint
        self.folder = Path(tempfile.mkdtemp(prefix="intnet-fuzz-"))
        state = {"a.weight": torch.arange(12.0).reshape(3, 4), "a.bias": torch.zeros(3)}
        checkpoint.save_weights(self.folder / "w", state, {"step": 3, "channels": [1, 2]})
        checkpoint.save_resume(self.folder / "r", {"weights": state, "step": 3})
        self.bases = [(self.folder / name).read_bytes() for name in "wr"]

    def mutated(self, rng: Random) -> tuple[bytes, bool]:
        """The first byte says which of the two it is."""
        kind = int(rng.random() < 0.3)
        return bytes([kind]) + edited(rng, self.bases[kind]), True

    def run(self, data: bytes, *, remade: bool, compare: bool) -> str:  # noqa: ARG002
        """Contents or a ValueError."""
        path = self.folder / "x"
        path.write_bytes(data[1:])
        resume = data[:1] == b"\1"
        load: Callable[[Path], Any] = (
            self.checkpoint.load_resume if resume else self.checkpoint.load_weights
        )
        try:
            load(path)
        except ValueError:
            return f"{'state' if resume else 'weights'}: ValueError"
        return "state" if resume else "weights"
