"""Pictures in, the same pictures out on every backend."""

from __future__ import annotations

import dataclasses
import struct
import zlib

import numpy as np
import pytest

import rangecoder
from intnet import codec, container, networks, region, salvage, strips, tile_coding
from intnet.errors import IntnetError, ModelError, StreamError
from intnet.limits import NO_LIMITS, Limits
from intnet.model_file import Model
from intnet.windows import Area

BACKENDS = ("numpy", "numba")
# 1: the smallest; 15, 17: around a latent; 64: a hyper-latent; 65: one more; 1x130: a sliver
SIZES = ((1, 1), (15, 17), (17, 15), (64, 64), (65, 63), (1, 130), (130, 1))


def noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    """Seeded noise over a gradient."""
    rng = np.random.default_rng(height * 1000 + width)
    ramp = np.linspace(0, 200, width)[None, :, None]
    return (ramp + rng.integers(0, 56, (height, width, channels))).astype(np.uint8)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_backends_agree(tiny, size, channels):
    """Streams and pixels are identical on both backends, and as large as the picture."""
    x = noise(*size, channels)
    streams = [codec.encode(x, tiny, 40, b, verify=True) for b in BACKENDS]
    assert streams[0] == streams[1]
    decoded = [codec.decode(streams[0], [tiny], b).pixels for b in BACKENDS]
    np.testing.assert_array_equal(decoded[0], decoded[1])
    assert decoded[0].shape == x.shape
    assert decoded[0].dtype == np.uint8


def test_decode_equals_what_the_encoder_saw(tiny, picture):
    """The pixel CRC in the stream is that of the decoded samples; another one is refused."""
    stream = container.unpack(codec.encode(picture, tiny, 20, verify=True))
    wrong = stream.header._replace(pixel_crc=stream.header.pixel_crc ^ 1)
    with pytest.raises(StreamError, match="decoded samples have CRC"):
        codec.decode(container.pack(stream._replace(header=wrong)), [tiny])


def test_rate_rises_with_quality(tiny, picture):
    """Every quality decodes; more quality never means a much smaller stream."""
    a = codec.analyse(picture, tiny)
    sizes = [len(codec.code(a, tiny, q)) for q in range(0, 64, 9)]
    assert sizes[-1] > sizes[0]
    assert sizes == sorted(sizes)


def test_size_is_the_ideal_code_length(tiny, picture):
    """A stream is within 1 % + 48 bytes of the tables' ideal code length."""
    a = codec.analyse(picture, tiny)
    for q in (0, 31, 63):
        symbols, tables = codec.y_symbols(a, tiny, q)
        bits = rangecoder.ideal_bits(symbols.ravel(), tables.ravel(), tiny.y_tables)
        z = a.z.astype(np.int32).ravel()
        bits += rangecoder.ideal_bits(z, tile_coding.z_indexes(a.z.shape), tiny.z_tables)
        assert bits / 8 <= len(codec.code(a, tiny, q)) <= 1.01 * bits / 8 + 48


def test_wrong_model_is_named(tiny, picture):
    """A stream of another model is refused; the message has the id wanted and those at hand."""
    other = dataclasses.replace(tiny, metadata={"name": "other"})
    stream = codec.encode(picture, tiny, 5)
    with pytest.raises(ModelError) as caught:
        codec.decode(stream, [other])
    assert tiny.model_id.hex() in str(caught.value)
    assert other.model_id.hex() in str(caught.value)


@pytest.mark.parametrize("bad", [
    np.zeros((4, 4), np.uint8), np.zeros((4, 4, 5), np.uint8), np.zeros((4, 4, 3), np.uint16),
    np.zeros((0, 4, 3), np.uint8), np.zeros((4, 0, 3), np.uint8),
])  # fmt: skip
def test_bad_pixels(tiny, bad):
    """Other shapes and dtypes are a ValueError that says what is allowed."""
    with pytest.raises(ValueError, match="pixels"):
        codec.encode(bad, tiny)


@pytest.mark.parametrize("shape", [(2**24 + 1, 1, 3), (1, 2**24 + 1, 1), (2**15, 2**15 + 1, 3)])
def test_pictures_that_no_stream_can_say(tiny, shape, monkeypatch):
    """Sides above 2**24 and more than 2**30 pixels are refused before any work."""
    monkeypatch.setattr(networks, "stream_of", None)  # a TypeError where it is called
    view = np.broadcast_to(np.zeros(1, np.uint8), shape)
    with pytest.raises(
        ValueError, match=rf"{shape[1]}x{shape[0]}, must be .*(16777216|1073741824)"
    ):
        codec.encode(view, tiny)


