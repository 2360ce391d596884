"""What is done to one file: `perform`, which runs in whatever process or machine.

A plan holds the settings that what is made depends on; they go into the journal. `Means` hold what
changes no byte of it. The codec is deterministic: a task that runs twice writes the same file.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

from intnet import api, chunks, codec, container, files, memory, pictures, shipped
from intnet.batch.journal import Record
from intnet.distortion import ms_ssim, psnr
from intnet.errors import BackendError, IntnetError, ModelError, SettingError
from intnet.limits import DEFAULT, Limits
from intnet.model_file import Model
from intnet.options import EncoderOptions


@dataclass(frozen=True)
class Means:
    """model: a shipped name or a path; None: the default, or for decoding the one of the stream.

    overwrite: also files that no record of the journal is about.
    """

    model: str | None = None
    backend: str = "numba"
    limits: Limits = DEFAULT
    overwrite: bool = False


class Task(NamedTuple):
    """key: of the journal. known: its record. target: for plans that write a file."""

    key: str
    source: Path
    target: Path
    known: Record | None = None


class State(StrEnum):
    """What came of a task."""

    made = "made"
    skipped = "skipped"
    failed = "failed"


class Outcome(NamedTuple):
    """record: unless it failed. cause: one line, if it failed."""

    key: str
    state: State
    record: Record | None = None
    cause: str = ""


class Plan(Protocol):
    """What `perform` asks of a plan."""

    def settings(self) -> dict[str, Any]:
        """JSON of all that the result depends on beside the input."""

    def digest(self, task: Task) -> str:
        """SHA-256 of the input, in hex. Raises OSError."""

    def make(self, task: Task, means: Means) -> Any:
        """Do it; the result is JSON for the journal. Raises anything."""

    def whole(self, result: Any, task: Task) -> bool:
        """Whether the result of an earlier run is still there. Raises OSError."""


def perform(plan: Plan, means: Means, task: Task) -> Outcome:
    """Do a task unless it is done. Whatever goes wrong is an outcome, so that others go on.

    Raises SettingError, BackendError: these are wrong for every file.
    """
    try:
        record = {"file": task.key, "input": plan.digest(task), "settings": plan.settings()}
        known = task.known
        if known and known | record == known and plan.whole(known["result"], task):
            return Outcome(task.key, State.skipped, known)
        return Outcome(task.key, State.made, record | {"result": plan.make(task, means)})
    except (SettingError, BackendError):
        raise
    except Exception as error:  # noqa: BLE001  # see above
        return failed(task, error)


def failed(task: Task, error: Exception) -> Outcome:
    """In one line, without the name of the file, which the list of failures has."""
    if isinstance(error, OSError) and error.filename:
        text = f"{error.filename}: {error.strerror}"
    elif isinstance(error, IntnetError | ValueError):
        text = str(error)
    else:
        text = f"{type(error).__name__}: {error}"
    return Outcome(
        task.key, State.failed, cause=" ".join(text.removeprefix(f"{task.source}: ").split())
    )


def sha256_of(path: Path) -> str:
    """Of the bytes of a file, in hex. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class FilePlan(ABC):
    """A plan that makes a file; its result is the SHA-256 of that, None where there is none."""

    verb: ClassVar[str]

    def settings(self) -> dict[str, Any]:
        """All fields."""
        return {"verb": self.verb} | asdict(self)

    def digest(self, task: Task) -> str:
        """Of the file."""
        return sha256_of(task.source)

    def whole(self, result: Any, task: Task) -> bool:
        """By its checksum."""
        there = sha256_of(task.target) if task.target.is_file() else None
        return bool(there == result)

    def make(self, task: Task, means: Means) -> str | None:
        """Write the target. Raises IntnetError for another file there that no record is about."""
        data = self.coded(task, means)
        if task.known is None and task.target.exists() and not means.overwrite:
            if task.target.read_bytes() != data:
                raise IntnetError(
                    f"{task.target} is there already and not of this batch; --overwrite replaces it"
                )
        elif data is None:
            task.target.unlink(missing_ok=True)
        else:
            task.target.parent.mkdir(parents=True, exist_ok=True)
            files.write(task.target, data)
        return None if data is None else hashlib.sha256(data).hexdigest()

    @abstractmethod
    def coded(self, task: Task, means: Means) -> bytes | None:
        """What the target holds; None: there must be none."""


