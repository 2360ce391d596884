"""The Python API: arrays and images in, bytes out, and back."""

import doctest
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import intnet
from intnet import api, chunks, codec

X = np.random.default_rng(3).integers(0, 256, (40, 70, 4), np.uint8)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_samples_are_those_of_the_codec(channels):
    x = X[..., :channels]
    stream = intnet.encode(x, 20)
    model = intnet.open_model()
    assert stream == codec.encode(x, model, 20)
    pixels = intnet.decode(stream)
    expected = codec.decode(stream, [model]).pixels
    assert np.array_equal(pixels, expected[..., 0] if channels == 1 else expected)
    assert intnet.read_header(stream).channels == channels


def test_grey_may_lack_its_channel():
    assert intnet.encode(X[..., 0]) == intnet.encode(X[..., :1])
    assert intnet.decode(intnet.encode(X[..., 0])).shape == (40, 70)


def test_images_bring_icc_and_exif_and_stand_upright():
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a sea"  # orientation: turn by a quarter; description
    buffer = io.BytesIO()
    Image.fromarray(X[..., :3]).save(buffer, "JPEG", exif=exif, icc_profile=b"a profile")
    image = Image.open(io.BytesIO(buffer.getvalue()))
    header = intnet.read_header(intnet.encode(image))
    assert (header.width, header.height) == (40, 70)
    assert image.size == (70, 40)  # its caller's image stays as it was
    kept = Image.Exif()
    kept.load(chunks.of_type(header.chunks, chunks.EXIF))
    assert dict(kept) == {0x010E: "a sea"}
    assert chunks.of_type(header.chunks, chunks.ICC) == b"a profile"
    bare = intnet.read_header(intnet.encode(image, icc=b"", exif=b""))
    assert not bare.chunks


def test_rates_are_searched():
    assert len(intnet.encode(X[..., :3], max_bytes=2000)) <= 2000
    small, large = (len(intnet.encode(X[..., :3], target_bpp=b)) for b in (1.0, 4.0))
    assert small < large
    with pytest.raises(ValueError, match="exclude each other"):
        intnet.encode(X, 3, max_bytes=2000)

    for wrong in (0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="target_bpp: "):
            intnet.encode(X, target_bpp=wrong)


def test_exif_of_samples_turns_nothing():
    exif = Image.Exif()
    exif[0x0112] = 6
    with pytest.raises(ValueError, match="exif: orientation 6, must be 1"):
        intnet.encode(X, exif=exif.tobytes())
    with pytest.raises(ValueError, match="exif: damaged"):
        intnet.encode(X, exif=b"no EXIF at all")
    exif[0x0112] = 1
    assert intnet.read_header(intnet.encode(X, exif=exif.tobytes())).chunks[1].type == chunks.EXIF


def test_a_region_is_that_of_the_whole():
    stream = intnet.encode(X[..., :3], tile=64)
    assert np.array_equal(
        intnet.decode(stream, region=(5, 7, 20, 30)), intnet.decode(stream)[7:37, 5:25]
    )
    with pytest.raises(ValueError, match="region: columns 60 to 80"):
        intnet.decode(stream, region=(60, 0, 20, 4))


def test_a_model_is_read_again_only_where_its_file_changed(tmp_path):
    path = tmp_path / "m.inm"
    path.write_bytes(Path(api.shipped.path_of()).read_bytes())
    first = intnet.open_model(path)
    assert intnet.open_model(path) is first
    vector = Path(__file__).parents[1] / "conformance" / "vectors" / "v1" / "model" / "tiny.inm"
    path.write_bytes(vector.read_bytes())
    assert intnet.open_model(path).model_id != first.model_id
    stream = intnet.encode(X[..., :3], model=path)
    with pytest.raises(intnet.IntnetError, match=r"at hand: .*photo"):
        intnet.decode(stream)
    assert np.array_equal(intnet.decode(stream, path), intnet.decode(stream, str(path)))


@pytest.mark.parametrize(
    "wrong, message",
    [(X.astype(float), "float64"), (X[0, 0], r"\(4,\)"), ([], "must be uint8"),
     (X[:0], "0"), (Image.new("CMYK", (8, 8)), "mode CMYK"), (Image.new("I;16", (8, 8)), "I;16")],
)  # fmt: skip
def test_other_samples_are_refused(wrong, message):
    with pytest.raises((ValueError, intnet.IntnetError), match=message):
        intnet.encode(wrong)


def test_limits_hold():
    with pytest.raises(intnet.IntnetError, match="MiB"):
        intnet.encode(X, limits=intnet.Limits(memory=1000))
    with pytest.raises(intnet.IntnetError, match="pixels"):
        intnet.decode(intnet.encode(X), limits=intnet.Limits(pixels=100))


def test_buffers_are_streams():
    stream = intnet.encode(X)
    for kind in (bytearray, memoryview):
        assert np.array_equal(intnet.decode(kind(stream)), intnet.decode(stream))


def test_examples():
    assert doctest.testmod(api).attempted > 5
    assert doctest.testmod(api).failed == 0


def test_names_come_late():
    """`import intnet` brings neither NumPy nor numba; all public names are there."""
    code = (
        "import intnet, sys; assert not {'numpy', 'numba'} & set(sys.modules);"
        "assert set(intnet.__all__) <= set(dir(intnet));"
        "[getattr(intnet, name) for name in intnet.__all__]; import numpy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'encoder'"):
        _ = intnet.encoder
