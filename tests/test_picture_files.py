"""Pictures in and out: what is kept is exact, what cannot be kept is refused by name."""

from __future__ import annotations

import io
import os
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from intnet import chunks, files, pictures, pillow_limit
from intnet.container import MAX_PIXELS
from intnet.errors import PictureError

pytestmark = pytest.mark.filterwarnings(r"ignore::UserWarning:PIL\.")
RGB = np.random.default_rng(0).integers(0, 256, (13, 17, 3), dtype=np.uint8)
GREY = RGB[..., :1]


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    crc = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


def png(width: int, height: int, depth: int, samples: bytes) -> bytes:
    """A PNG of RGB samples that Pillow could not have written."""
    header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(samples)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


IMAGE = Image.fromarray(RGB)
WHOLE = {
    kind: encoded(IMAGE, kind, **options)
    for kind, options in (
        ("PNG", {}), ("JPEG", {}), ("WEBP", {"lossless": True}), ("TIFF", {}), ("PPM", {}),
    )
}  # fmt: skip


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "PPM"])
def test_lossless_rgb_is_exact(kind):
    np.testing.assert_array_equal(pictures.from_bytes(WHOLE[kind]), RGB)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_lossless_grey_has_one_channel(kind):
    data = encoded(Image.fromarray(GREY[..., 0]), kind)
    np.testing.assert_array_equal(pictures.from_bytes(data), GREY)


def test_jpeg_has_its_size():
    assert pictures.from_bytes(WHOLE["JPEG"]).shape == RGB.shape


def test_one_bit_and_palette_are_converted():
    bits = Image.fromarray(GREY[..., 0] > 128)
    got = pictures.from_bytes(encoded(bits, "PNG"))
    np.testing.assert_array_equal(got, 255 * (GREY > 128).astype(np.uint8))
    coloured = IMAGE.convert("P")
    want = np.array(coloured.convert("RGB"))
    np.testing.assert_array_equal(pictures.from_bytes(encoded(coloured, "PNG")), want)
    greys = Image.fromarray(GREY[..., 0]).convert("P")
    np.testing.assert_array_equal(pictures.from_bytes(encoded(greys, "PNG")), GREY)


@pytest.mark.parametrize("mode, channels", [("RGBA", 4), ("LA", 2)])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_alpha_is_exact(mode, channels, kind):
    """In, and out as PNG; other formats are refused."""
    if (mode, kind) == ("LA", "WEBP"):
        pytest.skip("WebP has no grey")
    alpha = Image.fromarray((GREY[..., 0].astype(int) * 7 % 256).astype(np.uint8))
    image = IMAGE.convert(mode)
    image.putalpha(alpha)
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    got = pictures.from_bytes(encoded(image, kind, **options))
    np.testing.assert_array_equal(got, np.array(image))
    assert got.shape[2] == channels
    again = pictures.from_bytes(pictures.to_png(pictures.Picture(got), "x.png"))
    np.testing.assert_array_equal(again, got)
    with pytest.raises(PictureError, match=r"x\.ppm: the picture has alpha"):
        pictures.write("x.ppm", got)


@pytest.mark.parametrize("mode, options, channels", [
    ("P", {"transparency": 0}, 4), ("RGB", {"transparency": (0, 0, 0)}, 4),
    ("L", {"transparency": 7}, 2),
])  # fmt: skip
def test_transparent_colours_become_alpha(mode, options, channels):
    """As Pillow converts them."""
    data = encoded(IMAGE.convert(mode), "PNG", **options)
    with Image.open(io.BytesIO(data)) as image:
        want = np.array(image.convert("RGBA" if channels == 4 else "LA"))
    np.testing.assert_array_equal(pictures.from_bytes(data), want)


