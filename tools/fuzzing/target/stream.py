"""Streams: `codec.decode`."""

from __future__ import annotations

import hashlib
import json
from random import Random

import numpy as np

from fuzzing import streams
from fuzzing.target.outcome import LIMITS, VECTORS, WrongAnswerError, refusal
from intnet import codec, container, model_file
from intnet.errors import IntnetError
from intnet.model_file import Model

LARGEST = 72  # pixels a side of a picture to begin with


def digest(pixels: codec.Pixels) -> bytes:
    """Of shape and samples."""
    return hashlib.sha256(str(pixels.shape).encode() + pixels.tobytes()).digest()


class Pictures:
    """The streams of the conformance vectors that are small, their models and their pictures."""

    def __init__(self) -> None:
        listed = json.loads((VECTORS / "stream.json").read_text(encoding="utf-8"))["vectors"]
        self.models: dict[str, Model] = {}
        self.bases: list[streams.Base] = []
        self.pixels: dict[bytes, codec.Pixels] = {}
        for vector in listed:
            data = (VECTORS / vector["stream"]).read_bytes()
            header = container.peek(data)
            if max(header.width, header.height) > LARGEST or "every-" in vector["id"]:
                continue
            name = vector["model"]
            if name not in self.models:
                self.models[name] = model_file.load(VECTORS / name)
            self.add(data)

    def add(self, data: bytes) -> streams.Base:
        """One more stream to begin with."""
        pixels = codec.decode(data, self.models.values()).pixels
        self.bases.append(streams.base(data))
        self.pixels[digest(pixels)] = pixels
        return self.bases[-1]

    def mutated(self, rng: Random) -> tuple[bytes, bool]:
        """A stream."""
        return streams.mutated(rng, rng.choice(self.bases))

    def known(self, pixels: codec.Pixels, *, remade: bool) -> str:
        """Under old checksums there is no other picture than those to begin with."""
        if digest(pixels) in self.pixels:
            return "picture: the original"
        if not remade:
            raise WrongAnswerError(f"another picture, {pixels.shape}, under the old checksums")
        return "picture: another"


class StreamTarget(Pictures):
    """`codec.decode`."""

    def run(self, data: bytes, *, remade: bool, compare: bool) -> str:
        """A picture, the same on both backends, or an IntnetError."""
        found = self.decoded(data, "numba")
        if compare:
            same(found, self.decoded(data, "numpy"))
        return found if isinstance(found, str) else self.known(found, remade=remade)

    def decoded(self, data: bytes, backend: str) -> codec.Pixels | str:
        """Samples or a refusal."""
        try:
            return codec.decode(data, self.models.values(), backend, LIMITS).pixels
        except IntnetError as error:
            return refusal(error)


def same(a: codec.Pixels | str, b: codec.Pixels | str) -> None:
    """Two backends agree."""
    if isinstance(a, str) or isinstance(b, str):
        if not (isinstance(a, str) and isinstance(b, str) and a == b):
            raise WrongAnswerError(f"numba: {brief(a)}, numpy: {brief(b)}")
    elif not np.array_equal(a, b):
        raise WrongAnswerError("numba and numpy give different pictures")


def brief(found: codec.Pixels | str) -> str:
    """For messages."""
    return found if isinstance(found, str) else f"a picture {found.shape}"
