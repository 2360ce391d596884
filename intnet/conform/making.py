"""Conformance vectors for a model of one's own, in the layout of `conformance/vectors/v1`.

Expected results are those of the NumPy backend. Before the folder gets its name, every backend must
pass every vector in it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from intnet import backends, codec, container, model_file, networks, pictures
from intnet.architecture import HYPERPRIOR
from intnet.conform.arrays import Json
from intnet.conform.classes import results
from intnet.conform.folder import INDEX, Setting, files
from intnet.conform.running import run
from intnet.errors import IntnetError
from intnet.model_file import Model

CLASSES = ("model", "prior", "stream", "invalid_stream")
QUALITIES = (0, 32, 63)
ABOUT = "Made by `intnet conform make`; see conformance/README.md."


class Wanted(NamedTuple):
    """What vectors are made of. data: of the model's file. pictures: by name."""

    model: Model
    name: str
    data: bytes
    pictures: dict[str, codec.Pixels]
    qualities: Sequence[int]


class Made(NamedTuple):
    """A vector without its result; path and content of the file that it names, if one."""

    vector: Json
    path: str = ""
    data: bytes = b""


def read(model: Path, names: Sequence[Path], qualities: Sequence[int] = QUALITIES) -> Wanted:
    """Model and pictures. Raises OSError, or IntnetError naming what is not allowed."""
    stems = [name.stem for name in names]
    for stem in stems:
        if stems.count(stem) > 1:
            raise IntnetError(f"pictures: {stems.count(stem)} are called {stem!r}, must be one")
    found = {name.stem: pictures.read(name) for name in names}
    loaded = model_file.load(model)
    return Wanted(loaded, model.stem, model.read_bytes(), found, sorted(set(qualities)))


def make(wanted: Wanted, folder: Path) -> dict[str, int]:
    """Write the folder, whole or not at all; how many vectors there are by class.

    A folder that is there stays if it holds these files and no others. Raises IntnetError where it
    holds others, and where a backend gives other results or cannot run here.
    """
    folder = folder.resolve()
    temporary = folder.with_name(f".{folder.name[:200]}.{os.getpid()}.tmp")
    temporary.mkdir()
    try:
        counts = write(wanted, temporary)
        for backend in backends.MODULES:
            check(temporary, backend)
        if not folder.exists():
            temporary.rename(folder)
        elif not same(temporary, folder):
            raise IntnetError(f"{folder}: exists with other content, which stays as it is")
    finally:  # an interrupt too must leave nothing behind
        shutil.rmtree(temporary, ignore_errors=True)
    return counts


def check(folder: Path, backend: str) -> None:
    """Raise IntnetError unless a backend passes every vector."""
    for case in run(backend, folder)["cases"]:
        if case["result"] != "pass":
            got = f"{case['result']}: {case['detail']}"
            raise IntnetError(f"vector {case['id']}, backend {backend}: {got}; nothing is written")


def same(one: Path, other: Path) -> bool:
    """Whether two folders hold the same files. one: with an index."""
    if not (other / INDEX).is_file() or files(one) != files(other):
        return False
    paths = files(one) | {INDEX}
    return all((one / path).read_bytes() == (other / path).read_bytes() for path in paths)


def write(wanted: Wanted, folder: Path) -> dict[str, int]:
    """Every file, the index last; how many vectors there are by class."""
    classes: dict[str, list[Json]] = {kind: [] for kind in CLASSES}
    for vector, path, data in vectors(wanted):
        if path:
            save(folder / path, data)
        kind, refused = vector["class"], "expected" in vector
        vector["result"] = "invalid" if refused else "valid"
        if not refused:
            vector["expected"] = results(kind, vector, Setting(folder, "numpy"))
        classes[kind].append(vector)
    for kind, found in classes.items():
        lines = ",\n".join(json.dumps(vector, ensure_ascii=False) for vector in found)
        text = f'{{"about": {json.dumps(ABOUT)}, "vectors": [\n{lines}\n]}}\n'
        save(folder / f"{kind}.json", text.encode())
    ids = {kind: [vector["id"] for vector in found] for kind, found in classes.items()}
    index = {"format": 1, "classes": ids, "files": sorted(files(folder))}
    save(folder / INDEX, (json.dumps(index, indent=1) + "\n").encode())
    return {kind: len(found) for kind, found in classes.items()}