def test_profile_and_exif():
    """Both come in, and go out as PNG; the orientation has been applied and is gone."""
    exif = Image.Exif()
    exif[0x112], exif[0x10F] = 6, "camera"
    data = encoded(IMAGE, "PNG", exif=exif, icc_profile=b"profile" * 9)
    got = pictures.parse(data)
    assert got.icc == b"profile" * 9
    kept = Image.Exif()
    kept.load(got.exif)
    assert dict(kept) == {0x10F: "camera"}
    again = pictures.parse(pictures.to_png(got, "x.png"))
    assert (again.icc, again.exif) == (got.icc, got.exif)
    assert pictures.parse(encoded(IMAGE, "PNG"))[1:] == (b"", b"")


TURNS = [(1, RGB), (3, RGB[::-1, ::-1]), (6, np.rot90(RGB, -1))]


@pytest.mark.parametrize("orientation, turned", TURNS)
def test_exif_orientation_is_applied(orientation, turned):
    exif = Image.Exif()
    exif[0x112] = orientation
    data = encoded(IMAGE, "PNG", exif=exif)
    np.testing.assert_array_equal(pictures.from_bytes(data), turned)


def frames(kind: str) -> bytes:
    """Two pictures in a file."""
    return encoded(IMAGE, kind, save_all=True, append_images=[Image.fromarray(RGB[::-1].copy())])


def tiff_of_16_bits() -> bytes:
    """RGB, which Pillow reads as 8 bits: a TIFF of 2 x 2 with its numbers made so."""
    data = bytearray(encoded(Image.fromarray(np.zeros((2, 4, 3), np.uint8)), "TIFF"))
    (at,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, at)
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, _, _, value = struct.unpack_from("<HHII", data, entry)
        if tag == 256:
            struct.pack_into("<I", data, entry + 8, 2)
        if tag == 258:
            struct.pack_into("<3H", data, value, 16, 16, 16)
    return bytes(data)


REFUSED = {
    "mode I;16 with more than 8 bits": encoded(IMAGE.convert("I;16"), "PNG"),
    "mode I;16 with more than 8 bits per": encoded(IMAGE.convert("I;16"), "TIFF"),
    "mode RGB with more than 8 bits": png(2, 2, 16, bytes(2 * 13)),
    "mode RGB with more than 8 bits per": b"P6 2 2 65535\n" + bytes(24),
    "mode RGB with more than 8 bits per sample": tiff_of_16_bits(),
    "mode I with more than 8 bits": b"P5 2 2 65535\n" + bytes(8),
    "mode F with more than 8 bits": encoded(IMAGE.convert("F"), "TIFF"),
    "mode CMYK": encoded(IMAGE.convert("CMYK"), "JPEG"),
    "mode CMYK; allowed": encoded(IMAGE.convert("CMYK"), "TIFF"),
    "mode LAB": encoded(Image.new("LAB", (2, 2)), "TIFF"),
    "2 frames, a single picture": frames("WEBP"),
    "2 frames": frames("PNG"),
    "2 frames, a": frames("TIFF"),
    "not a picture that can be read; allowed: PNG": frames("GIF"),
    "zero-size picture": b"P6 0 5 255\n",
    r"at most 268435456 pixels \(see --max-pixels": png(20000, 20000, 8, b""),
    "at most 1073741824 pixels$": png(60000, 60000, 8, b""),
    "empty file": b"",
    "not a picture": b"hello, world",
    "not a picture that": WHOLE["PNG"][:8],
}


@pytest.mark.parametrize("cause", REFUSED)
def test_refusal_names_file_and_cause(cause):
    """Depth, frames and size are never dropped silently."""
    with pytest.raises(PictureError, match=cause) as caught:
        pictures.from_bytes(REFUSED[cause], "holiday.xyz")
    assert str(caught.value).startswith("holiday.xyz: ")


def test_more_pixels_than_the_default_must_be_asked_for():
    """Up to the limit of the format; what is asked next is whether the file is whole."""
    data = png(20000, 20000, 8, b"")
    with pytest.raises(PictureError, match="truncated"):
        pictures.parse(data, max_pixels=20000 * 20000)
    with pytest.raises(PictureError, match="20000x20000, at most 399999999 pixels"):
        pictures.parse(data, max_pixels=20000 * 20000 - 1)
    assert MAX_PIXELS >= 30000 * 30000


