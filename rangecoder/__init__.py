"""Integers in, bytes out: an exact range coder over tables of integer frequencies.

Knows no networks.  `reference` is the slow, obvious form and `coder` the same loops compiled;
both write the same bytes.  Importing compiles nothing: numba compiles (or loads its cache) at the
first call.

>>> import numpy as np
>>> import rangecoder
>>> tables = rangecoder.build([[1, 2, 1, 0]], minimum=[-1])  # -1, 0, 1, then the escape
>>> symbols = np.array([0, 0, -1, 1, 0, 700], dtype=np.int32)  # 700 goes through the escape
>>> indexes = np.zeros(6, dtype=np.uint8)  # every symbol uses table 0
>>> payload = rangecoder.encode(symbols, indexes, tables)
>>> rangecoder.decode(payload, indexes, tables).tolist()
[0, 0, -1, 1, 0, 700]
"""

from rangecoder.coder import decode, encode
from rangecoder.errors import PayloadError, RangeCoderError, TableError
from rangecoder.tables import (
    PRECISION,
    SYMBOL_MAX,
    SYMBOL_MIN,
    Tables,
    build,
    from_bytes,
    ideal_bits,
    to_bytes,
    validate,
)

__all__ = [
    "PRECISION",
    "SYMBOL_MAX",
    "SYMBOL_MIN",
    "PayloadError",
    "RangeCoderError",
    "TableError",
    "Tables",
    "build",
    "decode",
    "encode",
    "from_bytes",
    "ideal_bits",
    "to_bytes",
    "validate",
]
