"""One body per promise, every backend: the bits of the slowest form."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import instructions
import numpy as np
import pytest
import sample_programs as make
import slowest_form
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sample_programs import FULL, port, single

from intnet import backends
from intnet.backends import execute, fuse, threads
from intnet.backends.simd import choose, linear
from intnet.program import (
    DTYPES,
    Add,
    Conv,
    ConvTranspose,
    Crop,
    DepthToSpace,
    Div,
    Lut,
    Mul,
    Op,
    Port,
    Program,
    Requantise,
    Slice,
    SpaceToDepth,
)

Run = Callable[..., dict[str, np.ndarray]]
TOP = 2**31 - 1  # the largest accumulator that the proof accepts


@pytest.fixture(params=["numpy", *(f"numba-{name}" for name in choose.FEATURES)])
def run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Each backend and instruction set; the smallest pictures too are split over three threads."""
    monkeypatch.setattr(threads, "GRAIN", 1)
    monkeypatch.setenv("INTNET_THREADS", "3")
    backend, _, name = request.param.partition("-")
    monkeypatch.setattr(choose, "load", lambda: instructions.load(name))
    return backends.load(backend).run


def same(got: dict[str, np.ndarray], want: dict[str, np.ndarray]) -> None:
    """Equal names, shapes, dtypes and values."""
    assert got.keys() == want.keys()
    for name, tensor in want.items():
        np.testing.assert_array_equal(got[name], tensor, err_msg=name, strict=True)
        assert got[name].flags.carray, f"{name} is not an array that a kernel can read"


# in, weight, out dtype; size; channels, N; kernel; stride; groups; top, left, bottom, right
LINEAR = {
    "1x1": ("u8", "s8", "s16", 1, 1, 1, 1, 1, 1, 1, 1, (0, 0, 0, 0)),
    "1x1-wide": ("s16", "s16", "u8", 3, 37, 64, 17, 1, 1, 1, 1, (0, 0, 0, 0)),  # 37 = 16 + 16 + 5
    "1x1-channels-8": ("s16", "s8", "s16", 9, 11, 8, 8, 1, 1, 1, 1, (0, 0, 0, 0)),
    "5x5": ("u8", "s8", "s16", 7, 3, 3, 17, 5, 5, 1, 1, (2, 2, 2, 2)),
    "5x5-stride-2": ("u8", "s8", "s16", 9, 19, 3, 8, 5, 5, 2, 1, (2, 2, 2, 2)),
    "uneven": ("s8", "s16", "s8", 7, 18, 5, 3, 2, 4, 3, 1, (1, 0, 2, 3)),
    "pad-beyond": (
        "s32",
        "s8",
        "s32",
        1,
        5,
        6,
        3,
        3,
        3,
        1,
        1,
        (4, 5, 3, 7),
    ),  # outputs of bias alone
    "stride-over-kernel": ("s16", "s8", "s16", 1, 33, 3, 3, 1, 2, 4, 1, (0, 1, 3, 1)),
    # whole panels of every instruction set, 6 positions and more: tiles without a branch
    "whole-to-u8": ("u8", "s8", "u8", 3, 7, 5, 64, 1, 1, 1, 1, (0, 0, 0, 0)),
    "whole-to-s16": ("s16", "s8", "s16", 4, 8, 6, 128, 3, 3, 1, 1, (1, 1, 1, 1)),
    "whole-depthwise": ("s16", "s8", "s16", 5, 13, 64, 64, 3, 3, 1, 64, (1, 1, 1, 1)),
    "groups-2": ("s16", "s16", "u8", 5, 6, 10, 6, 3, 3, 1, 2, (1, 1, 1, 1)),
    "depthwise": ("u8", "s8", "u8", 7, 20, 17, 17, 5, 5, 1, 17, (2, 2, 2, 2)),
    "depthwise-stride-2": ("s16", "s16", "s16", 9, 11, 8, 8, 3, 3, 2, 8, (1, 0, 1, 2)),
    "depthwise-twice": (
        "s8",
        "s8",
        "s8",
        4,
        3,
        3,
        6,
        3,
        3,
        1,
        3,
        (1, 1, 1, 1),
    ),  # 2 outputs a group
}


