"""Every family of models: the same promises as of the first one, and what is special to each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from model_parts import VECTORS
from test_tiles import blocks

import rangecoder
from intnet import (
    architecture,
    backends,
    codec,
    container,
    latent_coding,
    model_file,
    model_header,
    networks,
    rate_search,
    region,
    salvage,
    step_context,
    strips,
)
from intnet.context import Coding
from intnet.errors import ModelError, StreamError
from intnet.look import bit_map
from intnet.model_file import Model
from intnet.options import EncoderOptions
from intnet.program import Crop, Pad, Program, Requantise
from intnet.windows import Area

NAMES = ("factorized", "scale", "serial", "serial-scale", "checkerboard", "quadtree")
CONTEXTS = NAMES[2:]
BACKENDS = ("numpy", "numba")
SIZE = 150, 210
AREAS = (Area((0, 1), (0, 1)), Area((60, 70), (60, 130)), Area((149, 150), (0, 210)))


@pytest.fixture(scope="module", params=NAMES)
def model(request: pytest.FixtureRequest) -> Model:
    return load(request.param)


@pytest.fixture(scope="module", params=CONTEXTS)
def context(request: pytest.FixtureRequest) -> Model:
    return load(request.param)


def load(name: str) -> Model:
    return model_file.load(VECTORS / "model" / f"{name}.inm")


def coded(model: Model, tile: int = 64, **options: Any) -> bytes:
    return codec.encode(blocks(*SIZE), model, 40, tile=tile, **options)


@pytest.mark.parametrize("size", [(1, 1), (17, 65), (130, 70), (64, 129)])
@pytest.mark.parametrize("tile", [0, 64, 128])
def test_backends_agree(model: Model, size: tuple[int, int], tile: int) -> None:
    """The same stream, the same samples; those that the encoder saw."""
    x = blocks(*size)
    one, other = (codec.encode(x, model, 50, b, verify=True, tile=tile) for b in BACKENDS)
    assert one == other
    pixels = [codec.decode(one, [model], b).pixels for b in BACKENDS]
    np.testing.assert_array_equal(*pixels)


def test_quality_makes_pictures_better(model: Model) -> None:
    """And streams larger."""
    x = blocks(*SIZE)
    streams = [codec.encode(x, model, quality) for quality in (0, 63)]
    low, high = (codec.decode(data, [model]).pixels.astype(int) for data in streams)
    assert np.abs(high - x).mean() < np.abs(low - x).mean()
    assert len(streams[0]) < len(streams[1])


@pytest.mark.parametrize("count", [1, 2, 5])
def test_threads_change_nothing(model: Model, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    want = coded(model, 64, verify=True)
    monkeypatch.setenv("INTNET_THREADS", str(count))
    monkeypatch.setattr("intnet.backends.threads.GRAIN", 1)
    assert coded(model, 64, verify=True) == want
    codec.decode(want, [model])


def test_strips_change_nothing(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bands of tiles are put together from strips of any height."""
    want = [coded(model, tile, verify=True) for tile in (0, 64, 128)]
    monkeypatch.setattr(strips, "STRIP", 1)
    assert [coded(model, tile, verify=True) for tile in (0, 64, 128)] == want
    for data in want:
        codec.decode(data, [model])


@pytest.mark.parametrize("backend", BACKENDS)
def test_regions_are_as_in_the_whole(model: Model, backend: str) -> None:
    for tile in (0, 64):
        data = coded(model, tile)
        whole = codec.decode(data, [model]).pixels
        for area in AREAS:
            part = region.decode(data, [model], area, backend).pixels
            np.testing.assert_array_equal(part, whole[area.slices])


