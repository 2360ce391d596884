"""Tables and payloads of `rangecoder`."""

from __future__ import annotations

from functools import cached_property
from random import Random
from typing import Any

import numpy as np

import rangecoder
from fuzzing.edits import edited
from fuzzing.target.outcome import VECTORS, WrongAnswerError, refusal
from intnet import model_file
from rangecoder import uncompiled


class CoderTarget:
    """`rangecoder`: tables from bytes, then a payload.

    An input is the length of the tables in 4 bytes, tables, number of symbols, lanes, payload.
    """

    @cached_property
    def bases(self) -> list[tuple[bytes, bytes]]:
        """Tables and a payload of 200 symbols."""
        found = []
        for name in ("minimal", "tiny", "wide"):
            model = model_file.load(VECTORS / "model" / f"{name}.inm")
            for tables in (model.y_tables, model.z_tables):
                assert tables is not None, "these models have z"
                index = np.arange(200) % tables.n_tables
                symbols = (np.arange(200, dtype=np.int32) * 37 % 23) - 11
                for lanes in (1, 2, 3, 8):
                    payload = rangecoder.encode(symbols, index, tables, lanes)
                    kind = bytes([200, lanes - 1])
                    found.append((rangecoder.to_bytes(tables), kind + payload))
        return found

    def mutated(self, rng: Random) -> tuple[bytes, bool]:
        """Tables changed at times, the payload mostly."""
        tables, rest = rng.choice(self.bases)
        if rng.random() < 0.2:
            tables = edited(rng, tables)
        if rng.random() < 0.9:
            rest = rest[:2] + edited(rng, rest[2:])
        if rng.random() < 0.1:
            rest = edited(rng, rest)
        return len(tables).to_bytes(4, "little") + tables + rest, True

    def run(self, data: bytes, *, remade: bool, compare: bool) -> str:  # noqa: ARG002
        """Symbols that encode to the same payload, or a PayloadError or TableError."""
        size = 4 + int.from_bytes(data[:4], "little")
        (count, lanes), payload = data[size : size + 2].ljust(2, b"\1"), data[size + 2 :]
        beyond, lanes = lanes > 127, lanes % 8 + 1
        try:
            tables = rangecoder.from_bytes(data[4:size])
        except rangecoder.TableError:
            return "TableError"
        index = np.arange(count) % tables.n_tables
        if beyond and count:
            return self.beyond(payload, index + 1 + tables.n_tables // 2, tables, lanes)
        try:
            symbols = rangecoder.decode(payload, index, tables, lanes)
        except rangecoder.PayloadError as error:
            if compare:
                self.refused_by_reference(payload, index, tables, lanes)
            return refusal(error)
        if rangecoder.encode(symbols, index, tables, lanes) != payload:
            raise WrongAnswerError("a payload that the encoder does not write is accepted")
        if compare and not np.array_equal(
            uncompiled.decode(payload, index, tables, lanes), symbols
        ):
            raise WrongAnswerError("the reference decodes other symbols")
        return "symbols"

    def beyond(self, payload: bytes, index: Any, tables: Any, lanes: int) -> str:
        """Indexes of tables that are not there are a ValueError, unless no symbol is reached."""
        try:
            rangecoder.decode(payload, index, tables, lanes)
        except rangecoder.PayloadError as error:
            outcome = refusal(error)
        except ValueError:
            return "ValueError: indexes"
        else:
            outcome = "symbols"
        if index.max() >= tables.n_tables and ("after" in outcome or outcome == "symbols"):
            raise WrongAnswerError(f"a table that is not there gives {outcome}")
        return outcome

    def refused_by_reference(self, payload: bytes, index: Any, tables: Any, lanes: int) -> None:
        """It raises PayloadError too."""
        try:
            uncompiled.decode(payload, index, tables, lanes)
        except rangecoder.PayloadError:
            return
        raise WrongAnswerError("the reference accepts a payload that the compiled decoder refuses")