@pytest.mark.parametrize("kind", [Conv, ConvTranspose])
@pytest.mark.parametrize("case", LINEAR)
def test_linear_operations_are_those_of_the_slowest_form(run: Run, kind: Any, case: str) -> None:
    """Both convolutions at odd sizes, strides, kernels, groups, paddings and all dtypes."""
    dtype, weight, out, h, w, channels, n, ky, kx, stride, groups, padding = LINEAR[case]
    if kind is ConvTranspose:  # crop less than there is
        out = make.NEXT[dtype][-1]  # each dtype once: compiling takes seconds
        rows, columns = (h - 1) * stride + ky, (w - 1) * stride + kx
        padding = (min(padding[0], rows // 3), min(padding[1], columns // 3),
                   min(padding[2], rows // 3), min(padding[3], columns // 3))  # fmt: skip
    rng, p = np.random.default_rng(len(case)), port("x", dtype, channels)
    op = make.linear(kind, rng, p, out, n, kernel=(ky, kx), stride=stride, groups=groups,
                     padding=padding, weight=weight)  # fmt: skip
    inputs = {"x": make.samples(rng, p, h, w)}
    same(run(single(op, p), inputs), slowest_form.run(single(op, p), inputs))


def extreme(kind: Any, p: Port, shape: tuple[int, ...], groups: int) -> Conv | ConvTranspose:
    """Channel 0 reaches acc = 2**31 - 1, the last one its negative; an s32 shows all of it."""
    weight = np.zeros(shape, np.int16)
    each = min(32767, TOP // (p.magnitude * weight[0].size))
    weight[0], weight[-1] = each, -each
    weight[:, :, :, 1::2] *= -1
    rest = TOP - each * p.magnitude * weight[0].size
    assert rest < 2**31
    bias = np.zeros(len(weight), np.int32)
    bias[0], bias[-1] = rest, -rest
    ones = np.ones(len(weight), np.int32)  # acc * 1 / 2: ties at every odd acc
    return kind(
        "y", ("x",), "s32", -(2**31), TOP, 1, (0, 0, 0, 0), groups, weight, bias, ones, ones
    )


EXTREMES = {
    "u8-s16": (Conv, "u8", 255, (2, 1, 1, 257), 1),
    "s16-1x1": (Conv, "s16", 32767, (2, 1, 1, 64), 1),
    "s16-5x5": (Conv, "s16", 32767, (3, 5, 5, 6), 1),
    "s16-depthwise": (Conv, "s16", 291, (2, 15, 15, 1), 2),
    "s32-weight-1": (Conv, "s32", TOP, (2, 1, 1, 1), 1),
    "s32-groups": (Conv, "s32", 99999, (4, 3, 3, 2), 2),
    "transpose": (ConvTranspose, "s16", 32767, (2, 4, 4, 8), 1),
}


@pytest.mark.parametrize("case", EXTREMES)
def test_accumulators_reach_their_proved_limit(run: Run, case: str) -> None:
    """Sums of exactly 2**31 - 1 and its negative come out right in any order of terms."""
    kind, dtype, hi, shape, groups = EXTREMES[case]
    p = port("x", dtype, shape[3] * groups, -hi if dtype[0] == "s" else 0, hi)
    op = extreme(kind, p, shape, groups)
    x = np.full((shape[1], shape[2] + 3, p.channels), hi, DTYPES[dtype])
    if dtype[0] == "s":
        x[:, :, 1::2] = -hi
    else:
        op.weight[:, :, :, 1::2] *= -1  # unsigned samples: every term of one sign
    if shape[3] == 1:
        x = np.abs(x)
    got, want = run(single(op, p), {"x": x}), slowest_form.run(single(op, p), {"x": x})
    same(got, want)
    if kind is Conv:
        assert want["y"].max() == 2**30, "acc = 2**31 - 1 rounds up to 2**30"
        assert want["y"].min() == -(2**30) + 1, "acc = -(2**31 - 1) rounds toward plus infinity"


def test_requantise_breaks_ties_toward_plus_infinity(run: Run) -> None:
    """-1.5, -0.5, 0.5, 1.5 become -1, 0, 1, 2."""
    one = np.ones(1, np.int32)
    p = port("x", "s32", 1, -5, 5)
    op = Requantise("y", ("x",), "s8", -128, 127, one, one)
    x = np.array([-5, -4, -3, -2, -1, 0, 1, 2, 3, 5], np.int32).reshape(1, 10, 1)
    got = run(single(op, p), {"x": x})["y"]
    assert got.ravel().tolist() == [-2, -2, -1, -1, 0, 0, 1, 1, 2, 3]


SCALES = [
    (1, 1),
    (1, 62),
    (TOP, 1),
    (TOP, 31),
    (TOP, 32),
    (TOP, 61),
    (TOP, 62),
    (3, 2),
    (2**30, 31),
]


@pytest.mark.parametrize(("dtype", "out"), [
    ("s32", "s32"), ("s32", "u8"), ("s16", "s16"), ("s16", "u8"), ("s8", "s16"), ("u8", "s8"),
])  # fmt: skip
def test_requantise_at_the_ends_of_its_parameters(run: Run, dtype: str, out: str) -> None:
    """Products up to 2**62 and every shift; lowest and highest input of each dtype."""
    info, target = np.iinfo(DTYPES[dtype]), np.iinfo(DTYPES[out])
    p = Port("x", dtype, len(SCALES), int(info.min), int(info.max))
    multiplier, shift = np.array(SCALES, np.int32).T.copy()
    op = Requantise("y", ("x",), out, int(target.min), int(target.max), multiplier, shift)
    values = [info.min, info.min + 1, info.max, info.max - 1, 0, 1, 2, 3, 5, 127]
    x = np.repeat(np.array(values, DTYPES[dtype])[:, None], len(SCALES), 1).reshape(5, 2, -1)
    same(run(single(op, p), {"x": x}), slowest_form.run(single(op, p), {"x": x}))


PAIRS = [("s16", "s16", "s16"), ("s16", "u8", "u8"), ("s32", "s8", "s32"), ("u8", "u8", "s16"),
         ("s32", "s32", "s32")]  # fmt: skip


@pytest.mark.parametrize(("first", "second", "out"), PAIRS)
@pytest.mark.parametrize("kind", ["add", "mul", "div"])
def test_two_tensor_operations_at_their_proved_limits(
    run: Run, kind: str, first: str, second: str, out: str
) -> None:
    """Sums and products of at most 2**31 - 1; quotients of negatives, ties and 2**61; clipping."""
    rng, (lo, hi) = np.random.default_rng(4), FULL[out]
    ends = {d: (int(np.iinfo(DTYPES[d]).min), int(np.iinfo(DTYPES[d]).max)) for d in DTYPES}
    (a_lo, a_hi), (b_lo, b_hi) = ends[first], ends[second]
    op: Op
    if kind == "add":
        if first == "s32":  # |a| + |b| <= 2**31 - 1
            b_lo, b_hi = max(b_lo, -(2**30)), min(b_hi, 2**30)
            a_hi = TOP - max(-b_lo, b_hi)
            a_lo, lo, hi = -a_hi, *ends["s32"]
        op = Add("y", ("a", "b"), out, lo, hi)
    elif kind == "mul":
        if first == "s32":  # |a| * |b| <= 2**31 - 1
            a_hi = TOP // max(-b_lo, b_hi) if second != "s32" else TOP
            a_lo, b_lo, b_hi = -a_hi, max(b_lo, -128 if second == "s8" else -1), min(b_hi, 127)
            b_hi = b_hi if second == "s8" else 1
        op = Mul("y", ("a", "b"), out, lo, hi, **make.scales(rng, 17, a_hi * b_hi // 3, hi))
    else:
        op, b_lo = Div("y", ("a", "b"), out, lo, hi, 30 if first == "s32" else 3), 1
    a, b = Port("a", first, 17, a_lo, a_hi), Port("b", second, 17, b_lo, b_hi)
    inputs = {"a": make.samples(rng, a, 9, 11), "b": make.samples(rng, b, 9, 11)}
    inputs["b"][::2] = np.minimum(inputs["b"][::2], 4)  # small divisors: ties and clipping
    same(run(single(op, a, b), inputs), slowest_form.run(single(op, a, b), inputs))


def test_division_rounds_ties_toward_plus_infinity(run: Run) -> None:
    """-3 / 2 is -1, -1 / 2 is 0, 1 / 2 is 1, 3 / 2 is 2."""
    a, b = port("a", "s16", 1), port("b", "s16", 1, lo=1)
    x = np.array([-3, -1, 1, 3], np.int16).reshape(1, 4, 1)
    op = Div("y", ("a", "b"), "s16", -9, 9, 0)
    got = run(single(op, a, b), {"a": x, "b": np.full_like(x, 2)})["y"]
    assert got.ravel().tolist() == [-1, 0, 1, 2]


@pytest.mark.parametrize("dtype", ["u8", "s8"])
def test_tables_begin_at_the_lowest_value(run: Run, dtype: str) -> None:
    """Each of the 256 values finds its own entry."""
    table = np.random.default_rng(0).permutation(256).astype(np.int32) - 128
    p = port("x", dtype, 2)
    x = np.arange(*np.add(FULL[dtype], (0, 1))).astype(DTYPES[dtype]).reshape(16, 8, 2)
    got = run(single(Lut("y", ("x",), "s8", -128, 127, table), p), {"x": x})["y"]
    np.testing.assert_array_equal(got.ravel(), table.astype(np.int8), strict=True)


# kind; dtype; of the index; out; N; kernel; groups; of 3 or 17 channels
LOOKED_UP = {
    "1x1": (Conv, "s16", "u8", "u8", 17, (1, 1), 1),
    "1x1-whole": (Conv, "u8", "s8", "s16", 64, (1, 1), 1),
    "3x2": (Conv, "u8", "s8", "s8", 35, (3, 2), 1),
    "depthwise": (Conv, "s16", "u8", "s32", 17, (3, 3), 17),
    "transposed": (ConvTranspose, "s8", "s8", "s16", 9, (3, 4), 1),
    "s32": (Conv, "s32", "u8", "s16", 9, (1, 1), 1),  # no tiles: plain loops
}


@pytest.mark.parametrize("case", LOOKED_UP)
def test_a_table_ends_the_pass_of_its_convolution(run: Run, case: str) -> None:
    """Lookups of clipped outputs, in the epilogue of tiles of every dtype: the same bits."""
    kind, dtype, index, out, n, kernel, groups = LOOKED_UP[case]
    rng, p = np.random.default_rng(len(case)), port("x", dtype, max(3, groups))
    stride = 2 if kind is ConvTranspose else 1
    first = make.linear(kind, rng, p, index, n, kernel=kernel, groups=groups, stride=stride,
                        padding=(1, 0, 0, 1), name="index")  # fmt: skip
    table = make.table(rng, out)
    ops = first, Lut("y", ("index",), out, *make.FULL[out], table)
    program, inputs = Program("p", (p,), ops, ("y",)), {"x": make.samples(rng, p, 7, 9)}
    want = slowest_form.run(program, inputs)
    assert {int(table[0]), int(table[-1])} <= set(want["y"].ravel().tolist()), "both ends are found"
    same(run(program, inputs), want)
    table.flags.writeable = False
    strided = Program("p", (p,), (first, replace(ops[1], table=np.repeat(table, 2)[::2])), ("y",))
    same(run(strided, inputs), want)
    assert len(fuse.steps(program)) == (1 if dtype != "s32" else 2)


@pytest.mark.parametrize(("n", "out"), [(64, "s16"), (64, "u8"), (67, "s16"), (5, "s32")])
@pytest.mark.parametrize("swapped", [False, True])
def test_a_sum_ends_the_pass_of_its_convolution(run: Run, n: int, out: str, swapped: bool) -> None:
    """Residual sums that clip at both ends: whole panels and parts of them, every width."""
    rng, p, other = np.random.default_rng(n), port("x", "u8", 7), port("r", "s16", n)
    conv = make.linear(Conv, rng, p, "s16", n, kernel=(1, 3), padding=(0, 1, 0, 1), name="c")
    lo, hi = (0, 255) if out == "u8" else (-30000, 40000 if out == "s32" else 30001)
    op = Add("y", ("r", "c") if swapped else ("c", "r"), out, lo, hi)
    program = Program("p", (p, other), (conv, op), ("y",))
    inputs = {"x": make.samples(rng, p, 5, 15), "r": make.samples(rng, other, 5, 15)}
    want = slowest_form.run(program, inputs)
    assert {lo, hi} <= set(want["y"].ravel().tolist())
    same(run(program, inputs), want)
    assert len(fuse.steps(program)) == 1


def test_a_convolution_that_others_read_is_not_lost_in_its_table(run: Run) -> None:
    """Then the two are computed one after the other."""
    rng, p = np.random.default_rng(1), port("x", "u8", 3)
    conv = make.linear(Conv, rng, p, "u8", 5, name="index")
    ops = conv, Lut("y", ("index",), "u8", 0, 255, make.table(rng, "u8"))
    program, inputs = Program("p", (p,), ops, ("y", "index")), {"x": make.samples(rng, p, 4, 4)}
    same(run(program, inputs), slowest_form.run(program, inputs))
    assert len(fuse.steps(program)) == 2


# weight, bias, multipliers, whether shifts can be raised
RAISED = {
    "multiplier": (255, 1000, (2**25 - 1, 3), True),  # times 2**6
    "weight": (255, 1000, (TOP, 3), True),
    "full-multiplier": (255, 1000, (2**25, 3), True),
    "full-bias": (255, 2**29, (TOP, 3), False),
    "full-weight": (8192, 1, (TOP, 3), False),
}


@pytest.mark.parametrize("case", RAISED)
def test_small_shifts_are_raised_where_numbers_have_room(run: Run, case: str) -> None:
    """All times 2**k, shifts plus k: the same bits; at their limits they are left alone."""
    weight, bias, multiplier, can = RAISED[case]
    p = port("x", "u8", 2)
    op = Conv("y", ("x",), "s16", -32768, 32767, 1, (1, 1, 1, 1), 2,
              np.full((2, 3, 3, 1), weight, np.int16), np.array([bias, -bias], np.int32),
              np.array(multiplier, np.int32), np.array([27, 31], np.int32))  # fmt: skip
    inputs = {"x": make.samples(np.random.default_rng(5), p, 5, 7)}
    same(run(single(op, p), inputs), slowest_form.run(single(op, p), inputs))
    made = linear.raised(op, 255, 2**15 - 1)
    assert isinstance(made, Conv)
    assert bool((made.shift > 32).all()) is can
    same(run(single(made, p), inputs), slowest_form.run(single(op, p), inputs))


LIMIT = 2**15 - 1
SHIFTS = [(32, 32), (33, 33), (32, 40), (62, 33)]


@pytest.mark.parametrize("shifts", SHIFTS)
def test_rounding_in_the_high_word_is_that_in_both(run: Run, shifts: tuple[int, int]) -> None:
    """Sums of both signs up to 2**31 - 1 times the largest multipliers, at ties too."""
    n = 64  # whole panels
    p = port("x", "s16", 1, -LIMIT, LIMIT)
    bias = np.random.default_rng(6).integers(-(2**30), 2**30, n).astype(np.int32)
    multiplier = np.array([TOP, 2**30, 1, TOP - 1] * (n // 4), np.int32)
    op = Conv("y", ("x",), "s16", -32768, 32767, 1, (0, 0, 0, 0), 1,
              np.full((n, 1, 1, 1), 2**15 - 2, np.int16), bias, multiplier,
              np.array(shifts * (n // 2), np.int32))  # fmt: skip
    x = np.linspace(-LIMIT, LIMIT, 36).astype(np.int16).reshape(2, 18, 1)
    same(run(single(op, p), {"x": x}), slowest_form.run(single(op, p), {"x": x}))


def test_every_kind_of_operation_in_one_program(run: Run) -> None:
    """The whole language, outputs of every dtype."""
    program, inputs = make.everything(np.random.default_rng(7))
    same(run(program, inputs), slowest_form.run(program, inputs))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.data(), seed=st.integers(0, 2**32), h=st.integers(1, 7), w=st.integers(1, 7),
    channels=st.sampled_from([1, 2, 3, 8, 9]), dtype=st.sampled_from(sorted(DTYPES)),
    steps=st.lists(st.sampled_from(sorted(make.STEPS)), min_size=1, max_size=6),
)  # fmt: skip
def test_random_programs_agree(
    data: Any, seed: int, h: int, w: int, channels: int, dtype: str, steps: list[str]
) -> None:
    """Random chains of operations: every backend gives the bits of the slowest form."""
    rng, p = np.random.default_rng(seed), port("x", dtype, channels)
    program = make.chain(lambda n: data.draw(st.integers(0, n - 1)), rng, steps, p, h, w)
    inputs = {"x": make.samples(rng, p, h, w)}
    want = slowest_form.run(program, inputs)
    for name in backends.MODULES:
        same(backends.load(name).run(program, inputs), want)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_thread_counts_give_the_same_bits(
    run: Run, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """INTNET_THREADS changes time, never a bit."""
    program, inputs = make.everything(np.random.default_rng(8))
    want = run(program, inputs)
    monkeypatch.setenv("INTNET_THREADS", str(count))
    same(run(program, inputs), want)


def test_callers_in_eight_threads_get_the_same_bits(run: Run) -> None:
    """Simultaneous calls neither wait for one another for ever nor mix their pictures."""
    rng = np.random.default_rng(9)
    program, _ = make.everything(rng)
    pictures = [{p.name: make.samples(rng, p, 12, 10) for p in program.inputs} for _ in range(8)]
    want = [run(program, picture) for picture in pictures]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(run, program, pictures[k % 8]) for k in range(64)]
        for k, future in enumerate(futures):
            same(future.result(timeout=60), want[k % 8])


def test_outputs_share_no_memory_with_inputs(run: Run) -> None:
    """Inputs come back as copies and are left as they were; read-only and strided ones are fine."""
    p = port("x", "s16", 3)
    ops = (Slice("a", ("x",), 0, 3), Crop("b", ("x",), (0, 0, 0, 0)), DepthToSpace("c", ("x",), 1),
           SpaceToDepth("d", ("x",), 1), Add("e", ("x", "x"), "s16", -9, 9))  # fmt: skip
    program = Program("p", (p,), ops, ("x", "a", "b", "c", "d", "e"))
    strided = np.arange(5 * 7 * 6, dtype=np.int16).reshape(5, 7, 6)[:, ::2, ::2]
    before = strided.copy()
    strided.flags.writeable = False
    for x in (strided, before.copy()):
        outputs = run(program, {"x": x})
        for name, y in outputs.items():
            assert not np.shares_memory(x, y), name
            if name != "e":
                np.testing.assert_array_equal(y, before, strict=True)
            y[:] = 77
        np.testing.assert_array_equal(x, before)


def test_kernels_write_their_output_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples before and after every output stay as they were."""
    module = backends.load("numba")
    buffers: list[np.ndarray] = []
    empty = execute.Stream.empty

    def guarded(stream: execute.Stream, name: str, rows: int) -> np.ndarray:
        array = empty(stream, name, rows)
        buffers.append(np.full(array.size + 128, 99, array.dtype))
        return buffers[-1][64 : array.size + 64].reshape(array.shape)

    monkeypatch.setattr(execute.Stream, "empty", guarded)
    program, inputs = make.everything(np.random.default_rng(7))
    same(module.run(program, inputs), slowest_form.run(program, inputs))
    assert len(buffers) > len(program.inputs) + 10, "one for each step"
    for buffer in buffers:
        assert (buffer[:64] == 99).all() and (buffer[-64:] == 99).all()


def test_backends_are_chosen_by_name() -> None:
    """Two names are known; another is refused with the list of them."""
    assert set(backends.MODULES) == {"numpy", "numba"}
    with pytest.raises(ValueError, match="'torch', must be one of numpy, numba"):
        backends.load("torch")
