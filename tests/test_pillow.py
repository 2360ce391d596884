"""The Pillow plugin: `.inic` as any other format, and errors as Pillow's users catch them."""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, UnidentifiedImageError

import intnet
import intnet.pillow as plugin
from intnet import container

X = np.random.default_rng(5).integers(0, 256, (40, 70, 4), np.uint8)
IMAGE = Image.fromarray(X[..., :3])
ORIENTATION, DESCRIPTION = 0x0112, 0x010E


def saved(image: Image.Image = IMAGE, **options: object) -> io.BytesIO:
    buffer = io.BytesIO()
    image.save(buffer, "INIC", **options)
    return buffer


def exif_of(tags: dict[int, object]) -> Image.Exif:
    exif = Image.Exif()
    exif.update(tags)
    return exif


SMALL = saved(quality=9).getvalue()  # version 1.1
TILED = saved(
    Image.fromarray(np.tile(X[..., :3], (4, 2, 1))), tile=64, icc_profile=b"icc"
).getvalue()


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 63))
@settings(max_examples=8)
def test_saved_and_opened(mode, width, height, quality):
    """A file of its suffix has the stream and the samples of the Python API."""
    image = Image.fromarray(X).convert(mode).resize((width, height))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.inic"
        image.save(path, quality=quality)
        assert path.read_bytes() == intnet.encode(image, quality)
        with Image.open(path) as opened:
            assert (opened.format, opened.mode, opened.size) == ("INIC", mode, image.size)
            assert opened.get_format_mimetype() == "image/x-inic"
            assert np.array_equal(np.asarray(opened), intnet.decode(path.read_bytes()))
            assert opened.fp is None  # closed when its samples are there


def test_info():
    header = intnet.read_header(TILED)
    with Image.open(io.BytesIO(TILED)) as opened:
        assert opened.info == {
            "icc_profile": b"icc", "quality": 32, "model_id": header.model_id.hex()
        }  # fmt: skip
    with Image.open(io.BytesIO(SMALL)) as opened:
        assert opened.info == {"quality": 9, "model_id": header.model_id.hex()}


@pytest.mark.parametrize("stream", [SMALL, TILED], ids=["1.1", "1.2"])
def test_opening_decodes_nothing(stream):
    """Garbage in a payload is found by loading, each time, and by verify; not by opening."""
    at = container.unpack_head(stream)[1][3].begin if stream is TILED else len(stream) // 2
    bad = bytearray(stream)
    bad[at] ^= 1
    opened = Image.open(io.BytesIO(bad))
    for _ in range(2):
        with pytest.raises(OSError, match=r"checksum \w{8}, must be \w{8}"):
            opened.load()
    with pytest.raises(OSError, match=r"checksum"):
        Image.open(io.BytesIO(bad)).verify()
    Image.open(io.BytesIO(stream)).verify()


def test_opening_reads_the_head_alone():
    class Counting(io.BytesIO):
        bytes_read = 0

        def read(self, size=-1):
            data = super().read(size)
            self.bytes_read += len(data)
            return data

    file = Counting(TILED)
    Image.open(file, formats=["INIC"])  # plugins that others brought would read, too
    head = container.unpack_head(TILED)[1][0].begin
    assert file.bytes_read <= head + 100 < len(TILED) / 4


def test_opening_needs_no_kernels():
    code = (
        "import io, sys, intnet.pillow; from PIL import Image;"
        "Image.open(io.BytesIO(sys.stdin.buffer.read())); assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], input=TILED, check=True)


@given(st.data())
@settings(max_examples=150)
def test_damage_is_an_os_error(data):
    """Any byte changed, or the end cut off."""
    stream = data.draw(st.sampled_from([SMALL, TILED]))
    at = data.draw(st.integers(0, len(stream) - 1) | st.integers(0, 60))
    bad = bytearray(stream)
    bad[at] ^= data.draw(st.integers(1, 255))
    bad = data.draw(st.sampled_from([bytes(bad), stream[:at]]))
    with pytest.raises(OSError):  # noqa: PT011  # messages are those of the container
        Image.open(io.BytesIO(bad)).load()


def test_other_files_are_not_ours():
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(b"\x89IN\n\x1a" + SMALL[6:]))  # through a text-mode transfer


def test_a_stream_of_another_model(tiny_path):
    """A model may be given to save; Pillow has no way to give one to open."""
    buffer = saved(model=tiny_path)
    assert buffer.getvalue() == intnet.encode(IMAGE, model=tiny_path)
    with pytest.raises(OSError, match=r"made with model .*at hand: .*photo"):
        Image.open(buffer).load()


