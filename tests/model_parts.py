"""A model file taken apart and put together with one thing changed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

VECTORS = Path(__file__).parents[1] / "conformance" / "vectors" / "v1"
MINIMAL = (VECTORS / "model" / "minimal.inm").read_bytes()
DTYPES = {"U8": "uint8", "I8": "int8", "I16": "int16", "I32": "int32"}

Json = dict[str, Any]


def taken_apart(data: bytes) -> tuple[Json, bytes]:
    """Header and tensors."""
    start = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:start]), data[start:]


def framed(header: str | bytes, tensors: bytes) -> bytes:
    """A file of a header as it is written."""
    raw = header if isinstance(header, bytes) else header.encode()
    return len(raw).to_bytes(8, "little") + raw + tensors


def canonical(document: Any) -> str:
    """The document as the format wants it."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def hashed(text: str, header: Json, tensors: bytes) -> str:
    """SHA-256 of a document and the tensors of a header; written anew, not that of intnet."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass"))
    for name in sorted(header.keys() - {"__metadata__"}):
        entry = header[name]
        begin, end = entry["data_offsets"]
        shape = "x".join(map(str, entry["shape"]))
        digest.update(f"\n{name} {DTYPES[entry['dtype']]} {shape}\n".encode())
        digest.update(tensors[begin:end])
    return digest.hexdigest()


def with_document(text: str, data: bytes = MINIMAL) -> bytes:
    """The file with another document, rightly hashed."""
    header, tensors = taken_apart(data)
    header["__metadata__"] = {"intnet": text, "sha256": hashed(text, header, tensors)}
    return framed(json.dumps(header), tensors)


def document(data: bytes = MINIMAL) -> Json:
    """The document of a file."""
    found: Json = json.loads(taken_apart(data)[0]["__metadata__"]["intnet"])
    return found


def zeros(shape: tuple[int, ...]) -> np.ndarray:
    """Hyper-latents, or symbols, that are all zero."""
    return np.zeros(shape, np.int32)
