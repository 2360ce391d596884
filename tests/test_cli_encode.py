"""`intnet encode`: rates, verification, limits, pictures that are none."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_parts import call, only_json, refused
from PIL import Image

from intnet import codec, container, pictures, rate_search


def test_backends_give_the_same_files(photo_folder):
    for backend in ("numpy", "numba"):
        call("encode", "photo.png", "-o", f"{backend}.inic", "--backend", backend)
        call("decode", f"{backend}.inic", "-o", f"{backend}.ppm", "--backend", backend)
    for suffix in ("inic", "ppm"):
        assert Path(f"numpy.{suffix}").read_bytes() == Path(f"numba.{suffix}").read_bytes()


def test_grey_stays_grey(photo_folder, picture):
    pictures.write("grey.pgm", picture[..., :1])
    report = only_json(call("encode", "grey.pgm", "-o", "g.inic", "--json"))
    call("decode", "g.inic", "-o", "g.pgm")
    assert report["channels"] == 1
    assert pictures.read("g.pgm").shape == (70, 90, 1)


def test_verify_stores_the_pixel_checksum(photo_folder):
    call("encode", "photo.png", "-o", "v.inic", "--verify")
    assert only_json(call("info", "v.inic", "--json"))["pixel_crc"]
    assert only_json(call("decode", "v.inic", "-o", "v.png", "--json"))["verified"]


@pytest.mark.parametrize("verify", [False, True])
def test_max_bytes_is_the_best_that_fits(photo_folder, picture, tiny, verify):
    sizes = [len(codec.encode(picture, tiny, q, verify=verify)) for q in range(64)]
    limit = (sizes[0] + sizes[63]) // 2
    flags = ["--verify"] if verify else []
    call("encode", "photo.png", "-o", "m.inic", "--max-bytes", limit, *flags)
    got = container.unpack(Path("m.inic").read_bytes()).header.quality
    assert sizes[got] <= limit < sizes[got + 1]
    refused("encode", "photo.png", "-o", "n.inic", "--max-bytes", 40, because="max_bytes: 40")


def test_target_bpp_is_the_nearest(picture, tiny):
    sizes = [len(codec.encode(picture, tiny, q)) for q in range(64)]
    between = (sizes[20] + sizes[40]) / 2
    for wanted in (1, sizes[0], sizes[20] + 1, between, sizes[63] - 1, 10**6):
        stream = rate_search.encode_to_bpp(picture, tiny, 8 * wanted / 6300)
        assert abs(len(stream) - wanted) == min(abs(size - wanted) for size in sizes)


def test_tiles(photo_folder):
    """`--tile` divides the picture, `info` says so, and the samples stay."""
    whole = only_json(call("decode", "photo.inic", "-o", "whole.png", "--json"))
    call("encode", "photo.png", "-o", "tiles.inic", "-q", "40", "--tile", "64")
    info = only_json(call("info", "tiles.inic", "--json"))
    rows, columns = (-(-whole[side] // 64) for side in ("height", "width"))
    assert rows * columns > 1
    assert info["tiles"] == {"rows": rows, "columns": columns, "side": 64}
    assert f"tiles         {rows} x {columns} of 64 pixels" in call("info", "tiles.inic").stdout
    assert "tiles         one" in call("info", "photo.inic").stdout
    call("decode", "tiles.inic", "-o", "tiles.png")
    assert Path("tiles.png").read_bytes() == Path("whole.png").read_bytes()
    wrong = call("encode", "photo.png", "-o", "x.inic", "--tile", "65", code=2)
    assert "--tile 65: must be a multiple of 64" in wrong.stderr


def test_alpha_profile_and_exif(photo_folder):
    """They come through; --strip leaves out what is no sample."""
    exif = Image.Exif()
    exif[0x10F] = "camera"
    with Image.open("photo.png") as photo:
        photo.putalpha(photo.convert("L"))
        photo.save("alpha.png", icc_profile=b"profile", exif=exif)
    encoded = only_json(call("encode", "alpha.png", "-o", "a.inic", "--json"))
    info = only_json(call("info", "a.inic", "--json"))
    assert info["channels"] == 4
    assert info["chunks"].keys() == {"ALPH", "iccp", "exif"}
    assert (encoded["channels"], encoded["chunks"]) == (4, info["chunks"])
    assert "iccp 7 bytes" in call("info", "a.inic").stdout
    decoded = only_json(call("decode", "a.inic", "-o", "back.png", "--json"))
    assert decoded["chunks"] == info["chunks"]
    with Image.open("alpha.png") as before, Image.open("back.png") as after:
        assert before.getchannel("A").tobytes() == after.getchannel("A").tobytes()
        assert after.info["icc_profile"] == b"profile"
        assert after.getexif()[0x10F] == "camera"
    call("encode", "alpha.png", "-o", "s.inic", "--strip", "--max-bytes", "9999")
    stripped = only_json(call("info", "s.inic", "--json"))
    assert stripped["chunks"].keys() == {"ALPH"}
    assert stripped["stream_bytes"] <= 9999


def test_a_profile_too_large_needs_strip(photo_folder, monkeypatch):
    with Image.open("photo.png") as photo:
        photo.save("large.tif", icc_profile=bytes(2**22 + 1))
    refused("encode", "large.tif", "-o", "x.inic", because="ICC profile of 4194305 bytes, at most")
    report = only_json(call("encode", "large.tif", "-o", "x.inic", "--strip", "--json"))
    assert report["chunks"] == {}


def test_max_pixels_of_encode(photo_folder):
    refused("encode", "photo.png", "-o", "x.inic", "--max-pixels", 6299, because="90x70, at most")
    call("encode", "photo.png", "-o", "x.inic", "--max-pixels", 6300)
    call("encode", "photo.png", "-o", "x.inic", "--max-pixels", 2**30 + 1, code=2)


NOT_PICTURES = {
    "not a picture": b"hello",
    "empty file": b"",
    "zero-size picture": b"P6 0 5 255\n",
    "truncated": None,
}


@pytest.mark.parametrize("cause", NOT_PICTURES)
def test_bad_pictures(photo_folder, cause):
    whole = Path("photo.png").read_bytes()
    Path("bad.png").write_bytes(whole[:-30] if cause == "truncated" else NOT_PICTURES[cause])
    line = refused("encode", "bad.png", "-o", "x.inic", because=cause)
    assert "bad.png" in line
    refused("encode", "-", "-o", "-", because="stdin", stdin=NOT_PICTURES[cause] or whole[:-30])


def test_unwritable_output_is_refused_before_the_work(photo_folder, monkeypatch):
    monkeypatch.setattr(codec, "encode", lambda *_, **__: pytest.fail("worked in vain"))
    refused("encode", "photo.png", "-o", "no/such/x.inic", because="no/such")