def save(path: Path, data: bytes) -> None:
    """A file of the temporary folder."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)


def vectors(wanted: Wanted) -> Iterator[Made]:
    """Every vector; the model first, which others read."""
    path = f"model/{wanted.name}.inm"
    yield Made(
        {"id": f"model/{wanted.name}", "class": "model", "clause": "model.hash",
         "comment": "Loads; its proof.", "model": path}, path, wanted.data,
    )  # fmt: skip
    yield from priors(wanted, path)
    whole = b""
    for name, pixels in wanted.pictures.items():
        analysed = codec.analyse(pixels, wanted.model, "numpy")
        for quality in wanted.qualities:
            data = codec.code(analysed, wanted.model, quality, "numpy", verify=True)
            yield stream(f"{name}-q{quality}", f"{name} at quality {quality}.", path, data)
        if not whole:  # of one tile and no chunks: as short a stream as this picture has
            plain = analysed._replace(alpha=None)
            whole = codec.code(
                plain, wanted.model, wanted.qualities[0], "numpy", verify=True, tile=0
            )
    for name, (clause, comment, data, error) in faults(whole).items():
        file = f"invalid/{name}.inic"
        yield Made(
            {"id": f"invalid/{name}", "class": "invalid_stream", "clause": clause,
             "comment": comment, "model": path, "stream": file, "expected": {"error": error}},
            file, data,
        )  # fmt: skip


def stream(name: str, comment: str, model: str, data: bytes) -> Made:
    """A valid stream."""
    path = f"stream/{name}.inic"
    return Made(
        {"id": f"stream/{name}", "class": "stream", "clause": "decode.symbols",
         "comment": comment, "model": model, "stream": path}, path, data,
    )  # fmt: skip


def priors(wanted: Wanted, path: str) -> Iterator[Made]:
    """Hyper-latents that no picture need have: the middle, both ends, noise over the interval."""
    if wanted.model.family != HYPERPRIOR:
        return  # no prior, or one that chooses no tables
    port = networks.port(wanted.model, "prior")
    n, middle = port.channels, min(max(0, port.lo), port.hi)
    recipes: dict[str, tuple[str, list[int], Json]] = {
        "zero": ("Biases alone.", [1, 1, n], {"fill": middle}),
        "ends": ("Both ends of z's interval.", [1, 2, n], {"values": [port.hi, port.lo] * n}),
        "noise": ("All of the interval.", [3, 2, n], {"lcg": [61, port.lo, port.hi]}),
    }
    for name, (comment, shape, recipe) in recipes.items():
        yield Made({
            "id": f"prior/{name}", "class": "prior", "clause": "decode.table_index",
            "comment": comment, "model": path,
            "z": {"dtype": port.dtype, "shape": shape, **recipe}, "qualities": list(QUALITIES),
        })  # fmt: skip


def faults(good: bytes) -> dict[str, tuple[str, str, bytes, str]]:
    """Streams with one fault each by its name: clause, comment, content, class of the error."""
    head, (tile,) = container.unpack(good)
    other = head.model_id[:-1] + bytes([head.model_id[-1] ^ 1])
    half = len(good) // 2
    flipped = good[:half] + bytes([good[half] ^ 64]) + good[half + 1 :]
    crc = (head.pixel_crc or 0) ^ 1

    def packed(**fields: Any) -> bytes:
        return container.pack(container.Stream(head._replace(**fields), [tile]))

    def payload(**payloads: Any) -> bytes:
        return container.pack(container.Stream(head, [tile._replace(**payloads)]))

    wrong = "StreamError"
    return {
        "empty": ("stream.layout", "No bytes; no checksum.", b"", wrong),
        "truncated-by-1": ("stream.checksum", "The last byte is missing.", good[:-1], wrong),
        "truncated-to-half": ("stream.checksum", "Half of it.", good[:half], wrong),
        "bit-flipped": ("stream.checksum", "One bit; the checksum does not fit.", flipped, wrong),
        "trailing-byte": ("stream.checksum", "A byte after the checksum.", good + b"\0", wrong),
        "model-id-last-bit": (
            "stream.header.model_id", "The lowest bit of the eighth byte.",
            packed(model_id=other), "ModelError",
        ),
        "quality-64": ("stream.header.quality", "Quality 64.", packed(quality=64), wrong),
        "width-zero": ("stream.header.width", "Width 0.", packed(width=0), wrong),
        "z-payload-trailing-byte": (
            "coder.end", "A byte too many in z.", payload(z=tile.z + b"\1"), wrong,
        ),
        "y-payload-trailing-byte": (
            "coder.end", "A byte too many in y.", payload(y=tile.y + b"\1"), wrong,
        ),
        "pixel-crc-wrong": (
            "decode.pixel_crc", "One bit of the CRC of the samples.", packed(pixel_crc=crc), wrong,
        ),
    }  # fmt: skip
