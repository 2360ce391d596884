"""Model files, and pictures that they code."""

from __future__ import annotations

import zlib
from random import Random

import numpy as np
from vectors.family_models import FAMILIES

from fuzzing import models
from fuzzing.target.outcome import LIMITS, VECTORS, WrongAnswerError, refusal
from intnet import codec, model_file
from intnet.errors import ModelError
from intnet.model_file import Model

CODED = 4  # one model in so many codes a picture


class ModelTarget:
    """`model_file.from_bytes`, then a picture and back."""

    def __init__(self) -> None:
        names = "minimal", "tiny", *FAMILIES
        paths = [VECTORS / "model" / f"{name}.inm" for name in names]
        self.bases = [path.read_bytes() for path in paths]
        self.ids = {model_file.from_bytes(data).sha256 for data in self.bases}
        self.picture = Random(1).randbytes(20 * 33 * 3)

    def mutated(self, rng: Random) -> tuple[bytes, bool]:
        """A model file, the smallest one rather than a larger one."""
        smallest, *others = self.bases
        return models.mutated(rng, smallest if rng.random() < 0.6 else rng.choice(others))

    def run(self, data: bytes, *, remade: bool, compare: bool) -> str:
        """A model that codes a picture, or a ModelError."""
        try:
            model = model_file.from_bytes(data)
        except ModelError as error:
            return refusal(error)
        if model.sha256 in self.ids:
            return "model: the original"
        if not remade:
            raise WrongAnswerError("another model under the old hash")
        if not compare and zlib.crc32(data) % CODED:
            return "model: another"
        made = self.coded(model, "numba")
        if compare:
            same_bytes(made, self.coded(model, "numpy"))
        return made if isinstance(made, str) else "model: another, codes a picture"

    def coded(self, model: Model, backend: str) -> bytes | str:
        """A stream and its picture, or a refusal."""
        pixels = np.frombuffer(self.picture, np.uint8).reshape(20, 33, 3)
        try:
            stream = codec.encode(pixels, model, 40, backend, verify=True)
            return stream + codec.decode(stream, [model], backend, LIMITS).pixels.tobytes()
        except ModelError as error:
            return f"codes nothing, {refusal(error)}"


def same_bytes(a: bytes | str, b: bytes | str) -> None:
    """Two backends agree."""
    if a != b:
        texts = (x if isinstance(x, str) else "a stream" for x in (a, b))
        raise WrongAnswerError(f"numba and numpy differ: {', '.join(texts)}")
