"""The integer functions of SPEC.md, each by the code that the codec runs on a backend.

Requantisation, division and clipping are asked of programs of one op, indexes and latents of the
backend's `latents`; nothing here repeats a formula.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

import rangecoder
import rangecoder.reference
from intnet import (
    backends,
    model_file,
    planes,
    program_json,
    serial_context,
    shapes,
    step_context,
    strips,
    tile_coding,
    tiles,
)
from intnet.backends import rounding
from intnet.model_file import Scaling
from intnet.program import Array, Conv, ConvTranspose, Port
from rangecoder import layout

S32 = {"dtype": "s32", "lo": -(2**31), "hi": 2**31 - 1}


def result(backend: str, function: str, arguments: list[Any]) -> int | str:
    """What a function of SPEC.md gives. Raises KeyError for one that is not there."""
    if function in ALIKE:
        return ALIKE[function](*arguments)
    return OF_BACKENDS[function](backend, *arguments)


@cache
def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """As numba compiles it."""
    from rangecoder.compile import jit  # noqa: PLC0415  # numba, which need not be installed

    made: Callable[..., Any] = jit(function)
    return made


def on_int64(function: Callable[..., Any]) -> Callable[..., int]:
    """A function of two integers, on NumPy's scalars or compiled."""

    def call(backend: str, a: int, b: int) -> int:
        chosen = function if backend == "numpy" else compiled(function)
        return int(chosen(np.int64(a), np.int64(b)))

    return call


def floor_shift(a: Any, b: Any) -> Any:
    """The operator, in a form that numba compiles."""
    return a >> b


def floor_div(a: Any, b: Any) -> Any:
    """The operator, in a form that numba compiles."""
    return a // b


def one(backend: str, kind: str, values: list[int], **fields: Any) -> int:
    """An operation of single samples, each input's interval being its value."""
    names = [f"x{i}" for i in range(len(values))]
    inputs = [{"name": n, "dtype": "s32", "channels": 1, "lo": v, "hi": v}
              for n, v in zip(names, values, strict=True)]  # fmt: skip
    entry = {"kind": kind, "name": "out", "inputs": names, **S32, **fields}
    tensors = {f"p/out/{key}": np.array([entry.pop(key)], np.int32)
               for key in ("multiplier", "shift") if key in entry}  # fmt: skip
    document = {"name": "p", "inputs": inputs, "ops": [entry], "outputs": ["out"]}
    program = program_json.from_json(document, tensors)
    arrays = {n: sample(v) for n, v in zip(names, values, strict=True)}
    return int(backends.load(backend).run(program, arrays)["out"][0, 0, 0])


def clip(backend: str, a: int, lo: int, hi: int) -> int:
    """As `add` ends, a > -2**31."""
    return one(backend, "add", [a, 0], lo=lo, hi=hi)


def requantise(backend: str, acc: int, multiplier: int, shift: int, lo: int, hi: int) -> int:
    """As the operation of that name."""
    return one(backend, "requantise", [acc], multiplier=multiplier, shift=shift, lo=lo, hi=hi)


def divide(backend: str, a: int, b: int, left_shift: int) -> int:
    """As `div`, unclipped as long as it fits 32 bits."""
    return one(backend, "div", [a, b], left_shift=left_shift)


def scaling(**fields: int) -> Scaling:
    """Of one table, one quality, one channel."""
    whole = {"gain": 1, "inverse_gain": 1, "index_offset": 0, "dead_zone": 0, "gain_shift": 16,
             "inverse_shift": 1, "index_shift": 1} | fields  # fmt: skip
    values: dict[str, Any] = {n: np.full((64, 1), whole[n], np.int32) for n in model_file.ARRAYS}
    values["dead_zone"] = np.array([whole["dead_zone"]], np.int32)
    values |= {n: whole[n] for n in model_file.SHIFTS}
    return Scaling(**values)


