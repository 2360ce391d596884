"""What every backend does around its arithmetic: check, walk operations, forget dead tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from intnet.bounds import prove
from intnet.ports import Ports, infer
from intnet.program import DTYPES, Array, Op, Port, Program
from intnet.shapes import Size, check_names, shapes

Operation = Callable[[Any, list[Array], Size], Array]  # op, its inputs, size of its output

PROVED: WeakKeyDictionary[Program, Ports] = WeakKeyDictionary()


def execute(
    program: Program, inputs: Mapping[str, Array], operations: Mapping[type[Op], Operation]
) -> dict[str, Array]:
    """Outputs by name, none of them sharing memory with an input.

    inputs: by name, (height, width, channels) of the port's dtype, values within [lo, hi].
    operations: one function per kind, giving a fresh C-contiguous array of its port's dtype.
    Raises ValueError naming what, where, got and allowed, before anything is computed;
    ModelError or BoundError for a program that `bounds.prove` refuses.
    """
    proved_ports(program)
    check_inputs(program, inputs)
    sizes = shapes(program, {name: x.shape[:2] for name, x in inputs.items()})
    tensors = {name: plain(x) for name, x in inputs.items()}
    last_reader = {name: op for op in program.ops for name in op.inputs}
    for op in program.ops:
        reads = [tensors[name] for name in op.inputs]
        tensors[op.name] = operations[type(op)](op, reads, sizes[op.name])
        for name in set(op.inputs).difference(program.outputs):
            if last_reader[name] is op:
                del tensors[name]
    return {
        name: tensors[name].copy() if name in inputs else tensors[name] for name in program.outputs
    }


def proved_ports(program: Program) -> Ports:
    """Ports of a program that cannot overflow; the proof is made once per program."""
    if program not in PROVED:
        prove(program)
        PROVED[program] = infer(program)
    return PROVED[program]


def check_inputs(program: Program, inputs: Mapping[str, Array]) -> None:
    """Names, dtypes, axes, channels and values of the inputs."""
    check_names(program, inputs)
    for port in program.inputs:
        check_input(inputs[port.name], port, f"program {program.name!r}, input {port.name!r}")


def check_input(x: Array, port: Port, where: str) -> None:
    """One input against its port."""
    if not isinstance(x, np.ndarray) or x.dtype != DTYPES[port.dtype]:
        got = getattr(x, "dtype", type(x).__name__)
        raise ValueError(f"{where}: dtype {got}, must be {np.dtype(DTYPES[port.dtype])}")
    if x.ndim != 3 or x.shape[2] != port.channels or x.size == 0:
        raise ValueError(
            f"{where}: shape {x.shape}, must be (height, width, {port.channels}), not empty"
        )
    lo, hi = int(x.min()), int(x.max())
    if lo < port.lo or hi > port.hi:
        raise ValueError(f"{where}: values {lo}..{hi}, must be within {port.lo}..{port.hi}")


def plain(x: Array) -> Array:
    """The same values as the one kind of array that kernels are compiled for."""
    return x if type(x) is np.ndarray and x.flags.carray else np.array(x, order="C", subok=False)
