"""Programs to and from JSON; tensors travel beside it, keyed `program/op/field`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from reprlib import repr as brief  # short for any value, however deep or long
from typing import Any

from intnet.errors import ModelError
from intnet.ports import MAX_OPS, infer
from intnet.program import KINDS, TENSORS, Array, Edges, Op, Port, Program


def to_json(program: Program) -> tuple[dict[str, Any], dict[str, Array]]:
    """Plain JSON values and the tensors, keyed `program/op/field`."""
    tensors: dict[str, Array] = {}
    ops = []
    for op in program.ops:
        entry: dict[str, Any] = {"kind": op.kind}
        for field in fields(op):
            value = getattr(op, field.name)
            if field.name in TENSORS:
                tensors[f"{program.name}/{op.name}/{field.name}"] = value
            else:
                entry[field.name] = list(value) if isinstance(value, tuple) else value
        ops.append(entry)
    inputs = [{f.name: getattr(port, f.name) for f in fields(port)} for port in program.inputs]
    document = {"name": program.name, "inputs": inputs, "ops": ops}
    return {**document, "outputs": list(program.outputs)}, tensors


def from_json(document: Any, tensors: Mapping[str, Array]) -> Program:
    """Inverse of to_json, then validated. Raises ModelError for anything malformed."""
    name = typed(document, "name", str, "program")
    where = f"program {name!r}"
    refuse_others(document, {"name", "inputs", "ops", "outputs"}, where)
    inputs = tuple(port_from_json(entry, where) for entry in typed(document, "inputs", list, where))
    entries = typed(document, "ops", list, where)
    if len(entries) > MAX_OPS:
        raise ModelError(f"{where}: {len(entries)} operations, at most {MAX_OPS}")
    ops = tuple(op_from_json(name, entry, tensors) for entry in entries)
    outputs = tuple(names(typed(document, "outputs", list, where), where))
    program = Program(name, inputs, ops, outputs)
    infer(program)
    return program


def port_from_json(entry: Any, where: str) -> Port:
    """One input from its JSON entry."""
    known = {f.name: str if f.type == "str" else int for f in fields(Port)}
    port = Port(**{name: typed(entry, name, kind, where) for name, kind in known.items()})
    refuse_others(entry, set(known), f"{where}, input {port.name!r:.80}")
    return port


def op_from_json(program: str, entry: Any, tensors: Mapping[str, Array]) -> Op:
    """One operation from its JSON entry and the model's tensors."""
    where = f"program {program!r}"
    kind = typed(entry, "kind", str, where)
    name = typed(entry, "name", str, where)
    where = f"{where}, op {name!r}"
    if kind not in KINDS:
        raise ModelError(f"{where}: unknown kind {kind!r}, known: {', '.join(KINDS)}")
    values: dict[str, Any] = {}
    for field in fields(KINDS[kind]):
        if field.name in TENSORS:
            key = f"{program}/{name}/{field.name}"
            if key not in tensors:
                raise ModelError(f"{where}: tensor {key!r} is missing")
            values[field.name] = tensors[key]
        elif field.name == "inputs":
            values["inputs"] = tuple(names(typed(entry, "inputs", list, where), where))
        elif field.name == "padding":
            values["padding"] = edges(typed(entry, "padding", list, where), where)
        else:
            kind_of = str if field.type == "str" else int
            values[field.name] = typed(entry, field.name, kind_of, where)
    refuse_others(entry, {f.name for f in fields(KINDS[kind])} - set(TENSORS) | {"kind"}, where)
    return KINDS[kind](**values)


def refuse_others(entry: Mapping[str, Any], known: set[str], where: str) -> None:
    """No field beside the known ones."""
    if extra := set(entry) - known:
        raise ModelError(f"{where}: unknown field {brief(min(extra))}")


def typed(document: Any, key: str, kind: type, where: str) -> Any:
    """document[key], checked to be of this exact JSON type."""
    if not isinstance(document, dict) or key not in document:
        raise ModelError(f"{where}: field {key!r} is missing")
    value = document[key]
    if type(value) is not kind:
        raise ModelError(f"{where}: field {key!r} is {brief(value)}, must be {kind.__name__}")
    return value


def names(values: list[Any], where: str) -> list[str]:
    """A list of strings."""
    if not all(isinstance(v, str) for v in values):
        raise ModelError(f"{where}: names must be strings, got {brief(values)}")
    return values


def edges(values: list[Any], where: str) -> Edges:
    """Four integers: top, left, bottom, right."""
    if len(values) != 4 or not all(type(v) is int for v in values):
        raise ModelError(f"{where}: padding must be four integers, got {brief(values)}")
    return (values[0], values[1], values[2], values[3])
