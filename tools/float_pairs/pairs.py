"""A encodes, B decodes: what becomes of one picture between two environments.

Both get the same z, hence the prior's mean and table of every symbol; each computes its own.

    A: symbol = round((y - mean) * gain), coded with A's table;  y_hat = mean + symbol / gain
    B: decodes with B's table;                                   y_hat = B's mean + symbol / gain

A table that differs shifts the coder's interval: B reads other symbols from there on, or the coder
notices. A mean that differs leaves the symbols alone and moves the latents.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

import rangecoder
from float_pairs import exchange
from float_pairs.inputs import Gains, Picture
from intnet import latents, networks
from intnet.model_file import Model
from intnet.program import Array


class Seen(NamedTuple):
    """What an environment made of a picture: mean and table (uint8) of each symbol, (h, w, M)."""

    mean: Array
    tables: Array


class Arithmetic(Protocol):
    """What surrounds the prior, the same in all environments."""

    def symbols(self, seen: Seen) -> Array:
        """int32 symbols of the encoder."""

    def latents(self, symbols: Array, mean: Array) -> Array:
        """y_hat, the input of the synthesis."""

    def rounded(self, mean: Array) -> Array:
        """The mean in whole steps of symbols, to count those that round differently."""


class FloatArithmetic:
    """As a float codec computes: nearest symbols."""

    def __init__(self, y: Array, gains: Gains) -> None:
        self.y, self.gains = y, gains

    def symbols(self, seen: Seen) -> Array:
        """round((y - mean) * gain)."""
        nearest = np.rint((self.y - seen.mean) * self.gains.gain)
        symbols: Array = nearest.clip(-latents.SYMBOL_MAX, latents.SYMBOL_MAX).astype(np.int32)
        return symbols

    def latents(self, symbols: Array, mean: Array) -> Array:
        """mean + symbol * inverse_gain, float32."""
        y_hat: Array = mean + symbols.astype(np.float32) * self.gains.inverse_gain
        return y_hat

    def rounded(self, mean: Array) -> Array:
        """round(mean * gain)."""
        return np.rint(mean * self.gains.gain)


class IntegerArithmetic:
    """The codec's own."""

    def __init__(self, y: Array, model: Model, quality: int) -> None:
        self.y, self.model, self.quality = y, model, quality

    def symbols(self, seen: Seen) -> Array:
        """`latents.quantise`."""
        return latents.quantise(self.y, *seen, self.model.scaling, self.quality)

    def latents(self, symbols: Array, mean: Array) -> Array:
        """`latents.dequantise`."""
        port = networks.port(self.model, "synthesis")
        return latents.dequantise(symbols, mean, self.model.scaling, self.quality, port)

    def rounded(self, mean: Array) -> Array:
        """Already whole."""
        return mean


class Outcome(NamedTuple):
    """Of one picture and pair, 0 or 1 but for the last three, which count symbols.

    fails: B refuses, or reads other symbols; refused: it refuses; drifts: the symbols are right,
    the latents differ in a bit.
    """

    fails: int
    refused: int
    drifts: int
    tables: int
    means: int
    symbols: int


class Encoded:
    """A picture as an environment encodes it."""

    def __init__(self, seen: Seen, arithmetic: Arithmetic, tables: rangecoder.Tables) -> None:
        self.seen, self.arithmetic, self.y_tables = seen, arithmetic, tables
        self.symbols = arithmetic.symbols(seen)
        self.lanes = rangecoder.lanes_for(self.symbols.size)
        self.payload = rangecoder.encode(
            self.symbols.ravel(), seen.tables.ravel(), tables, self.lanes
        )
        self.y_hat = arithmetic.latents(self.symbols, seen.mean)
        self.rounded = arithmetic.rounded(seen.mean)

    def decoded_by(self, other: Encoded) -> Outcome:
        """Decode in the environment that made `other` of the same picture."""
        mean, tables = other.seen
        differing = (
            int(np.count_nonzero(tables != self.seen.tables)),
            int(np.count_nonzero(other.rounded != self.rounded)),
            mean.size,
        )
        try:
            symbols: Array = rangecoder.decode(
                self.payload, tables.ravel(), self.y_tables, self.lanes
            )
        except rangecoder.PayloadError:
            return Outcome(1, 1, 0, *differing)
        fails = not np.array_equal(symbols, self.symbols.ravel())
        y_hat = self.arithmetic.latents(symbols.reshape(mean.shape), mean)
        drifts = not fails and y_hat.tobytes() != self.y_hat.tobytes()
        return Outcome(int(fails), 0, int(drifts), *differing)


def compare(
    folders: Sequence[Path],
    arithmetics: Sequence[Arithmetic],
    y_tables: rangecoder.Tables,
    advance: Callable[[], object],
) -> Array:
    """Outcomes summed over pictures: int64 (encoder, decoder, field of Outcome).

    folders: one for each environment; arithmetics: one for each picture.
    """
    total = np.zeros((len(folders), len(folders), len(Outcome._fields)), np.int64)
    for i, arithmetic in enumerate(arithmetics):
        made = [Encoded(Seen(*exchange.outputs(f, i)), arithmetic, y_tables) for f in folders]
        for row, a in zip(total, made, strict=True):
            row += [a.decoded_by(b) for b in made]
        advance()
    return total


def arithmetics(
    pictures: Sequence[Picture], model: Model, quality: int, gains: Gains | None
) -> list[Arithmetic]:
    """The arithmetic of each picture: float with gains, the codec's integers without."""
    if gains is None:
        return [IntegerArithmetic(p.y_integer, model, quality) for p in pictures]
    return [FloatArithmetic(p.y, gains) for p in pictures]