@pytest.mark.parametrize("quality", [-1, 64])
def test_bad_quality(tiny, picture, quality):
    """Quality outside 0..63 is refused."""
    with pytest.raises(ValueError, match=r"0\.\.63"):
        codec.encode(picture, tiny, quality)


def test_any_bytes_give_pixels_or_an_error(tiny, picture):
    """Flipped bits behind a corrected checksum reach the coder: an error or a picture, no crash."""
    header, (good,) = container.unpack(codec.encode(picture, tiny, 30))
    rng = np.random.default_rng(1)
    outcomes = set()
    for _ in range(150):
        z, y = bytearray(good.z), bytearray(good.y)
        target = (z, y)[rng.integers(2)]
        target[rng.integers(len(target))] ^= 1 << int(rng.integers(8))
        try:
            bad = container.Stream(header, [container.Tile(bytes(z), bytes(y))])
            result = codec.decode(container.pack(bad), [tiny])
            outcomes.add(result.pixels.shape)
        except IntnetError as error:
            outcomes.add(type(error))
    assert outcomes <= {StreamError, picture.shape}
    assert StreamError in outcomes


def test_truncation_and_flips_are_detected(tiny, picture):
    """Every truncation and every single flipped bit of a stream is refused."""
    stream = codec.encode(picture[:16, :16], tiny, 10)
    damaged = [stream[:n] for n in range(len(stream))]
    for i in range(8 * len(stream)):
        flipped = bytearray(stream)
        flipped[i // 8] ^= 1 << i % 8
        damaged.append(bytes(flipped))
    for bad in damaged:
        with pytest.raises(IntnetError):
            codec.decode(bad, [tiny])


def test_pixel_limit(tiny, picture):
    """Limits are checked before anything is decoded."""
    with pytest.raises(StreamError, match="limit 100 "):
        codec.decode(codec.encode(picture, tiny, 0), [tiny], limits=Limits(pixels=100))


@pytest.mark.parametrize("decode", [codec.decode, region.decode, salvage.decode])
@pytest.mark.parametrize("tile", [0, 64])
def test_more_pixels_than_the_default_must_be_asked_for(tiny, picture, decode, tile):
    """2**28 by default, 2**30 for those who say so; neither allocates before it refuses."""
    stream = bytearray(codec.encode(picture, tiny, 0, tile=tile))
    stream[18:26] = struct.pack("<II", 2**14, 2**14 + 1)
    stream[-4:] = struct.pack("<I", zlib.crc32(stream[:-4]))
    area = (Area((0, 1), (0, 1)),) if decode is region.decode else ()
    with pytest.raises(StreamError, match=r"16384x16385 pixels, limit 268435456 \(see --max-pixel"):
        decode(bytes(stream), [tiny], *area)
    with pytest.raises(StreamError, match=r"checksum|tiles need"):  # what is looked at next
        decode(bytes(stream[:-1]), [tiny], *area, limits=NO_LIMITS)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize(("height", "width", "channels"), [(200, 70, 3), (129, 1, 1), (65, 131, 3)])
def test_strips_change_neither_stream_nor_pixels(
    tiny: Model, monkeypatch: pytest.MonkeyPatch, backend: str, height: int, width: int,
    channels: int,
) -> None:  # fmt: skip
    """The lowest strips, of 64 rows, give what one strip gives; grey and odd sizes included."""
    rng = np.random.default_rng(height)
    x = np.kron(rng.integers(0, 256, (-(-height // 9), -(-width // 9), channels)),
                np.ones((9, 9, 1)))[:height, :width].astype(np.uint8)  # fmt: skip
    monkeypatch.setattr(strips, "STRIP", 2**40)
    whole = codec.encode(x, tiny, 40, backend, verify=True)
    pixels = codec.decode(whole, [tiny], backend).pixels
    monkeypatch.setattr(strips, "STRIP", 1)
    assert codec.encode(x, tiny, 40, backend, verify=True) == whole
    np.testing.assert_array_equal(codec.decode(whole, [tiny], backend).pixels, pixels)
