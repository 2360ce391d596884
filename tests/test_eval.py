"""`intnet eval`: curves are means of real files, BD-rates are what they are by hand."""

import csv
import doctest
import io
import json
import math

import numpy as np
import pytest
from cli_parts import call as run
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import intnet
from intnet import pictures, selftest
from intnet.bench import peers
from intnet.distortion import ms_ssim, psnr
from intnet.look import plot, rate_distortion
from intnet.look.rate_distortion import Mean

SAMPLE = pictures.read(selftest.sample_path())[100:300, 150:390]
NAMES = ("a.png", "b.png")


def call(*arguments, code=0):
    return run("eval", *arguments, code=code)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two pictures and a text."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    for name, x in zip(NAMES, (SAMPLE, SAMPLE[:, ::-1, :1]), strict=True):
        pictures.write(tmp_path / "in" / name, np.ascontiguousarray(x))
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    return tmp_path


def test_numbers_are_those_of_real_files(folder):
    line = "in --codecs jpeg,intnet --qualities 30,10 --peer-qualities 40 --json -o p.csv -o x.json"
    document = json.loads(call(*line.split()).stdout)
    assert document == json.loads((folder / "x.json").read_text())
    rows = list(csv.DictReader((folder / "p.csv").open()))
    assert len(rows) == len(document["points"]) == 2 * 3
    assert [row["picture"] for row in rows[:3]] == ["in/a.png"] * 3
    expected = []
    for x in (SAMPLE, SAMPLE[:, ::-1, 0]):
        for quality in (10, 30):
            stream = intnet.encode(np.ascontiguousarray(x), quality)
            y = intnet.decode(stream)
            similar = ms_ssim(np.atleast_3d(x), np.atleast_3d(y))
            expected.append((len(stream), psnr(x, y), similar))
        file = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(x)).save(
            file, "JPEG", quality=40, subsampling="4:2:0", optimize=True
        )
        expected.append((file.tell(), psnr(x, np.asarray(Image.open(file))), None))
    for point, (size, db, similar) in zip(document["points"], expected, strict=True):
        assert (point["bytes"], point["psnr"]) == (size, pytest.approx(db))
        assert point["bpp"] == pytest.approx(8 * size / (200 * 240))
        assert similar is None or point["ms_ssim"] == pytest.approx(similar)
    means = document["curves"]["intnet"]
    assert means[0]["psnr"] == pytest.approx((expected[0][1] + expected[3][1]) / 2)
    assert means[1]["bpp"] > means[0]["bpp"]


def test_another_model_beside(folder, tiny_path):
    """Measured as by itself; the BD-rate is of the first against it."""
    line = f"in --codecs intnet --qualities 10,50 --json --against {tiny_path}"
    both = json.loads(call(*line.split()).stdout)
    (gain,) = both["bd_rate"]
    other = f"intnet {tiny_path}"
    assert list(both["curves"]) == ["intnet", other]
    assert gain["against"] == other
    for name, options in ("intnet", []), (other, ["--model", str(tiny_path)]):
        line = "in --codecs intnet --qualities 10,50 --json"
        alone = json.loads(call(*line.split(), *options).stdout)
        assert alone["curves"]["intnet"] == both["curves"][name]
    assert both["curves"]["intnet"] != both["curves"][other]


