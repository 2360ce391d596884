"""Chunks of a stream, alpha among them."""

from __future__ import annotations

from random import Random

import numpy as np

from fuzzing import streams
from fuzzing.edits import edited
from fuzzing.target.outcome import WrongAnswerError, refusal
from intnet import alpha, chunks
from intnet.errors import StreamError


class ChunkTarget:
    """`chunks.unpack` and `alpha.decode`, for a picture of 20 x 30."""

    def __init__(self) -> None:
        ramp = np.add.outer(9 * np.arange(20), 7 * np.arange(30)).astype(np.uint8)
        self.ramp, self.data = ramp, alpha.encode(ramp)
        self.base = (chunks.Chunk(b"ALPH", self.data), chunks.Chunk(b"exif", b"Exif\0\0"))

    def mutated(self, rng: Random) -> tuple[bytes, bool]:
        """Chunks."""
        if rng.random() < 0.2:
            return edited(rng, chunks.pack(self.base)), False
        made = self.base
        if rng.random() < 0.8:
            made = streams.with_chunk(rng, made)
        data = bytearray(chunks.pack(made))
        if rng.random() < 0.5:
            data = bytearray(edited(rng, bytes(data)))
            streams.seal_chunks(data, 0)
        return bytes(data), True

    def run(self, data: bytes, *, remade: bool, compare: bool) -> str:  # noqa: ARG002
        """Chunks that pack to the same bytes and alpha of the right size, or a StreamError."""
        try:
            found = chunks.unpack(data)
            if chunks.pack(found) != data:
                raise WrongAnswerError("chunks that pack to other bytes")
            coded = chunks.of_type(found, chunks.ALPHA)
            if coded is None:
                return "chunks: no alpha"
            samples = alpha.decode(coded, 20, 30)
        except StreamError as error:
            return refusal(error)
        if not remade and not np.array_equal(samples, self.ramp):
            raise WrongAnswerError("another alpha under the old checksums")
        return "chunks: alpha"
