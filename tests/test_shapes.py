"""What may enter a program: refused before anything is computed, the same by every backend."""

from __future__ import annotations

from itertools import pairwise
from typing import Any
from weakref import ref

import numpy as np
import pytest
import sample_programs as make
from sample_programs import port, single

from intnet import backends
from intnet.backends import execute, threads
from intnet.errors import BoundError
from intnet.program import (
    Add,
    Concat,
    Conv,
    ConvTranspose,
    Crop,
    DepthToSpace,
    Op,
    Pad,
    Program,
    SpaceToDepth,
)
from intnet.shapes import shapes

X = port("x", "u8", 4, 1, 200)
Y = port("y", "u8", 4)


def conv(kind: Any, *, padding: tuple[int, int, int, int], stride: int = 1) -> Any:
    rng = np.random.default_rng(0)
    return make.linear(
        kind, rng, X, "u8", 2, kernel=(5, 3), stride=stride, padding=padding, name="o"
    )


FITTING: dict[str, tuple[Op, tuple[int, int]]] = {
    "conv": (conv(Conv, padding=(2, 1, 2, 1)), (9, 11)),
    "conv-stride": (conv(Conv, padding=(0, 0, 1, 2), stride=4), (2, 3)),
    "conv-transpose": (conv(ConvTranspose, padding=(1, 0, 2, 1), stride=2), (18, 22)),
    "depth-to-space": (DepthToSpace("o", ("x",), 2), (18, 22)),
    "space-to-depth": (SpaceToDepth("o", ("x",), 1), (9, 11)),
    "pad": (Pad("o", ("x",), (1, 2, 3, 4), "zero"), (13, 17)),
    "crop": (Crop("o", ("x",), (1, 2, 3, 4)), (5, 5)),
}


@pytest.mark.parametrize("case", FITTING)
def test_sizes_are_known_before_computing(case: str) -> None:
    """`shapes` foretells what both backends give for a picture of 9 x 11."""
    op, size = FITTING[case]
    program = single(op, X)
    assert shapes(program, {"x": (9, 11)}) == {"x": (9, 11), "o": size}
    x = {"x": make.samples(np.random.default_rng(1), X, 9, 11)}
    for name in backends.MODULES:
        assert backends.load(name).run(program, x)["o"].shape[:2] == size


UNFIT: dict[str, tuple[Op, str]] = {
    "conv-empty": (
        conv(Conv, padding=(1, 0, 1, 0)),
        "4 x 3 samples with padding, kernel needs 5 x 3",
    ),
    "transpose-empty": (
        conv(ConvTranspose, padding=(3, 0, 3, 0)),
        "0 x 5 samples, must be at least",
    ),
    "space-to-depth": (SpaceToDepth("o", ("x",), 2), "2 x 3 samples, must be multiples of 2"),
    "crop-rows": (Crop("o", ("x",), (1, 0, 1, 0)), "2 x 3 samples, crop needs more than 2 x 0"),
    "crop-columns": (Crop("o", ("x",), (0, 0, 0, 3)), "2 x 3 samples, crop needs more than 0 x 3"),
    "add": (Add("o", ("x", "y"), "u8", 0, 255), "2 x 3 and 4 x 3 samples, must be equal"),
    "concat": (Concat("o", ("x", "y")), "2 x 3 and 4 x 3 samples, must be equal"),
}


