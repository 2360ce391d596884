"""Packed model files: by our encoder, by one with odd habits, and with one fault each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import numpy as np

import rangecoder
from intnet import model_file, packed, packing
from intnet.conform.arrays import lcg
from intnet.errors import ModelError
from intnet.model_file import Model
from intnet.program import Array
from vectors.bad_models import Bad
from vectors.model_parts import Json, framed, spelled


def odd(model: Model) -> bytes:
    """Forms in turn, exponents at random: what no encoder would choose and all decoders take."""
    encoder = begun()
    add_all(encoder, model_file.content(model)[1])
    return file(Parts(model, encoder.finish()))


def begun() -> rangecoder.Encoder:
    """Of a payload."""
    return rangecoder.Encoder(packed.tables(), packed.LANES)


def add_all(encoder: rangecoder.Encoder, tensors: Mapping[str, Array]) -> None:
    """Tensors in order, in ways that do not depend on what our encoder finds best."""
    turns = cycle(range(packed.RECIPROCAL, -1, -1))
    for seed, name in enumerate(sorted(tensors)):
        grid = packing.grid_of(tensors[name])
        packing.write(encoder, odd_plan(tensors[name], grid, turns, seed), grid)


def odd_plan(tensor: Array, grid: packed.Grid, turns: Any, seed: int) -> packing.Plan:
    """The next form in turn that fits; large enough exponents, some of them out of all measure."""
    numbers = None
    while numbers is None:
        form = next(turns)
        try:
            packed.check_form(form, grid, tensor.shape)
        except ModelError:
            continue
        numbers = packing.formed(form, packing.table_of(tensor, grid))
    bits = int(np.abs(numbers).max()).bit_length()
    least = max(0, 2 * (bits - 15) + packed.SCALE_TABLES)  # so that every symbol fits 16 bits
    row = np.array(lcg(grid.rows, seed + 1, least, 63)) - 8
    column = np.array(lcg(grid.columns, seed + 99, 8, 20))
    row[0], column[-1] = 63, 63
    return packing.Plan(form, numbers.reshape(-1), row, column)


@dataclass
class Parts:
    """A packed file taken apart."""

    model: Model
    payload: bytes
    tensors: dict[str, Json] = field(init=False)
    version: Any = 1

    def __post_init__(self) -> None:
        """What the metadata says."""
        text, _ = packing.packed_file(model_file.content(self.model)[1])
        self.tensors = json.loads(text)["tensors"]


def file(parts: Parts, text: Any = None, **header: Json) -> bytes:
    """The file. text: what the metadata says in place of what is right; header: more tensors."""
    found = {"tensors": parts.tensors, "version": parts.version}
    size = len(parts.payload)
    entry = {"data_offsets": [0, size], "dtype": "U8", "shape": [size]}
    document, _ = model_file.content(parts.model)
    metadata = {"intnet": document, "sha256": parts.model.sha256,
                "packed": spelled(found) if text is None else text}  # fmt: skip
    whole = {"__metadata__": metadata, "packed": entry} | header
    return framed(spelled(whole), parts.payload)


def faults(model: Model) -> dict[str, Bad]:
    """Name -> file; model is `minimal`."""
    _, tensors = model_file.content(model)
    encoder = begun()
    add_all(encoder, tensors)
    good = encoder.finish()
    return of_metadata(model, good) | of_payload(model, tensors, good)


def of_metadata(model: Model, good: bytes) -> dict[str, Bad]:
    """Of what the header says; the payload is right."""
    here, size = "model.packed", "model.packed.size"

    def changed(change: Callable[[Parts], object]) -> bytes:
        parts = Parts(model, good)
        change(parts)
        return file(parts)

    def typed(**fields: Any) -> bytes:
        return changed(lambda parts: parts.tensors["tables/z"].update(fields))

    parts = Parts(model, good)
    extra = {"data_offsets": [len(good), len(good) + 1], "dtype": "U8", "shape": [1]}
    whole = {"data_offsets": [0, len(good)], "dtype": "U8", "shape": [len(good)]}
    signed, square = whole | {"dtype": "I8"}, whole | {"shape": [1, len(good)]}
    twice = '{"tensors":{},"tensors":{},"version":1}'
    more = Parts(model, good + b"\1")
    return {
        "packed-version-2": Bad(here, "Version 2.", changed(lambda p: setattr(p, "version", 2))),
        "packed-version-true": Bad(
            here, "`true` for 1.", changed(lambda p: setattr(p, "version", True))
        ),
        "packed-no-text": Bad(here, "An object for a string.", file(parts, {})),
        "packed-no-json": Bad(here, "No JSON.", file(parts, "{")),
        "packed-key-twice": Bad(here, "`tensors` twice.", file(parts, twice)),
        "packed-field": Bad(here, "`more`.", file(parts, '{"more":0,"tensors":{},"version":1}')),
        "packed-tensors-list": Bad(here, "A list.", file(parts, '{"tensors":[],"version":1}')),
        "packed-offsets": Bad(here, "`data_offsets` is no field.", typed(data_offsets=[0, 30])),
        "packed-dtype": Bad("model.header.dtype", "F32.", typed(dtype="F32")),
        "packed-shape-0": Bad("model.header.shape", "A tensor without elements.", typed(shape=[0])),
        "packed-beside-another": Bad(
            here, "Two tensors in the header.", file(more, packed=whole, extra=extra)
        ),
        "packed-signed": Bad(here, "The payload is `I8`.", file(parts, packed=signed)),
        "packed-square": Bad(here, "The payload has two axes.", file(parts, packed=square)),
        "packed-too-large": Bad(
            size, "2**28 bytes of tensors in a few.", typed(dtype="I8", shape=[2**28])
        ),
        "packed-larger-than-all": Bad(size, "10**18 elements.", typed(shape=[10**9, 10**9])),
        "packed-not-the-dtype": Bad(
            "model.hash", "The same numbers as I16.",
            changed(lambda p: p.tensors["hyper_analysis/z/weight"].update(dtype="I16")),
        ),
    }  # fmt: skip


Pushed = Callable[[rangecoder.Encoder], None]


def of_payload(model: Model, tensors: Mapping[str, Array], good: bytes) -> dict[str, Bad]:
    """Of the payload. The first tensor, analysis/y/bias, is one element of one axis."""
    first, forms = min(tensors), "model.packed.forms"
    grid = packing.grid_of(tensors[first])
    parameters = "model.packed.parameters"
    zeros = np.zeros(packed.ROW, np.int64)

    def payload(data: bytes) -> bytes:
        return file(Parts(model, data))

    def after(push: Pushed) -> bytes:
        """The first tensor by `push`, the others as they are."""
        encoder = begun()
        push(encoder)
        add_all(encoder, {name: tensors[name] for name in tensors if name != first})
        return payload(encoder.finish())

    def with_parameters(*values: int) -> bytes:
        def push(encoder: rangecoder.Encoder) -> None:
            packing.push_bits(encoder, np.array(values), packed.PARAMETER_BITS)
            packing.push(encoder, np.zeros(grid.rows + grid.columns + 1), zeros[:1].repeat(18))

        return after(push)

    def planned(form: int, value: int, row: int = 63) -> bytes:
        plan = packing.Plan(form, np.array([value]), np.array([row]), zeros)
        return after(lambda encoder: packing.write(encoder, plan, grid))

    def escape(encoder: rangecoder.Encoder) -> None:
        packing.push(encoder, np.array([8]), packed.SCALE_TABLES - 1 + packed.PARAMETER_BITS[:1])

    return {
        "packed-payload-cut": Bad("model.hash", "The last byte is missing.", payload(good[:-1])),
        "packed-payload-more": Bad("coder.end", "A byte more.", payload(good + b"\1")),
        "packed-payload-zero": Bad("coder.end", "A zero byte more.", payload(good + b"\0")),
        "packed-payload-lane": Bad("coder.length", "The length of a lane is cut.",
                                   payload(b"\x80")),
        "packed-form-6": Bad(parameters, "Forms are 0 to 5.", with_parameters(6, 0, 0)),
        "packed-row-scale-18": Bad(parameters, "0 to 17.", with_parameters(0, 18, 0)),
        "packed-column-scale-31": Bad(parameters, "0 to 17.", with_parameters(0, 0, 31)),
        "packed-form-4-of-one-axis": Bad(forms, "Two axes or more.", with_parameters(4, 0, 0)),
        "packed-bits-escape": Bad("model.packed.tables", "8 of 3 bits.", after(escape)),
        "packed-row-exponent": Bad("model.packed.exponents", "64.", planned(0, 0, 64)),
        "packed-row-exponent-below": Bad("model.packed.exponents", "-65.", planned(0, 0, -65)),
        "packed-element-beyond": Bad(forms, "2**31 in 32 bits.", planned(0, 2**31)),
        "packed-reciprocal-of-0": Bad(forms, "1 / 0.", planned(5, 0)),
        "packed-reciprocal-of-2-to-the-31": Bad(forms, "At most 2**31 - 1.", planned(5, 2**31)),
    }  # fmt: skip
