"""What every backend does around its arithmetic: check, walk steps strip by strip, forget rows.

A program is fed rows from top to bottom. Each step makes all the rows that it can from those at
hand, and a tensor keeps the rows that a later one still needs, no others. So nothing is computed
twice, and strips of any height give the bits of the whole picture at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from intnet.bounds import prove
from intnet.ports import Ports, infer
from intnet.program import DTYPES, Add, Array, Op, Port, Program
from intnet.rows import Span, needed
from intnet.shapes import Size, check_names, shapes


class Rows(NamedTuple):
    """Rows first, first + 1, ... of a tensor that has `height` in all."""

    array: Array
    first: int
    height: int


@dataclass(frozen=True, eq=False)
class Step:
    """Operations that a backend computes in one pass, each reading the one before.

    inputs: those of the first operation and, if a later one adds another tensor, that one last.
    """

    ops: tuple[Op, ...]
    inputs: tuple[str, ...]

    @property
    def name(self) -> str:
        """The tensor that it makes."""
        return self.ops[-1].name

    def needed(self, begin: int, end: int, heights: Mapping[str, int]) -> list[Span]:
        """Rows of each input that its rows [begin, end) are computed from."""
        spans: list[Span] = []
        span = begin, end
        for op, source in zip(self.ops[:0:-1], self.ops[-2::-1], strict=True):
            if isinstance(op, Add):
                spans = [span]
            span = needed(op, *span, heights[source.name])
        first = self.ops[0]
        return [needed(first, *span, heights[name]) for name in first.inputs] + spans


def one_by_one(program: Program) -> tuple[Step, ...]:
    """Every operation a step of its own."""
    return tuple(Step((op,), op.inputs) for op in program.ops)


class Backend(NamedTuple):
    """How a program is cut into steps, and how rows of a step are computed.

    compute(step, inputs, out): fill out.array. inputs hold every row that `Step.needed` names.
    """

    steps: Callable[[Program], tuple[Step, ...]]
    compute: Callable[[Step, list[Rows], Rows], None]


Compute = Callable[[Any, list[Rows], Rows], None]  # of one operation, as Backend.compute

PROVED: WeakKeyDictionary[Program, Ports] = WeakKeyDictionary()


def execute(program: Program, inputs: Mapping[str, Array], backend: Backend) -> dict[str, Array]:
    """Outputs by name, none of them sharing memory with an input.

    inputs: by name, (height, width, channels) of the port's dtype, values within [lo, hi].
    Raises ValueError naming what, where, got and allowed, before anything is computed;
    ModelError or BoundError for a program that `bounds.prove` refuses.
    """
    proved_ports(program)
    check_inputs(program, inputs)
    stream = Stream(program, {name: x.shape[:2] for name, x in inputs.items()}, backend)
    outputs = stream.push(inputs)
    return {name: outputs[name].copy() if name in inputs else outputs[name]
            for name in program.outputs}  # fmt: skip


class Stream:
    """A program that is fed rows and gives rows.

    sizes: (height, width) of each whole input. Raises ValueError for sizes that do not fit,
    ModelError or BoundError as `execute` does.
    """

    def __init__(self, program: Program, sizes: Mapping[str, Size], backend: Backend) -> None:
        self.ports, self.sizes = proved_ports(program), shapes(program, sizes)
        self.heights = {name: size[0] for name, size in self.sizes.items()}
        self.program, self.backend, self.steps = program, backend, backend.steps(program)
        self.readers: dict[str, list[Step]] = {name: [] for name in self.sizes}
        for step in self.steps:
            for name in set(step.inputs):
                self.readers[name].append(step)
        names = [*sizes, *(step.name for step in self.steps)]
        self.tensors = {name: Rows(self.empty(name, 0), 0, self.heights[name]) for name in names}

    def empty(self, name: str, rows: int) -> Array:
        """Rows of a tensor, to be filled."""
        port = self.ports[name]
        return np.empty((rows, self.sizes[name][1], port.channels), DTYPES[port.dtype])

    def push(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The output rows, maybe none, that the next rows of every input complete.

        inputs: (rows, width, channels) of the port's dtype and within its interval, not checked.
        Outputs may share memory with inputs that are outputs too.
        """
        new = {name: self.append(name, plain(x)) for name, x in inputs.items()}
        for step in self.steps:
            rows = self.advance(step)
            if step.name in self.program.outputs:
                new[step.name] = rows
            for name in step.inputs:
                if self.readers[name][-1] is step:
                    self.forget(name)
            if not self.readers[step.name]:
                self.forget(step.name)
        return {name: new[name] for name in self.program.outputs}

    def append(self, name: str, x: Array) -> Array:
        """Rows of a tensor behind those it has."""
        had = self.tensors[name]
        array = np.concatenate([had.array, x]) if len(had.array) else x
        self.tensors[name] = had._replace(array=array)
        return x

    def advance(self, step: Step) -> Array:
        """Make the rows of a step that can be made; return them."""
        had = self.tensors[step.name]
        inputs = [self.tensors[name] for name in step.inputs]
        made, end = end_of(had), self.makeable(step, inputs)
        array = self.empty(step.name, len(had.array) + end - made)
        array[: len(had.array)] = had.array
        self.tensors[step.name] = had._replace(array=array)
        new = array[len(had.array) :]
        if len(new):
            self.backend.compute(step, inputs, Rows(new, made, had.height))
        return new

    def makeable(self, step: Step, inputs: list[Rows]) -> int:
        """How many rows of a step there can be."""
        low, high = end_of(self.tensors[step.name]), self.heights[step.name]
        if all(end_of(x) == x.height for x in inputs):
            return high
        while low < high:  # row low - 1 can be made; row high cannot, nor those after it
            middle = (low + high) // 2
            spans = step.needed(middle, middle + 1, self.heights)
            if all(span[1] <= end_of(x) for span, x in zip(spans, inputs, strict=True)):
                low = middle + 1
            else:
                high = middle
        return low

    def forget(self, name: str) -> None:
        """Drop the rows of a tensor that no step will read again."""
        had = self.tensors[name]
        first = end_of(had)
        for step in self.readers[name]:
            made, height = end_of(self.tensors[step.name]), self.heights[step.name]
            if made < height:
                spans = zip(step.needed(made, height, self.heights), step.inputs, strict=True)
                first = min([first, *(span[0] for span, source in spans if source == name)])
        if first > had.first:
            self.tensors[name] = Rows(had.array[first - had.first :].copy(), first, had.height)


def end_of(rows: Rows) -> int:
    """The row after the last one."""
    return rows.first + len(rows.array)


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
