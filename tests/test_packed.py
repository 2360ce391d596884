"""Packed model files: the same tensors, the same model, fewer bytes; anything else is refused."""

from __future__ import annotations

import contextlib
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_parts import call, only_json
from hypothesis import given, settings
from hypothesis import strategies as st

from intnet import model_file, model_header, packed, packing, shipped
from intnet.errors import IntnetError, ModelError
from intnet.model_frame import MAX_TENSORS, Entry
from intnet.program import Array

ROOT = Path(__file__).parents[1]
VECTORS = ROOT / "conformance" / "vectors" / "v1" / "model"
PLAIN = (VECTORS / "minimal.inm").read_bytes()
SMALL = (VECTORS / "packed-odd.inm").read_bytes()  # the same model
Tensors = dict[str, Array]


def entries(tensors: Tensors) -> dict[str, Entry]:
    """What a file says of them."""
    return {
        name: Entry(packing.NAMES[x.dtype], x.shape, 0, x.nbytes)
        for name, x in sorted(tensors.items())
    }


def same(made: Tensors, tensors: Tensors) -> bool:
    """Equal in every way."""
    assert list(made) == sorted(tensors)
    return all(
        (x.dtype, x.shape) == (made[n].dtype, made[n].shape) and (x == made[n]).all()
        for n, x in tensors.items()
    )


def drawn(data: Any) -> Array:
    """A tensor of any dtype, 1 to 4 axes, of small numbers, of any, or of a smooth series."""
    dtype = data.draw(st.sampled_from([np.uint8, np.int8, np.int16, np.int32]))
    shape = tuple(data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=4)))
    if data.draw(st.booleans()):
        shape = (*shape[:-1], data.draw(st.integers(1, 70)))
    rng, info = np.random.default_rng(data.draw(st.integers(0, 99))), np.iinfo(dtype)
    kind = data.draw(st.sampled_from(["any", "small", "series", "reciprocal", "ends"]))
    if kind == "any":
        return rng.integers(info.min, info.max, shape, dtype, endpoint=True)
    if kind == "ends":
        return rng.choice(np.array([info.min, info.max], dtype), shape)
    if kind == "small":
        return rng.integers(0, 2, shape, dtype)
    if kind == "reciprocal" and dtype == np.int32:
        return packed.reciprocal(rng.integers(1, 2**20, shape)).astype(dtype)
    steps = np.arange(shape[0]).reshape(-1, *[1] * (len(shape) - 1))
    series = np.exp(steps * 0.3 + rng.uniform(0, 2, shape))
    return series.clip(info.min, info.max).astype(dtype)


@settings(max_examples=60)
@given(data=st.data())
def test_tensors_come_back(data: Any) -> None:
    """Whatever the integers, and by the decoder that was written from the text alone."""
    tensors = {f"t{i}": drawn(data) for i in range(data.draw(st.integers(1, 3)))}
    payload = packing.pack(tensors)
    assert same(packed.unpack(payload, entries(tensors)), tensors)
    sys.path.insert(0, str(ROOT / "conformance"))
    import reference_decoder as ref  # noqa: PLC0415  # not a package

    reader = ref.Packed(payload)
    for _, x in sorted(tensors.items()):
        dtype = ref.IN_SAFETENSORS[packing.NAMES[x.dtype]]
        made = ref.packed_tensor(reader, dtype, x.shape)
        assert made.values == x.astype(x.dtype.newbyteorder("<")).tobytes()


def test_every_form_is_chosen_where_it_is_smallest() -> None:
    """Weights are themselves; gains are series, multipliers reciprocals, tables smooth."""
    _, tensors = model_file.content(model_file.load(VECTORS / "photo.inm"))
    wanted = {"scaling/gain": 4, "synthesis/pixels/multiplier": 5, "tables/y": 3,
              "hyper_analysis/z/weight": 0, "synthesis/pixels/shift": 1}  # fmt: skip
    assert {name: packing.best(tensors[name]).form for name in wanted} == wanted


def test_shipped_model_packs_and_stays_the_one_that_always_shipped(tmp_path: Path) -> None:
    """Far less than a byte a weight with all else counted; the id that its streams carry.

    It ships plain: without numba unpacking takes minutes.
    """
    plain, small = VECTORS / "photo.inm", tmp_path / "small.inm"
    assert shipped.path_of().read_bytes() == plain.read_bytes()
    small.write_bytes(model_file.to_bytes(model_file.load(plain)))
    headers = [model_header.read(path) for path in (plain, small)]
    assert [header.packed for header in headers] == [False, True]
    assert headers[0].sha256 == headers[1].sha256 == model_file.load(small).sha256
    assert small.stat().st_size < 0.6 * plain.stat().st_size
    assert headers[1].bits_per_weight < 6.3
    assert headers[0].bits_per_weight > 10
    assert model_file.to_bytes(model_file.load(small), plain=True) == plain.read_bytes()


def test_identity_does_not_depend_on_packing(tiny: model_file.Model) -> None:
    """Nor on who packed; what we pack comes out the same each time."""
    files = [model_file.to_bytes(tiny), model_file.to_bytes(tiny, plain=True)]
    assert {model_file.from_bytes(data).sha256 for data in files} == {tiny.sha256}
    assert len(files[0]) < 0.7 * len(files[1])
    assert model_file.to_bytes(model_file.from_bytes(files[0])) == files[0]
    assert model_file.from_bytes(SMALL).sha256 == model_file.from_bytes(PLAIN).sha256


