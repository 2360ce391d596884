"""Serial context models, coded: networks, latents and range coder in turns, front by front."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

import rangecoder
from intnet.backends.execute import check_input
from intnet.latents import Int32Array, table_dtype
from intnet.model_file import Scaling
from intnet.program import DTYPES, Array, Program
from intnet.serial_context import FEATURES, Y_HAT, Positions, Serial, fronts, margin

Choose = Callable[[Positions, Positions, Array, Array], Int32Array]  # rows, columns, mean, tables


class Coding(NamedTuple):
    """The arithmetic of one quality, see `intnet.latents`."""

    scaling: Scaling
    quality: int


class Coded(NamedTuple):
    """Latents of a tile and what was coded for them, each (h, w, M).

    y_hat: in the port's dtype. symbols: int32. tables: the table of each symbol.
    """

    y_hat: Array
    symbols: Int32Array
    tables: Array


def check_arguments(
    serial: Serial, features: Array, y: Array | None, coding: Coding, tables: int
) -> None:
    """What kernels trust: shapes, dtypes, and features within the interval of the proof.

    y: None to decode. tables: of the range coder. Raises ValueError naming got and allowed.
    """
    where, m = f"program {serial.gathered.name!r}", serial.y_port.channels
    check_input(features, serial.gathered.inputs[1], f"{where}, input {FEATURES!r}")
    want = (*features.shape[:2], m), np.dtype(DTYPES[serial.y_port.dtype])
    if y is not None and (y.shape, y.dtype) != want:
        raise ValueError(f"{where}, y: {y.dtype} {y.shape}, must be {want[1]} {want[0]}")
    scaling = coding.scaling
    for name in ("gain", "inverse_gain", "index_offset"):
        shape = getattr(scaling, name).shape
        if len(shape) != 2 or shape[1] != m or not 0 <= coding.quality < shape[0]:
            raise ValueError(f"{where}, scaling {name}: {shape}, must be (> {coding.quality}, {m})")
    if scaling.dead_zone.shape != (tables,):
        raise ValueError(f"{where}, dead_zone: {scaling.dead_zone.shape}, must be {(tables,)}")


class Plain(NamedTuple):
    """The definition, on any backend: its `run` and its `latents`."""

    run: Callable[[Program, Mapping[str, Array]], dict[str, Array]]
    latents: Any

    def decode(
        self, serial: Serial, features: Array, decoder: rangecoder.Decoder, coding: Coding
    ) -> Coded:
        """Latents (h, w, M).

        features: (h, w, channels) of the port's dtype. Raises rangecoder.PayloadError.
        """

        def pulled(_rows: Positions, _columns: Positions, mean: Array, tables: Array) -> Int32Array:
            return decoder.pull(tables.ravel()).reshape(mean.shape)

        check_arguments(serial, features, None, coding, decoder.tables.n_tables)
        return self.walk(serial, features, decoder.tables.n_tables, coding, pulled)

    def encode(
        self, serial: Serial, features: Array, y: Array, encoder: rangecoder.Encoder, coding: Coding
    ) -> Coded:
        """The latents that a decoder will have. y: (h, w, M) in the dtype of y_hat."""

        def pushed(rows: Positions, columns: Positions, mean: Array, tables: Array) -> Int32Array:
            symbols: Int32Array = self.latents.quantise(
                y[rows, columns][:, None], mean, tables, coding.scaling, coding.quality
            )
            encoder.push(symbols.ravel(), tables.ravel())
            return symbols

        check_arguments(serial, features, y, coding, encoder.tables.n_tables)
        return self.walk(serial, features, encoder.tables.n_tables, coding, pushed)

    def walk(
        self, serial: Serial, features: Array, tables: int, coding: Coding, choose: Choose
    ) -> Coded:
        """All fronts; choose: (n, 1, M) means and tables to symbols."""
        height, width, _ = features.shape
        port, (top, side) = serial.y_port, margin(serial)
        y_hat = np.zeros((height + top, width + 2 * side, port.channels), DTYPES[port.dtype])
        coded = np.zeros((height, width, port.channels), np.int32)
        chosen = np.zeros(coded.shape, table_dtype(tables))
        mean_name, index_name = serial.gathered.outputs
        for rows, columns in fronts(height, width, serial.slope):
            seen = [y_hat[rows + top + dy, columns + side + dx] for dy, dx in serial.taps]
            here = np.concatenate(seen, 1), features[rows, columns]
            outputs = self.run(
                serial.gathered, {Y_HAT: here[0][:, None], FEATURES: here[1][:, None]}
            )
            mean, index = outputs[mean_name], outputs[index_name]
            indexes = self.latents.table_indexes(index, coding.scaling, coding.quality, tables)
            symbols = choose(rows, columns, mean, indexes)
            values = self.latents.dequantise(symbols, mean, coding.scaling, coding.quality, port)
            y_hat[rows + top, columns + side] = values[:, 0]
            coded[rows, columns], chosen[rows, columns] = symbols[:, 0], indexes[:, 0]
        return Coded(np.ascontiguousarray(y_hat[top:, side : side + width]), coded, chosen)
