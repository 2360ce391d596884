"""The codecs of numcodecs and Zarr: chunks are what the API makes of them, or are refused."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numcodecs import get_codec
from numcodecs.registry import register_codec as register_numcodec
from zarr.codecs import TransposeCodec
from zarr.core.chunk_grids import RegularChunkGrid
from zarr.core.dtype import UInt16
from zarr.registry import register_codec
from zarr.storage import LocalStore, MemoryStore

import intnet
from intnet import shipped
from intnet.numcodecs import Intnet, picture_shape
from intnet.zarr import IntnetCodec

register_numcodec(Intnet)  # as the entry points of an installed package do
register_codec("intnet", IntnetCodec)

CHUNK = 1, 32, 64
QUALITY = 20
FORMATS = {
    "2": {"zarr_format": 2, "compressors": Intnet(QUALITY)},
    "3": {"serializer": IntnetCodec(QUALITY), "compressors": None},
    "3, shards": {"serializer": IntnetCodec(QUALITY), "compressors": None, "shards": (2, 64, 64)},
}
ID = intnet.open_model().model_id.hex()
SHIPPED = ", ".join(
    rf"{entry.header.model_id.hex()} \({entry.name}\)" for entry in shipped.at_hand()
)


def volume() -> np.ndarray:
    """uint8 (5, 70, 90), as a microscope sees cells: soft spots in the dark, and noise."""
    rng = np.random.default_rng(8)
    z, y, x = np.mgrid[:5, :70, :90]
    light = np.full(z.shape, 8.0)
    for cz, cy, cx, radius in rng.uniform((0, 0, 0, 4), (5, 70, 90, 12), (12, 4)):
        light += 150 * np.exp(-((4 * (z - cz)) ** 2 + (y - cy) ** 2 + (x - cx) ** 2) / radius**2)
    return np.clip(rng.poisson(light), 0, 255).astype(np.uint8)


VOLUME = volume()


def array(store, how="3", *, shape=VOLUME.shape, chunks=CHUNK, dtype="uint8", **options):
    return zarr.create_array(
        store, shape=shape, chunks=chunks, dtype=dtype, **{**FORMATS[how], **options}
    )


def coded(chunk: np.ndarray) -> np.ndarray:
    return intnet.decode(intnet.encode(chunk, QUALITY))


def expected(x: np.ndarray, fill: int) -> np.ndarray:
    """What a reader sees: chunks filled up at the edges and coded, but those of `fill` alone."""
    depth, height, width = x.shape
    whole = np.full((depth, 96, 128), fill, np.uint8)
    whole[:, :height, :width] = x
    for z in range(depth):
        for rows in (slice(y, y + 32) for y in range(0, 96, 32)):
            for columns in (slice(0, 64), slice(64, 128)):
                chunk = whole[z, rows, columns]
                if (chunk != fill).any():
                    whole[z, rows, columns] = coded(chunk.copy())
    return whole[:, :height, :width]


@pytest.mark.parametrize("fill", [0, 7])
@pytest.mark.parametrize("how", FORMATS)
def test_a_volume_round_trips(tmp_path, how, fill):
    """Chunks at the edges are filled up; empty ones are not stored and read as the fill value."""
    x = VOLUME.copy()
    x[2] = fill
    array(tmp_path, how, fill_value=fill)[:] = x
    got = zarr.open_array(tmp_path, mode="r")[:]
    assert np.array_equal(got, expected(x, fill))
    assert (got[2] == fill).all()
    error = np.abs(got.astype(int) - x).mean()
    assert 0 < error < 10  # lossy, but the volume; its noise alone is some 5
    if how == "2":
        assert {path.name for path in tmp_path.iterdir() if path.name.startswith("2.")} == set()
        assert len(list(tmp_path.glob("?.?.?"))) == 4 * 3 * 2


@given(
    st.integers(1, 40), st.integers(5, 40), st.sampled_from([(), (3,), (4,)]), st.integers(0, 3),
    st.integers(0, 63), st.integers(0, 2**32),
)  # fmt: skip
@settings(max_examples=40)
def test_chunks_are_pictures(height, width, channels, leading, quality, seed):
    """(y, x), (y, x, 3 or 4), with axes of length 1 before them; samples are those of the API."""
    x = np.random.default_rng(seed).integers(0, 256, (height, width, *channels), np.uint8)
    stream = Intnet(quality).encode(x.reshape((1,) * leading + x.shape))
    assert stream == intnet.encode(x, quality)
    decoded = Intnet(quality).decode(stream)
    assert np.array_equal(decoded, intnet.decode(stream))
    out = np.zeros_like(x)
    assert Intnet(quality).decode(stream, out) is out
    assert np.array_equal(out, decoded)


@pytest.mark.parametrize("chunk, picture", [
    ((1, 1, 8, 9), (8, 9)), ((1, 8, 9, 3), (8, 9, 3)), ((1, 8, 9, 4), (8, 9, 4)),
    ((8, 4), (8, 4)), ((1, 8, 3), (1, 8, 3)), ((8, 9, 1), None), ((8, 9, 2), None),
    ((2, 1, 8, 9), None), ((9,), None), ((), None), ((1, 1, 3), (1, 1, 3)),
])  # fmt: skip
def test_the_shape_alone_says_what_a_chunk_is(chunk, picture):
    """A last axis of 3 or 4 after two others is colour."""
    if picture is None:
        with pytest.raises(ValueError, match=r"must be \(y, x\), \(y, x, 3\) or \(y, x, 4\)"):
            picture_shape(chunk, np.uint8)
    else:
        assert picture_shape(chunk, np.uint8) == picture


@pytest.mark.parametrize("how", ["2", "3"])
@pytest.mark.parametrize("shape, chunks", [
    ((50, 60), (32, 32)), ((50, 60, 3), (32, 60, 3)), ((50, 60, 4), (32, 60, 4)),
    ((2, 1, 2, 40, 50), (1, 1, 1, 40, 50)), ((2, 40, 50, 3), (1, 40, 50, 3)),
])  # fmt: skip
def test_axes(how, shape, chunks):
    """Of pictures, and of (t, c, z, y, x)."""
    x = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    a = array(MemoryStore(), how, shape=shape, chunks=chunks)
    a[:] = x
    first = tuple(slice(0, side) for side in chunks)
    picture = x[first].reshape(picture_shape(chunks, np.uint8))
    assert np.array_equal(a[first].reshape(picture.shape), coded(picture))
    assert a[:].shape == shape


@pytest.mark.parametrize("wrong, message", [
    ({"dtype": "uint16"}, "dtype uint16, must be uint8"),
    ({"dtype": "uint16", "shards": (2, 64, 64)}, "dtype uint16, must be uint8"),
    ({"dtype": "bool"}, "dtype bool, must be uint8"),
    ({"dtype": "int8"}, "dtype int8, must be uint8"),
    ({"chunks": (2, 32, 64)}, r"chunk \(2, 32, 64\), must be \(y, x\), .* axes of length 1 before"),
    ({"shape": (99,), "chunks": (9,)}, r"chunk \(9,\), must be"),
    ({"shape": (2, 2**25), "chunks": (2, 2**25)}, "on a side"),
    ({"shape": (2**15, 2**14), "chunks": (2**15, 2**14)}, "at most 268435456 pixels"),
])  # fmt: skip
def test_wrong_arrays_are_refused_when_they_are_made(wrong, message):
    """By format 3, which then stores nothing; of shards, dtypes."""
    store = MemoryStore()
    with pytest.raises(ValueError, match=message):
        array(store, **wrong)
    assert not store._store_dict


def test_validate_and_chunks_of_unlike_sizes():
    """As Zarr's interface says, though today it asks for the dtype before."""
    grid = RegularChunkGrid(chunk_shape=(8, 8))
    with pytest.raises(ValueError, match="dtype uint16, must be uint8"):
        IntnetCodec().validate(shape=(8, 8), dtype=UInt16(), chunk_grid=grid)
    with pytest.raises(TypeError, match="int, must be a RegularChunkGrid"):
        IntnetCodec().validate(shape=(8, 8), dtype=UInt16(), chunk_grid=3)
    with pytest.raises(NotImplementedError):
        IntnetCodec().compute_encoded_size(9, None)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Zarr's own tasks
