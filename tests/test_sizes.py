"""Whatever the size of a picture, programs make the sizes that the codec counts on, or say so."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import sample_programs as make
from model_parts import MINIMAL, zeros

import rangecoder
from intnet import codec, container, model_file, networks, strips, tile_coding
from intnet.errors import ModelError
from intnet.model_file import Model
from intnet.program import Conv, ConvTranspose, Crop, DepthToSpace, Op, Pad, Port, Program, Slice

BACKENDS = ("numpy", "numba")
GOOD = model_file.from_bytes(MINIMAL)
Z, Y = Port("z", "s8", 1, -31, 31), Port("y", "s16", 1, -4095, 4095)
X, Y_HAT = Port("x", "u8", 3, 0, 255), Port("y_hat", "s16", 1, -4095, 4095)


def linear(kind: Any, p: Port, out: Port, name: str, **fields: Any) -> Any:
    """A convolution into a port's channels and interval."""
    op = make.linear(
        kind, np.random.default_rng(0), p, out.dtype, out.channels, name=name, **fields
    )
    return dataclasses.replace(op, lo=out.lo, hi=out.hi)


def changed(name: str, *ops: Op, outputs: tuple[str, ...] | None = None) -> Model:
    """The minimal model with other operations in one program; written and loaded."""
    old = GOOD.programs[name]
    program = Program(name, old.inputs, ops, outputs or old.outputs)
    model = dataclasses.replace(GOOD, programs={**GOOD.programs, name: program})
    return model_file.from_bytes(model_file.to_bytes(model))


def before(name: str, *ops: Op) -> Model:
    """The minimal model with operations before those of a program."""
    first, *rest = GOOD.programs[name].ops
    return changed(name, *ops, dataclasses.replace(first, inputs=(ops[-1].name,)), *rest)


def cut_and_padded(name: str, edges: tuple[int, int, int, int]) -> Model:
    """A program that first loses edges and gets others."""
    (source,) = GOOD.programs[name].inputs
    return before(name, Crop("cut", (source.name,), edges), Pad("grown", ("cut",), edges, "edge"))


def one_for_all(name: str, source: Port, out: Port, *rest: Op) -> Model:
    """A program that is right for 2 x 3 cells alone: all of them from the first one."""
    low = dataclasses.replace(source, name="low")
    return changed(
        name,
        linear(Conv, source, low, "low", stride=8),
        linear(ConvTranspose, low, out, out.name, stride=8, kernel=(8, 12)),
        *rest,
    )


BOTH, SPREAD = Port("both", "s16", 2, -4095, 4095), Port("spread", "u8", 48, 0, 255)
HALVES = Slice("mean", ("both",), 0, 1), Slice("index", ("both",), 1, 2)
# model, picture (height, width), program that does not fit, got, allowed
UNFIT: dict[str, tuple[Model, tuple[int, int], str, str]] = {
    "prior": (
        one_for_all("prior", Z, BOTH, *HALVES), (200, 300),
        "prior", r"turns 4 x 5 into 8 x 12, must be 16 x 20",
    ),
    "synthesis": (
        one_for_all("synthesis", Y_HAT, SPREAD, DepthToSpace("x_hat", ("spread",), 4)), (200, 300),
        "synthesis", r"turns 13 x 19 into 64 x 112, must be 208 x 304",
    ),
    "prior-cut": (cut_and_padded("prior", (1, 0, 0, 0)), (1, 1), "prior", "'cut'.*1 x 1 samples"),
    "synthesis-cut": (
        cut_and_padded("synthesis", (0, 1, 0, 1)), (99, 32), "synthesis", "'cut'.*7 x 2 samples"
    ),
    "hyper-cut": (
        cut_and_padded("hyper_analysis", (0, 4, 0, 0)), (70, 64),
        "hyper_analysis", "'cut'.*8 x 4 samples",
    ),
    "analysis-cut": (
        cut_and_padded("analysis", (64, 0, 0, 0)), (64, 65), "analysis", "'cut'.*64 x 128 samples",
    ),
}  # fmt: skip


