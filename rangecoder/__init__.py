"""A range coder for integers with a table of probabilities per symbol.

Exact integers in, the same bytes out on every machine. Sections 5 and 6 of
`conformance/SPEC.md` are the specification; the compiled coder is loaded at the first call, and
where numba cannot be imported, the same functions in Python ints, many times slower.

>>> import numpy as np
>>> import rangecoder
>>> tables = rangecoder.build([[1, 2, 1, 0]], minimum=[-1])  # -1, 0, 1, then the escape
>>> symbols = np.array([0, 0, -1, 1, 0, 700], dtype=np.int32)  # 700 goes through the escape
>>> indexes = np.zeros(6, dtype=np.uint8)  # every symbol uses table 0
>>> payload = rangecoder.encode(symbols, indexes, tables)
>>> rangecoder.decode(payload, indexes, tables).tolist()
[0, 0, -1, 1, 0, 700]
"""

from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

from rangecoder.errors import PayloadError, RangeCoderError, TableError
from rangecoder.layout import lanes_for
from rangecoder.tables import (
    PRECISION,
    SYMBOL_MAX,
    SYMBOL_MIN,
    Tables,
    build,
    from_bytes,
    ideal_bits,
    symbol_bits,
    to_bytes,
    validate,
)

if TYPE_CHECKING:
    from rangecoder.coder import Decoder, Encoder, decode, encode

__all__ = [
    "PRECISION",
    "SYMBOL_MAX",
    "SYMBOL_MIN",
    "Decoder",
    "Encoder",
    "PayloadError",
    "RangeCoderError",
    "TableError",
    "Tables",
    "build",
    "decode",
    "encode",
    "from_bytes",
    "ideal_bits",
    "lanes_for",
    "symbol_bits",
    "to_bytes",
    "validate",
]


@cache
def _form() -> ModuleType:
    """The compiled coder, or the one in Python ints where there is no compiler."""
    try:
        import numba  # noqa: F401, PLC0415  # half a second: only where a coder is asked for
    except ImportError:
        from rangecoder import uncompiled  # noqa: PLC0415

        return uncompiled
    from rangecoder import coder  # noqa: PLC0415

    return coder


def __getattr__(name: str) -> Any:
    """What codes, when it is first asked for."""
    if name in ("Decoder", "Encoder", "decode", "encode"):
        return getattr(_form(), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