@pytest.mark.parametrize("how, wrong, message", [
    ("2", {"dtype": "uint16"}, "dtype uint16, must be uint8"),
    ("2", {"chunks": (2, 32, 64)}, r"chunk \(2, 32, 64\), must be"),
    ("2", {"order": "F"}, "Fortran order, must be in C order"),
    ("3, shards", {"chunks": (2, 32, 64)}, r"chunk \(2, 32, 64\), must be"),
])  # fmt: skip
def test_wrong_chunks_are_refused_by_the_first_write(how, wrong, message):
    """Where the codec is not told before: of format 2, and within shards. Nothing is stored."""
    store = MemoryStore()
    a = array(store, how, **wrong)
    before = set(store._store_dict)
    with pytest.raises(ValueError, match=message):
        a[:1] = 9
    assert set(store._store_dict) == before


@pytest.mark.parametrize("how", FORMATS)
def test_metadata_hold_the_id(tmp_path, how):
    """And the quality; a name in JSON becomes an id."""
    options = {"serializer": {"name": "intnet", "configuration": {"model": "photo", "quality": 9}}}
    if how == "2":
        options = {"compressors": {"id": "intnet", "model": "photo", "quality": 9}}
    a = array(tmp_path, how, **options)
    text = (tmp_path / (".zarray" if how == "2" else "zarr.json")).read_text()
    assert f'"{ID}"' in text and "photo" not in text
    a[0] = VOLUME[0]
    assert np.array_equal(a[0, :32, :64], intnet.decode(intnet.encode(VOLUME[0, :32, :64], 9)))


