"""`intnet convert --report`: what integers cost, where it comes from, and the limit on it."""

from __future__ import annotations

import argparse
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from cli_parts import call, only_json, refused
from conftest import tool
from PIL import Image

from intnet import codec, model_file
from intnet.bench import peers
from intnet.commands import common
from intnet.converting import convert_file, losses, measure, recipe, report
from intnet.distortion import psnr
from intnet.errors import IntnetError
from intnet.training.data import as_input, load_pictures
from intnet.training.train import main as train

SECTIONS = ["Rate and distortion", "Where the loss comes from", "Layers", "Tightest bounds"]
# One layer of few bits and a short range among others: that is where the loss comes from.
FEW = {"weights": 8, "activations": 8, "ranges": "percentile", "percentile": 80}
COARSE = {"*": {"weights": 8, "activations": 16}, "g_s.3": FEW}
CONVERT = ("convert", "c.safetensors", "-o", "m.inm", "--calibration", "pictures")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, picture):
    """A folder with pictures/, and a codec that learned something of them, c.safetensors."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "pictures").mkdir()
    noise = np.random.default_rng(0).integers(-30, 31, (256, 256, 1))
    for i in range(2):
        tiled = np.tile(picture, (4, 3, 1))[:256, :256] + np.roll(noise, i)
        shown = np.clip(np.roll(tiled, 7 * i, 1), 0, 255).astype(np.uint8)
        Image.fromarray(shown).save(folder / "pictures" / f"{i}.png")
    train([
        str(folder / "pictures"), "--out", str(folder / "c.safetensors"), "--architecture",
        "mean-scale", "--n", "6", "--m", "9", "--crop", "64", "--batch", "2", "--threads", "1",
        "--steps", "150", "--rate", "1e-2", "--lmbda", "0.05", "--log-every", "50",
    ])  # fmt: skip
    (folder / "coarse.json").write_text(json.dumps(COARSE), encoding="utf-8")
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch, trained):
    """The same, in a folder of the test's own."""
    shutil.copytree(trained, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture(scope="module")
def loaded(trained):
    """Float codec, what it became with a coarse layer, pictures."""
    floats = convert_file.load(trained / "c.safetensors")
    pictures = load_pictures(trained / "pictures", 64)
    chosen = recipe.load(str(trained / "coarse.json"))
    made = convert_file.converted(
        floats, pictures, chosen, convert_file.Labels("c"), common.progress
    )
    return floats, made, pictures


def test_codec_in_integers_is_the_codec(loaded):
    """What losses are measured with decodes to the picture that the codec decodes to."""
    floats, made, pictures = loaded
    (found,) = losses.costs(floats, made.emitted, as_input(pictures[0][None]), 1.0, {})
    stream = codec.encode(pictures[0], made.model, 32, "numpy")
    got = codec.decode(stream, [made.model], "numpy").pixels
    assert found.psnr == pytest.approx(psnr(pictures[0], got), abs=0.002)
    assert found.bpp == pytest.approx(8 * len(stream) / got[..., 0].size, rel=0.05)


def test_the_coarse_layer_changes_most(loaded):
    """A row per layer; a coarse one tells, what it makes and its range too, not its weights alone.

    Of a codec that learned this little, some noise may even be a gain.
    """
    floats, made, pictures = loaded
    x = as_input(np.stack(pictures))
    rows = losses.of(floats, made, x, 1.0, 0.2)
    layers = {(name, layer) for name, emitted in made.emitted.items() for layer in emitted.tensors
              if layer not in floats.graphs[name].inputs}  # fmt: skip
    assert {(row["network"], row["layer"]) for row in rows} == layers
    moved = {row["layer"]: abs(row["psnr_db"]) for row in rows if row["network"] == "synthesis"}
    coarse = moved.pop("g_s.3")
    assert coarse > 4 * max(moved.values()) > 0
    for row in rows:
        both = row["bpp_percent"] + 100 * 0.2 * row["psnr_db"]
        assert row["percent"] == pytest.approx(both, abs=1e-3)
    sure = [row["percent"] - row["error"] for row in rows]
    assert sure == pytest.approx(sorted(sure, reverse=True), abs=1e-3)


def test_chance_is_no_loss():
    """A layer that gains on one picture and loses on another comes after one that always loses."""
    whole = [losses.Cost(1.0, 30.0), losses.Cost(1.0, 30.0)]
    chance = [losses.Cost(1.0, 30.5), losses.Cost(1.0, 29.7)]
    steady = [losses.Cost(1.0, 30.05), losses.Cost(1.0, 30.05)]
    for slope, unit in ((0.2, 20), (None, 1)):
        found = losses.rows(whole, iter([("a", "b", chance), ("c", "d", steady)]), slope)
        assert [row["network"] for row in found] == ["c", "a"]
        assert found[1]["psnr_db"] == pytest.approx(0.1)
        assert found[1]["error"] == pytest.approx(0.4 * unit)
        assert found[1]["percent"] == (None if slope is None else pytest.approx(2))


@pytest.mark.usefixtures("here")
def test_page_says_what_json_says():
    """One conversion, three forms: HTML that loads nothing, Markdown, JSON on stdout."""
    pytest.importorskip("matplotlib")
    found = only_json(call(*CONVERT, "--report", "r.html", "--json"))
    assert model_file.load(Path("m.inm")).sha256 == found["model"]
    assert Path("m.inm").stat().st_size == found["file_bytes"]
    html = Path("r.html").read_text(encoding="utf-8")
    assert re.findall("<h2>(.*?)</h2>", html) == SECTIONS
    assert html.count("<svg") == 3
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!#)|url\((?!#)|@import|<script""", html)
    first = found["losses"][0]
    assert f">{first['network']} {first['layer']}<" in html  # text of a plot is text
    for page in (html, report.text(found, ".md")):
        for title in SECTIONS:
            assert title in page
        for name in ("kMAC/pixel", "BD-rate of MS-SSIM", f"{found['file_bytes']} bytes"):
            assert name in page
        assert f"{found['cost']['percent']:+.2f} %" in page
    assert json.loads(report.text(found, ".json")) == found
    for row in found["curve"]:
        assert row["integer_ms_ssim"] == pytest.approx(row["float_ms_ssim"], abs=0.01)
        assert row["integer_psnr"] == pytest.approx(row["float_psnr"], abs=1)
        assert row["integer_bpp"] == pytest.approx(row["float_bpp"], rel=0.05)
    assert found["bounds"][0]["headroom_bits"] == min(b["headroom_bits"] for b in found["bounds"])
    assert {row["network"] for row in found["layers"]} == set(found["kmac_per_pixel"])


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_limit_is_held():
    """Past it: exit code 1, a line with number and limit, a report, no model."""
    limit = ("--max-bd-rate", "-50", "--report", "r.json")
    line = call(*CONVERT, *limit, code=1).stderr.splitlines()[-1]
    cost = json.loads(Path("r.json").read_text(encoding="utf-8"))["cost"]
    assert line == (f"intnet: error: m.inm: not written: integers cost {cost['percent']:.2f} % "
                    f"({cost['measure']}), --max-bd-rate is -50 %")  # fmt: skip
    assert not Path("m.inm").exists()
    call(*CONVERT, "--max-bd-rate", "50")
    assert Path("m.inm").exists()


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("options, because", [
    (("--report", "r.pdf"), "--report r.pdf: the suffix must be one of .html, .md, .json"),
    (("--report", "no/r.md"), "folder"),
])  # fmt: skip
def test_refusals(options, because):
    refused(*CONVERT, *options, because=because)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("option", [("--report", "r.md"), ("--max-bd-rate", "1")])
def test_nothing_to_measure_with(option):
    refused(*CONVERT[:4], *option, because="need --calibration with a folder of pictures")


@pytest.mark.usefixtures("here")
def test_plots_need_matplotlib(monkeypatch):
    """Said before any work, with what does without."""

    def missing(module):
        raise peers.NotInstalledError(f"not installed: {module}")

    monkeypatch.setattr(report, "need", missing)
    refused(*CONVERT, "--report", "r.html", because="plots need matplotlib, not installed: matpl")


def row(quality, floats, integers):
    """Of a curve, from (bpp, PSNR)."""
    sides = {"float": floats, "integer": integers}
    return {"quality": quality} | {
        f"{side}_{name}": value for side, point in sides.items()
        for name, value in zip(("bpp", "psnr", "ms_ssim"), (*point, None), strict=True)
    }  # fmt: skip


def test_cost_of_one_rate():
    """The point that counts is held to the float curve: bits doubled are 6 dB there."""
    rows = [row(16, (0.5, 27), (0.5, 26)), row(32, (1, 33), (1.1, 32)), row(48, (2, 39), (2, 38))]
    found = measure.cost(rows, 32)
    assert found["percent"] == pytest.approx(100 * (1.1 * 2 ** (1 / 6) - 1))
    assert found["bpp_percent"] == pytest.approx(10)
    assert found["psnr_db"] == pytest.approx(-1)
    whole = measure.cost(rows, None)
    assert whole["percent"] == whole["bd_rate_psnr"] == found["bd_rate_psnr"]
    assert found["bd_rate_psnr"] > 100 * (2 ** (1 / 6) - 1)


def test_what_cannot_be_compared_is_not_within_a_limit():
    """Integers beyond the float curve."""
    rows = [row(16, (0.5, 27), (0.5, 20)), row(32, (1, 33), (1, 21))]
    cost = measure.cost(rows, 32)
    assert cost["percent"] is None
    with pytest.raises(IntnetError, match="share no PSNR"):
        report.hold(cost, 5.0, Path("m.inm"))


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_converted_checkpoints_are_compared(capsys):
    """Points are those of a conversion; two of one PSNR make no curve, which is past any limit."""
    shutil.copy("c.safetensors", "d.safetensors")
    compare = tool("compare_converted")
    options = ["--calibration", "pictures", "--recipes", "w8a8", "--max-bd-rate", "w8a8=5"]
    code = compare.main(["pictures", "c.safetensors", "d.safetensors", *options, "--json"])
    printed = capsys.readouterr()
    (found,) = json.loads(printed.out)
    assert code == 1
    assert printed.err.splitlines()[-1] == "w8a8: BD-rate not comparable, --max-bd-rate is 5 %"
    one, two = found["points"]
    assert one.pop("checkpoint") == "c.safetensors" and two.pop("checkpoint") == "d.safetensors"
    assert one == two
    converted = only_json(call(*CONVERT, "--recipe", "w8a8", "--json"))["curve"]
    (wanted,) = (row for row in converted if row.pop("quality") == 32)
    assert one == pytest.approx(wanted)


def test_limits_of_recipes():
    compare = tool("compare_converted")
    rows = [{"recipe": "w8a16", "bd_rate_psnr": 0.8}, {"recipe": "w8a8", "bd_rate_psnr": 5.25}]
    assert compare.past(rows, compare.limits("w8a16=1,w8a8=5")) == [
        "w8a8: BD-rate 5.25 %, --max-bd-rate is 5 %"
    ]
    assert compare.past(rows, {}) == []
    with pytest.raises(argparse.ArgumentTypeError, match="'w8a8', must be like"):
        compare.limits("w8a8")


def test_falling_points_are_no_curve():
    """A checkpoint with more bits and less PSNR than another."""
    compare = tool("compare_converted")
    good = [row(32, (0.5, 30), (0.55, 30)), row(32, (1, 36), (1.1, 36))]
    assert compare.bd_rates(good)["bd_rate_psnr"] == pytest.approx(10)
    bad = [*good, row(32, (2, 33), (2.2, 33))]
    assert set(compare.bd_rates(bad).values()) == {None}
