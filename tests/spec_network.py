"""Forms of examples of arithmetic and of programs: `values`, `program`."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator

import numpy as np
from spec_text import UnreadableError, numbers, parts, spaced

from intnet import (
    architecture,
    backends,
    bounds,
    chunks,
    container,
    interfaces,
    model_file,
    model_frame,
    ports,
    program_json,
    shapes,
)
from intnet.bounds import prove
from intnet.conform import arith
from intnet.errors import ModelError
from intnet.program import DTYPES, Array
from rangecoder import layout, reference
from rangecoder import tables as tables_

CALL = re.compile(r"(\w+)\((.*)\)")
# Names of constants in the text are those of the code.
HOMES = (
    architecture,
    ports,
    bounds,
    chunks,
    container,
    interfaces,
    model_file,
    model_frame,
    shapes,
    tables_,
    layout,
    reference,
)


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
    if found[1] not in arith.ALIKE | arith.OF_BACKENDS:
        raise UnreadableError(text)
    return arith.result(backend, found[1], list(ast.literal_eval(f"({found[2]},)")))


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
