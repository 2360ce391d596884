"""What is fuzzed: for each target its inputs, and a call that ends in an outcome or a finding.

An outcome is a short text that is counted. Whatever else a call raises is a finding,
`WrongAnswerError` among it; so is a process that dies, hangs or exceeds its memory.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
import zlib
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, Protocol

import numpy as np

import rangecoder
from fuzzing import models, streams
from fuzzing.edits import edited
from intnet import alpha, chunks, codec, container, model_file, region, salvage
from intnet.errors import IntnetError, ModelError, StreamError
from intnet.limits import Limits
from intnet.model_file import Model
from intnet.windows import Area
from rangecoder import uncompiled

VECTORS = Path(__file__).parents[2] / "conformance" / "vectors" / "v1"
LARGEST = 72  # pixels a side of a picture to begin with
LIMITS = Limits(pixels=2**16)
CODED = 4  # one model in so many codes a picture
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
            pixels = codec.decode(data, [self.models[name]]).pixels
            self.bases.append(streams.base(data))
            self.pixels[digest(pixels)] = pixels

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


class PartsTarget(Pictures):
    """`region.decode` and `salvage.decode`."""

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


class ModelTarget:
    """`model_file.from_bytes`, then a picture and back."""

    def __init__(self) -> None:
        paths = [VECTORS / "model" / f"{name}.inm" for name in ("minimal", "tiny")]
        self.bases = [path.read_bytes() for path in paths]
        self.ids = {model_file.from_bytes(data).sha256 for data in self.bases}
        self.picture = Random(1).randbytes(20 * 33 * 3)

    def mutated(self, rng: Random) -> tuple[bytes, bool]:
        """A model file, the smallest one rather than a larger one."""
        return models.mutated(rng, self.bases[rng.random() < 0.1])

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


class CoderTarget:
    """`rangecoder`: tables from bytes, then a payload.

    An input is the length of the tables in 4 bytes, tables, number of symbols, lanes, payload.
    """

    @cached_property
    def bases(self) -> list[tuple[bytes, bytes]]:
        """Tables and a payload of 200 symbols."""
        found = []
        for name in ("minimal", "tiny", "wide"):
            model = model_file.load(VECTORS / "model" / f"{name}.inm")
            for tables in (model.y_tables, model.z_tables):
                index = np.arange(200) % tables.n_tables
                symbols = (np.arange(200, dtype=np.int32) * 37 % 23) - 11
                for lanes in (1, 2, 3, 8):
                    payload = rangecoder.encode(symbols, index, tables, lanes)
                    kind = bytes([200, lanes - 1])
                    found.append((rangecoder.to_bytes(tables), kind + payload))
        return found

    def mutated(self, rng: Random) -> tuple[bytes, bool]:
        """Tables changed at times, the payload mostly."""
        tables, rest = rng.choice(self.bases)
        if rng.random() < 0.2:
            tables = edited(rng, tables)
        if rng.random() < 0.9:
            rest = rest[:2] + edited(rng, rest[2:])
        if rng.random() < 0.1:
            rest = edited(rng, rest)
        return len(tables).to_bytes(4, "little") + tables + rest, True

    def run(self, data: bytes, *, remade: bool, compare: bool) -> str:  # noqa: ARG002
        """Symbols that encode to the same payload, or a PayloadError or TableError."""
        size = 4 + int.from_bytes(data[:4], "little")
        (count, lanes), payload = data[size : size + 2].ljust(2, b"\1"), data[size + 2 :]
        beyond, lanes = lanes > 127, lanes % 8 + 1
        try:
            tables = rangecoder.from_bytes(data[4:size])
        except rangecoder.TableError:
            return "TableError"
        index = np.arange(count) % tables.n_tables
        if beyond and count:
            return self.beyond(payload, index + 1 + tables.n_tables // 2, tables, lanes)
        try:
            symbols = rangecoder.decode(payload, index, tables, lanes)
        except rangecoder.PayloadError as error:
            if compare:
                self.refused_by_reference(payload, index, tables, lanes)
            return refusal(error)
        if rangecoder.encode(symbols, index, tables, lanes) != payload:
            raise WrongAnswerError("a payload that the encoder does not write is accepted")
        if compare and not np.array_equal(
            uncompiled.decode(payload, index, tables, lanes), symbols
        ):
            raise WrongAnswerError("the reference decodes other symbols")
        return "symbols"

    def beyond(self, payload: bytes, index: Any, tables: Any, lanes: int) -> str:
        """Indexes of tables that are not there are a ValueError, unless no symbol is reached."""
        try:
            rangecoder.decode(payload, index, tables, lanes)
        except rangecoder.PayloadError as error:
            outcome = refusal(error)
        except ValueError:
            return "ValueError: indexes"
        else:
            outcome = "symbols"
        if index.max() >= tables.n_tables and ("after" in outcome or outcome == "symbols"):
            raise WrongAnswerError(f"a table that is not there gives {outcome}")
        return outcome

    def refused_by_reference(self, payload: bytes, index: Any, tables: Any, lanes: int) -> None:
        """It raises PayloadError too."""
        try:
            uncompiled.decode(payload, index, tables, lanes)
        except rangecoder.PayloadError:
            return
        raise WrongAnswerError("the reference accepts a payload that the compiled decoder refuses")


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


class Listed(NamedTuple):
    """A target and its share of the time."""

    make: Callable[[], Target]
    share: int


TARGETS: dict[str, Listed] = {
    "stream": Listed(StreamTarget, 8), "model": Listed(ModelTarget, 6),
    "parts": Listed(PartsTarget, 3), "coder": Listed(CoderTarget, 2),
    "chunks": Listed(ChunkTarget, 1), "checkpoint": Listed(CheckpointTarget, 1),
}  # fmt: skip