def stream_of(model: Model, height: int, width: int) -> bytes:
    """A stream of zeros as far as z, then nothing: whatever follows has no say."""
    shape = -(-height // 64), -(-width // 64), 1
    z = rangecoder.encode(zeros(shape).ravel(), tile_coding.z_indexes(shape), model.z_tables)
    header = container.Header(model.model_id, 9, width, height, False, None)
    return container.pack(container.Stream(header, [container.Tile(z, b"")]))


def never(*arguments: object) -> list[Any]:
    raise AssertionError("a program runs")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", UNFIT)
def test_sizes_that_do_not_fit_are_refused(
    case: str, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ModelError names program, got and allowed, before anything runs; the same everywhere."""
    model, size, program, message = UNFIT[case]
    monkeypatch.setattr(networks, "push", never)
    with pytest.raises(ModelError, match=rf"{program}.*{message}"):
        codec.encode(np.zeros((*size, 3), np.uint8), model, backend=backend)
    if program in ("prior", "synthesis"):
        with pytest.raises(ModelError, match=rf"{program}.*{message}"):
            codec.decode(stream_of(model, *size), [model], backend)


@pytest.mark.parametrize("case", UNFIT)
def test_sizes_that_fit_are_coded(case: str) -> None:
    """The same models at 2 x 3 hyper-latents, or latents: one stream, one picture."""
    model, _, program, _ = UNFIT[case]
    size = (32, 48) if program == "synthesis" else (128, 192)
    x = np.random.default_rng(5).integers(0, 256, (*size, 3)).astype(np.uint8)
    streams = {codec.encode(x, model, backend=backend, verify=True) for backend in BACKENDS}
    assert len(streams) == 1
    decoded = [codec.decode(s, [model], b).pixels.tobytes() for s in streams for b in BACKENDS]
    assert len(set(decoded)) == 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_sides_of_tensors_are_limited(backend: str) -> None:
    """Programs that make tensors of 2**31 rows or columns on the way are refused."""
    ops: list[Op] = []
    for name in (*(f"up{i}" for i in range(9)), *(f"down{i}" for i in range(9))):
        kind = ConvTranspose if name.startswith("up") else Conv
        p = dataclasses.replace(Z, name=ops[-1].name if ops else "z")
        ops.append(linear(kind, p, Z, name, stride=8))
    model = before("prior", *ops)
    with pytest.raises(ModelError, match=r"prior.*'up\d+'.*samples, at most 2147483647"):
        codec.encode(np.zeros((1, 1280, 3), np.uint8), model, backend=backend)
    with pytest.raises(ModelError, match=r"prior.*'up\d+'.*samples, at most 2147483647"):
        codec.decode(stream_of(model, 1, 1280), [model], backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_mean_and_index_of_unlike_reach(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strips where one output of the prior is ahead of the other give what one strip gives."""
    both = GOOD.programs["prior"].ops
    mean = Port("first", "s16", 1, -4095, 4095)
    wide = linear(
        Conv, mean, dataclasses.replace(mean, name="index"), "index",
        kernel=(15, 15), padding=(7, 7, 7, 7),
    )  # fmt: skip
    model = changed("prior", *both[:2], dataclasses.replace(both[2], name="first"), wide)
    x = np.random.default_rng(5).integers(0, 256, (300, 70, 3)).astype(np.uint8)
    whole = codec.encode(x, model, backend=backend, verify=True)
    pixels = codec.decode(whole, [model], backend).pixels
    monkeypatch.setattr(strips, "STRIP", 1)
    assert codec.encode(x, model, backend=backend, verify=True) == whole
    np.testing.assert_array_equal(codec.decode(whole, [model], backend).pixels, pixels)


@pytest.mark.parametrize("backend", BACKENDS)
def test_hyper_latents_beyond_symbols(backend: str) -> None:
    """A model whose z no symbol can hold loads; a picture that needs such a z is a ModelError."""
    wide = Port("z", "s32", 1, -(2**20), 2**20)
    hyper, prior = GOOD.programs["hyper_analysis"], GOOD.programs["prior"]
    z = dataclasses.replace(
        hyper.ops[0], dtype="s32", lo=wide.lo, hi=wide.hi, shift=np.ones(1, np.int32),
        multiplier=np.full(1, 99, np.int32),
    )  # fmt: skip
    programs = {
        **GOOD.programs,
        "hyper_analysis": dataclasses.replace(hyper, ops=(z,)),
        "prior": dataclasses.replace(prior, inputs=(wide,)),
    }
    model = dataclasses.replace(GOOD, programs=programs)
    model = model_file.from_bytes(model_file.to_bytes(model))
    with pytest.raises(ModelError, match=r"z: .*must be in -32768\.\.32767"):
        codec.encode(np.full((64, 64, 3), 255, np.uint8), model, backend=backend)