@pytest.mark.parametrize("stage", ["z", "y"])
def test_a_lost_tile_is_salvaged_around(model: Model, stage: str) -> None:
    """What is marked as exact is; most tiles are. The error names tile and stage."""
    data = coded(model)
    header, tiles = container.unpack(data)
    whole = codec.decode(data, [model]).pixels
    bad = [tiles[0]._replace(**{stage: getattr(tiles[0], stage) + b"\1"}), *tiles[1:]]
    damaged = container.pack(container.Stream(header, bad))
    with pytest.raises(StreamError, match=rf"tile 0 \(row 0, column 0\), stage {stage}: payload"):
        codec.decode(damaged, [model])
    with pytest.raises(StreamError, match=rf"tile 0 \(row 0, column 0\), stage {stage}: payload"):
        region.decode(damaged, [model], Area((0, 9), (0, 9)))
    found = salvage.decode(damaged, [model])
    assert 0 in found.lost
    assert stage in found.lost[0]
    assert not found.exact[:64, :64].any()
    assert found.exact[140:, 140:].all()
    np.testing.assert_array_equal(found.pixels[found.exact], whole[found.exact])
    assert (found.pixels[~found.exact] == salvage.MARK).all()


@pytest.mark.parametrize("tile", [0, 64])
def test_bits_are_those_of_the_payloads(model: Model, tile: int) -> None:
    data = coded(model, tile)
    found = bit_map.measure(data, [model])
    for entry in found.tiles():
        for stage in "zy":
            bits = entry[f"{stage}_bits"]
            assert abs(8 * entry[f"{stage}_bytes"] - bits) <= 32 + bits / 100
    np.testing.assert_array_equal(found.pixels, codec.decode(data, [model]).pixels)


def test_bits_of_y_lie_where_they_are_spent(model: Model) -> None:
    """Symbols and tables on the grid are those that are coded, in whatever order."""
    a = codec.analyse(blocks(*SIZE), model)
    symbols, tables = codec.y_symbols(a, model, 40)
    assert symbols.shape == tables.shape == a.y.shape
    found = bit_map.measure(codec.code(a, model, 40), [model])
    bits = rangecoder.symbol_bits(symbols, tables, model.y_tables).sum(2)
    np.testing.assert_array_equal(found.y, bits)


def test_rates_are_searched(model: Model) -> None:
    x = blocks(*SIZE)
    most = len(codec.encode(x, model, 33, tile=64)) + 1
    data = rate_search.encode_to_size(x, model, most, EncoderOptions(tile=64))
    assert len(data) <= most
    assert container.peek(data).quality >= 33


@pytest.mark.parametrize("name", ["checkerboard", "quadtree"])
def test_orders_say_what_is_coded_when(name: str) -> None:
    """With other latents in the last step nothing before it changes. `test_context` has fronts."""
    context = load(name)
    (features,) = networks.prior(context, np.zeros((1, 1, 4), np.int8), 60, 60, "numpy")
    assert isinstance(context.order, tuple)
    last = architecture.step_count(context.order) - 1
    coder, ordered = latent_coding.context_of(context, backends.load("numpy"))
    m = context.programs["context"].inputs[0].channels
    step_of, seen = step_context.pattern(context.order, (4, 4, m)), []

    def decoded(of_last: int) -> Any:
        def choose(_mean: np.ndarray, _tables: np.ndarray, here: np.ndarray) -> np.ndarray:
            seen.append(here.copy())
            value = of_last if (step_of[here] == last).any() else 3
            return np.full(np.count_nonzero(here), value, np.int32)

        coding = Coding(context.scaling, 40)
        return coder.walk(ordered, features, context.y_tables.n_tables, coding, choose)

    one, other = decoded(0), decoded(1000)
    before = step_of < last
    np.testing.assert_array_equal(one.y_hat[before], other.y_hat[before])
    assert (one.y_hat[~before] != other.y_hat[~before]).all()
    total = np.sum(seen[: last + 1], 0)
    assert (total == 1).all()  # each latent once


