"""Any bytes give a picture or an IntnetError, nothing else."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intnet import codec, container, model_file
from intnet.errors import IntnetError, ModelError, StreamError
from intnet.limits import Limits
from intnet.model_file import Model


@pytest.fixture(scope="module")
def whole(tiny: Model, picture: np.ndarray) -> bytes:
    """A stream that decodes, so that what follows shows the damage and nothing else."""
    stream = codec.encode(picture, tiny, 63)
    assert codec.decode(stream, [tiny], "numpy").pixels.shape == picture.shape
    return stream


def survives(data: bytes, model: Model) -> None:
    """Decode on NumPy, where a wrong index raises instead of reading whatever is there."""
    try:
        decoded = codec.decode(data, [model], "numpy", Limits(pixels=2**16))
    except IntnetError:
        return
    header = decoded.header
    assert decoded.pixels.shape == (header.height, header.width, 1 if header.grey else 3)


def resealed(body: bytes) -> bytes:
    """With a right checksum, so that damage reaches what lies behind it."""
    return body + zlib.crc32(body).to_bytes(4, "little")


@settings(max_examples=200)
@given(data=st.data())
def test_flipped_bits_are_rejected(tiny, whole, data):
    """CRC-32 finds every single flip: no picture comes out."""
    at = data.draw(st.integers(0, 8 * len(whole) - 1))
    damaged = bytearray(whole)
    damaged[at // 8] ^= 1 << at % 8
    with pytest.raises(IntnetError):
        codec.decode(bytes(damaged), [tiny], "numpy")


@settings(max_examples=200)
@given(data=st.data())
def test_changed_bytes_behind_the_checksum(tiny, whole, data):
    """A malicious stream has a right checksum."""
    body = bytearray(whole[:-4])
    for _ in range(data.draw(st.integers(1, 6))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    survives(resealed(bytes(body)), tiny)


@settings(max_examples=100)
@given(data=st.data())
def test_payloads_of_anything(tiny, data):
    """A right header before random payloads."""
    header = container.Header(
        tiny.model_id,
        data.draw(st.integers(0, 63)),
        data.draw(st.integers(1, 200)),
        data.draw(st.integers(1, 200)),
        data.draw(st.booleans()),
        data.draw(st.none() | st.integers(0, 2**32 - 1)),
    )
    z, y = data.draw(st.binary(max_size=64)), data.draw(st.binary(max_size=256))
    survives(container.pack(container.Stream(header, [container.Tile(z, y)])), tiny)


@settings(max_examples=100)
@given(body=st.binary(max_size=200), magic=st.booleans())
def test_random_bytes(tiny, body, magic):
    survives(body, tiny)
    survives(resealed((container.MAGIC if magic else b"") + body), tiny)


def test_cut_anywhere_is_rejected(tiny, whole):
    for length in range(len(whole)):
        with pytest.raises(StreamError):
            codec.decode(whole[:length], [tiny], "numpy")


def test_longer_is_rejected(tiny, whole):
    with pytest.raises(StreamError):
        codec.decode(whole + b"\0", [tiny], "numpy")


@settings(max_examples=200)
@given(data=st.data())
def test_damaged_models_are_model_errors(tiny_path, data):
    """One flipped bit anywhere in a model file."""
    damaged = bytearray(tiny_path.read_bytes())
    at = data.draw(st.integers(0, 8 * len(damaged) - 1) | st.integers(0, 8 * 20000))
    damaged[at // 8] ^= 1 << at % 8
    with pytest.raises(ModelError):
        model_file.from_bytes(bytes(damaged))


@settings(max_examples=50)
@given(data=st.binary(max_size=300))
def test_random_models_are_model_errors(data):
    with pytest.raises(ModelError):
        model_file.from_bytes(data)
