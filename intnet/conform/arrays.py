"""Arrays of conformance vectors: made from recipes, and as results state them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from intnet.program import DTYPES, Array

SHOWN = 64  # arrays up to this size are written out, so that a wrong element can be named
LCG_MULTIPLIER, LCG_INCREMENT = 1664525, 1013904223  # of Numerical Recipes, modulo 2**32

Json = dict[str, Any]


def expand(spec: Mapping[str, Any]) -> Array:
    """An array from its description: dtype, shape, and one recipe, row-major.

    values: the list itself. fill: one value. ramp [lo, modulo]: lo + i % modulo.
    lcg [seed, lo, hi]: state = (1664525 * state + 1013904223) % 2**32, starting with the seed and
        advanced before each element, which is lo + (state * (hi - lo + 1) >> 32).
    """
    shape = tuple(spec["shape"])
    dtype = np.dtype({**DTYPES, "u16": np.uint16}[spec["dtype"]])
    size = int(np.prod(shape))
    if "values" in spec:
        values = spec["values"]
    elif "fill" in spec:
        values = [spec["fill"]] * size
    elif "ramp" in spec:
        lo, modulo = spec["ramp"]
        values = [lo + i % modulo for i in range(size)]
    else:
        values = lcg(size, *spec["lcg"])
    return np.array(values, dtype).reshape(shape)  # refuses values outside dtype


def lcg(size: int, state: int, lo: int, hi: int) -> list[int]:
    """Pseudo-random integers in lo..hi; see `expand`."""
    values = []
    for _ in range(size):
        state = (LCG_MULTIPLIER * state + LCG_INCREMENT) % 2**32
        values.append(lo + (state * (hi - lo + 1) >> 32))
    return values


def described(x: Array) -> Json:
    """An array as results state it. sha256: of its little-endian bytes, row-major."""
    plain = np.ascontiguousarray(x, x.dtype.newbyteorder("<"))
    found: Json = {
        "dtype": f"{'u' if x.dtype.kind == 'u' else 's'}{8 * x.dtype.itemsize}",
        "shape": list(x.shape),
        "sha256": hashlib.sha256(plain.tobytes()).hexdigest(),
    }
    return found | ({"values": x.ravel().tolist()} if x.size <= SHOWN else {})
