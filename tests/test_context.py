"""Serial context models: the fused loop has the bits of the definition."""

from __future__ import annotations

import concurrent.futures
from dataclasses import replace
from typing import Any

import instructions
import numpy as np
import pytest
import sample_programs as make
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rangecoder
from intnet import backends, context, latents, serial_context
from intnet.backends import numba_serial, threads
from intnet.backends.simd import choose
from intnet.context import Coding
from intnet.errors import ModelError
from intnet.model_file import Scaling
from intnet.program import Concat, Conv, Lut, Op, Port, Program, Slice
from intnet.serial_context import Serial

FEATURES = 6


def program(
    rng: np.random.Generator, m: int, kernel: tuple[int, int] = (5, 5), hidden: str = "s16",
    *, extra: tuple[Op, ...] = (), reader: str = "h2",
) -> Program:  # fmt: skip
    """Minnen et al. 2018 in small: masked convolution, joined with features, 1x1 convolutions."""
    y, features = make.port("y_hat", "s16", m, -9000, 9000), make.port("features", "s16", FEATURES)
    ky, kx = kernel
    padding = (ky // 2, kx // 2, ky // 2, kx // 2)
    seen = make.linear(make.Conv, rng, y, "s16", 2 * m, kernel=kernel, padding=padding, name="seen")
    seen.weight.reshape(2 * m, ky * kx, m)[:, ky * kx // 2 :] = 0
    ops: list[Op] = [seen, Concat("both", ("seen", "features"))]
    for name, source, channels, out in (
        ("h1", "both", 2 * m + FEATURES, hidden), ("h2", "h1", 11, hidden)
    ):  # fmt: skip
        p = make.port(source, "s16" if source == "both" else hidden, channels)
        ops.append(make.linear(make.Conv, rng, p, out, 11, name=name))
    last = make.port(reader, hidden, 11)
    ops += [*extra, make.linear(make.Conv, rng, last, "s16", 2 * m, name="out"),
            Slice("mean", ("out",), 0, m), Slice("index", ("out",), m, 2 * m)]  # fmt: skip
    return Program("context", (y, features), tuple(ops), ("mean", "index"))


def coding(rng: np.random.Generator, m: int, tables: int) -> Coding:
    """Quality 1 of arithmetic that makes small symbols and keeps latents in their port."""
    shape = (64, m)
    return Coding(Scaling(
        gain=rng.integers(900, 1100, shape).astype(np.int32),
        inverse_gain=rng.integers(2**17, 2**18, shape).astype(np.int32),
        index_offset=rng.integers(0, 30, shape).astype(np.int32),
        dead_zone=rng.integers(9000, 30000, tables).astype(np.int32),
        gain_shift=20, inverse_shift=10, index_shift=9,
    ), 1)  # fmt: skip


@pytest.fixture(scope="session")
def tables() -> rangecoder.Tables:
    weights = [[8] * (2 * k + 3) + [1] for k in range(20)]
    return rangecoder.build(weights, minimum=[-k - 1 for k in range(20)])


def picture(
    seed: int, m: int, size: tuple[int, int]
) -> tuple[np.random.Generator, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(-9000, 9000, (*size, m)).astype(np.int16)
    return rng, y, rng.integers(-32768, 32768, (*size, FEATURES)).astype(np.int16)


def coded(
    backend: Any, serial: Serial, features: np.ndarray, y: np.ndarray, tables: Any, c: Coding,
    lanes: int = 2,
) -> tuple[bytes, np.ndarray]:  # fmt: skip
    """Payload and latents of an encoder."""
    encoder = rangecoder.Encoder(tables, lanes)
    y_hat = backend.serial().encode(serial, features, y, encoder, c).y_hat
    return encoder.finish(), y_hat


def decoded(
    backend: Any, serial: Serial, features: np.ndarray, payload: bytes, tables: Any, c: Coding,
    lanes: int = 2,
) -> np.ndarray:  # fmt: skip
    decoder = rangecoder.Decoder(payload, tables, lanes)
    y_hat: np.ndarray = backend.serial().decode(serial, features, decoder, c).y_hat
    decoder.finish()
    return y_hat


@pytest.fixture(params=["numpy", *(f"numba-{name}" for name in choose.FEATURES)])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Each backend and instruction set, three threads for the smallest front."""
    monkeypatch.setattr(numba_serial, "GRAIN", 1)
    monkeypatch.setattr(threads, "GRAIN", 1)
    monkeypatch.setenv("INTNET_THREADS", "3")
    name, _, isa = request.param.partition("-")
    monkeypatch.setattr(choose, "load", lambda: instructions.load(isa))
    return backends.load(name)


def fused(backend: Any, serial: Serial) -> bool | None:
    """Whether tiles compute a program; None where there are none."""
    if backend is backends.load("numpy") or choose.load() is None:
        return None
    return numba_serial.plan(serial) is not None


CASES = {
    "minnen": (4, (5, 5), "s16", (7, 9)),
    "u8 between, odd channels": (3, (5, 5), "u8", (6, 11)),
    "many panels": (37, (3, 3), "u8", (4, 5)),
    "wide kernel": (2, (3, 7), "s16", (5, 12)),
    "one position": (5, (5, 5), "u8", (1, 1)),
    "one row": (2, (5, 5), "s16", (1, 8)),
    "one column": (2, (5, 5), "s16", (8, 1)),
}


@pytest.mark.parametrize("case", CASES)
def test_every_backend_has_the_bits_of_the_definition(
    backend: Any, tables: rangecoder.Tables, case: str
) -> None:
    """Payload and latents, and a decoder of each gets the latents back."""
    m, kernel, hidden, size = CASES[case]
    rng, y, features = picture(len(case), m, size)
    serial = serial_context.serial(program(rng, m, kernel, hidden))
    assert fused(backend, serial) is not False, "the definition stood in"
    c = coding(rng, m, tables.n_tables)
    payload, y_hat = coded(backend, serial, features, y, tables, c)
    want = coded(backends.load("numpy"), serial, features, y, tables, c)
    assert payload == want[0]
    np.testing.assert_array_equal(y_hat, want[1], strict=True)
    np.testing.assert_array_equal(
        decoded(backend, serial, features, payload, tables, c), want[1], strict=True
    )


@pytest.mark.parametrize("case", CASES)
def test_the_whole_program_on_all_latents_predicts_them(
    tables: rangecoder.Tables, case: str
) -> None:
    """Fronts are only an order: the masked convolution on the decoded picture says the same."""
    m, kernel, hidden, size = CASES[case]
    rng, y, features = picture(len(case), m, size)
    whole = program(rng, m, kernel, hidden)
    c = coding(rng, m, tables.n_tables)
    numpy = backends.load("numpy")
    _, y_hat = coded(numpy, serial_context.serial(whole), features, y, tables, c)
    outputs = numpy.run(whole, {"y_hat": y_hat, "features": features})
    indexes = latents.table_indexes(outputs["index"], c.scaling, c.quality, tables.n_tables)
    symbols = latents.quantise(y, outputs["mean"], indexes, c.scaling, c.quality)
    assert len(np.unique(symbols)) > 3 or y.size < 20
    again = latents.dequantise(symbols, outputs["mean"], c.scaling, c.quality, whole.inputs[0])
    np.testing.assert_array_equal(again, y_hat, strict=True)


def test_programs_without_a_plan_take_the_definition(
    backend: Any, tables: rangecoder.Tables
) -> None:
    """A table lookup between convolutions."""
    rng, y, features = picture(5, 3, (4, 6))
    table = rng.integers(0, 256, 256).astype(np.int32)
    extra = (Lut("bent", ("h2",), "u8", 0, 255, table),)
    serial = serial_context.serial(program(rng, 3, hidden="u8", extra=extra, reader="bent"))
    assert not fused(backend, serial)
    c = coding(rng, 3, tables.n_tables)
    payload, y_hat = coded(backend, serial, features, y, tables, c)
    want = coded(backends.load("numpy"), serial, features, y, tables, c)
    assert payload == want[0]
    np.testing.assert_array_equal(y_hat, want[1], strict=True)
    assert (decoded(backend, serial, features, payload, tables, c) == y_hat).all()


def test_concatenations_of_slices_and_of_latents_seen_first(tables: rangecoder.Tables) -> None:
    """Shapes that a plan cannot hold are not guessed at: samples would lie in two places."""
    rng, y, features = picture(6, 2, (3, 4))
    whole = program(rng, 2)
    slices = (*whole.ops[:-2], Slice("a", ("out",), 0, 1), Slice("b", ("out",), 1, 4),
              Concat("swapped", ("b", "a")), Slice("mean", ("swapped",), 0, 2),
              Slice("index", ("swapped",), 2, 4))  # fmt: skip
    serial = serial_context.serial(replace(whole, ops=slices))
    assert not fused(backends.load("numba"), serial)
    c = coding(rng, 2, tables.n_tables)
    want = coded(backends.load("numpy"), serial, features, y, tables, c)
    got = coded(backends.load("numba"), serial, features, y, tables, c)
    assert got[0] == want[0]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32), h=st.integers(1, 9), w=st.integers(1, 9), m=st.integers(1, 20),
    ky=st.sampled_from([1, 3, 5]), kx=st.sampled_from([3, 5, 7]),
    hidden=st.sampled_from(["u8", "s16"]),
    lanes=st.integers(1, 3), count=st.integers(1, 4),
)  # fmt: skip
def test_random_models_agree(
    tables: rangecoder.Tables, monkeypatch: pytest.MonkeyPatch, seed: int, h: int, w: int, m: int,
    ky: int, kx: int, hidden: str, lanes: int, count: int,
) -> None:  # fmt: skip
    """Any size, kernel, number of lanes and of threads."""
    monkeypatch.setattr(numba_serial, "GRAIN", 1)
    monkeypatch.setenv("INTNET_THREADS", str(count))
    rng, y, features = picture(seed, m, (h, w))
    serial = serial_context.serial(program(rng, m, (ky, kx), hidden))
    c = coding(rng, m, tables.n_tables)
    numpy, numba = backends.load("numpy"), backends.load("numba")
    payload, y_hat = coded(numpy, serial, features, y, tables, c, lanes)
    assert coded(numba, serial, features, y, tables, c, lanes)[0] == payload
    got = decoded(numba, serial, features, payload, tables, c, lanes)
    np.testing.assert_array_equal(got, y_hat, strict=True)


def test_a_damaged_payload_is_refused_alike(backend: Any, tables: rangecoder.Tables) -> None:
    """Cut, lengthened or with a flipped bit: the same PayloadError from every backend."""
    rng, y, features = picture(7, 3, (5, 6))
    serial, c = serial_context.serial(program(rng, 3)), coding(rng, 3, tables.n_tables)
    payload, _ = coded(backend, serial, features, y, tables, c)
    found = 0
    damaged = [payload[:-1], payload + b"\1", b"", *(
        payload[:k] + bytes([payload[k] ^ 1 << k % 8]) + payload[k + 1 :]
        for k in range(0, len(payload), 3)
    )]  # fmt: skip
    for data in damaged:
        messages = [message(b, serial, features, data, tables, c)
                    for b in (backend, backends.load("numpy"))]  # fmt: skip
        assert messages[0] == messages[1]
        found += messages[0].startswith("payload of")
    assert found > len(damaged) // 2


WRONG = {
    "y too small": ("y", lambda x: x[:-1], "y: int16"),
    "y of another type": ("y", lambda x: x.astype(np.int32), "y: int32"),
    "features of another width": ("features", lambda x: x[..., :-1], "must be .height, width, 6"),
    "features of another type": ("features", lambda x: x.astype(np.int32), "dtype int32"),
    "a channel without a gain": ("gain", lambda x: x[:, :-1], "scaling gain"),
    "no such quality": ("index_offset", lambda x: x[:1], "scaling index_offset"),
    "a table without a dead zone": ("dead_zone", lambda x: x[:-1], "dead_zone"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_arguments_that_kernels_would_trust_are_checked(
    backend: Any, tables: rangecoder.Tables, case: str
) -> None:
    """Before any kernel runs; the error names what, got and allowed."""
    name, damage, words = WRONG[case]
    rng, y, features = picture(11, 3, (3, 4))
    serial, c = serial_context.serial(program(rng, 3)), coding(rng, 3, tables.n_tables)
    if name in ("y", "features"):
        y, features = (damage(x) if n == name else x for n, x in (("y", y), ("features", features)))
    else:
        damaged = {name: damage(getattr(c.scaling, name))}
        c = c._replace(scaling=replace(c.scaling, **damaged))
    with pytest.raises(ValueError, match=words):
        coded(backend, serial, features, y, tables, c)


def test_a_fault_in_the_middle_is_named_where_it_is(
    backend: Any, tables: rangecoder.Tables
) -> None:
    """After three fronts comes the top of the range, which no symbol has."""
    rng, _, features = picture(10, 3, (3, 5))
    serial, c = serial_context.serial(program(rng, 3)), coding(rng, 3, tables.n_tables)
    encoder = rangecoder.Encoder(tables)
    parts: list[np.ndarray] = []

    def zeros(_rows: Any, _columns: Any, mean: np.ndarray, indexes: np.ndarray) -> np.ndarray:
        parts.append(indexes)
        return np.zeros(mean.shape, np.int32)

    plain = context.Plain(backends.load("numpy").run, latents)
    plain.walk(serial, features, tables.n_tables, c, zeros)
    first = np.concatenate([part.ravel() for part in parts[:3]])
    encoder.push(np.zeros(first.size, np.int32), first)
    low, range_, position, begin = (int(v) for v in encoder.states[0])
    code = int.from_bytes(encoder.words[begin:position].astype(">u4").tobytes(), "big") << 62
    code = (code + low + range_ - 1) << 2 | 3
    payload = code.to_bytes(4 * (position - begin) + 8, "big") + b"\xff" * 4
    with pytest.raises(rangecoder.PayloadError, match="after 9 symbols: quantile 65536"):
        decoded(backend, serial, features, payload, tables, c, lanes=1)


def message(backend: Any, serial: Serial, features: np.ndarray, data: bytes, tables: Any,
            c: Coding) -> str:  # fmt: skip
    """The error, or the hash of what came out: some damage is a payload of other symbols."""
    try:
        return str(hash(decoded(backend, serial, features, data, tables, c).tobytes()))
    except rangecoder.PayloadError as error:
        return str(error)


def test_callers_in_eight_threads_get_the_same_bits(
    tables: rangecoder.Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More leaders than helpers: nobody waits for a helper that has not come."""
    monkeypatch.setattr(numba_serial, "GRAIN", 1)
    monkeypatch.setenv("INTNET_THREADS", "3")
    numba = backends.load("numba")
    rng, y, features = picture(8, 20, (6, 9))
    serial, c = serial_context.serial(program(rng, 20)), coding(rng, 20, tables.n_tables)
    payload, y_hat = coded(numba, serial, features, y, tables, c)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(decoded, numba, serial, features, payload, tables, c)
                   for _ in range(48)]  # fmt: skip
        for future in futures:
            np.testing.assert_array_equal(future.result(timeout=60), y_hat, strict=True)


def test_helpers_that_never_come_cost_nothing_but_time(
    tables: rangecoder.Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pool that is busy for ever."""
    monkeypatch.setattr(numba_serial, "GRAIN", 1)
    monkeypatch.setenv("INTNET_THREADS", "2")
    numba = backends.load("numba")
    rng, y, features = picture(9, 4, (5, 5))
    serial, c = serial_context.serial(program(rng, 4)), coding(rng, 4, tables.n_tables)
    want = coded(backends.load("numpy"), serial, features, y, tables, c)
    with concurrent.futures.ThreadPoolExecutor(1) as busy:
        monkeypatch.setattr(numba_serial, "pool", lambda _: busy)
        release = concurrent.futures.Future[None]()
        busy.submit(release.result)
        try:
            assert coded(numba, serial, features, y, tables, c)[0] == want[0]
        finally:
            release.set_result(None)


def masked(**changes: Any) -> Program:
    """A program whose masked convolution was changed."""
    whole = program(np.random.default_rng(0), 4)
    return replace(whole, ops=(replace(whole.ops[0], **changes), *whole.ops[1:]))


def seeing(row: int, column: int) -> Program:
    """A convolution that sees a position it may not."""
    whole = program(np.random.default_rng(0), 4)
    weight = whole.ops[0].weight.copy()
    weight[3, row, column, 1] = 1
    return replace(whole, ops=(replace(whole.ops[0], weight=weight), *whole.ops[1:]))


def edges(n: int, kernel: int, padding: int) -> dict[str, Any]:
    weight = np.zeros((n, kernel, kernel, 4), np.int8)
    return {"weight": weight, "padding": (padding,) * 4}


BAD = {
    "sees itself": (lambda: seeing(2, 2), "row 0, column 0"),
    "sees the next": (lambda: seeing(2, 3), "row 0, column 1"),
    "sees a row below": (lambda: seeing(3, 0), "row 1, column -2"),
    "sees nothing": (lambda: masked(**edges(8, 1, 0)), "see something"),
    "even kernel": (lambda: masked(**edges(8, 4, 2)), "odd sides"),
    "shifted": (lambda: masked(padding=(1, 2, 3, 2)), "padding of half its kernel"),
    "three outputs": (
        lambda: replace(masked(), outputs=("mean", "index", "out")), "one or two outputs",
    ),
    "inputs swapped": (
        lambda: replace(masked(), inputs=masked().inputs[::-1]), "inputs 'y_hat', 'features'",
    ),
    "reads latents twice": (
        lambda: replace(masked(), ops=(*masked().ops, Slice("peek", ("y_hat",), 0, 1))),
        "2 operations read",
    ),
    "channels": (lambda: replace(masked(), outputs=("mean", "out")), "8 channels"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_programs_that_are_not_serial_contexts_are_refused(case: str) -> None:
    """The error names the operation, what it is and what it must be."""
    make_program, words = BAD[case]
    with pytest.raises(ModelError, match=words):
        serial_context.serial(make_program())


def test_a_kernel_after_the_context_is_refused() -> None:
    """Everything but the masked convolution acts on one position."""
    rng = np.random.default_rng(0)
    wide = make.linear(Conv, rng, Port("h2", "s16", 11, -32768, 32767), "s16", 11, kernel=(3, 3),
                       padding=(1, 1, 1, 1), name="wide")  # fmt: skip
    with pytest.raises(ModelError, match="'wide': must be a 1x1 convolution"):
        serial_context.serial(program(rng, 4, extra=(wide,), reader="wide"))
