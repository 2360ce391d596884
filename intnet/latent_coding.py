"""Latents to symbols and back, from what the prior makes; rows come from top to bottom.

Where the prior chooses the tables, a strip is coded as it comes, in all tiles that it crosses. A
context needs whole tiles: strips are cut anew into bands, each a row of tiles, and the context runs
on every tile alone, as if there were nothing beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from types import ModuleType
from typing import Any

import numpy as np

import rangecoder
from intnet import backends
from intnet.container import Header
from intnet.context import Coded, Coding
from intnet.latents import mean_and_index
from intnet.model_file import Y_STRIDE, Model
from intnet.program import DTYPES, Array, Port
from intnet.step_context import InSteps, Ordered
from intnet.strips import regrouped
from intnet.tile_coding import Lost, SymbolDecoder, SymbolEncoder, lanes_of, stage
from intnet.tiles import Grid

Strips = Iterable[Sequence[Array]]  # rows of each output of the prior; of y before them to encode


def y_hat_port(model: Model) -> Port:
    """Of the decoded latents."""
    return model.programs["synthesis"].inputs[0]


class Choice:
    """What a prior says of latents: mean, and table by quality. Without a context."""

    def __init__(self, model: Model, quality: int, backend: str) -> None:
        self.model, self.coding = model, Coding(model.scaling, quality)
        self.latents = backends.load(backend).latents

    def of(self, outputs: Sequence[Array]) -> tuple[Array, Array]:
        """Mean and table of each latent."""
        mean, index = mean_and_index(outputs, y_hat_port(self.model))
        return mean, self.latents.table_indexes(index, *self.coding, self.model.y_tables.n_tables)

    def coded(self, symbols: Array, mean: Array, tables: Array) -> Coded:
        """With the latents that symbols stand for."""
        y_hat = self.latents.dequantise(symbols, mean, *self.coding, y_hat_port(self.model))
        return Coded(y_hat, symbols, tables)


def context_of(model: Model, module: ModuleType) -> tuple[Any, Any]:
    """What codes tiles with the context of a model on a backend, and its first argument."""
    if isinstance(model.order, tuple):
        context = Ordered(model.programs["context"], model.order)
        return InSteps(module.run, module.latents), context
    return module.serial(), model.serial


class Encoder:
    """Codes the latents of a picture. payloads: one of each tile, after the last row."""

    def __init__(self, model: Model, quality: int, grid: Grid, backend: str) -> None:
        self.model, self.quality, self.grid, self.backend = model, quality, grid, backend
        self.payloads: list[bytes] = []

    def rows(self, strips: Strips) -> Iterator[Coded]:
        """What is coded of strips: rows of y, then of each output of the prior."""
        by_bands = "context" in self.model.programs
        return self.of_bands(strips) if by_bands else self.of_strips(strips)

    def of_strips(self, strips: Strips) -> Iterator[Coded]:
        """As they come."""
        encoder = SymbolEncoder(self.grid, self.model.y_tables)
        choice = Choice(self.model, self.quality, self.backend)
        self.payloads = encoder.payloads
        for y, *outputs in strips:
            mean, tables = choice.of(outputs)
            symbols = choice.latents.quantise(y, mean, tables, *choice.coding)
            encoder.push(symbols, tables)
            yield choice.coded(symbols, mean, tables)

    def of_bands(self, strips: Strips) -> Iterator[Coded]:
        """A row of tiles at a time."""
        coder, context = context_of(self.model, backends.load(self.backend))
        coding, self.payloads = Coding(self.model.scaling, self.quality), []
        for y, features in regrouped(strips, heights(self.grid)):
            tiles = []
            for begin, end in self.grid.spans(self.grid.width, Y_STRIDE):
                part = np.ascontiguousarray(y[:, begin:end])
                encoder = rangecoder.Encoder(
                    self.model.y_tables, rangecoder.lanes_for(part.size)
                )  # fmt: skip
                seen = np.ascontiguousarray(features[:, begin:end])
                tiles.append(coder.encode(context, seen, part, encoder, coding))
                self.payloads.append(encoder.finish())
            yield side_by_side(tiles)


class Decoder:
    """Decodes the latents of a picture from the payloads of its tiles.

    lost: tiles not to decode; those that turn out to be damaged are added, and nothing is raised.
    Latents of such tiles are any. None: damage is StreamError.
    """

    def __init__(
        self, model: Model, header: Header, payloads: Sequence[bytes], backend: str,
        lost: Lost | None = None,
    ) -> None:  # fmt: skip
        self.model, self.header, self.payloads, self.backend = model, header, payloads, backend
        self.lost = lost

    def rows(self, strips: Strips) -> Iterator[Coded]:
        """What strips, rows of each output of the prior, are decoded to. Raises StreamError."""
        by_bands = "context" in self.model.programs
        return self.of_bands(strips) if by_bands else self.of_strips(strips)

    def of_strips(self, strips: Strips) -> Iterator[Coded]:
        """As they come."""
        header = self.header
        decoder = SymbolDecoder(
            self.payloads, header.grid, self.model.y_tables, header.minor, self.lost
        )
        choice = Choice(self.model, header.quality, self.backend)
        for outputs in strips:
            mean, tables = choice.of(outputs)
            yield choice.coded(decoder.pull(tables), mean, tables)

    def of_bands(self, strips: Strips) -> Iterator[Coded]:
        """A row of tiles at a time."""
        grid, number = self.header.grid, 0
        for (features,) in regrouped(strips, heights(grid)):
            tiles = []
            for begin, end in grid.spans(grid.width, Y_STRIDE):
                tiles.append(self.tile(number, [features[:, begin:end]]))
                number += 1
            yield side_by_side(tiles)

    def tile(self, number: int, outputs: Sequence[Array]) -> Coded:
        """A whole tile, from its part of each output of the prior. Raises StreamError."""
        if self.lost is None or number not in self.lost:
            with stage("y", self.header.grid, number, self.lost):
                return self.intact(self.payloads[number], outputs)
        port = y_hat_port(self.model)
        shape = *outputs[0].shape[:2], port.channels
        tables = np.zeros(shape, np.uint8)
        return Coded(np.zeros(shape, DTYPES[port.dtype]), np.zeros(shape, np.int32), tables)

    def intact(self, payload: bytes, outputs: Sequence[Array]) -> Coded:
        """The same. Raises PayloadError."""
        outputs = [np.ascontiguousarray(x) for x in outputs]
        tables, port = self.model.y_tables, y_hat_port(self.model)
        size = outputs[0].shape[0] * outputs[0].shape[1] * port.channels
        decoder = rangecoder.Decoder(payload, tables, lanes_of(self.header.minor, size))
        if "context" in self.model.programs:
            coder, context = context_of(self.model, backends.load(self.backend))
            coding = Coding(self.model.scaling, self.header.quality)
            found: Coded = coder.decode(context, outputs[0], decoder, coding)
        else:
            choice = Choice(self.model, self.header.quality, self.backend)
            mean, indexes = choice.of(outputs)
            symbols = decoder.pull(indexes.ravel()).reshape(indexes.shape)
            found = choice.coded(symbols, mean, indexes)
        decoder.finish()
        return found


def heights(grid: Grid) -> list[int]:
    """Rows of y in each row of tiles."""
    return [end - begin for begin, end in grid.spans(grid.height, Y_STRIDE)]


def side_by_side(tiles: list[Coded]) -> Coded:
    """A row of tiles as one."""
    return tiles[0] if len(tiles) == 1 else Coded(
        *(np.concatenate(parts, 1) for parts in zip(*tiles, strict=True))
    )  # fmt: skip
