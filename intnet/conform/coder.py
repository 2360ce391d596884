"""The range coder of a backend on vectors: in Python ints for NumPy, else the compiled one."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

import rangecoder
import rangecoder.reference
from intnet.conform.arrays import Json, described, expand
from intnet.program import Array
from rangecoder import Tables


def decode(backend: str, payload: bytes, indexes: Array, tables: Tables, lanes: int) -> Array:
    """Symbols, int32. Raises PayloadError."""
    if backend != "numpy":
        return rangecoder.decode(payload, indexes, tables, lanes)
    symbols = rangecoder.reference.decode(payload, indexes.tolist(), tables, lanes)
    return np.array(symbols, np.int32)


def encode(backend: str, symbols: Array, indexes: Array, tables: Tables, lanes: int) -> bytes:
    """The payload of symbols, int32."""
    if backend != "numpy":
        return rangecoder.encode(symbols, indexes, tables, lanes)
    return rangecoder.reference.encode(symbols.tolist(), indexes.tolist(), tables, lanes)


def of_payload(vector: Json, backend: str) -> Json:
    """Class `coder`: a payload decoded, and encoded again."""
    tables = rangecoder.from_bytes(bytes.fromhex(vector["tables"]))
    indexes, lanes = expand(vector["indexes"]), int(vector["lanes"])
    payload = bytes.fromhex(vector["payload"])
    symbols = decode(backend, payload, indexes, tables, lanes)
    again = encode(backend, symbols, indexes, tables, lanes)
    if again != payload:
        raise ValueError(f"symbols encode to {again.hex():.60}, not to the payload")
    return {"symbols": described(symbols)}


def of_symbols(vector: Json, backend: str) -> Json:
    """Class `stress`: symbols encoded, and decoded again."""
    tables, lanes = tables_of(vector["tables"]), int(vector["lanes"])
    indexes, symbols = expand(vector["indexes"]), expand(vector["symbols"])
    payload = encode(backend, symbols, indexes, tables, lanes)
    again = decode(backend, payload, indexes, tables, lanes)
    digest = hashlib.sha256(payload).hexdigest()
    return {"payload": {"bytes": len(payload), "sha256": digest}, "symbols": described(again)}


def tables_of(recipes: list[dict[str, Any]]) -> Tables:
    """Tables, each from its minimum and the recipe of cdf[1] to cdf[n]."""
    cdfs = [[0, *expand(recipe["cdf"]).tolist(), 2**16] for recipe in recipes]
    start = np.cumsum([0, *map(len, cdfs)])
    minimum = [recipe["minimum"] for recipe in recipes]
    return Tables(np.concatenate(cdfs), start, np.array(minimum))