@pytest.mark.parametrize("kind", WHOLE)
def test_the_limit_of_pillow_is_not_ours(kind, monkeypatch):
    """Ours is higher. Theirs is one for the whole process, and stays what it was."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 13 * 17 // 2 - 1)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(WHOLE[kind]))
    assert pictures.from_bytes(WHOLE[kind]).shape == RGB.shape
    with pillow_limit.lifted():
        with ThreadPoolExecutor(4) as pool:  # one that leaves first does not bring it back
            shapes = pool.map(lambda _: pictures.from_bytes(WHOLE[kind]).shape, range(20))
        assert set(shapes) == {RGB.shape}
        assert Image.MAX_IMAGE_PIXELS is None
    assert Image.MAX_IMAGE_PIXELS == 13 * 17 // 2 - 1
    with pytest.raises(PictureError):
        pictures.from_bytes(WHOLE[kind][:40])
    assert Image.MAX_IMAGE_PIXELS == 13 * 17 // 2 - 1


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_progressive_jpeg(mode):
    """The samples that Pillow gives, as for any JPEG."""
    data = encoded(IMAGE.convert(mode), "JPEG", progressive=True)
    with Image.open(io.BytesIO(data)) as image:
        assert image.info["progressive"]
        want = np.array(image)
    np.testing.assert_array_equal(pictures.from_bytes(data), want.reshape(13, 17, -1))


def test_previews_behind_a_jpeg_are_passed_over():
    """As phones write them (MPO)."""
    data = frames("MPO")
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.n_frames) == ("MPO", 2)
        want = np.array(image)
    np.testing.assert_array_equal(pictures.from_bytes(data), want)


@pytest.mark.parametrize(
    "header", [b"P6\n17 13\n255\n", b"P6 17 13 255 ", b"P6\t\n17\r13 \n 255\r"]
)
@pytest.mark.parametrize("colours", [RGB, GREY])
def test_large_ppm_is_mapped(header, colours, tmp_path, monkeypatch):
    """Not read; a cut one is refused, as is one above the limit, and comments are Pillow's."""
    monkeypatch.setattr(pictures, "MAPPED", 0)
    kind, path = header.replace(b"6", b"5") if colours is GREY else header, tmp_path / "x"
    path.write_bytes(kind + colours.tobytes())
    with monkeypatch.context() as patch:
        patch.setattr(files, "read", lambda _: pytest.fail("read as a whole"))
        np.testing.assert_array_equal(pictures.read(path), colours)
        with pytest.raises(PictureError, match="17x13, at most 220 pixels"):
            pictures.read(path, 220)
        path.write_bytes(kind + colours.tobytes()[:-1])
        with pytest.raises(PictureError, match=r"x: truncated picture, \d+ bytes, must be \d+"):
            pictures.read(path)
    path.write_bytes(kind[:2] + b" # a comment\n" + kind[2:] + colours.tobytes())
    np.testing.assert_array_equal(pictures.read(path), colours)


def test_what_no_stream_can_hold_is_refused():
    """ICC profile and EXIF of more than 4 MiB, by name."""
    most = bytes(chunks.MAX_ANCILLARY)
    whole = pictures.ancillary(pictures.Picture(RGB, most, most), "x")
    assert [len(data) for _, data in whole] == [2**22, 2**22]
    for name, parts in (("ICC profile", (most + b"x", b"")), ("EXIF", (b"", most + b"x"))):
        with pytest.raises(PictureError, match=rf"x: {name} of 4194305 bytes, at most 4194304; --"):
            pictures.ancillary(pictures.Picture(RGB, *parts), "x")


