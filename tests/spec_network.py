"""Forms of examples of arithmetic and of programs: `values`, `program`."""

from __future__ import annotations

import ast
import json
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from spec_text import UnreadableError, numbers, parts, spaced

import rangecoder
from intnet import (
    backends,
    bounds,
    codec,
    container,
    model_file,
    model_frame,
    ports,
    program_json,
    shapes,
    tile_coding,
    tiles,
)
from intnet.backends import numba_latents, rounding
from intnet.bounds import prove
from intnet.errors import ModelError
from intnet.model_file import Scaling
from intnet.program import DTYPES, Array, Conv, ConvTranspose, Port
from intnet.shapes import conv, conv_transpose
from rangecoder import layout, reference
from rangecoder import tables as tables_

CALL = re.compile(r"(\w+)\((.*)\)")
# Names of constants in the text are those of the code.
HOMES = (ports, bounds, container, model_file, model_frame, shapes, tables_, layout, reference)
S32 = {"dtype": "s32", "lo": -(2**31), "hi": 2**31 - 1}


def one(backend: str, kind: str, values: list[int], **fields: Any) -> int:
    """An operation of single samples, each input's interval being its value."""
    names = [f"x{i}" for i in range(len(values))]
    inputs = [{"name": n, "dtype": "s32", "channels": 1, "lo": v, "hi": v}
              for n, v in zip(names, values, strict=True)]  # fmt: skip
    entry = {"kind": kind, "name": "out", "inputs": names, **S32, **fields}
    tensors = {f"p/out/{key}": np.array([entry.pop(key)], np.int32)
               for key in ("multiplier", "shift") if key in entry}  # fmt: skip
    document = {"name": "p", "inputs": inputs, "ops": [entry], "outputs": ["out"]}
    arrays = {n: np.full((1, 1, 1), v, np.int32) for n, v in zip(names, values, strict=True)}
    program = program_json.from_json(document, tensors)
    return int(backends.load(backend).run(program, arrays)["out"][0, 0, 0])


def round_shift(backend: str, value: int, shift: int) -> int:
    """The one rounding, in Python ints and as the backend has it."""
    function = rounding.round_shift if backend == "numpy" else numba_latents.round_shift
    got = int(function(np.int64(value), np.int64(shift)))
    assert got == rounding.round_shift(value, shift)
    return got


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
    """As `latents.quantise`."""
    s = scaling(gain=gain, gain_shift=gain_shift, dead_zone=dead_zone)
    latents, table = backends.load(backend).latents, np.zeros((1, 1, 1), np.uint8)
    return int(latents.quantise(sample(y), sample(mean), table, s, 0)[0, 0, 0])


def luma(backend: str, r: int, g: int, b: int) -> int:
    """As `codec.luma`."""
    return int(codec.luma(np.array([[[r, g, b]]], np.uint8))[0, 0, 0])


def conv_size(backend: str, size: int, before: int, after: int, kernel: int, stride: int) -> int:
    """Height of an output of conv."""
    weight = np.zeros((1, kernel, 1, 1), np.int8)
    op = Conv("o", ("i",), "u8", 0, 1, stride, (before, 0, after, 0), 1, weight, *[weight] * 3)
    return conv(op, [(size, 1)], "here")[0]


def conv_transpose_size(
    backend: str, size: int, before: int, after: int, kernel: int, stride: int
) -> int:
    """Height of an output of conv_transpose."""
    weight, edges = np.zeros((1, kernel, 1, 1), np.int8), (before, 0, after, 0)
    op = ConvTranspose("o", ("i",), "u8", 0, 1, stride, edges, 1, weight, *[weight] * 3)
    return conv_transpose(op, [(size, 1)], "here")[0]


def tile_area(n: int, side: int, h: int, w: int) -> list[int]:
    """Rows and columns of a tile, pixels."""
    rows, columns = list(tiles.Grid(h, w, side).areas(1))[n]
    return [rows.start, rows.stop, columns.start, columns.stop]