def stored(path, how: str) -> str:
    """Name of the only chunk of an array (32, 64)."""
    array(path, how, shape=(32, 64), chunks=(32, 64))[:] = VOLUME[0, :32, :64]
    return "0.0" if how == "2" else "c/0/0"


@pytest.fixture
def two_models(tmp_path, tiny_path, monkeypatch):
    """As if a second model shipped, called tiny; its id."""
    folder = tmp_path / "models"
    folder.mkdir()
    for name, path in (("photo", shipped.path_of()), ("tiny", tiny_path)):
        shutil.copy(path, folder / f"{name}.inm")
    monkeypatch.setattr(shipped, "folder", lambda: folder)
    return intnet.open_model("tiny").model_id.hex()


@pytest.mark.parametrize("how", ["2", "3"])
def test_the_model_is_the_one_that_is_named(tmp_path, two_models, how):
    """By name or id; a stream of another one, though it is at hand, is refused."""
    chunk, x = tmp_path / stored(tmp_path, how), VOLUME[0, :32, :64]
    for model in ("tiny", two_models):
        options = {"compressors": Intnet(9, model)}
        if how == "3":
            options = {"serializer": IntnetCodec(9, model)}
        a = array(MemoryStore(), how, shape=(32, 64), chunks=(32, 64), **options)
        a[:] = x
        assert np.array_equal(a[:], intnet.decode(intnet.encode(x, 9, "tiny")))
    chunk.write_bytes(intnet.encode(x, model="tiny"))
    with pytest.raises(intnet.IntnetError, match=rf"model {two_models}; at hand: {ID} \(photo\)$"):
        zarr.open_array(tmp_path, mode="r")[:]


@pytest.mark.parametrize("how", ["2", "3"])
def test_damaged_streams(tmp_path, how):
    """Cut, a bit flipped, no stream at all."""
    chunk = tmp_path / stored(tmp_path, how)
    good = chunk.read_bytes()
    for bad in (good[:-9], good[:40] + bytes([good[40] ^ 1]) + good[41:], b"x"):
        chunk.write_bytes(bad)
        with pytest.raises(intnet.IntnetError, match="stream"):
            zarr.open_array(tmp_path, mode="r")[:]


def test_a_chunk_of_another_shape(tmp_path):
    """Of as many samples."""
    chunk = tmp_path / stored(tmp_path, "3")
    chunk.write_bytes(intnet.encode(VOLUME[0, :64, :32]))
    with pytest.raises(intnet.IntnetError, match=r"samples \(64, 32\), those of the chunk"):
        zarr.open_array(tmp_path, mode="r")[:]


