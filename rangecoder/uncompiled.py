"""The functions and classes of `coder`, by the reference in Python ints: where numba is not.

Same arguments, same checks, same bytes, same errors; only the words of a PayloadError differ.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from rangecoder import layout, reference
from rangecoder.arguments import check_payload, index_array, symbol_arrays
from rangecoder.layout import check_lanes
from rangecoder.tables import Int32Array, Tables

__all__ = ["Decoder", "Encoder", "decode", "encode"]


def encode(symbols: Int32Array, indexes: npt.NDArray[Any], tables: Tables, lanes: int = 1) -> bytes:
    """As `coder.encode`."""
    checked, index = symbol_arrays(symbols, indexes, tables)
    return reference.encode(checked.tolist(), index.tolist(), tables, lanes)


def decode(data: bytes, indexes: npt.NDArray[Any], tables: Tables, lanes: int = 1) -> Int32Array:
    """As `coder.decode`."""
    index = index_array(indexes, tables)
    symbols = reference.decode(check_payload(data), index.tolist(), tables, lanes)
    return np.array(symbols, np.int32)


class Encoder:
    """As `coder.Encoder`; symbols wait for the end."""

    def __init__(self, tables: Tables, lanes: int = 1) -> None:
        self.tables, self.lanes = tables, check_lanes(lanes)
        self.symbols: list[int] = []
        self.indexes: list[int] = []

    def push(self, symbols: Int32Array, indexes: npt.NDArray[Any]) -> None:
        """Take the next symbols."""
        checked, index = symbol_arrays(symbols, indexes, self.tables)
        self.symbols += checked.tolist()
        self.indexes += index.tolist()

    def finish(self) -> bytes:
        """The payload."""
        return reference.encode(self.symbols, self.indexes, self.tables, self.lanes)


class Decoder:
    """As `coder.Decoder`, less what serves compiled kernels."""

    def __init__(self, data: bytes, tables: Tables, lanes: int = 1) -> None:
        parts = layout.split(check_payload(data), check_lanes(lanes))
        self.tables, self.decoded = tables, 0
        self.readers = [reference.Decoder(part) for part in parts]

    def pull(self, indexes: npt.NDArray[Any]) -> Int32Array:
        """The next symbols, one per index."""
        symbols = []
        for index in index_array(indexes, self.tables).tolist():
            reader = self.readers[self.decoded % len(self.readers)]
            symbols.append(reader.symbol(index, self.tables))
            self.decoded += 1
        return np.array(symbols, np.int32)

    def finish(self) -> None:
        """Raise PayloadError unless the payload is what the encoder writes for these symbols."""
        for reader in self.readers:
            reader.check_end()