@pytest.mark.parametrize("backend", backends.MODULES)
@pytest.mark.parametrize("case", UNFIT)
def test_sizes_that_fit_no_operation_are_refused(
    backend: str, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ValueError names program, op, got and allowed; no operation has begun."""
    op, message = UNFIT[case]
    program = single(op, *(p for p in (X, Y) if p.name in op.inputs))
    sizes = {"x": (2, 3), "y": (4, 3)}
    module = backends.load(backend)
    monkeypatch.setattr(module, "OPERATIONS", {})  # computing anything would be a KeyError
    inputs = {p.name: np.full((*sizes[p.name], 4), 9, np.uint8) for p in program.inputs}
    with pytest.raises(ValueError, match=rf"^program 'p', op 'o': .*({message})"):
        module.run(program, inputs)


GOOD = np.full((2, 3, 4), 9, np.uint8)
BAD_INPUTS: dict[str, tuple[dict[str, Any], str]] = {
    "missing": ({}, r"inputs: got \[\], must be \['x'\]"),
    "renamed": ({"z": GOOD}, r"inputs: got \['z'\], must be \['x'\]"),
    "one-too-many": ({"x": GOOD, "z": GOOD}, r"inputs: got \['x', 'z'\], must be \['x'\]"),
    "dtype": ({"x": GOOD.astype(np.int16)}, "input 'x': dtype int16, must be uint8"),
    "float": ({"x": GOOD.astype(np.float32)}, "dtype float32, must be uint8"),
    "signed": ({"x": GOOD.astype(np.int8)}, "dtype int8, must be uint8"),
    "list": ({"x": GOOD.tolist()}, "dtype list, must be uint8"),
    "two-axes": ({"x": GOOD[0]}, r"shape \(3, 4\), must be \(height, width, 4\)"),
    "four-axes": ({"x": GOOD[None]}, r"shape \(1, 2, 3, 4\), must be"),
    "channels": ({"x": GOOD[:, :, :3]}, r"shape \(2, 3, 3\), must be \(height, width, 4\)"),
    "no-rows": ({"x": GOOD[:0]}, r"shape \(0, 3, 4\), must be .*not empty"),
    "no-columns": ({"x": GOOD[:, :0]}, r"shape \(2, 0, 4\), must be .*not empty"),
    "below": ({"x": GOOD - 9}, r"values 0\.\.0, must be within 1\.\.200"),
    "above": ({"x": GOOD + 192}, r"values 201\.\.201, must be within 1\.\.200"),
}


@pytest.mark.parametrize("backend", backends.MODULES)
@pytest.mark.parametrize("case", BAD_INPUTS)
def test_inputs_that_break_their_port_are_refused(backend: str, case: str) -> None:
    """Names, dtype, axes, channels, emptiness and values: a ValueError with what, got, allowed."""
    inputs, message = BAD_INPUTS[case]
    program = single(Add("o", ("x", "x"), "s16", 0, 400), X)
    run = backends.load(backend).run
    run(program, {"x": GOOD})
    with pytest.raises(ValueError, match=message):
        run(program, inputs)


def test_big_endian_samples_are_refused() -> None:
    """The other byte order is another dtype."""
    p = port("x", "s16", 4)
    swapped = GOOD.astype(np.dtype(np.int16).newbyteorder())
    with pytest.raises(ValueError, match="must be int16"):
        execute.check_input(swapped, p, "here")


def test_programs_that_could_overflow_are_refused() -> None:
    """A backend runs nothing without its proof."""
    p = port("a", "s32", 1, -(2**30), 2**30)
    program = single(Add("o", ("a", "a"), "s32", -5, 5), p)
    for name in backends.MODULES:
        with pytest.raises(BoundError, match="op 'o', channel 0: accumulator may reach 2147483648"):
            backends.load(name).run(program, {"a": np.zeros((1, 1, 1), np.int32)})


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "٣", "1025", "9" * 5000, " 2"])
def test_thread_counts_that_are_none_are_refused(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """INTNET_THREADS must be an integer of at least 1; empty means every processor."""
    monkeypatch.setenv("INTNET_THREADS", text)
    with pytest.raises(ValueError, match=r"INTNET_THREADS is .*, must be an integer in 1\.\.1024"):
        threads.thread_count()
    monkeypatch.setenv("INTNET_THREADS", "")
    assert threads.thread_count() >= 1


def test_dead_tensors_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long chain holds two tensors at a time, not all of them."""
    names = ["x", *(f"t{k}" for k in range(9))]
    ops = tuple(Add(b, (a, a), "u8", 0, 200) for a, b in pairwise(names))
    alive: list[Any] = []
    most = 0

    def add(step: execute.Step, inputs: list[execute.Rows], out: execute.Rows) -> None:
        nonlocal most
        out.array[:] = np.minimum(inputs[0].array, 100) + np.minimum(inputs[1].array, 100)
        alive.append(ref(out.array.base))
        most = max(most, sum(r() is not None for r in alive))

    backend = execute.Backend(execute.one_by_one, add)
    execute.execute(Program("p", (X,), ops, (names[-1],)), {"x": GOOD}, backend)
    assert most == 2