def test_limits(monkeypatch):
    """Pillow's and ours, whichever is lower; of pixels when it is opened, of memory when loaded."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(SMALL))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    monkeypatch.setattr(plugin, "LIMITS", intnet.Limits(memory=1000))
    opened = Image.open(io.BytesIO(SMALL))
    with pytest.raises(OSError, match="MiB"):
        opened.load()
    for stream in (SMALL, TILED):
        monkeypatch.setattr(plugin, "LIMITS", intnet.Limits(pixels=1000))
        with pytest.raises(OSError, match="pixels, limit 1000"):
            Image.open(io.BytesIO(stream))
        monkeypatch.setattr(plugin, "LIMITS", intnet.Limits(pixels_per_byte=0))
        with pytest.raises(OSError, match="limit 0 pixels a byte"):
            Image.open(io.BytesIO(stream))


def test_pixels_per_byte_are_of_the_whole_stream():
    """Not of the part that opening reads, which would refuse every large picture."""
    x = np.zeros((1024, 1024), np.uint8)
    stream = intnet.encode(x, tile=1024, icc=b"e")
    tight = intnet.Limits(pixels_per_byte=x.size // len(stream) + 1)
    assert container.read_head(io.BytesIO(stream), tight).width == 1024


def test_icc_and_exif_of_an_image_go_with_it():
    """Through info, as they were opened; options replace them, None and nothing take them away."""
    exif = exif_of({DESCRIPTION: "a sea"})
    first = Image.open(saved(icc_profile=b"one", exif=exif))
    again = Image.open(saved(first))
    assert again.info["icc_profile"] == b"one"
    assert dict(again.getexif()) == dict(exif)
    other = exif_of({DESCRIPTION: "a lake"}).tobytes()
    replaced = Image.open(saved(first, icc_profile=b"two", exif=other))
    assert replaced.info["icc_profile"] == b"two"
    assert dict(replaced.getexif()) == {DESCRIPTION: "a lake"}
    for nothing in (None, b""):
        bare = Image.open(saved(first, icc_profile=nothing, exif=nothing))
        assert not {"icc_profile", "exif"} & bare.info.keys()
    assert first.info["icc_profile"] == b"one"  # the image stays as it was
    png = io.BytesIO()
    first.save(png, "PNG", exif=first.info["exif"])  # to another plugin, as its users pass it
    assert dict(Image.open(png).getexif()) == dict(exif)


@pytest.mark.parametrize("where", ["option", "info"])
def test_samples_stand_upright(where):
    """The orientation that is saved with them is applied, as the format has none."""
    exif, image = exif_of({ORIENTATION: 6, DESCRIPTION: "a sea"}), IMAGE.copy()
    image.info["exif"] = (exif_of({ORIENTATION: 3}) if where == "option" else exif).tobytes()
    opened = Image.open(saved(image, **({"exif": exif} if where == "option" else {})))
    assert (opened.size, image.size) == ((40, 70), (70, 40))
    assert dict(opened.getexif()) == {DESCRIPTION: "a sea"}
    upright = IMAGE.transpose(Image.Transpose.ROTATE_270)
    assert np.array_equal(np.asarray(opened), intnet.decode(intnet.encode(upright)))


@pytest.mark.parametrize("options", [
    {"quality": 3}, {"target_bpp": 2.0}, {"max_bytes": 900}, {"verify": True}, {"tile": 64},
    {"model": "photo"}, {"progressive": True},
])  # fmt: skip
def test_options(options):
    """Those of `intnet.encode`; others are passed over, as Pillow's plugins do."""
    known = {name: value for name, value in options.items() if name != "progressive"}
    assert saved(**options).getvalue() == intnet.encode(IMAGE, **known)


@pytest.mark.parametrize("image, options, error, message", [
    (IMAGE.convert("CMYK"), {}, OSError, "mode CMYK"),
    (Image.new("I;16", (8, 8)), {}, OSError, "more than 8 bits"),
    (IMAGE, {"quality": 64}, ValueError, r"quality: 64, must be in 0\.\.63"),
    (IMAGE, {"quality": 1, "max_bytes": 9}, ValueError, "exclude each other"),
    (IMAGE, {"model": "no such"}, OSError, "no such shipped model"),
    (IMAGE, {"save_all": True}, OSError, "image: save_all, a single picture is allowed"),
    (IMAGE, {"append_images": [IMAGE]}, OSError, "image: save_all, a single picture is allowed"),
    (IMAGE, {"exif": b"damaged"}, OSError, "damaged"),
])  # fmt: skip
def test_a_save_that_fails_leaves_nothing(tmp_path, image, options, error, message):
    with pytest.raises(error, match=message):
        image.save(tmp_path / "x.inic", **options)
    assert list(tmp_path.iterdir()) == []


def test_animations_are_refused():
    """One frame of them may be saved."""
    gif = io.BytesIO()
    IMAGE.save(gif, "GIF", save_all=True, append_images=[IMAGE.rotate(90)])
    with Image.open(gif) as animation:
        for options in ({}, {"save_all": True}):
            with pytest.raises(OSError, match="a single picture is allowed"):
                saved(animation, **options)
        assert Image.open(saved(animation.copy())).size == IMAGE.size


def test_thumbnail_and_draft():
    """There is no preview to draft from: the whole picture is decoded."""
    opened = Image.open(io.BytesIO(TILED))
    assert opened.draft("RGB", (10, 10)) is None
    opened.thumbnail((20, 20))
    whole = Image.open(io.BytesIO(TILED))
    whole.load()
    whole.thumbnail((20, 20))
    assert opened.size == whole.size == (17, 20)
    assert opened.tobytes() == whole.tobytes()


def test_files_that_cannot_seek():
    """A pipe is read, and written to."""

    class Pipe:
        def __init__(self, data=b""):
            self.data, self.written = io.BytesIO(data), b""

        def read(self, size=-1):
            return self.data.read(size)

        def write(self, data):
            self.written += data

    pipe = Pipe()
    IMAGE.save(pipe, "INIC")
    assert pipe.written == intnet.encode(IMAGE)
    assert np.array_equal(np.asarray(Image.open(Pipe(pipe.written))), intnet.decode(pipe.written))
