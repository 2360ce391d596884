"""`intnet decode`: parts, damage, rows, streams and models that are wrong."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from cli_parts import call, only_json, refused
from PIL import Image

from intnet import codec, container, pictures
from intnet.model_file import load

ENCODE_KEYS = {"width", "height", "model", "stream_bytes", "bpp", "seconds", "quality"}


def test_encode_then_decode(photo_folder, picture, tiny):
    """The decoder gives what `codec` gives, and the report says so."""
    report = only_json(call("encode", "photo.png", "-o", "a.inic", "-q", 50, "--json"))
    stream = Path("a.inic").read_bytes()
    assert report.keys() >= ENCODE_KEYS
    assert stream == codec.encode(picture, tiny, 50)
    assert (report["width"], report["height"], report["quality"]) == (90, 70, 50)
    assert report["stream_bytes"] == len(stream)
    assert report["bpp"] == pytest.approx(8 * len(stream) / 6300, abs=1e-6)
    report = only_json(call("decode", "a.inic", "-o", "a.png", "--json"))
    decoded = pictures.read("a.png")
    assert report.keys() >= ENCODE_KEYS | {"pixel_sha256"}
    assert report["pixel_sha256"] == hashlib.sha256(decoded.tobytes()).hexdigest()
    np.testing.assert_array_equal(decoded, codec.decode(stream, [tiny]).pixels)


def test_region_and_salvage(photo_folder):
    """A part is a part of the whole; a damaged stream gives the rest, names tiles, exits with 1."""
    call("encode", "photo.png", "-o", "t.inic", "-q", "40", "--tile", "64")
    call("decode", "t.inic", "-o", "whole.png")
    report = only_json(call("decode", "t.inic", "-o", "p.png", "--region", "70,10,9,20", "--json"))
    assert report["region"] == [70, 10, 9, 20]
    with Image.open("whole.png") as whole, Image.open("p.png") as part:
        assert part.tobytes() == whole.crop((70, 10, 79, 30)).tobytes()
    data = bytearray(Path("t.inic").read_bytes())
    data[-1] ^= 1
    Path("t.inic").write_bytes(data)
    last = only_json(call("info", "photo.inic", "--json"))
    tiles = -(-last["width"] // 64) * -(-last["height"] // 64)
    assert f"tile {tiles - 1} " in call("decode", "t.inic", "-o", "x.png", code=1).stderr
    saved = call("decode", "t.inic", "-o", "s.png", "--salvage", "--json", code=1)
    assert list(only_json(saved)["lost"]) == [f"tile {tiles - 1}"]
    with Image.open("whole.png") as whole, Image.open("s.png") as part:
        assert part.crop((0, 0, 30, 30)).tobytes() == whole.crop((0, 0, 30, 30)).tobytes()
    for bad in ("1,2,3", "a,0,1,1", "-1,0,1,1"):
        assert (
            "must be X,Y,W,H"
            in call("decode", "t.inic", "-o", "x.png", f"--region={bad}", code=2).stderr
        )
    outside = call("decode", "t.inic", "-o", "x.png", "--region", "0,0,1,99999", code=1)
    assert "must be within 0 to" in outside.stderr
    assert not Path("x.png").exists()


def test_ppm_is_written_in_rows(photo_folder, picture, tiny):
    """As PNG holds it; alpha, which it cannot, is refused before the work."""
    reports = [
        only_json(call("decode", "photo.inic", "-o", name, "--json")) for name in ("x.png", "x.ppm")
    ]
    assert reports[0]["pixel_sha256"] == reports[1]["pixel_sha256"]
    np.testing.assert_array_equal(pictures.read("x.ppm"), pictures.read("x.png"))
    call("decode", "photo.inic", "-o", "part.ppm", "--region", "1,2,30,40")
    np.testing.assert_array_equal(pictures.read("part.ppm"), pictures.read("x.png")[2:42, 1:31])
    Path("alpha.inic").write_bytes(codec.encode(np.dstack([picture, picture[..., :1]]), tiny))
    refused("decode", "alpha.inic", "-o", "y.ppm", because="has alpha, which PPM cannot hold")
    header, tiles = container.unpack(Path("photo.inic").read_bytes())
    wrong = container.Stream(header._replace(pixel_crc=header.pixel_crc ^ 1), tiles)
    Path("wrong.inic").write_bytes(container.pack(wrong))
    refused("decode", "wrong.inic", "-o", "y.ppm", because="decoded samples have CRC")


def test_bad_streams(photo_folder):
    """Truncated anywhere, one bit flipped anywhere: an error line, never a picture."""
    whole = Path("photo.inic").read_bytes()
    for at in range(0, len(whole), 37):
        Path("bad.inic").write_bytes(whole[:at])
        refused("decode", "bad.inic", "-o", "x.png", because="stream")
        Path("bad.inic").write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        refused("decode", "bad.inic", "-o", "x.png", because="stream")
    Path("bad.inic").write_bytes(b"")
    refused("info", "bad.inic", because="empty file")
    refused("info", "photo.png", because="neither an intnet stream nor an intnet model")
    refused("decode", "photo.inic", "-o", "x.png", "--max-pixels", 6299, because="limit 6299")


def test_wrong_model(photo_folder, other_path, tiny):
    """The error names the wanted id and the ids at hand."""
    call("encode", "photo.png", "-o", "other.inic", "--model", other_path)
    wanted = load(other_path).model_id.hex()
    line = refused("decode", "other.inic", "-o", "x.png", because=wanted)
    assert tiny.model_id.hex() in line
    line = refused("decode", "photo.inic", "-o", "x.png", "--model", other_path, because=wanted)
    assert tiny.model_id.hex() in line
    call("decode", "other.inic", "-o", "x.png", "--model", other_path)


def test_json_reports_errors_too(photo_folder):
    result = call("decode", "gone.inic", "-o", "x.png", "--json", code=1)
    assert "gone.inic" in only_json(result)["error"]
