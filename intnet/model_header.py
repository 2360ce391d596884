"""What a model file says of itself, read from its first bytes alone.

No tensor is read and nothing is proved here: that is `model_file.load`, which takes longer and
needs NumPy and numba. This file needs neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from intnet import architecture, model_frame
from intnet.errors import ModelError

# Positions per pixel of each program's input: latents at 1/16, hyper-latents at 1/64 of each side.
DENSITY = {
    "analysis": 1.0, "hyper_analysis": 16**-2, "prior": 64**-2, "context": 16**-2,
    "synthesis": 16**-2,
}  # fmt: skip


@dataclass(frozen=True)
class ModelHeader:
    """Stated identity, the JSON document, and the shape of every tensor."""

    sha256: str
    document: Mapping[str, Any]
    shapes: Mapping[str, list[int]]

    @property
    def model_id(self) -> bytes:
        """The 8 bytes that streams carry."""
        return bytes.fromhex(self.sha256)[:8]

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Free metadata: name, licence, recipe."""
        found = self.document.get("metadata")
        return found if isinstance(found, dict) else {}

    @property
    def name(self) -> str:
        """Name for people."""
        return str(self.metadata.get("name", "unnamed"))


def read(path: Path) -> ModelHeader:
    """Header of a `.inm`. Raises ModelError, or OSError where it cannot be read."""
    with path.open("rb") as file:
        first = file.read(model_frame.START)
        return parse(first + file.read(size_of(first, str(path))), str(path))


def size_of(first: bytes, name: str) -> int:
    """Bytes of the header, before any of them is read."""
    try:
        return model_frame.header_size(first)
    except ModelError as error:
        raise ModelError(f"{name}: {error}") from None


def parse(data: bytes, name: str = "") -> ModelHeader:
    """Header of a file's bytes, of which the first suffice. name: for messages."""
    try:
        frame = model_frame.read(data)
        document = model_frame.parse_document(frame.document)
        model_frame.refuse_unless(type(document) is dict, "document is not an object")
    except ModelError as error:
        raise ModelError(f"{name}: {error}" if name else str(error)) from None
    shapes = {key: list(entry.shape) for key, entry in frame.entries.items()}
    return ModelHeader(frame.sha256, document, shapes)


def programs(header: ModelHeader) -> list[dict[str, Any]]:
    """Per program its name, operations by kind and multiply-accumulates per pixel in thousands.

    Of a context they are those of all its steps.
    """
    try:
        order = order_of(header)
        times = {"context": 1 if order is None else architecture.step_count(order)}
        return [
            {
                "name": p["name"], "ops": counts(p["ops"]),
                "kmac_per_pixel": kmac(p, header.shapes, times.get(p["name"], 1)),
            }
            for p in header.document["programs"]
        ]  # fmt: skip
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
        raise ModelError("model: malformed programs") from None


def title(header: ModelHeader) -> str:
    """The family of the model, for people. Raises ModelError for none."""
    try:
        outputs = {p["name"]: len(p["outputs"]) for p in header.document["programs"]}
        names = architecture.family_of(outputs)
        return architecture.title(names, outputs.get(names[-2], 0), order_of(header))
    except (LookupError, TypeError):
        raise ModelError("model: malformed programs") from None


def order_of(header: ModelHeader) -> architecture.Order | None:
    """Of a context, if there is one. Raises ModelError."""
    order = header.document.get("order")
    return None if order is None else architecture.order_of(order)


def counts(ops: list[dict[str, Any]]) -> dict[str, int]:
    """Number of operations of each kind, in order of appearance."""
    kinds = [op["kind"] for op in ops]
    return {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}


def kmac(
    program: Mapping[str, Any], shapes: Mapping[str, list[int]], times: int = 1
) -> float | None:
    """Thousands of multiply-accumulates per pixel; None for a program not known by name.

    times: that it is run.
    """
    if program["name"] not in DENSITY:
        return None
    density = {port["name"]: DENSITY[program["name"]] for port in program["inputs"]}
    total = 0.0
    for op in program["ops"]:
        here = density[op["inputs"][0]]
        out = here
        if op["kind"] == "conv":
            out = here / op["stride"] ** 2
            total += out * prod(shapes[f"{program['name']}/{op['name']}/weight"])
        elif op["kind"] == "conv_transpose":
            out = here * op["stride"] ** 2
            total += here * prod(shapes[f"{program['name']}/{op['name']}/weight"])
        elif op["kind"] == "depth_to_space":
            out = here * op["block"] ** 2
        elif op["kind"] == "space_to_depth":
            out = here / op["block"] ** 2
        density[op["name"]] = out
    return round(times * total / 1000, 3)