def test_a_context_sees_what_was_decoded(context: Model) -> None:
    """Tables depend on other latents than those of the prior: it is no hyperprior in disguise."""
    a = codec.analyse(blocks(*SIZE), context)
    flat = a._replace(y=np.zeros_like(a.y))
    tables = [codec.y_symbols(x, context, 60)[1] for x in (a, flat)]
    assert (tables[0] != tables[1]).any()


def test_index_alone_is_a_mean_of_zero() -> None:
    """The scale hyperprior is the mean-scale hyperprior whose mean is clipped to [0, 0]."""
    scale = load("scale")
    prior = scale.programs["prior"]
    ones = np.ones(8, np.int32)
    nothing = Requantise("nothing", ("index",), "s16", 0, 0, ones, ones)
    both = Program(prior.name, prior.inputs, (*prior.ops, nothing), ("nothing", "index"))
    mean_scale = dataclasses.replace(scale, programs={**scale.programs, "prior": both})
    assert (scale.format, mean_scale.format) == (2, 1)
    payloads = [container.unpack(coded(m)).tiles for m in (scale, mean_scale)]
    assert payloads[0] == payloads[1]
    pixels = [codec.decode(coded(m), [m]).pixels for m in (scale, mean_scale)]
    np.testing.assert_array_equal(*pixels)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_serial_context_without_mean_has_zero(backend: str) -> None:
    """As if its program made one of zeros."""
    alone = load("serial-scale")
    context = alone.programs["context"]
    ones = np.ones(8, np.int32)
    nothing = Requantise("nothing", ("index",), "s16", 0, 0, ones, ones)
    both = Program("context", context.inputs, (*context.ops, nothing), ("nothing", "index"))
    other = dataclasses.replace(alone, programs={**alone.programs, "context": both})
    assert other.model_id != alone.model_id
    found = [container.unpack(coded(m, backend=backend)).tiles for m in (alone, other)]
    assert found[0] == found[1]


def test_a_factorized_prior_has_a_table_for_every_channel_and_rate() -> None:
    """More tables than an index of 8 bits can name."""
    model = load("factorized")
    n = 64 * 8
    tables = rangecoder.build([[1, 8, 20 + t, 8, 1, 1] for t in range(n)], [-2] * n)
    offset = 2 * np.arange(n, dtype=np.int32).reshape(64, 8)
    scaling = dataclasses.replace(
        model.scaling, index_offset=offset, dead_zone=np.full(n, 2**15, np.int32)
    )
    many = dataclasses.replace(model, y_tables=tables, scaling=scaling)
    again = model_file.from_bytes(model_file.to_bytes(many))
    assert again.sha256 == many.sha256
    a = codec.analyse(blocks(*SIZE), many)
    for backend in BACKENDS:
        _, found = codec.y_symbols(a, many, 63, backend)
        assert (found == np.arange(63 * 8, 64 * 8)).all()
    data = codec.encode(blocks(*SIZE), many, 63, verify=True)
    assert data == codec.encode(blocks(*SIZE), many, 63, "numpy", verify=True)
    codec.decode(data, [many])


def test_a_factorized_stream_has_no_z() -> None:
    stream = container.unpack(coded(load("factorized")))
    assert all(tile.z == b"" and tile.y for tile in stream.tiles)


