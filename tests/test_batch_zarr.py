"""`intnet batch` over Zarr stores: what is converted, what is copied, what is done again."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import zarr
from cli_parts import call, only_json, refused
from conftest import BIN, ROOT
from test_batch import counts, drawn, files_of

import intnet
from intnet import pictures
from intnet.batch import journal
from intnet.distortion import psnr
from intnet.zarr import IntnetCodec

pytestmark = pytest.mark.usefixtures("default_model")

SHAPE = 3, 40, 70
JOURNAL = Path(f".small.zarr{journal.NAME}")


def volume(number=0):
    return np.stack([drawn(number + z, (40, 70, 1))[..., 0] for z in range(3)])


@pytest.fixture(params=[3, 2], ids=["format 3", "format 2"])
def store(request, tmp_path, monkeypatch):
    """A group with arrays of pictures and others, consolidated; the working directory holds it."""
    monkeypatch.chdir(tmp_path)
    make(Path("scan.zarr"), request.param)
    return Path("scan.zarr")


@pytest.fixture
def third(tmp_path, monkeypatch):
    """The group in format 3."""
    monkeypatch.chdir(tmp_path)
    make(Path("scan.zarr"), 3)
    return Path("scan.zarr")


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
def make(path, zarr_format):
    group = zarr.create_group(path, zarr_format=zarr_format, attributes={"by": "us"})
    three = {"dimension_names": ("z", "y", "x")} if zarr_format == 3 else {}
    common = {"chunks": (1, 32, 64), "shape": SHAPE, "fill_value": 7, **three}
    a = group.create_array("stack/a", dtype="uint8", attributes={"unit": "um"}, **common)
    a[:2] = volume()[:2]  # the third plane is not stored
    group.create_array("deep", dtype="uint16", **common)[:] = volume()
    thick = {"chunks": (3, 40, 70), "shape": SHAPE, "dtype": "uint8"}
    group.create_array("thick", **thick)[:] = volume()
    group.create_array("rgb", shape=(40, 70, 3), chunks=(40, 64, 3), dtype="uint8")[:] = colour()
    if zarr_format == 3:
        shards = {**common, "chunks": (1, 32, 32), "shards": (2, 64, 64), "dtype": "uint8"}
        group.create_array("shards", **shards)[:] = volume(5)
    (path / "notes.txt").write_text("none of ours")
    zarr.consolidate_metadata(path)


def colour():
    return drawn(3, (40, 70, 3))


def batch(verb, source, target, *options, code=0):
    result = call("batch", verb, source, target, "-j", 1, "--json", *options, code=code)
    return only_json(result) | {"lines": result.stderr.splitlines()}


def encode(*options, code=0):
    return batch("encode", "scan.zarr", "small.zarr", *options, code=code)


def members(path):
    """Arrays by path, and attributes of all nodes."""
    group = zarr.open_group(path, mode="r")
    nodes = dict(group.members(max_depth=None))
    attributes = {name: dict(node.attrs) for name, node in nodes.items()} | {"": dict(group.attrs)}
    return {n: node for n, node in nodes.items() if isinstance(node, zarr.Array)}, attributes


def by_zarr(source, quality):
    """Samples of an array that Zarr itself writes with the codec."""
    codec = {"serializer": IntnetCodec(quality), "compressors": None, "fill_value": 7}
    shape = {"chunks": source.chunks, "shards": source.shards, "shape": source.shape}
    made = zarr.create_array(zarr.storage.MemoryStore(), dtype="uint8", **shape, **codec)
    made[:] = source[:]
    return made[:]


CODED = {"stack/a": 7, "rgb": 0, "shards": 7}  # and their fill values


def test_arrays_of_pictures_get_the_codec(store):
    """All else of them stays, and all other arrays."""
    report = encode("-q", 40)
    assert counts(report)[1:] == (0, 0) and report["passed_over"] == 1
    (old, attributes), (new, found) = members(store), members("small.zarr")
    assert attributes == found
    assert old.keys() == new.keys()
    assert set(report["arrays"]) == CODED.keys() & old.keys()
    for name, a in old.items():
        b = new[name]
        same = "shape", "dtype", "chunks", "shards", "fill_value"
        assert [getattr(a, x) for x in same] == [getattr(b, x) for x in same]
        if a.metadata.zarr_format == 3:
            assert a.metadata.dimension_names == b.metadata.dimension_names
        if name in CODED:
            assert "5befa56af0f26ece" in str(b.metadata.to_dict())
            if name != "rgb":
                assert np.array_equal(b[:], by_zarr(a, 40))
        else:
            assert np.array_equal(a[:], b[:])
            assert files_of(store / name) == files_of(Path("small.zarr") / name)
    assert np.array_equal(new["rgb"][:, :64], intnet.decode(intnet.encode(colour()[:, :64], 40)))
    assert report["others"]["deep"].startswith("dtype ") and "must be uint8" in report["lines"][0]
    assert "chunk (3, 40, 70), must be" in report["others"]["thick"]


def test_decode_is_the_inverse(store):
    """Plain arrays of what a reader of the encoded ones sees."""
    encode("-q", 40)
    report = batch("decode", "small.zarr", "plain.zarr")
    assert counts(report)[1:] == (0, 0)
    (small, attributes), (plain, found) = members("small.zarr"), members("plain.zarr")
    assert (attributes, small.keys()) == (found, plain.keys())
    assert report["others"] == dict.fromkeys(small.keys() - CODED, "not coded by intnet")
    for name in small:
        assert np.array_equal(small[name][:], plain[name][:])
        assert "intnet" not in str(plain[name].metadata.to_dict())
    shutil.rmtree("small.zarr")
    assert "coded by intnet already" in str(pairs(store))


def pairs(store):
    """Reasons of a second encoding, of what is encoded."""
    encode()
    return batch("encode", "small.zarr", "twice.zarr")["others"]


def test_an_array_alone(third):
    """It may be all of the store."""
    report = batch("encode", third / "stack" / "a", "small.zarr")
    assert report["arrays"] == ["."]
    assert np.array_equal(
        zarr.open_array("small.zarr")[:], by_zarr(zarr.open_array(third / "stack" / "a"), 32)
    )


def test_what_is_finished_is_skipped(store):
    """By content: what is damaged, missing or changed is made again, and nothing else."""
    made = counts(encode())[0]
    want = files_of(Path("small.zarr"))
    assert counts(encode()) == (0, made, 0)
    files = Path("small.zarr/stack/a").rglob("*[0-9]")
    chunks = sorted(path for path in files if path.is_file())
    chunks[0].write_bytes(b"damaged")
    chunks[1].unlink()
    assert counts(encode()) == (2, made - 2, 0)
    assert files_of(Path("small.zarr")) == want
    a = zarr.open_array(store / "stack" / "a")
    a[0, :4, :4] = 99
    assert counts(encode()) == (1, made - 1, 0)
    assert counts(encode("-q", 9)) == (made, 0, 0)
    fresh = batch("encode", store, "fresh.zarr", "-q", 9)
    assert fresh["made"] == made
    assert files_of(Path("small.zarr")) == files_of(Path("fresh.zarr"))


def test_metadata_count(third):
    """An array that says otherwise what its bytes are is coded again; attributes say nothing."""
    encode()
    array = zarr.open_array(third / "stack" / "a")
    array.attrs["unit"] = "nm"
    assert counts(encode())[0] == 0
    assert dict(zarr.open_array("small.zarr/stack/a").attrs) == {"unit": "nm"}
    array.resize((3, 38, 70))
    assert counts(encode())[0] == 8
    assert np.array_equal(zarr.open_array("small.zarr/stack/a")[:], by_zarr(array, 32))


def test_a_chunk_that_is_gone(third):
    """It would be read as what it was; so would one that became the fill value."""
    encode()
    with zarr.config.set({"array.write_empty_chunks": True}):
        zarr.open_array(third / "stack" / "a")[0] = 7
    assert (third / "stack/a/c/0/0/0").exists()
    (third / "stack/a/c/1/0/0").unlink()
    encode()
    assert not Path("small.zarr/stack/a/c/0/0/0").exists()
    got = zarr.open_array("small.zarr/stack/a")[:]
    assert (got[0] == 7).all() and (got[1, :32, :64] == 7).all() and (got[1, :32, 64:] != 7).any()
    assert counts(encode())[0] == 0
    stray = Path("small.zarr/stack/a/c/2/0/0")
    stray.parent.mkdir(parents=True, exist_ok=True)
    stray.write_bytes(b"not ours")
    assert "is in the way: SRC has no such chunk" in batch_error("scan.zarr", "small.zarr")
    encode("--overwrite")
    assert not stray.exists()


def batch_error(source, target, *options, verb="encode"):
    return call("batch", verb, source, target, "-j", 1, *options, code=1).stderr


def test_failures_are_listed(third):
    (third / "stack/a/c/0/0/0").write_bytes(b"damaged")
    report = encode(code=1)
    assert report["failed"] == 1
    assert report["failures"][0]["file"] == "stack/a/c/0/0/0"
    want = members(third)[0]["rgb"].shape
    assert members("small.zarr")[0]["rgb"].shape == want
    assert counts(encode(code=1)) == (0, report["made"], 1)


def test_what_is_in_the_way(third):
    """Another array, of the same format or not; a store and a folder of files for one another."""
    zarr.create_array("small.zarr/stack/a", shape=(9, 9), dtype="int8")
    assert "not of this batch; --overwrite" in batch_error(third, "small.zarr")
    encode("--overwrite")
    assert members("small.zarr")[0]["stack/a"].shape == SHAPE
    zarr.create_array("old.zarr/rgb", shape=(9, 9), dtype="int8", zarr_format=2)
    assert "rgb/.zarray is in the way" in batch_error(third, "old.zarr", "--overwrite")
    for target in (third, third / "below", "."):
        assert "must be apart" in batch_error(third, target, "--overwrite")
    Path("photos").mkdir()
    pictures.write(Path("photos/a.png"), drawn(1))
    assert "a Zarr store, must be a folder" in batch_error("photos", "small.zarr")
    call("batch", "encode", "photos", "streams", "-j", 1)
    assert "a folder of files, must be a Zarr store" in batch_error(third, "streams")


def test_refusals(third):
    Path("empty").mkdir()
    refused("batch", "encode", "empty", "x", because="no Zarr store, and no file with a suffix")
    refused("batch", "encode", ".", "x", because="scan.zarr: a Zarr store among files")
    refused("batch", "eval", "nowhere", "x.csv", because="nowhere: not a folder")
    for verb, option in [
        ("encode", ("--max-bytes", 9)), ("encode", ("--target-bpp", 1)), ("encode", ("--verify",)),
        ("encode", ("--tile", 64)), ("encode", ("--strip",)), ("encode", ("--backend", "numpy")),
        ("encode", ("--max-memory", 9)), ("encode", ("--max-pixels", 9)),
        ("decode", ("--model", "photo")), ("decode", ("--max-pixels-per-byte", 9)),
    ]:  # fmt: skip
        result = call("batch", verb, third, "x", *option, code=2)
        assert f"{option[0]} is not for Zarr stores" in result.stderr
    (third / "rgb" / ".zarray").write_text("{}")
    refused("batch", "encode", third, "x", because="zarr.json and .zarray, must be of one format")
    (third / "rgb" / ".zarray").unlink()
    (third / "rgb" / "zarr.json").write_text("[")
    refused("batch", "encode", third, "x", because="rgb/zarr.json: damaged metadata")


def test_only_shipped_models(third, tiny_path):
    refused("batch", "encode", third, "x", "--model", tiny_path, because="shipped models only")


def test_rows_of_eval(third):
    """A line for each chunk; a chunk at an edge is coded whole, and measured within the array."""
    report = batch("eval", third, "rates.csv", "-q", 20)
    assert set(report["others"]) == {"deep", "thick"}
    with Path("rates.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert report["files"] == 8 + 2 + 4
    assert len(rows) == 8 + 2 + 3 * 2 * 3
    whole = np.full((32, 64), 7, np.uint8)
    whole[:8, :6] = volume()[1, 32:, 64:]
    stream = intnet.encode(whole, 20)
    row = rows["stack/a/c/1/1/1"]
    assert (row["width"], row["height"], row["bytes"]) == ("6", "8", str(len(stream)))
    decoded = intnet.decode(stream)[:8, :6]
    assert float(row["psnr"]) == round(psnr(whole[:8, :6], decoded), 4)
    assert float(row["bpp"]) == round(8 * len(stream) / 48, 6)
    row = rows["shards/c/0/0/0:1.0.1"]
    piece = volume(5)[1, :32, 32:64]
    assert row["bytes"] == str(len(intnet.encode(piece.copy(), 20)))
    assert rows["rgb/c/0/0/0"]["channels"] == "3"
    assert counts(batch("eval", third, "rates.csv", "-q", 20))[:2] == (0, 14)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_client_that_is_killed(third):
    """Half-way; the same command goes on, and the end is that of an undisturbed run."""
    batch("encode", third, "serial.zarr")
    command = [BIN / "intnet", "batch", "encode", third, "small.zarr", "-j", "1"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    documents = 7
    with subprocess.Popen(
        [*map(str, command)], stderr=subprocess.DEVNULL, env=environment
    ) as client:
        while client.poll() is None and len(journal.read(JOURNAL)) < documents + 3:
            time.sleep(0.002)
        client.kill()
    finished = len(journal.read(JOURNAL)) - documents
    total = len(journal.read(Path(f".serial.zarr{journal.NAME}"))) - documents
    assert 3 <= finished < total
    assert counts(encode()) == (total - finished, finished, 0)
    assert files_of(Path("small.zarr")) == files_of(Path("serial.zarr"))
