"""Training of the field's codecs: the same loop, files that load, options that go together."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT
from PIL import Image

from intnet.training import evaluate
from intnet.training.train import main

sys.path.insert(0, str(ROOT / "tools"))
import compare_family

TINY = ["--n", "6", "--m", "9", "--crop", "64", "--batch", "2", "--threads", "1"]


def train(corpus, out, *options):
    main([str(corpus), "--out", str(out), *TINY, "--log-every", "5", *options])
    log = out.with_suffix(".jsonl").read_text().splitlines()
    return [json.loads(line) for line in log]


@pytest.mark.parametrize("architecture, options", [
    ("factorized", ["--distortion", "nlpd"]), ("factorized-relu", ["--optimiser", "adam"]),
    ("scale", ["--optimiser", "sadam"]), ("mean-scale", ["--gdn", "simplified"]), ("joint", []),
])  # fmt: skip
def test_trains(architecture, options, corpus, tmp_path):
    """The loss falls; the checkpoint is of that class and measured on a picture it pads."""
    out = tmp_path / "x.safetensors"
    log = train(corpus, out, "--architecture", architecture, "--lmbda", "0.01", "--steps", "120",
                "--rate", "1e-2", *options)  # fmt: skip
    assert log[-1]["loss"] < 0.8 * log[0]["loss"]
    assert log[-1]["step"] == 120
    if "nlpd" not in options:
        loss = log[0]["bpp"] + 0.01 * 255**2 * log[0]["mse"]
        assert log[0]["loss"] == pytest.approx(loss * (0.018 / 0.01) ** 0.5, rel=1e-3)
    model = evaluate.load_codec(out)
    assert model.config.architecture == architecture
    quantiles = model.entropy_bottleneck.quantiles[:, 0]
    logits = model.entropy_bottleneck.logits(quantiles[:, None])[:, 0]
    assert torch.allclose(logits[:, 2], model.entropy_bottleneck.target[2], rtol=0.02)
    photo = np.asarray(Image.open(corpus / "0.png"))[:100, :90]
    bpp, psnr = evaluate.rate_distortion(model, photo, 0.0)
    assert 0 < bpp < 24
    assert psnr > 5


def test_resumes(corpus, tmp_path):
    """Steps go on from where they stopped; the schedule has its length in steps."""
    out = tmp_path / "x.safetensors"
    common = ["--architecture", "scale", "--lmbda", "0.01"]
    train(corpus, out, *common, "--steps", "10")
    log = train(corpus, out, *common, "--steps", "20", "--resume")
    assert [entry["step"] for entry in log] == [5, 10, 15, 20]


def test_starts_from_weights(corpus, tmp_path):
    """--init loads a checkpoint of the family, another distortion goes on with it."""
    out, tuned = tmp_path / "x.safetensors", tmp_path / "y.safetensors"
    common = ["--architecture", "scale", "--lmbda", "0.01"]
    train(corpus, out, *common, "--steps", "5")
    train(corpus, tuned, *common, "--steps", "5", "--init", str(out), "--distortion", "ms-ssim",
          "--crop", "192", "--rate", "0")  # fmt: skip
    before, after = (evaluate.load_codec(path).g_a[0].weight for path in (out, tuned))
    assert (before - after).abs().max() < 1e-2


@pytest.mark.parametrize("options, because", [
    (["--architecture", "scale"], "--lmbda None: scale takes"),
    (["--lmbda", "0.01"], "--lmbda 0.01: flagship takes none"),
    (["--architecture", "scale", "--lmbda", "0.01", "--stage", "integer"], "must be flagship"),
    (["--distortion", "ms-ssim", "--crop", "128"], "--crop 128: must be a multiple"),
    (["--architecture", "scale", "--lmbda", "0.01", "--n", "0"], "n: 0, must be an integer"),
])  # fmt: skip
def test_options_that_do_not_go_together(options, because, corpus, tmp_path):
    with pytest.raises((SystemExit, ValueError), match=because):
        train(corpus, tmp_path / "x.safetensors", *options)


def test_flagship_and_family_are_told_apart(corpus, tmp_path):
    out = tmp_path / "x.safetensors"
    train(corpus, out, "--architecture", "scale", "--lmbda", "0.01", "--steps", "5")
    with pytest.raises(ValueError, match="architecture 'scale', must be the flagship"):
        evaluate.load_model(out)


def test_comparison(corpus, tmp_path, capsys):
    """Table, document and figure; a second run trains nothing again and states the same."""
    options = [str(corpus), str(corpus), "--out", str(tmp_path), "--steps", "20", "--limit", "1",
               "--lmbdas", "0.001,0.1", "--architectures", "factorized,scale", *TINY]  # fmt: skip
    compare_family.main([*options, "--json"])
    document = json.loads(capsys.readouterr().out)
    assert [row["codec"] for row in document["codecs"]] == ["factorized, muon", "scale, muon"]
    assert all(len(row["points"]) == 2 for row in document["codecs"])
    assert document == json.loads((tmp_path / "family.json").read_text())
    assert (tmp_path / "family.png").stat().st_size > 1000
    written = {p: p.stat().st_mtime_ns for p in tmp_path.glob("*.safetensors")}
    assert len(written) == 4
    compare_family.main(options)
    assert "factorized, muon" in capsys.readouterr().out
    assert written == {p: p.stat().st_mtime_ns for p in tmp_path.glob("*.safetensors")}


def test_comparison_states_gains(monkeypatch, tmp_path, corpus):
    """Half the rate at equal PSNR is -50 %, over the codec before and over the first."""
    curves = iter([(1.0, 30.0), (2.0, 36.0), (0.5, 30.0), (1.0, 36.0), (0.4, 30.0), (0.8, 36.0)])
    monkeypatch.setattr(compare_family, "trained", lambda *_: tmp_path)
    monkeypatch.setattr(compare_family, "measured", lambda *_: next(curves))
    monkeypatch.setattr(compare_family, "losses", lambda _: ([1], [1.0]))
    args = compare_family.parser().parse_args([
        str(corpus), str(corpus), "--out", str(tmp_path), "--lmbdas", "1,2",
        "--architectures", "factorized,scale,joint", "--n", "4", "--m", "6",
    ])  # fmt: skip
    rows = compare_family.compare(args)
    assert rows[0]["gain_percent"] is None
    assert rows[1]["gain_percent"] == pytest.approx(-50)
    assert rows[2]["gain_percent"] == pytest.approx(-20)
    assert rows[2]["gain_over_first_percent"] == pytest.approx(-60)