def sample(value: int) -> Array:
    """One value of 32 bits."""
    return np.full((1, 1, 1), value, np.int32)


def table_index(backend: str, index: int, index_offset: int, index_shift: int, tables: int) -> int:
    """As `latents.table_indexes`."""
    s = scaling(index_offset=index_offset, index_shift=index_shift)
    return int(backends.load(backend).latents.table_indexes(sample(index), s, 0, tables)[0, 0, 0])


def dequantise(
    backend: str, symbol: int, mean: int, inverse_gain: int, inverse_shift: int, lo: int, hi: int
) -> int:
    """As `latents.dequantise`."""
    s, port = scaling(inverse_gain=inverse_gain, inverse_shift=inverse_shift), Port(
        "y", "s32", 1, lo, hi)  # fmt: skip
    latents = backends.load(backend).latents
    return int(latents.dequantise(sample(symbol), sample(mean), s, 0, port)[0, 0, 0])


def quantise(backend: str, y: int, mean: int, gain: int, gain_shift: int, dead_zone: int) -> int:
    """As `latents.quantise`; of encoders, so that no vector has it."""
    s = scaling(gain=gain, gain_shift=gain_shift, dead_zone=dead_zone)
    latents, table = backends.load(backend).latents, np.zeros((1, 1, 1), np.uint8)
    return int(latents.quantise(sample(y), sample(mean), table, s, 0)[0, 0, 0])


def luma(r: int, g: int, b: int) -> int:
    """As `planes.luma`."""
    return int(planes.luma(np.array([[[r, g, b]]], np.uint8))[0, 0, 0])


def size_of(
    kind: type[Conv | ConvTranspose], rule: Callable[..., tuple[int, int]]
) -> Callable[..., int]:
    """Height of an output of conv or conv_transpose."""

    def call(size: int, before: int, after: int, kernel: int, stride: int) -> int:
        weight = np.zeros((1, kernel, 1, 1), np.int8)
        op = kind("o", ("i",), "u8", 0, 1, stride, (before, 0, after, 0), 1, weight, *[weight] * 3)
        return rule(op, [(size, 1)], "here")[0]

    return call


def tile_area(n: int, side: int, height: int, width: int) -> str:
    """Rows and columns of a tile, pixels."""
    rows, columns = list(tiles.Grid(height, width, side).areas(1))[n]
    return str([rows.start, rows.stop, columns.start, columns.stop])


def step_of(order: Any, row: int, column: int, channel: int, channels: int) -> int:
    """Of a latent of a context that is coded in steps."""
    steps = step_context.pattern(order, (row + 1, column + 1, channels))
    return int(steps[row, column, channel])


def serial_groups(height: int, width: int, slope: int) -> str:
    """Rows and columns of the fronts of a serial context."""
    fronts = serial_context.fronts(height, width, slope)
    return str([np.stack(front, 1).tolist() for front in fronts])


OF_BACKENDS: dict[str, Callable[..., int]] = {
    "floor_shift": on_int64(floor_shift),
    "floor_div": on_int64(floor_div),
    "clip": clip,
    "round_shift": on_int64(rounding.round_shift),
    "requantise": requantise,
    "divide": divide,
    "table_index": table_index,
    "dequantise": dequantise,
    "quantise": quantise,
}
ALIKE: dict[str, Callable[..., int | str]] = {  # all backends have these from one place
    "ceil_div": strips.cells,
    "conv_size": size_of(Conv, shapes.conv),
    "conv_transpose_size": size_of(ConvTranspose, shapes.conv_transpose),
    "exp_golomb": rangecoder.reference.exp_golomb,
    "lanes_for": rangecoder.lanes_for,
    "lanes_of": tile_coding.lanes_of,
    "tile": tile_area,
    "step_of": step_of,
    "serial_groups": serial_groups,
    "length": lambda n: layout.length(n).hex(" "),
    "crc32": lambda text: f"{zlib.crc32(text.encode()):08x}",
    "luma": luma,
}
