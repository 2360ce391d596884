"""The same symbols through other coders.

A maker gives a function from a message to its coder, which holds what can be made beforehand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from intnet.bench.peers import need
from rangecoder import Tables

# torchac wants the whole table of every symbol: 2 bytes * 256 entries * 65,536 symbols = 34 MB.
TORCHAC_REACH, TORCHAC_SYMBOLS = 127, 1 << 16


class Message(NamedTuple):
    """symbols: int32 (n,). indexes: uint8 (n,), table of each; scales: float64 (n,), its sigma."""

    symbols: npt.NDArray[np.int32]
    indexes: npt.NDArray[np.uint8]
    tables: Tables
    scales: npt.NDArray[np.float64]


class Coder(NamedTuple):
    """encode: gives the bytes of a message. decode: gives its symbols."""

    encode: Callable[[], bytes]
    decode: Callable[[], Any]


def constriction_gaussian() -> Callable[[Message], Coder]:
    """constriction's range coder; a Gaussian is quantised for every symbol."""
    stream = need("constriction").stream

    def make(message: Message) -> Coder:
        reach = int(-message.tables.minimum.min())
        family = stream.model.QuantizedGaussian(-reach, reach)
        means = np.zeros(message.symbols.size)
        return constriction_coder(stream, message.symbols, family, means, message.scales)

    return make


def constriction_categorical() -> Callable[[Message], Coder]:
    """constriction's range coder with the one table of the message."""
    stream = need("constriction").stream

    def make(message: Message) -> Coder:
        probabilities = np.diff(message.tables.cdf)[:-1].astype(np.float32)  # without the escape
        model = stream.model.Categorical(probabilities, perfect=False)
        entries = message.symbols - message.tables.minimum[0]
        coder = constriction_coder(stream, entries, model)
        return Coder(coder.encode, lambda: coder.decode() + message.tables.minimum[0])

    return make


def constriction_coder(
    stream: Any, symbols: npt.NDArray[np.int32], model: Any, *parameters: Any
) -> Coder:
    """Encoder and decoder of the same words."""

    def encoded() -> Any:
        encoder = stream.queue.RangeEncoder()
        encoder.encode(symbols, model, *parameters)
        return encoder.get_compressed()

    words, arguments = encoded(), parameters or (symbols.size,)
    return Coder(
        lambda: encoded().tobytes(),
        lambda: stream.queue.RangeDecoder(words).decode(model, *arguments),
    )


def torchac() -> Callable[[Message], Coder]:
    """torchac's arithmetic coder; its table of every symbol lies ready."""
    module, torch = need("torchac"), need("torch")

    def make(message: Message) -> Coder:
        # all tables have the same support; 2**16 wraps to 0, which torchac knows
        rows = message.tables.cdf.reshape(message.tables.n_tables, -1).astype(np.uint16)
        cdf = torch.from_numpy(rows.view(np.int16)[message.indexes])
        lowest = int(message.tables.minimum[0])
        symbols = torch.from_numpy((message.symbols - lowest).astype(np.int16))
        payload = module.encode_int16_normalized_cdf(cdf, symbols)
        return Coder(
            lambda: module.encode_int16_normalized_cdf(cdf, symbols),
            lambda: module.decode_int16_normalized_cdf(cdf, payload).numpy() + lowest,
        )

    return make
