"""Strips of any height give the bits of the whole picture, and no rows are kept in vain."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sample_programs as make
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sample_programs import port, single

from intnet import backends
from intnet.backends.execute import Backend, Stream
from intnet.program import Add, Conv, ConvTranspose, DepthToSpace, Program, SpaceToDepth


@pytest.fixture(params=list(backends.MODULES))
def backend(request: pytest.FixtureRequest) -> Backend:
    found: Backend = backends.load(request.param).BACKEND
    return found


def in_strips(
    program: Program, inputs: dict[str, np.ndarray], rows: list[int], backend: Backend
) -> dict[str, np.ndarray]:
    """Outputs of a program fed `rows` rows at a time, the numbers repeating."""
    stream = Stream(program, {name: x.shape[:2] for name, x in inputs.items()}, backend)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in program.outputs}
    begin, k, height = 0, 0, len(next(iter(inputs.values())))
    while begin < height:
        end = begin + rows[k % len(rows)]
        for name, x in stream.push({name: x[begin:end] for name, x in inputs.items()}).items():
            parts[name].append(x.copy())
        begin, k = end, k + 1
    return {name: np.concatenate(part) for name, part in parts.items()}


@pytest.mark.parametrize("rows", [[1], [2], [3, 0, 1], [5], [12], [99]])
def test_every_operation_in_strips(backend: Backend, rows: list[int]) -> None:
    """One row at a time, uneven strips, empty ones, the whole."""
    program, inputs = make.everything(np.random.default_rng(3))
    want = backends.load("numpy").run(program, inputs)
    got = in_strips(program, inputs, rows, backend)
    for name in program.outputs:
        np.testing.assert_array_equal(got[name], want[name], err_msg=name, strict=True)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.data(), seed=st.integers(0, 2**32), h=st.integers(1, 9), w=st.integers(1, 7),
    channels=st.sampled_from([1, 2, 3, 8, 9]), dtype=st.sampled_from(["s16", "u8"]),
    steps=st.lists(st.sampled_from(sorted(make.STEPS)), min_size=1, max_size=6),
    rows=st.lists(st.integers(1, 4), min_size=1, max_size=3),
)  # fmt: skip
def test_random_programs_in_strips(
    data: Any, seed: int, h: int, w: int, channels: int, dtype: str, steps: list[str],
    rows: list[int],
) -> None:  # fmt: skip
    """Any strides, kernels, paddings and reshapes, in strips of any heights."""
    rng, p = np.random.default_rng(seed), port("x", dtype, channels)
    program = make.chain(lambda n: data.draw(st.integers(0, n - 1)), rng, steps, p, h, w)
    inputs = {"x": make.samples(rng, p, h, w)}
    want = backends.load("numpy").run(program, inputs)
    for name in backends.MODULES:
        got = in_strips(program, inputs, rows, backends.load(name).BACKEND)
        for output in program.outputs:
            np.testing.assert_array_equal(got[output], want[output], err_msg=name, strict=True)


def residual(channels: int = 8) -> Program:
    """Blocks to depth, a residual branch, depth to blocks: everything that is fused."""
    rng, lo, hi = np.random.default_rng(5), -32768, 32767
    deep, wide = port("deep", "u8", channels * 4), port("a", "s16", channels)
    ops = (
        SpaceToDepth("deep", ("x",), 2),
        make.linear(Conv, rng, deep, "s16", channels, name="a"),
        make.linear(Conv, rng, wide, "u8", channels, kernel=(3, 3), padding=(1, 1, 1, 1), name="b"),
        make.linear(Conv, rng, port("b", "u8", channels), "s16", channels, name="c"),
        Add("sum", ("c", "a"), "s16", lo, hi),
        make.linear(Conv, rng, port("sum", "s16", channels), "u8", channels * 4, name="d"),
        DepthToSpace("y", ("d",), 2),
    )
    return Program("residual", (port("x", "u8", channels),), ops, ("y",))


@pytest.mark.parametrize("channels", [1, 8, 33])
@pytest.mark.parametrize("rows", [[2], [4, 6], [40]])
def test_fused_operations_in_strips(backend: Backend, rows: list[int], channels: int) -> None:
    """A residual block between two changes of resolution, odd channel counts included."""
    program = residual(channels)
    x = {"x": make.samples(np.random.default_rng(6), program.inputs[0], 20, 14)}
    want = backends.load("numpy").run(program, x)["y"]
    got = in_strips(program, x, rows, backend)["y"]
    np.testing.assert_array_equal(got, want, strict=True)


def test_only_rows_that_are_still_needed_are_kept(backend: Backend) -> None:
    """After each strip a tensor before a 5x5 kernel keeps 4 rows, other tensors none."""
    rng, p = np.random.default_rng(7), port("x", "u8", 4)
    conv = make.linear(Conv, rng, p, "u8", 4, kernel=(5, 5), padding=(2, 2, 2, 2))
    stream = Stream(single(conv, p), {"x": (100, 8)}, backend)
    x = make.samples(rng, p, 100, 8)
    for begin in range(0, 90, 10):
        stream.push({"x": x[begin : begin + 10]})
        assert len(stream.tensors["x"].array) == 4
        assert len(stream.tensors["y"].array) == 0


def test_rows_come_as_soon_as_they_can(backend: Backend) -> None:
    """A transposed convolution needs no rows below those that reach an output row."""
    rng, p = np.random.default_rng(8), port("x", "s16", 3)
    up = make.linear(ConvTranspose, rng, p, "s16", 3, kernel=(4, 4), stride=2,
                     padding=(1, 1, 1, 1))  # fmt: skip
    stream = Stream(single(up, p), {"x": (6, 5)}, backend)
    x = make.samples(rng, p, 6, 5)
    made = [len(stream.push({"x": x[k : k + 1]})["y"]) for k in range(6)]
    assert made == [1, 2, 2, 2, 2, 3]