def test_published_curves(folder):
    curves = {
        "twice": [{"bpp": 0.2, "psnr": 20.0}, {"bpp": 9.0, "psnr": 60}],
        "far": [{"bpp": 0.2, "psnr": 2.0, "ms_ssim": 0.5}, {"bpp": 9.0, "psnr": 3.0}],
        "_source": "somewhere",
    }
    (folder / "c.json").write_text(json.dumps(curves))
    line = "in --codecs intnet --qualities 10,50 --published c.json --json"
    gains = json.loads(call(*line.split()).stdout)["bd_rate"]
    assert [gain["against"] for gain in gains] == ["twice", "far"]
    assert gains[0]["bd_rate_psnr"] is not None
    assert gains[0]["bd_rate_ms_ssim"] is gains[1]["bd_rate_psnr"] is None
    one = json.loads(call(*line.split(), "--curves", "far").stdout)["bd_rate"]
    assert one == gains[1:]
    assert "which has twice, far" in call(*line.split(), "--curves", "near", code=2).stderr
    for wrong in ("[]", "{", '{"a": [{"bpp": 1}]}', '{"a": 3}'):
        (folder / "c.json").write_text(wrong)
        assert "c.json: no curves" in call(*line.split(), code=1).stderr


def test_a_picture_that_fails_is_listed_and_counts_for_no_codec(folder):
    (folder / "in" / "c.png").write_bytes(b"damaged")
    pictures.write("in/d.png", np.zeros((30, 30, 4), np.uint8))
    line = "in --codecs intnet,jpeg --qualities 10 --peer-qualities 40 --json --jobs 1"
    done = call(*line.split(), code=1)
    document = json.loads(done.stdout)
    assert {point["picture"] for point in document["points"]} == {"in/a.png", "in/b.png"}
    assert [text.partition(":")[0] for text in document["failed"]] == ["in/c.png", "in/d.png"]
    for path in ("a", "b"):
        (folder / "in" / f"{path}.png").unlink()
    assert "none of 2 pictures" in call(*line.split(), code=1).stderr


@pytest.mark.parametrize(
    "line, code, because",
    [("none", 1, "none: no such file"), ("empty", 1, "empty: no pictures"),
     ("in -o a.txt", 2, "suffix must be"), ("in --qualities 64", 2, "0..63"),
     ("in --qualities ten", 2, "0..63"), ("in --codecs gif", 2, "'gif'"),
     ("in --curves bpg", 2, "needs --published"), ("in -o no/where.csv", 1, "no")],
)  # fmt: skip
def test_misuse(folder, line, code, because):
    (folder / "empty").mkdir()
    assert because in call(*line.split(), code=code).stderr


def test_a_plot_is_drawn(folder):
    line = "in --codecs intnet,jpeg --qualities 5,50 --peer-qualities 20,60 -o c.png"
    call(*line.split())
    x = np.asarray(Image.open("c.png").convert("RGB"))
    colours = {tuple(c) for c in x.reshape(-1, 3)}
    assert {(31, 119, 180), (255, 127, 14)} <= colours  # a line for each codec


def test_a_plot_needs_matplotlib(folder, monkeypatch):
    def need(module):
        raise peers.NotInstalledError("not installed")

    monkeypatch.setattr(peers, "need", need)
    assert "matplotlib is not installed" in call("in", "-o", "c.png", code=1).stderr
    assert not (folder / "c.png").exists()


@given(st.floats(0.2, 5), st.lists(st.tuples(st.floats(0.05, 2), st.floats(20, 45)), min_size=2))
def test_bd_rate_of_a_scaled_curve(factor, points):
    points = sorted({round(db, 1): rate for rate, db in points}.items())
    curve = [(rate, db) for db, rate in points]
    scaled = [(rate * factor, db) for rate, db in curve]
    found = rate_distortion.bd_rate(curve, scaled)
    assert (found is None) == (len(curve) < 2)
    assert found is None or found == pytest.approx(100 * (factor - 1), abs=1e-6)


def test_curves_without_similarity_are_drawn_by_psnr_alone():
    curve = [Mean(0.1, 20.0, None), Mean(0.2, 22.0, None)]
    assert plot.png({"a": curve}, {"b": curve}).startswith(b"\x89PNG")
    assert math.isclose(rate_distortion.decibels(1.0), 120.0)


def test_examples():
    assert doctest.testmod(rate_distortion).attempted > 1
    assert doctest.testmod(rate_distortion).failed == 0
