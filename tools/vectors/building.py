"""How an `op` vector is put together: a program of one operation, recipes for its arrays."""

from __future__ import annotations

from typing import Any

from intnet import program_json
from intnet.bounds import prove
from intnet.conform.arrays import described, expand
from intnet.errors import ModelError
from intnet.program import TENSORS, Program
from vectors import definition

Json = dict[str, Any]
LIMITS = {"u8": (0, 255), "s8": (-128, 127), "s16": (-(2**15), 2**15 - 1),
          "s32": (-(2**31), 2**31 - 1)}  # fmt: skip
MULTIPLIER_MAX = 2**31 - 1


def array(dtype: str, *shape: int, **recipe: Any) -> Json:
    """An array by recipe; see `intnet.conform.arrays.expand`."""
    return {"dtype": dtype, "shape": list(shape), **recipe}


def values(dtype: str, *elements: int) -> Json:
    """A vector written out."""
    return array(dtype, len(elements), values=list(elements))


def same(channels: int, multiplier: int = 1, shift: int = 1) -> Json:
    """One requantisation for all channels."""
    return {
        "multiplier": array("s32", channels, fill=multiplier),
        "shift": array("s32", channels, fill=shift),
    }


def clip(dtype: str, lo: int | None = None, hi: int | None = None) -> Json:
    """Output type and interval; by default all of the type."""
    low, high = LIMITS[dtype]
    return {"dtype": dtype, "lo": low if lo is None else lo, "hi": high if hi is None else hi}


def vector(
    name: str, comment: str, kind: str, *inputs: Json, ports: Any = None, clause: str = "",
    **fields: Any,
) -> Json:  # fmt: skip
    """A program of one operation. inputs: (height, width, channels). ports: their intervals.

    clause: of SPEC.md; that of the kind, where there is no other.
    """
    names = [f"x{i}" for i in range(len(inputs))]
    intervals = ports or [LIMITS[x["dtype"]] for x in inputs]
    declared = [
        {"name": n, "dtype": x["dtype"], "channels": x["shape"][2], "lo": lo, "hi": hi}
        for n, x, (lo, hi) in zip(names, inputs, intervals, strict=True)
    ]
    entry = {"kind": kind, "name": "out", "inputs": names}
    entry |= {key: value for key, value in fields.items() if key not in TENSORS}
    document = {"name": "p", "inputs": declared, "ops": [entry], "outputs": ["out"]}
    tensors = {f"p/out/{key}": fields[key] for key in TENSORS if key in fields}
    arrays = dict(zip(names, inputs, strict=True))
    return finish(name, clause or f"op.{kind}", comment, document, tensors, arrays)


def finish(
    name: str, clause: str, comment: str, document: Json, tensors: Json, inputs: Json,
    kind: str = "op",
) -> Json:  # fmt: skip
    """Add what must come out, by `definition` and by nothing that is under test. kind: class."""
    made = {"id": f"{kind}/{name}", "class": kind, "clause": clause, "comment": comment,
            "program": document, "tensors": tensors, "inputs": inputs}  # fmt: skip
    try:
        program = loaded(document, tensors)
        bounds = [[b.op, b.channel, b.quantity, b.bound] for b in prove(program)]
    except ModelError as error:
        return made | {"result": "invalid", "expected": {"error": type(error).__name__}}
    outputs = definition.run(program, {key: expand(spec) for key, spec in inputs.items()})
    expected = {"outputs": {key: described(x) for key, x in outputs.items()}, "bounds": bounds}
    return made | {"result": "valid", "expected": expected}


def loaded(document: Json, tensors: Json) -> Program:
    """A program from its recipes."""
    return program_json.from_json(document, {key: expand(spec) for key, spec in tensors.items()})


def noise(dtype: str, *shape: int, seed: int = 1) -> Json:
    """Pseudo-random values over all of a type."""
    return array(dtype, *shape, lcg=[seed, *LIMITS[dtype]])