@pytest.mark.parametrize("how", ["2", "3"])
def test_a_model_that_is_not_at_hand(tmp_path, how):
    """The array opens and says what it is; reading and writing name the ids."""
    stored(tmp_path, how)
    meta = tmp_path / (".zarray" if how == "2" else "zarr.json")
    meta.write_text(meta.read_text().replace(ID, "0123456789abcdef"))
    a = zarr.open_array(tmp_path)
    assert a.shape == (32, 64)
    for use in (lambda: a[:], lambda: a.__setitem__(slice(None), 3)):
        with pytest.raises(intnet.IntnetError, match=f"0123456789abcdef; at hand: {SHIPPED}"):
            use()


def test_part_of_a_chunk_is_read_and_written():
    """Writing decodes the chunk and encodes it again, which costs quality a second time."""
    a = array(MemoryStore(), shape=(32, 64), chunks=(32, 64))
    x = VOLUME[0, :32, :64]
    a[:] = x
    once = coded(x)
    assert np.array_equal(a[3:9, 5:7], once[3:9, 5:7])
    a[3:9, 5:7] = 200
    once[3:9, 5:7] = 200
    assert np.array_equal(a[:], coded(once))


def test_chunks_in_another_order():
    """A view of a transposed array, and the codec behind a transposition."""
    x = VOLUME[0, :32, :64]
    a = array(MemoryStore(), shape=(64, 32), chunks=(64, 32))
    a[:] = x.T
    assert np.array_equal(a[:], coded(np.ascontiguousarray(x.T)))
    b = array(
        MemoryStore(), shape=(64, 32), chunks=(64, 32), filters=[TransposeCodec(order=(1, 0))]
    )
    b[:] = x.T
    assert np.array_equal(b[:], coded(x).T)


def test_groups_on_disk_are_read_by_another_process(tmp_path, installed):
    """Which never imports us: entry points of the package lead there. Shards and format 2 too."""
    for number, how in enumerate(FORMATS):
        array(LocalStore(tmp_path), how, name=f"a{number}")[:] = VOLUME
    code = (
        "import hashlib, sys, zarr\n"
        "for n in range(3):\n"
        "    a = zarr.open_array(sys.argv[1] + f'/a{n}', mode='r')\n"
        "    print(hashlib.sha256(a[:].tobytes()).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], env=installed, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(set(done.stdout.split())) == 1
    assert np.array_equal(zarr.open_array(tmp_path / "a1")[:], expected(VOLUME, 0))


@pytest.mark.parametrize("arguments, error, message", [
    ({"quality": 64}, ValueError, r"quality: 64, must be in 0\.\.63"),
    ({"quality": -1}, ValueError, r"quality: -1, must be in 0\.\.63"),
    ({"quality": 9.5}, ValueError, r"quality: 9\.5, must be in"),
    ({"quality": True}, ValueError, "quality: True, must be in"),
    ({"model": "phot"}, intnet.IntnetError, "'phot': must be 16 .*one that ships: .*photo"),
    ({"model": ID.upper()}, intnet.IntnetError, "must be 16 hexadecimal digits"),
    ({"qualty": 9}, TypeError, "qualty"),
])  # fmt: skip
def test_settings(arguments, error, message):
    """Of both codecs, from code and from JSON."""
    for make in (
        lambda: Intnet(**arguments), lambda: get_codec({"id": "intnet", **arguments}),
        lambda: IntnetCodec(**arguments),
        lambda: IntnetCodec.from_dict({"name": "intnet", "configuration": arguments}),
    ):  # fmt: skip
        with pytest.raises(error, match=message):
            make()


def test_codecs_are_values():
    """Equal, printed and pickled by quality and id; JSON without configuration is the default."""
    for codec in (Intnet(3), IntnetCodec(3)):
        assert pickle.loads(pickle.dumps(codec)) == codec == type(codec)(3, ID)
        assert codec != type(codec)(4)
        assert "quality=3" in repr(codec) and ID in repr(codec)
    assert get_codec({"id": "intnet"}) == Intnet(32, "photo")
    assert IntnetCodec.from_dict({"name": "intnet"}) == IntnetCodec(32)
    assert IntnetCodec.from_dict(IntnetCodec(5).to_dict()) == IntnetCodec(5)
