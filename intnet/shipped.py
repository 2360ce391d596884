"""Models at hand: those that ship with the package, found by name or by the id in a stream.

Finding one reads headers only; `load` then reads and proves the one that is wanted.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from intnet import model_header
from intnet.errors import ModelError

if TYPE_CHECKING:  # model_file brings NumPy and numba, which listing models does not need
    from intnet.model_file import Model

DEFAULT = "photo"
SUFFIX = ".inm"


class Entry(NamedTuple):
    """A shipped model: its name is that of its file."""

    name: str
    path: Path
    header: model_header.ModelHeader


def folder() -> Path:
    """Where shipped models lie."""
    return Path(str(resources.files("intnet") / "models"))


def at_hand() -> list[Entry]:
    """Shipped models by name."""
    paths = sorted(folder().glob(f"*{SUFFIX}"))
    return [Entry(path.stem, path, model_header.read(path)) for path in paths]


def measured(entry: Entry) -> dict[str, Any]:
    """What `tools/kodak.py --card` measured: rates, PSNR, BD-rates; empty where it did not.

    It lies beside the model, which cannot hold what is known only once it is whole.
    """
    card = entry.path.with_suffix(".json")
    if not card.is_file():
        return {}
    found: dict[str, Any] = json.loads(card.read_text(encoding="utf-8"))
    return found if found.get("sha256") == entry.header.sha256 else {}


def path_of(name_or_path: str | Path | None = None) -> Path:
    """File of a model: a shipped name (None: the default) or a path. Raises ModelError."""
    wanted = str(name_or_path or DEFAULT)
    shipped = folder() / f"{wanted}{SUFFIX}"
    if "/" not in wanted and shipped.is_file():
        return shipped
    if Path(wanted).exists():
        return Path(wanted)
    names = ", ".join(path.stem for path in sorted(folder().glob(f"*{SUFFIX}"))) or "none"
    raise ModelError(f"model {wanted!r}: no such file and no such shipped model; shipped: {names}")


def load(name_or_path: str | Path | None = None) -> Model:
    """Read and prove a model: a shipped name (None: the default) or a path."""
    from intnet import model_file  # noqa: PLC0415  # heavy, see above

    return model_file.load(path_of(name_or_path))


def find(model_id: bytes) -> Path:
    """File of the model that a stream was made with. Raises ModelError naming the ids at hand."""
    entries = at_hand()
    for entry in entries:
        if entry.header.model_id == model_id:
            return entry.path
    ids = ", ".join(f"{e.header.model_id.hex()} ({e.name})" for e in entries) or "none"
    raise ModelError(f"stream: made with model {model_id.hex()}; at hand: {ids} (see --model)")
