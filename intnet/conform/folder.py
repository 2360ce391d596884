"""A folder of conformance vectors as its index has it, and the outcome of a vector."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from intnet import model_file
from intnet.conform.arrays import Json
from intnet.model_file import Model

INDEX = "index.json"


class Setting(NamedTuple):
    """What a vector is run with: the folder it lies in, the backend, whether stages are wanted."""

    folder: Path
    backend: str
    stages: bool = False


class Stage(NamedTuple):
    """A tensor on the way to a result: stage, the operation that made it, hash of its bytes."""

    stage: str
    op: str
    sha256: str


class Case(NamedTuple):
    """One vector's outcome.

    result: pass, fail (other bytes), error (no answer) or not-supported (none here, ever). digest:
    `digest_of` what was observed, empty where nothing was.
    """

    id: str
    kind: str
    result: str
    detail: str = ""
    clause: str = ""  # of SPEC.md, that the vector tests
    digest: str = ""
    stages: Sequence[Stage] = ()

    def json(self) -> Json:
        """As `run` reports it."""
        return {"id": self.id, "class": self.kind, "result": self.result, "detail": self.detail,
                "clause": self.clause, "digest": self.digest,
                "stages": [stage._asdict() for stage in self.stages]}  # fmt: skip


def place() -> Path:
    """The folder `conformance`: a wheel has it below `intnet`, a checkout beside it."""
    package = Path(__file__).resolve().parents[1]
    shipped = package / "conformance"
    return shipped if shipped.is_dir() else package.parent / "conformance"


DEFAULT = place() / "vectors" / "v1"


def digest_of(observed: Any) -> str:
    """SHA-256 of a JSON value, spelled with sorted keys, without spaces, in ASCII."""
    text = json.dumps(observed, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def digest(folder: Path) -> str:
    """One hash of every file of a folder: two reports with the same one are of the same vectors."""
    paths = sorted((INDEX, *files(folder)))
    data = {path: hashlib.sha256(read_if_there(folder / path)).hexdigest() for path in paths}
    return digest_of(data)


def read_if_there(path: Path) -> bytes:
    """An index may be missing."""
    return path.read_bytes() if path.is_file() else b""


def files(folder: Path) -> set[str]:
    """Every file but the index, by its path below the folder."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix() for path in found} - {INDEX}


def compare_sets(what: str, listed: set[str], found: set[str]) -> list[Case]:
    """A failing case for everything on one side only."""
    missing = [Case(x, "index", "fail", f"{what} is listed but missing") for x in listed - found]
    extra = [Case(x, "index", "fail", f"{what} is not listed in {INDEX}") for x in found - listed]
    return sorted(missing + extra)


def read(folder: Path) -> tuple[list[tuple[str, Json]], list[Case]]:
    """Every vector with its class, and what is wrong with index, files and ids."""
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        listed, classes = set(index["files"]), dict(index["classes"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [], [Case(INDEX, "index", "error", describe(error))]
    found, faults = [], compare_sets("file", listed, files(folder))
    for kind, ids in classes.items():
        vectors, wrong = read_class(kind, ids, folder)
        found += [(kind, vector) for vector in vectors]
        faults += wrong
    if not found:
        faults.append(Case(INDEX, "index", "fail", "no vectors: nothing was tested"))
    return found, faults


def read_class(kind: str, ids: list[str], folder: Path) -> tuple[list[Json], list[Case]]:
    """Every vector of `<kind>.json`, and what is wrong with their ids."""
    try:
        document = json.loads((folder / f"{kind}.json").read_text(encoding="utf-8"))
        vectors = [dict(vector) for vector in document["vectors"]]
        found = [str(vector["id"]) for vector in vectors]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [], [Case(f"{kind}.json", kind, "error", describe(error))]
    cases = compare_sets("vector", set(ids), set(found))
    for name in {name for name in found if found.count(name) > 1}:
        cases.append(Case(name, "index", "fail", "vector occurs twice"))
    if not vectors:
        cases.append(Case(f"{kind}.json", "index", "fail", "no vectors of this class"))
    return vectors, cases


def model_of(vector: Json, folder: Path) -> Model:
    """The model of a stream or a prior, read and proved once: that takes longer than most streams.

    Raises ModelError or OSError as `model_file.load` does, each time anew.
    """
    path = folder / vector["model"]
    return loaded(path, path.stat().st_mtime_ns)


@cache
def loaded(path: Path, changed: int) -> Model:  # noqa: ARG001  # a file that changed is another
    """See `model_of`."""
    return model_file.load(path)


def describe(error: Exception) -> str:
    """Class and message of an exception."""
    return f"{type(error).__name__}: {error}"


def difference(got: Any, must: Any, where: str = "") -> str:
    """Where two JSON values first differ; empty where they are equal."""
    if isinstance(got, dict) and isinstance(must, dict):
        if set(got) != set(must):
            return f"{where or 'results'}: {sorted(got)}, must be {sorted(must)}"
        # the hash last: a differing element says more
        for key in sorted(must, key=lambda key: (key == "sha256", key)):
            if found := difference(got[key], must[key], f"{where}.{key}".lstrip(".")):
                return found
        return ""
    if isinstance(got, list) and isinstance(must, list) and len(got) == len(must):
        pairs = enumerate(zip(got, must, strict=True))
        return next((d for i, (g, m) in pairs if (d := difference(g, m, f"{where}[{i}]"))), "")
    same = type(got) is type(must) and got == must
    return "" if same else f"{where}: {got!r:.120}, must be {must!r:.120}"
