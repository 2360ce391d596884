"""What every target has: vectors to begin with, limits, outcomes, wrong answers."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random
from typing import Protocol

from intnet.limits import Limits

VECTORS = Path(__file__).parents[3] / "conformance" / "vectors" / "v1"
LIMITS = Limits(pixels=2**16)
STORED_NUMBERS = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{8}\b|-?\d+")


class WrongAnswerError(AssertionError):
    """An answer that must not be."""


class Target(Protocol):
    """Inputs and what takes them."""

    def mutated(self, rng: Random) -> tuple[bytes, bool]:
        """An input, and whether its checksums were made anew."""

    def run(self, data: bytes, *, remade: bool, compare: bool) -> str:
        """The outcome. remade: checksums were made anew. compare: with the reference too."""


def refusal(error: Exception) -> str:
    """An error's class and place, without its numbers."""
    place = STORED_NUMBERS.sub("#", str(error).partition(":")[0])
    return f"{type(error).__name__}: {place[:40]}"