@pytest.mark.parametrize("kind", WHOLE)
def test_cut_anywhere_is_refused(kind):
    """A truncated picture is an error, not a picture with a grey end."""
    data = WHOLE[kind]
    end = 4 if kind == "PNG" else 0  # the constant checksum of PNG's empty last chunk says nothing
    for length in range(len(data) - end):
        with pytest.raises(PictureError):
            pictures.from_bytes(data[:length])


@given(st.sampled_from(sorted(WHOLE)), st.data())
def test_damaged_bytes_raise_nothing_else(kind, data):
    damaged = bytearray(WHOLE[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        got = pictures.from_bytes(bytes(damaged))
    except PictureError:
        return
    assert got.dtype == np.uint8 and got.shape[2] in (1, 2, 3, 4)


@pytest.mark.parametrize("suffix", [".png", ".ppm", ".PNG", ".pnm"])
def test_written_rgb_reads_back(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    pictures.write(path, RGB)
    np.testing.assert_array_equal(pictures.read(path), RGB)


@pytest.mark.parametrize("suffix, magic", [(".png", b"\x89PNG"), (".pgm", b"P5"), (".pnm", b"P5")])
def test_written_grey_reads_back(tmp_path, suffix, magic):
    path = tmp_path / f"x{suffix}"
    pictures.write(path, GREY)
    assert path.read_bytes().startswith(magic)
    np.testing.assert_array_equal(pictures.read(path), GREY)


def test_ppm_holds_rgb_and_pgm_grey(tmp_path):
    pictures.write(tmp_path / "x.ppm", GREY)
    np.testing.assert_array_equal(pictures.read(tmp_path / "x.ppm"), np.repeat(GREY, 3, 2))
    with pytest.raises(PictureError, match="holds grey"):
        pictures.write(tmp_path / "x.pgm", RGB)
    with pytest.raises(PictureError, match=r"suffix '\.jpg'"):
        pictures.write(tmp_path / "x.jpg", RGB)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.ppm"]


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    """Neither half a file nor a temporary one."""
    path = tmp_path / "x.png"
    path.write_bytes(b"old")

    def fails(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(KeyboardInterrupt):
        pictures.write(path, RGB)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.png"]


def test_write_keeps_links_and_modes(tmp_path):
    real, link = tmp_path / "real.png", tmp_path / "link.png"
    real.write_bytes(b"old")
    real.chmod(0o640)
    link.symlink_to(real)
    files.write(link, b"new")
    assert link.is_symlink() and real.read_bytes() == b"new"
    assert real.stat().st_mode & 0o777 == 0o640


def test_new_files_follow_umask(tmp_path):
    old = os.umask(0o027)
    try:
        files.write(tmp_path / "x", b"new")
    finally:
        os.umask(old)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640


def test_what_a_killed_process_left_is_removed(tmp_path):
    """By the next that writes the same file; what others write now stays."""
    left, others = tmp_path / f".x.0123456789abcdef{files.SUFFIX}", tmp_path / ".y.0.tmp"
    left.touch()
    others.touch()
    with files.writing(tmp_path / "x") as first:
        assert not left.exists()
        first.write(b"first")
        files.write(tmp_path / "x", b"second")
        assert (tmp_path / "x").read_bytes() == b"second"
    assert (tmp_path / "x").read_bytes() == b"first"
    assert sorted(p.name for p in tmp_path.iterdir()) == [".y.0.tmp", "x"]


def test_a_file_taken_for_an_abandoned_one_is_made_again(tmp_path, monkeypatch):
    """A process that writes the same target may remove it before it is locked."""
    lock, taken = files.fcntl.flock, []

    def late(file, how):
        if not taken:
            taken.append(file.name)
            Path(file.name).unlink()
        lock(file, how)

    monkeypatch.setattr(files.fcntl, "flock", late)
    files.write(tmp_path / "x", b"new")
    assert taken and (tmp_path / "x").read_bytes() == b"new"


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    """As /dev/null or /dev/stdout would be: renaming over them would destroy them."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    files.write(pipe, b"through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert pipe.is_fifo()