@settings(max_examples=200)
@given(data=st.data())
def test_any_change_is_refused(data: Any) -> None:
    """Cut, flipped or longer: an IntnetError, in header and payload; or a header of other words."""
    start = 8 + int.from_bytes(SMALL[:8], "little")
    bad = bytearray(SMALL)
    at = data.draw(st.one_of(st.integers(0, start), st.integers(start, len(SMALL) - 1)))
    bad[at] ^= 1 << data.draw(st.integers(0, 7))
    if data.draw(st.booleans()):
        bad = bad[: data.draw(st.integers(start, len(SMALL)))]
    with contextlib.suppress(IntnetError):
        assert model_file.from_bytes(bytes(bad)).sha256 == model_file.from_bytes(PLAIN).sha256


@settings(max_examples=200)
@given(payload=st.binary(max_size=80), data=st.data())
def test_any_payload(payload: bytes, data: Any) -> None:
    """Tensors that are packed into a payload again, or a ModelError; nothing else."""
    tensors = {f"t{i}": drawn(data) for i in range(2)}
    with contextlib.suppress(ModelError):
        assert packed.unpack(payload, entries(tensors)).keys() == tensors.keys()


FAULTS = {
    "version-2": "version 2, this reader knows 1", "version-true": "version True",
    "no-text": "must be a string", "no-json": "is not JSON", "key-twice": "'tensors' occurs twice",
    "field": "'more'", "tensors-list": "no object", "offsets": "'data_offsets'", "dtype": "F32",
    "shape-0": "at least 1", "beside-another": "in a packed file", "signed": "dtype, axes",
    "square": "dtype, axes", "not-the-dtype": "hash", "payload-more": "packed tensors: payload",
    "payload-zero": "packed tensors: payload", "payload-lane": "within the length of lane 0",
    "form-6": "form 6, must be 0..5", "row-scale-18": r"scales \[18, 0\]",
    "column-scale-31": r"scales \[0, 31\]", "form-4-of-one-axis": "two axes or more",
    "bits-escape": "escape among bits", "row-exponent": r"exponents 0\.\.64",
    "row-exponent-below": r"exponents -65\.\.0", "element-beyond": "values 2147483648",
    "reciprocal-of-0": "outside 1", "reciprocal-of-2-to-the-31": "outside 1",
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_named(name: str) -> None:
    """Not only that something is wrong, which the hash says of most."""
    with pytest.raises(ModelError, match=FAULTS[name]):
        model_file.from_bytes((VECTORS / "invalid" / f"packed-{name}.inm").read_bytes())


def test_large_sizes_are_refused_before_anything_is_allocated() -> None:
    """By a few bytes that say that they are many."""
    for name in ("packed-too-large", "packed-larger-than-all"):
        data = (VECTORS / "invalid" / f"{name}.inm").read_bytes()
        tracemalloc.start()
        with pytest.raises(ModelError, match="bytes of tensors in a payload of"):
            model_file.from_bytes(data)
        assert tracemalloc.get_traced_memory()[1] < 2**20
        tracemalloc.stop()


@pytest.mark.parametrize(("dtype", "shape", "message"), [
    ("U8", (2**23 + 1, 1), "rows or columns"), ("I8", (1, 2**23), "rows or columns"),
])  # fmt: skip
def test_lines_are_limited(dtype: str, shape: tuple[int, ...], message: str) -> None:
    """Each has an exponent in memory."""
    with pytest.raises(ModelError, match=message):
        packed.unpack(b"\0", {"t": Entry(dtype, shape, 0, 0)})


def test_a_run_takes_little_memory() -> None:
    """Symbols of a large tensor come in runs; none of them is there as a larger number."""
    size = 2**23
    tracemalloc.start()
    with contextlib.suppress(ModelError):
        packed.unpack(b"\0", {"t": Entry("I8", (2**11, size // 2**11), 0, size)})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * size


def test_pack_there_and_back(tiny_path: Path, tmp_path: Path) -> None:
    """On the command line, with what it saves."""
    plain, small = tmp_path / "plain.inm", tmp_path / "small.inm"
    report = only_json(call("pack", tiny_path, "-o", plain, "--plain", "--json"))
    assert (report["packed"], report["bytes"]) == (False, plain.stat().st_size)
    assert "bits per weight" in call("pack", plain, "-o", small).stdout
    assert small.read_bytes() == tiny_path.read_bytes()
    info = only_json(call("info", small, "--json"))
    assert info["packed"]
    assert info["bytes"] < report["bytes"]
    assert info["tensor_bytes"] == report["stored_bytes"] > info["stored_bytes"]
    assert info["bits_per_weight"] < report["bits_per_weight"]


def test_number_of_tensors_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each costs time, whatever its size."""
    assert MAX_TENSORS > 4 * 1024 * 4 + 6  # of a model of most operations
    monkeypatch.setattr("intnet.model_frame.MAX_TENSORS", 3)
    with pytest.raises(ModelError, match="tensors, at most 3"):
        model_file.from_bytes(SMALL)


def test_one_large_number_among_zeros() -> None:
    """Low bits of all its row and column cost more than any single number may."""
    tensors = {"t": np.zeros((40, 64), np.int32)}
    tensors["t"][3, 60] = -(2**31)
    tensors["t"][39, 0] = 483181408
    assert same(packed.unpack(packing.pack(tensors), entries(tensors)), tensors)
