"""Payloads from arrays: `encode` and `decode`, whole or batch by batch, by compiled loops.

READ ME FIRST
1. The loops are those of `reference`, with the same bytes; read that first. `encoding` and
   `decoding` have them, `state` the sizes.
2. All state is int64 below 2**63 by proof.  No unsigned 64-bit integer, no float, no wrap.
3. Kernels trust their caller: this file checks every argument first (`arguments`).  The bytes of
   a payload need no trust: any of them lead to a status, never outside an array.
4. Arrays reach a kernel contiguous, read-only and in one dtype, so that each kernel is compiled
   once for all callers.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from rangecoder import layout
from rangecoder.arguments import check_payload, index_array, readonly, symbol_arrays
from rangecoder.decoding import (
    BAD_LAST_BYTE,
    FAULTS,
    VALID,
    check_end,
    decode_batch,
    decode_symbol,
    start_lanes,
)
from rangecoder.encoding import encode_batch as _encode
from rangecoder.encoding import encode_symbol, finish_lanes
from rangecoder.errors import PayloadError
from rangecoder.layout import check_lanes
from rangecoder.state import TOP, Int, Int32Array, Int64Array, UInt32Array
from rangecoder.tables import Tables

__all__ = ["Decoder", "Encoder", "decode", "decode_symbol", "encode", "encode_symbol"]

# A 49-bit escape (16 for its entry, 33 for its bits) takes less than two words.
WORDS_PER_SYMBOL = 2


def encode(symbols: Int32Array, indexes: npt.NDArray[Any], tables: Tables, lanes: int = 1) -> bytes:
    """Code symbols[i] with table indexes[i]; in one lane no symbols give no bytes.

    symbols: int32 (n,), each within [-32768, 32767].
    indexes: integer (n,), each within [0, n_tables).
    lanes: 1 .. 8; symbol i belongs to lane i % lanes.
    Raises ValueError for anything else.
    """
    encoder = Encoder(tables, lanes)
    encoder.push(symbols, indexes)
    return encoder.finish()


def decode(data: bytes, indexes: npt.NDArray[Any], tables: Tables, lanes: int = 1) -> Int32Array:
    """Inverse of `encode`, one symbol per index.

    data: any bytes.  indexes: integer (n,), each within [0, n_tables).
    Returns int32 (n,), each within [-32768, 32767].
    Raises PayloadError unless data is exactly what `encode` writes for the result, ValueError for
    other arguments.
    """
    decoder = Decoder(data, tables, lanes)
    symbols = decoder.pull(indexes)
    decoder.finish()
    return symbols


class Encoder:
    """A payload written batch by batch; its bytes do not depend on the batches.

    lanes: 1 .. 8. Raises ValueError for other numbers.
    """

    def __init__(self, tables: Tables, lanes: int = 1) -> None:
        self.tables, self.lanes, self.coded = tables, check_lanes(lanes), 0
        # of each lane: low, range_, where its next word goes, where its first one lies
        self.states = np.array([(0, 1 << TOP, 0, 0)] * lanes, np.int64)
        self.words = np.empty(0, np.uint32)

    def push(self, symbols: Int32Array, indexes: npt.NDArray[Any]) -> None:
        """Code the next symbols; see `encode` for the arguments and what is raised."""
        checked, index = symbol_arrays(symbols, indexes, self.tables)
        self._reserve(WORDS_PER_SYMBOL * (symbols.size // self.lanes + 1) + 1)
        t = self.tables
        _encode(checked, index, self.coded % self.lanes, t.cdf, t.start, t.minimum,
                self.states, self.words)  # fmt: skip
        self.coded += symbols.size

    def _reserve(self, more: int) -> None:
        """Make room for so many words more in every lane; doubling keeps all copies linear."""
        used, room = int(self._sizes().max()), self.words.size // self.lanes
        if used + more > room:
            room = max(used + more, 2 * room)
            words = np.empty(self.lanes * room, np.uint32)
            for lane, old in enumerate(self._lanes()):
                words[lane * room : lane * room + old.size] = old
            self.states[:, 2:] -= self.states[:, 3:]
            self.states[:, 2:] += room * np.arange(self.lanes)[:, None]
            self.words = words

    def _sizes(self) -> Int64Array:
        """Words of each lane."""
        sizes: Int64Array = self.states[:, 2] - self.states[:, 3]
        return sizes

    def _lanes(self) -> list[UInt32Array]:
        """The words of each lane."""
        return [self.words[begin:end] for end, begin in self.states[:, 2:].tolist()]

    def finish(self) -> bytes:
        """The payload."""
        self._reserve(1)
        finish_lanes(self.states, self.words)
        return layout.join([words.astype(">u4").tobytes().rstrip(b"\0") for words in self._lanes()])


class Decoder:
    """A payload read batch by batch.

    data: any bytes. lanes: as the encoder's. Raises PayloadError for lengths of lanes that do not
    fit, ValueError for other arguments.
    """

    def __init__(self, data: bytes, tables: Tables, lanes: int = 1) -> None:
        self.tables, self.lanes, self.decoded = tables, check_lanes(lanes), 0
        self.parts = layout.split(check_payload(data), lanes)
        self.size = len(data)
        # The kernel reads zeros past the end; padding to whole words is all that is needed here.
        padded = [part + bytes(-len(part) % 4) for part in self.parts]
        self.words = readonly(np.frombuffer(b"".join(padded), dtype=">u4").astype(np.uint32))
        ends = np.cumsum([len(part) // 4 for part in padded])
        # of each lane: value, range_, position, first word, word after its last
        self.states = np.zeros((lanes, 5), np.int64)
        self.states[:, 3], self.states[:, 4] = np.concatenate([[0], ends[:-1]]), ends
        start_lanes(self.states, self.words)

    def pull(self, indexes: npt.NDArray[Any]) -> Int32Array:
        """The next symbols, one per index; see `decode`."""
        index = index_array(indexes, self.tables)
        symbols = np.empty(index.size, dtype=np.int32)
        words, lane, cdf, start, minimum, lookup, states = self.batch()
        self.account(
            *decode_batch(words, index, lane, cdf, start, minimum, lookup, states, symbols)
        )  # fmt: skip
        return symbols

    def batch(self) -> tuple[UInt32Array, int, Int32Array, Int32Array, Int32Array, Any, Int64Array]:
        """Arguments of `decode_batch` for the next symbols, for kernels that call it themselves.

        words, first_lane, cdf, start, minimum, lookup, states. Indexes must be uint16 below
        n_tables. Then call `account`.
        """
        t = self.tables
        lane = self.decoded % self.lanes
        return self.words, lane, t.cdf, t.start, t.minimum, t.lookup, self.states

    def account(self, status: Int, count: Int, detail: Int) -> None:
        """Count symbols that were decoded; raise PayloadError unless the status is VALID."""
        done = self.decoded + int(count)
        self._refuse(status, done, done % self.lanes, detail)
        self.decoded = done

    def finish(self) -> None:
        """Raise PayloadError unless the payload is what the encoder writes for these symbols."""
        for lane, part in enumerate(self.parts):
            status, detail = check_end(self.words, self.states[lane], len(part))
            if status == VALID and part.endswith(b"\0"):
                status, detail = BAD_LAST_BYTE, 0
            self._refuse(status, self.decoded, lane, detail)

    def _refuse(self, status: Int, i: Int, lane: Int, detail: Int) -> None:
        """A fault as an error that says where."""
        if status != VALID:
            which = f"lane {lane} of {self.lanes}, " if self.lanes > 1 else ""
            msg = (f"payload of {self.size} bytes, {which}after {i} symbols: "
                   f"{FAULTS[int(status)].format(detail)}")  # fmt: skip
            raise PayloadError(msg)
