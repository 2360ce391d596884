"""Serial context models: the prior of a latent sees the latents that were decoded before it.

A context program has the inputs `y_hat` (decoded latents) and `features` (of the hyper-latents),
both on the grid of y, and the outputs mean and index. A masked convolution reads `y_hat`: its
weights are zero from its own position on, in raster order. Every other operation acts on one
position at a time (Minnen et al. 2018, "Joint Autoregressive and Hierarchical Priors").

READ ME FIRST
1. So the outputs at a position need only what lies before it, and may be computed as soon as that
   is decoded. Positions with equal column + slope * row, slope = kernel width // 2 + 1, form a
   *front*: none of them sees another, all that they see lies in fronts before.
2. Symbols are coded front by front, within a front by row, within a position by channel.
3. `gathered` is the same program with the masked convolution as a 1x1 convolution of the taps that
   it sees, side by side. It runs on the positions of a front as a picture n positions high; its
   sums are those of the masked convolution less products with zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import rangecoder
from intnet.backends.execute import check_input
from intnet.errors import ModelError
from intnet.latents import Int32Array
from intnet.model_file import Scaling
from intnet.ports import infer
from intnet.program import (
    DTYPES,
    Add,
    Array,
    Concat,
    Conv,
    Div,
    Lut,
    Mul,
    Op,
    Port,
    Program,
    Requantise,
    Slice,
)

Y_HAT, FEATURES = "y_hat", "features"
POINTWISE = (Requantise, Lut, Add, Mul, Div, Concat, Slice)
Positions = npt.NDArray[np.int64]
Choose = Callable[[Positions, Positions, Array, Array], Int32Array]  # rows, columns, mean, tables


@dataclass(frozen=True, eq=False)
class Serial:
    """A context program that was checked.

    gathered: its inputs are (n, 1, taps * M) and (n, 1, features), its outputs (n, 1, M).
    taps: (row, column) of each, relative to the position, in raster order. slope: see above.
    """

    gathered: Program
    taps: tuple[tuple[int, int], ...]
    slope: int

    @property
    def y_port(self) -> Port:
        """Decoded latents: dtype, M and interval; zeros belong to it, being outside the picture."""
        port = self.gathered.inputs[0]
        return replace(port, channels=port.channels // len(self.taps))


class Coding(NamedTuple):
    """The arithmetic of one quality, see `intnet.latents`."""

    scaling: Scaling
    quality: int


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


class Margin(NamedTuple):
    """Zeros around the latents that taps may see: rows above, columns on either side."""

    top: int
    side: int


def margin(serial: Serial) -> Margin:
    """How far the taps reach."""
    rows, columns = zip(*serial.taps, strict=True)
    return Margin(-min(rows), max(map(abs, columns)))


def serial(program: Program) -> Serial:
    """Check a context program. Raises ModelError naming op, got and allowed."""
    where = f"program {program.name!r}"
    ports = infer(program)
    if [port.name for port in program.inputs] != [Y_HAT, FEATURES] or len(program.outputs) != 2:
        raise ModelError(f"{where}: must have inputs {Y_HAT!r}, {FEATURES!r} and two outputs")
    channels = program.inputs[0].channels
    for name in program.outputs:
        if ports[name].channels != channels:
            raise ModelError(f"{where}, output {name!r}: {ports[name].channels} channels, "
                             f"must be the {channels} of {Y_HAT!r}")  # fmt: skip
    masked = [op for op in program.ops if Y_HAT in op.inputs]
    if len(masked) != 1 or Y_HAT in program.outputs:
        raise ModelError(f"{where}: {len(masked)} operations read {Y_HAT!r}, must be one")
    for op in program.ops:
        if op is not masked[0]:
            check_pointwise(op, where)
    conv, taps = check_masked(masked[0], where)
    y_port = program.inputs[0]
    seen = replace(y_port, channels=channels * len(taps), lo=min(y_port.lo, 0),
                   hi=max(y_port.hi, 0))  # fmt: skip
    ops = tuple(side_by_side(conv, taps) if op is conv else op for op in program.ops)
    gathered = Program(program.name, (seen, program.inputs[1]), ops, program.outputs)
    return Serial(gathered, taps, conv.weight.shape[2] // 2 + 1)


def check_pointwise(op: Op, where: str) -> None:
    """An operation whose output at a position reads that position alone."""
    if isinstance(op, Conv):
        if op.weight.shape[1:3] == (1, 1) and op.stride == 1 and op.padding == (0, 0, 0, 0):
            return
        raise ModelError(f"{where}, op {op.name!r}: must be a 1x1 convolution of stride 1")
    if not isinstance(op, POINTWISE):
        allowed = ", ".join(["1x1 conv", *(kind.kind for kind in POINTWISE)])
        raise ModelError(f"{where}, op {op.name!r}: {op.kind}, must be one of {allowed}")


def check_masked(op: Op, where: str) -> tuple[Conv, tuple[tuple[int, int], ...]]:
    """The convolution that reads y_hat, and its taps before the position itself."""
    at = f"{where}, op {op.name!r}"
    if not isinstance(op, Conv):
        raise ModelError(f"{at}: {op.kind} reads {Y_HAT!r}, must be conv")
    _, ky, kx, _ = op.weight.shape
    down, right = ky // 2, kx // 2
    if op.stride != 1 or op.groups != 1 or op.padding != (down, right, down, right):
        raise ModelError(f"{at}: must have stride 1, one group and padding of half its kernel")
    places = [(row - down, column - right) for row in range(ky) for column in range(kx)]
    taps = tuple(place for place in places if place < (0, 0))  # raster order
    for row, column in places[len(taps) :]:
        if op.weight[:, row + down, column + right].any():
            raise ModelError(f"{at}: weights at row {row}, column {column} of its position, "
                             f"must be zero from 0, 0 on")  # fmt: skip
    if not taps or ky % 2 == 0 or kx % 2 == 0:
        raise ModelError(f"{at}: kernel {ky}x{kx}, must have odd sides and see something")
    return op, taps


def side_by_side(conv: Conv, taps: tuple[tuple[int, int], ...]) -> Conv:
    """The masked convolution as a 1x1 convolution of its taps."""
    n, ky, kx, channels = conv.weight.shape
    weight = conv.weight.reshape(n, 1, 1, ky * kx * channels)[..., : len(taps) * channels]
    return replace(conv, padding=(0, 0, 0, 0), weight=np.ascontiguousarray(weight))


def fronts(height: int, width: int, slope: int) -> Iterator[tuple[Positions, Positions]]:
    """Rows and columns of the positions of each front, in order.

    >>> [list(zip(r.tolist(), c.tolist())) for r, c in fronts(2, 3, 2)]
    [[(0, 0)], [(0, 1)], [(0, 2), (1, 0)], [(1, 1)], [(1, 2)]]
    """
    for front in range(width + slope * (height - 1)):
        rows = np.arange(max(0, -((width - 1 - front) // slope)), min(height, front // slope + 1))
        if rows.size:
            yield rows, front - slope * rows


class Plain(NamedTuple):
    """The definition, on any backend: its `run` and its `latents`."""

    run: Callable[[Program, Mapping[str, Array]], dict[str, Array]]
    latents: Any

    def decode(
        self, serial: Serial, features: Array, decoder: rangecoder.Decoder, coding: Coding
    ) -> Array:
        """Latents (h, w, M) in the dtype of y_hat.

        features: (h, w, channels) of the port's dtype. Raises rangecoder.PayloadError.
        """

        def pulled(_rows: Positions, _columns: Positions, mean: Array, tables: Array) -> Int32Array:
            return decoder.pull(tables.ravel()).reshape(mean.shape)

        check_arguments(serial, features, None, coding, decoder.tables.n_tables)
        return self.walk(serial, features, decoder.tables.n_tables, coding, pulled)

    def encode(
        self, serial: Serial, features: Array, y: Array, encoder: rangecoder.Encoder, coding: Coding
    ) -> Array:
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
    ) -> Array:
        """All fronts; choose: (n, 1, M) means and tables to symbols."""
        height, width, _ = features.shape
        port, (top, side) = serial.y_port, margin(serial)
        y_hat = np.zeros((height + top, width + 2 * side, port.channels), DTYPES[port.dtype])
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
        return np.ascontiguousarray(y_hat[top:, side : side + width])
