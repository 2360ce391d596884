"""A model file is what it says, or it does not load."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from intnet import model_file
from intnet.errors import BoundError, IntnetError, ModelError


def rewritten(model: model_file.Model, change) -> bytes:
    """A file whose document and tensors were changed and whose hash was recomputed."""
    document, tensors = model_file.content(model)
    parsed = json.loads(document)
    arrays = {name: np.array(x) for name, x in tensors.items()}
    change(parsed, arrays)
    document = json.dumps(parsed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    digest = model_file.content_hash(document, arrays)
    return save_tensors(arrays, {"intnet": document, "sha256": digest})


def test_round_trip(tiny, tmp_path):
    """Save, load: the same identity, the same bytes."""
    path = tmp_path / "tiny.inm"
    model_file.save(tiny, path)
    loaded = model_file.load(path)
    assert loaded.sha256 == tiny.sha256
    assert model_file.to_bytes(loaded) == path.read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["tiny.inm"]


def test_metadata_is_part_of_the_identity(tiny):
    """Another name is another model."""
    other = dataclasses.replace(tiny, metadata={"name": "other"})
    assert other.sha256 != tiny.sha256


def test_changed_weight_is_a_hash_error(tiny):
    """One changed weight makes load fail with a hash error."""
    data = model_file.to_bytes(tiny, plain=True)
    tensors = {k: v.copy() for k, v in load_tensors(data).items()}
    name = next(k for k in sorted(tensors) if k.endswith("/weight"))
    tensors[name].flat[0] ^= 1
    metadata = {"intnet": model_file.content(tiny)[0], "sha256": tiny.sha256}
    with pytest.raises(ModelError, match="hash"):
        model_file.from_bytes(save_tensors(tensors, metadata))


def test_overflow_is_refused(tiny):
    """A bias that could overflow is refused even under a correct hash, naming op and channel."""

    def grow(_, tensors):
        name = next(k for k in sorted(tensors) if k.endswith("/bias"))
        tensors[name][3] = 2**31 - 1

    with pytest.raises(BoundError, match=r"op '.*', channel 3: accumulator may reach"):
        model_file.from_bytes(rewritten(tiny, grow))


@pytest.mark.parametrize("change", [
    lambda d, t: d.update(format=2),
    lambda d, t: d["programs"].reverse(),
    lambda d, t: d["programs"][0]["inputs"][0].update(channels=4),
    lambda d, t: d["programs"][2]["outputs"].pop(),
    lambda d, t: d["scaling"].update(gain_shift=41),
    lambda d, t: d.pop("metadata"),
    lambda d, t: t.pop("tables/y"),
    lambda d, t: t.pop("scaling/gain"),
    lambda d, t: t["scaling/gain"].fill(0),
    lambda d, t: t.update({"scaling/gain": t["scaling/gain"].astype(np.int64)}),
    lambda d, t: t["scaling/dead_zone"].fill(2**15 + 1),
    lambda d, t: t.update({"tables/z": t["tables/z"][:-1]}),
    lambda d, t: t.update({"tables/z": t["tables/y"]}),
    lambda d, t: t.update(extra=np.zeros(1, np.uint8)),
])  # fmt: skip
def test_malformed_models(tiny, change):
    """Each single fault, under a correct hash, is a ModelError."""
    with pytest.raises(ModelError):
        model_file.from_bytes(rewritten(tiny, change))


@pytest.fixture(scope="session")
def tiny_files(tiny) -> list[bytes]:
    """Packed and plain."""
    return [model_file.to_bytes(tiny), model_file.to_bytes(tiny, plain=True)]


@settings(max_examples=150)
@given(data=st.data())
def test_any_bytes(tiny_files, data):
    """Cut, flipped and random files give ModelError, never another exception."""
    good = data.draw(st.sampled_from(tiny_files))
    kind = data.draw(st.sampled_from(("cut", "flip", "random")))
    if kind == "cut":
        bad = good[: data.draw(st.integers(0, len(good) - 1))]
    elif kind == "random":
        bad = data.draw(st.binary(max_size=200))
    else:
        position = data.draw(st.one_of(st.integers(0, 4000), st.integers(0, len(good) - 1)))
        bad = bytearray(good)
        bad[position] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(IntnetError):
        model_file.from_bytes(bytes(bad))
