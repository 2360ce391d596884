"""Parts of streams: `region.decode` and `salvage.decode`."""

from __future__ import annotations

import zlib
from random import Random
from typing import Any

import numpy as np

from fuzzing import streams
from fuzzing.target.outcome import LIMITS, VECTORS, WrongAnswerError, refusal
from fuzzing.target.stream import LARGEST, Pictures
from intnet import codec, model_file, region, salvage
from intnet.errors import IntnetError
from intnet.windows import Area


class PartsTarget(Pictures):
    """`region.decode` and `salvage.decode`."""

    def __init__(self) -> None:
        super().__init__()
        self.models["photo"] = model_file.load(VECTORS / "model" / "photo.inm")
        rows, columns = np.ogrid[:70, :LARGEST]
        ramp = (3 * rows + 5 * columns)[..., None] * (1, 2, 3)
        made = codec.encode(ramp.astype(np.uint8), self.models["photo"], 40, tile=64)
        self.tiled = self.add(made)  # in the small models no cell of y reaches far

    def mutated(self, rng: Random) -> tuple[bytes, bool]:
        """A stream; one in four lost a tile that others need, as few others do."""
        if rng.random() < 0.25:
            return streams.with_lost_tile(rng, self.tiled), False
        return super().mutated(rng)

    def run(self, data: bytes, *, remade: bool, compare: bool) -> str:
        """What a region has, what is marked as exact, are parts of the picture."""
        whole = self.whole(data)
        backend = "numpy" if compare else "numba"
        if zlib.crc32(data) & 1:
            return self.salvaged(data, whole, backend, remade=remade)
        return self.part(data, whole, backend, remade=remade)

    def whole(self, data: bytes) -> codec.Pixels | None:
        """The picture, if it decodes."""
        try:
            return codec.decode(data, self.models.values(), "numba", LIMITS).pixels
        except IntnetError:
            return None

    def salvaged(
        self, data: bytes, whole: codec.Pixels | None, backend: str, *, remade: bool
    ) -> str:
        """All is exact where the stream decodes; else what is exact is that of an original."""
        try:
            found = salvage.decode(data, self.models.values(), backend, LIMITS)
        except IntnetError as error:
            if whole is not None:
                raise WrongAnswerError(f"decodes, and cannot be salvaged: {error}") from None
            return f"salvage, {refusal(error)}"
        if whole is not None:
            if found.lost or found.chunks_lost or not np.array_equal(found.pixels, whole):
                raise WrongAnswerError("decodes, and is salvaged otherwise")
        elif not remade:
            self.contained(found.pixels, found.exact)
        return f"salvage: {'all' if found.exact.all() else 'a part' if found.exact.any() else '0'}"

    def contained(self, pixels: codec.Pixels, exact: Any) -> None:
        """Some original has these samples; alpha may be lost."""
        colours = pixels.shape[2] - (pixels.shape[2] in (2, 4))
        for original in self.pixels.values():
            if original.shape[:2] == pixels.shape[:2] and original.shape[2] >= colours and (
                np.array_equal(original[..., :colours][exact], pixels[..., :colours][exact])
            ):  # fmt: skip
                return
        raise WrongAnswerError("samples marked as exact are those of no original")

    def part(self, data: bytes, whole: codec.Pixels | None, backend: str, *, remade: bool) -> str:
        """A region of it."""
        rng = Random(zlib.crc32(data))  # not for secrets
        (top, bottom), (left, right) = (
            sorted((rng.randint(0, LARGEST), rng.randint(0, LARGEST))) for _ in range(2)
        )
        if whole is not None:
            bottom, right = (
                min(end, n) for end, n in zip((bottom, right), whole.shape, strict=False)
            )
        area = Area((top, bottom), (left, right))
        try:
            found = region.decode(data, self.models.values(), area, backend, LIMITS).pixels
        except ValueError as error:
            if not str(error).startswith("region: "):
                raise
            return "region: not within the picture"
        except IntnetError as error:
            if whole is not None:
                raise WrongAnswerError(f"decodes, and a region does not: {error}") from None
            return f"region, {refusal(error)}"
        wanted = [whole] if whole is not None else [] if remade else list(self.pixels.values())
        parts = (x[area.slices] for x in wanted)
        if wanted and not any(np.array_equal(found, part) for part in parts):
            raise WrongAnswerError("a region has samples of no original")
        return "region: a picture"