FUNCTIONS: dict[str, Callable[..., object]] = {
    "round_shift": round_shift,
    "requantise": requantise,
    "clip": lambda backend, x, lo, hi: one(backend, "add", [x, 0], lo=lo, hi=hi),
    "floor_div": lambda backend, a, b: int(np.int64(a) // np.int64(b)),
    "floor_shift": lambda backend, a, b: int(np.int64(a) >> np.int64(b)),
    "ceil_div": lambda backend, a, b: codec.cells(a, b),
    "divide": divide,
    "table_index": table_index,
    "dequantise": dequantise,
    "quantise": quantise,
    "luma": luma,
    "conv_size": conv_size,
    "conv_transpose_size": conv_transpose_size,
    "lanes_for": lambda backend, n: rangecoder.lanes_for(n),
    "lanes_of": lambda backend, minor, n: tile_coding.lanes_of(minor, n),
    "tile": lambda backend, n, side, h, w: tile_area(n, side, h, w),
    "length": lambda backend, n: layout.length(n).hex(" "),
    "exp_golomb": lambda backend, n: reference.exp_golomb(n),
    "crc32": lambda backend, text: f"{zlib.crc32(text.encode()):08x}",
}


def values_form(lines: list[str], backend: str) -> Iterator[str]:
    """`function(numbers) = value` and `CONSTANT = value`, several a line apart by `; `."""
    for line in lines:
        yield "; ".join(f"{before} = {value(before, backend)}" for before, _ in
                        map(parts, line.split("; ")))  # fmt: skip


def value(text: str, backend: str) -> object:
    """What a call or a constant is."""
    found = CALL.fullmatch(text)
    if found is None:
        return constant(text)
    if found[1] not in FUNCTIONS:
        raise UnreadableError(text)
    return FUNCTIONS[found[1]](backend, *ast.literal_eval(f"({found[2]},)"))


def constant(name: str) -> int:
    """A limit of the code."""
    found = [getattr(home, name) for home in HOMES if hasattr(home, name)]
    if len(set(found)) != 1:
        raise UnreadableError(f"constant {name}: {found}")
    return int(found[0])


def array(text: str, dtype: str) -> Array:
    """`2x3x1: 1 2 3 4 5 6` as an array."""
    shape, _, values = text.partition(":")
    wanted = tuple(map(int, shape.split("x")))
    return np.array(numbers(values), DTYPES[dtype]).reshape(wanted)


def program_form(lines: list[str], backend: str) -> Iterator[str]:
    """A program, its tensors and inputs; then ports, bounds, values, or the error's class."""
    ops = [json.loads(line[3:]) for line in lines if line.startswith("op ")]
    inputs = [json.loads(line[6:]) for line in lines if line.startswith("input ")]
    dtypes = {entry["name"]: entry["dtype"] for entry in inputs}
    outputs = [parts(x)[0][7:] for x in lines if x.startswith("output ")] or [ops[-1]["name"]]
    tensors, x = {}, {}
    for line in lines:
        if line.startswith("tensor "):
            _, name, dtype = parts(line)[0].split()
            tensors[f"p/{name}"] = array(parts(line)[1], dtype)
        elif line.startswith("value "):
            name = parts(line)[0][6:]
            x[name] = array(parts(line)[1], dtypes[name])
        elif not line.startswith(("op ", "input ", "port ", "bound ", "output ", "result ")):
            raise UnreadableError(line)
    document = {"name": "p", "inputs": inputs, "ops": ops, "outputs": outputs}
    got: dict[str, str] = {}
    try:
        program = program_json.from_json(document, tensors)
        for port in ports.infer(program).values():
            got[f"port {port.name}"] = f"{port.dtype} {port.channels} [{port.lo}, {port.hi}]"
        for b in prove(program):
            got[f"bound {b.op} {b.quantity}"] = f"{b.bound} of channel {b.channel}"
    except ModelError as error:
        got["result"] = type(error).__name__
    if x and "result" not in got:
        for name, made in backends.load(backend).run(program, x).items():
            shape = "x".join(map(str, made.shape))
            got[f"output {name}"] = f"{shape}: {spaced(made.ravel().tolist())}"
    for line in lines:
        if line.startswith(("op ", "input ", "tensor ", "value ")):
            yield line
        else:
            name = parts(line)[0]
            yield f"{name} = {got.pop(name, 'nothing')}"
    if "result" in got:
        yield f"result = {got['result']}"
