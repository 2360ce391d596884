"""Context models in parallel steps: many positions at once, see `intnet.architecture`.

The latents begin as zeros. In each step the context runs on all of those decoded so far, and its
mean and index serve the latents of this step alone: position after position in raster order, their
channels ascending. A latent that is not decoded yet is zero for encoder and decoder alike, so that
any program will do. Checkerboards (He et al. 2021) and quadtrees (Li et al. 2023) are such orders.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import rangecoder
from intnet.architecture import Steps, step_count
from intnet.context import Coded, Coding
from intnet.latents import Int32Array, mean_and_index
from intnet.program import DTYPES, Array, Program
from intnet.serial_context import FEATURES, Y_HAT

Choose = Callable[[Array, Array, npt.NDArray[np.bool_]], Int32Array]  # mean, tables, which


class Ordered(NamedTuple):
    """A context program and the step of every latent."""

    program: Program
    order: Steps


class InSteps(NamedTuple):
    """The definition, on any backend: its `run` and its `latents`."""

    run: Callable[[Program, Mapping[str, Array]], dict[str, Array]]
    latents: Any

    def decode(
        self, context: Ordered, features: Array, decoder: rangecoder.Decoder, coding: Coding
    ) -> Coded:
        """Latents (h, w, M) from features (h, w, channels). Raises rangecoder.PayloadError."""

        def pulled(_mean: Array, tables: Array, here: npt.NDArray[np.bool_]) -> Int32Array:
            return decoder.pull(tables[here])

        return self.walk(context, features, decoder.tables.n_tables, coding, pulled)

    def encode(
        self, context: Ordered, features: Array, y: Array, encoder: rangecoder.Encoder,
        coding: Coding,
    ) -> Coded:  # fmt: skip
        """The latents that a decoder will have of y (h, w, M)."""

        def pushed(mean: Array, tables: Array, here: npt.NDArray[np.bool_]) -> Int32Array:
            symbols: Int32Array = self.latents.quantise(y, mean, tables, *coding)[here]
            encoder.push(symbols, tables[here])
            return symbols

        return self.walk(context, features, encoder.tables.n_tables, coding, pushed)

    def walk(
        self, context: Ordered, features: Array, tables: int, coding: Coding, choose: Choose
    ) -> Coded:
        """All steps; choose: the symbols of those latents that a step codes."""
        (program, order), latents = context, self.latents
        port = program.inputs[0]
        shape = *features.shape[:2], port.channels
        step_of = pattern(order, shape)
        y_hat, symbols = np.zeros(shape, DTYPES[port.dtype]), np.zeros(shape, np.int32)
        chosen = np.zeros(shape, np.uint8)
        for step in range(step_count(order)):
            outputs = self.run(program, {Y_HAT: y_hat, FEATURES: features})
            mean, index = mean_and_index([outputs[n] for n in program.outputs], port)
            indexes = latents.table_indexes(index, *coding, tables)
            here = step_of == step
            symbols[here] = choose(mean, indexes, here)
            chosen[here] = indexes[here]
            values = latents.dequantise(symbols, mean, *coding, port)
            y_hat[here] = values[here]
        return Coded(y_hat, symbols, chosen)


def pattern(order: Steps, shape: tuple[int, int, int]) -> npt.NDArray[np.int8]:
    """The step of every latent (rows, columns, M), as a tile has it from its own corner.

    >>> pattern((((0,), (1,)), ((1,), (0,))), (2, 3, 1))[..., 0].tolist()
    [[0, 1, 0], [1, 0, 1]]
    """
    rows, columns, channels = (np.arange(n) for n in shape)
    steps = np.array(order, np.int8)
    groups = channels * steps.shape[2] // len(channels)
    found: npt.NDArray[np.int8] = steps[np.ix_(rows % 2, columns % 2, groups)]
    return found
