"""Alpha is kept as it is; chunks are read, refused or passed over, never guessed."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from test_tiles import blocks

from intnet import alpha, chunks, codec, container, region, salvage
from intnet.chunks import Chunk
from intnet.errors import StreamError
from intnet.model_file import Model
from intnet.windows import Area

TYPES = st.sampled_from([b"note", b"zzzz", b"abCD"])


@given(st.lists(st.builds(Chunk, TYPES, st.binary(max_size=50))).map(tuple))
def test_round_trip(found: chunks.Chunks) -> None:
    """Types that nobody knows may occur twice."""
    assert chunks.unpack(chunks.pack(found)) == found


@given(st.binary(max_size=60))
def test_any_bytes(data: bytes) -> None:
    """Chunks, or a StreamError."""
    try:
        assert chunks.pack(chunks.unpack(data)) == data
    except StreamError:
        return


@given(arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20))))
def test_alpha_is_lossless(x: alpha.Alpha) -> None:
    np.testing.assert_array_equal(alpha.decode(alpha.encode(x), *x.shape), x)


@given(st.binary(max_size=60))
def test_any_bytes_of_alpha(data: bytes) -> None:
    """Alpha, or a StreamError."""
    for tried in (data, zlib.compress(data)):
        try:
            assert alpha.decode(tried, 3, 4).shape == (3, 4)
        except StreamError:
            continue


def test_no_more_is_inflated_than_there_are_samples() -> None:
    """A bomb of 1 GiB is refused at once."""
    bomb = zlib.compressobj(9)
    data = b"".join(bomb.compress(bytes(2**24)) for _ in range(64)) + bomb.flush()
    with pytest.raises(StreamError, match="more than 4 samples, must be 4"):
        alpha.decode(data, 2, 2)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("tile", [0, 64])
def test_pictures_with_alpha(tiny: Model, backend: str, channels: int, tile: int) -> None:
    """Alpha comes back exactly; colours are those of the picture without it."""
    x = blocks(100, 130, channels)
    icc = Chunk(chunks.ICC, b"profile")
    stream = codec.encode(x, tiny, 30, backend, tile=tile, verify=True, ancillary=(icc,))
    plain = codec.decode(codec.encode(x[..., :-1], tiny, 30, backend), [tiny], backend).pixels
    pixels, header = codec.decode(stream, [tiny], backend)
    np.testing.assert_array_equal(pixels[..., -1], x[..., -1])
    np.testing.assert_array_equal(pixels[..., :-1], plain)
    assert (header.minor, header.channels) == (2, channels)
    assert chunks.of_type(header.chunks, chunks.ICC) == b"profile"
    area = Area((30, 90), (60, 110))
    part = region.decode(stream, [tiny], area, backend)
    np.testing.assert_array_equal(part.pixels, pixels[area.slices])


@pytest.mark.parametrize("kind", [chunks.ICC, chunks.EXIF])
def test_profile_and_exif_have_a_limit(tiny: Model, kind: bytes) -> None:
    """4 MiB each, for encoder and decoder; other chunks have none."""
    most, x = bytes(2**22), blocks(5, 5, 3)
    stream = codec.encode(x, tiny, 0, ancillary=(Chunk(kind, most), Chunk(b"note", most + b"x")))
    assert chunks.sizes(codec.decode(stream, [tiny]).header.chunks)[kind.decode()] == 2**22
    name = kind.decode()
    with pytest.raises(ValueError, match=f"ancillary: {name} of 4194305 bytes, at most 4194304"):
        codec.encode(x, tiny, 0, ancillary=(Chunk(kind, most + b"x"),))
    with pytest.raises(StreamError, match=f"chunk {name}: 4194305 bytes, at most 4194304"):
        chunks.unpack(chunks.pack((Chunk(kind, most + b"x"),)))


def test_slivers_have_a_side(tiny: Model) -> None:
    """With chunks a picture of one tile says its side, which has 16 bits."""
    x = blocks(1, 130, 4)
    header = container.unpack(codec.encode(x, tiny, 0, tile=0)).header
    assert (header.tile, header.grid.tiles) == (3, 1)


def test_salvage_without_chunks(tiny: Model) -> None:
    """Damaged alpha is lost alone, and so is a cut at its end."""
    stream = codec.encode(blocks(70, 70, 4), tiny, 30)
    whole = codec.decode(stream, [tiny]).pixels
    for bad in (stream[:-1], stream[:-1] + bytes([stream[-1] ^ 1])):
        with pytest.raises(StreamError):
            codec.decode(bad, [tiny])
        found = salvage.decode(bad, [tiny])
        assert found.lost == {}
        assert "ALPH" in found.chunks_lost
        np.testing.assert_array_equal(found.pixels, whole[..., :3])


@pytest.mark.parametrize("wrong, said", [
    ((Chunk(b"notes", b""),), "type b'notes', must be four letters"),
    ((Chunk(b"not3", b""),), "must be four letters"),
    ((Chunk(b"NOTE", b""),), "the first a small one"),
    ((Chunk(b"ALPH", zlib.compress(bytes(25))),), "the first a small one"),
    ((Chunk(b"exif", b""), Chunk(b"exif", b"")), "exif occurs twice"),
])  # fmt: skip
def test_an_encoder_writes_nothing_that_decoders_refuse(
    tiny: Model, wrong: chunks.Chunks, said: str
) -> None:
    with pytest.raises(ValueError, match=f"ancillary: .*{said}"):
        codec.encode(blocks(5, 5, 3), tiny, 0, ancillary=wrong)