@dataclass(frozen=True)
class Encode(FilePlan):
    """As `intnet.encode`: one of quality, target_bpp, max_bytes is given. model: its id, in hex."""

    verb = "encode"

    model: str
    quality: int | None = None
    target_bpp: float | None = None
    max_bytes: int | None = None
    tile: int = EncoderOptions().tile
    verify: bool = False
    strip: bool = False

    def coded(self, task: Task, means: Means) -> bytes:
        """A stream."""
        found = pictures.load(task.source, means.limits.pixels)
        icc, exif = (b"", b"") if self.strip else (found.icc, found.exif)
        return api.encode(
            found.pixels, self.quality, opened(means.model, self.model),
            target_bpp=self.target_bpp, max_bytes=self.max_bytes, verify=self.verify,
            tile=self.tile, icc=icc, exif=exif, backend=means.backend, limits=means.limits,
        )  # fmt: skip


@dataclass(frozen=True)
class Decode(FilePlan):
    """A stream to a PNG, which it alone determines."""

    verb = "decode"

    def coded(self, task: Task, means: Means) -> bytes:
        """A PNG."""
        data = files.read(task.source)
        header = container.peek(data, means.limits)
        model = api.open_model(means.model or shipped.find(header.model_id))
        pixels, header = codec.decode(data, [model], means.backend, means.limits)
        icc, exif = (
            chunks.of_type(header.chunks, kind) or b"" for kind in (chunks.ICC, chunks.EXIF)
        )
        return pictures.to_png(pictures.Picture(pixels, icc, exif), task.target)


class Part(NamedTuple):
    """A picture to evaluate: samples (h, w, channels), of which (height, width) are measured."""

    name: str
    pixels: pictures.Pixels
    height: int
    width: int


@dataclass(frozen=True)
class Evaluate:
    """Rates and distortions at qualities, in memory. model: its id, in hex. Result: the rows."""

    model: str
    qualities: tuple[int, ...]
    tile: int = EncoderOptions().tile

    def settings(self) -> dict[str, Any]:
        """All fields."""
        return {"verb": "eval"} | asdict(self) | {"qualities": list(self.qualities)}

    def digest(self, task: Task) -> str:
        """Of the file."""
        return sha256_of(task.source)

    def whole(self, result: Any, task: Task) -> bool:  # noqa: ARG002  # as Plan says
        """The journal holds them."""
        return isinstance(result, list)

    def make(self, task: Task, means: Means) -> list[dict[str, Any]]:
        """A row for each quality; ICC profile and EXIF do not count."""
        return [row for part in self.parts(task, means) for row in self.rows(part, means)]

    def parts(self, task: Task, means: Means) -> Iterator[Part]:
        """The picture of the file."""
        pixels = pictures.read(task.source, means.limits.pixels)
        yield Part(task.key, pixels, *pixels.shape[:2])

    def rows(self, part: Part, means: Means) -> Iterator[dict[str, Any]]:
        """One for each quality."""
        model = opened(means.model, self.model)
        options = EncoderOptions(means.backend, tile=self.tile)
        pixels, (height, width) = part.pixels, part[2:]
        rows, columns, channels = pixels.shape
        memory.check_encoding(
            model, (rows, columns), channels, options, means.limits, searching=True
        )
        analysed = codec.analyse(pixels, model, means.backend)
        shape = {"file": part.name, "width": width, "height": height, "channels": channels}
        for quality in self.qualities:
            stream = codec.coded(analysed, model, quality, options)
            decoded = codec.decode(stream, [model], means.backend, means.limits).pixels
            both = pixels[:height, :width], decoded[:height, :width]
            yield shape | measured(*both, quality, len(stream))


def measured(
    pixels: pictures.Pixels, decoded: pictures.Pixels, quality: int, size: int
) -> dict[str, Any]:
    """Of a stream of so many bytes; bpp: bits per pixel, PSNR in dB over all samples."""
    similarity = ms_ssim(pixels, decoded)
    return {
        "quality": quality,
        "bytes": size,
        "bpp": round(8 * size / (pixels.shape[0] * pixels.shape[1]), 6),
        "psnr": round(psnr(pixels, decoded), 4),
        "ms_ssim": None if similarity is None else round(similarity, 6),
    }


def opened(name_or_path: str | None, model_id: str) -> Model:
    """The model, on this machine too. Raises ModelError for another one under its name."""
    model = api.open_model(name_or_path)
    if model.model_id.hex() != model_id:
        raise ModelError(
            f"model {name_or_path or shipped.DEFAULT}: {model.model_id.hex()}, must be {model_id}"
        )
    return model
