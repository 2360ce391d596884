"""What is fuzzed: for each target its inputs, and a call that ends in an outcome or a finding.

An outcome is a short text that is counted. Whatever else a call raises is a finding,
`WrongAnswerError` among it; so is a process that dies, hangs or exceeds its memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from fuzzing.target.checkpoint import CheckpointTarget
from fuzzing.target.chunks import ChunkTarget
from fuzzing.target.coder import CoderTarget
from fuzzing.target.model import ModelTarget
from fuzzing.target.outcome import Target
from fuzzing.target.parts import PartsTarget
from fuzzing.target.stream import StreamTarget


class Listed(NamedTuple):
    """A target and its share of the time."""

    make: Callable[[], Target]
    share: int


TARGETS: dict[str, Listed] = {
    "stream": Listed(StreamTarget, 8), "model": Listed(ModelTarget, 6),
    "parts": Listed(PartsTarget, 3), "coder": Listed(CoderTarget, 2),
    "chunks": Listed(ChunkTarget, 1), "checkpoint": Listed(CheckpointTarget, 1),
}  # fmt: skip