def two_rows(program: Program) -> Program:
    """The same on two rows and more; on one there is none left."""
    y_hat, features = program.inputs
    cut, put = Crop("cut", ("y_hat",), (1, 0, 0, 0)), Pad("put", ("cut",), (1, 0, 0, 0), "zero")
    ops = [dataclasses.replace(op, inputs=("put",)) if "y_hat" in op.inputs else op
           for op in program.ops]  # fmt: skip
    return Program("context", (y_hat, features), (cut, put, *ops), program.outputs)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_context_that_does_not_fit_a_tile_is_refused(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By encoder and decoders, before any network runs."""
    model = load("quadtree")
    context = two_rows(model.programs["context"])
    model = dataclasses.replace(model, programs={**model.programs, "context": context})
    model_file.check(model)
    fits = codec.encode(blocks(80, 64), model, 40, backend, tile=128)
    codec.decode(fits, [model], backend)
    header, (tile,) = container.unpack(fits)
    header = header._replace(tile=1, minor=2)  # the second tile has one row of latents
    small = container.pack(container.Stream(header, [tile, tile]))

    def never(*_: object) -> Any:
        raise AssertionError("a network runs")

    monkeypatch.setattr(networks, "push", never)
    monkeypatch.setattr(networks, "run", never)
    calls: list[Callable[[], object]] = [
        lambda: codec.encode(blocks(80, 64), model, 40, backend, tile=64),
        lambda: codec.decode(small, [model], backend),
        lambda: salvage.decode(small, [model], backend),
        lambda: region.decode(small, [model], Area((0, 9), (0, 9)), backend),
        lambda: bit_map.measure(small, [model], backend),
    ]
    for call in calls:
        with pytest.raises(ModelError, match=r"context: .*'cut'"):
            call()


def test_two_lanes_in_a_tile_of_a_context(context: Model) -> None:
    """65536 symbols and more: half of the symbols of every step in each lane."""
    x = np.tile(blocks(64, 64), (24, 23, 1))
    data = codec.encode(x, context, 20, tile=0, verify=True)
    codec.decode(data, [context])
    header, tiles = container.unpack(data)
    one_lane = container.pack(container.Stream(header._replace(minor=0), tiles))
    with pytest.raises(StreamError, match="stage y: payload"):
        codec.decode(one_lane, [context])


def test_titles() -> None:
    """What `intnet info` says of each."""
    found = [
        model_header.title(model_header.read(VECTORS / "model" / f"{name}.inm"))
        for name in ("tiny", *NAMES)
    ]
    assert found == [
        "mean-scale hyperprior", "factorized prior", "scale hyperprior",
        "mean-scale context, serial", "scale context, serial", "scale context in 2 steps",
        "mean-scale context in 4 steps",
    ]  # fmt: skip


def test_kmac_of_a_context_are_those_of_its_steps() -> None:
    """5x5 on 8 channels, 1x1 twice; two steps, at 1/16."""
    header = model_header.read(VECTORS / "model" / "checkerboard.inm")
    (row,) = [p for p in model_header.programs(header) if p["name"] == "context"]
    macs = 16 * 25 * 8 + 12 * 32 + 16 * 12
    assert row["kmac_per_pixel"] == pytest.approx(2 * macs / 256 / 1000, abs=1e-3)


def test_format_1_is_written_for_what_it_can_say(tiny: Model, model: Model) -> None:
    assert (tiny.format, model.format) == (1, 2)
    assert b'"format\\":1' in model_file.to_bytes(tiny)
    assert b'"format\\":2' in model_file.to_bytes(model)


BAD: dict[str, tuple[str, dict[str, Any], str]] = {
    "order of a hyperprior": ("scale", {"order": "serial"}, "only there"),
    "no order": ("serial", {"order": None}, "order is None, must be there"),
    "an order that is none": ("serial", {"order": "raster"}, "order is 'raster', must be 'serial'"),
    "three groups": ("quadtree", {"order": (((0, 1, 2),) * 2,) * 2}, "3 groups, must divide 8"),
    "a step that is missing": (
        "checkerboard", {"order": (((0,), (2,)), ((2,), (0,)))}, "lacks 1",
    ),
    "no tables of z": ("scale", {"z_tables": None}, "0 z tables, must be 4"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_models_that_are_none(case: str) -> None:
    """As files are refused, conformance/vectors has them."""
    name, fields, words = BAD[case]
    with pytest.raises(ModelError, match=words):
        model_file.check(dataclasses.replace(load(name), **fields))


def test_families_are_named_in_the_docs() -> None:
    text = (ROOT / "conformance" / "SPEC.md").read_text("utf-8")
    for family in architecture.FAMILIES:
        assert ", ".join(f"`{name}`" for name in family) in text
