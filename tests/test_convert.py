"""The border: what leaves training is exactly what runs in integers."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from intnet import convert, convert_report, model_file, networks
from intnet.converting.report import Wanted
from intnet.errors import BoundError, IntnetError
from intnet.training import checkpoint, quantise
from intnet.training.data import as_input
from intnet.training.models import Config, MeanScaleHyperprior


@pytest.fixture(scope="module")
def crops(picture):
    """Eight 64x64 crops (8, 3, 64, 64) in [0, 1]."""
    return as_input(np.stack([picture[:64, i : i + 64] for i in range(0, 24, 3)]))


@pytest.fixture(scope="module")
def float_model():
    """A random float model with 16 channels."""
    torch.manual_seed(0)
    return MeanScaleHyperprior(Config(c=16, m=16, m_hidden=16, z=16, blocks=1)).eval()


@pytest.fixture(scope="module")
def twin(float_model, crops):
    """Its integer twin."""
    return quantise.integer_twin(float_model, crops).eval()


def channel_last(x):
    """(1, c, h, w) to (h, w, c) integers."""
    return x[0].movedim(0, -1).numpy().astype(np.int64)


def test_programs_equal_the_training_twin(twin, picture):
    """All four programs compute what the integer forward of training computes, to the last bit."""
    model = convert.integer_model(twin, {})
    pixels = picture[:64, :64]
    with torch.no_grad():
        y = twin.analysis(as_input(pixels[None]) * 255)
        z = twin.hyper_analysis(y).clamp(-127, 127)
        prior = twin.prior(z)
        x_hat = twin.synthesis(y).clamp(0, 255)
    (got_y,) = networks.run(model, "analysis", pixels, "numpy")
    (got_z,) = networks.run(model, "hyper_analysis", got_y, "numpy")
    got_prior = networks.run(model, "prior", got_z, "numpy")
    (got_x,) = networks.run(model, "synthesis", got_y, "numpy")
    pairs = [(y, got_y), (z, got_z), (prior, np.concatenate(got_prior, -1)), (x_hat, got_x)]
    for expected, got in pairs:
        # float32 carries the twin's products to 24 bits: a tie may fall the other way, no more
        difference = np.abs(channel_last(expected) - got)
        assert difference.max() <= 2
        assert (difference > 0).mean() < 0.01
    assert np.abs(got_y).max() > 100


def test_multipliers_are_close(twin):
    """multiplier / 2**shift is the divisor's reciprocal to 9 digits."""
    divisor = torch.tensor([256.0, 300, 999, 12345, 7e5], dtype=torch.float64)
    for fraction in (0, 3, 9):
        multiplier, shift = convert.multiplier_and_shift(divisor, fraction)
        ratio = multiplier / 2.0**shift
        np.testing.assert_allclose(ratio, 2.0**fraction / divisor.numpy(), rtol=2e-9)


def test_gaussian_tables():
    """64 symmetric tables; the rate against the real Gaussian is within 0.1 %."""
    tables = convert.gaussian_tables()
    for t in (0, 20, 40, 63):
        counts = np.diff(tables.cdf[tables.start[t] : tables.start[t + 1]])
        support = counts[:-1]
        assert len(support) == 1 - 2 * tables.minimum[t]
        assert np.abs(support - support[::-1]).max() <= 1
        scale = 0.11 * (256 / 0.11) ** (t / 63)
        k = torch.arange(int(tables.minimum[t]), 1 - int(tables.minimum[t]), dtype=torch.float64)
        upper = torch.erfc((k - 0.5) / scale * 2**-0.5)
        p = ((upper - torch.erfc((k + 0.5) / scale * 2**-0.5)) / 2).numpy()
        entropy = -(p * np.log2(np.maximum(p, 1e-300))).sum()
        cost = -(p * np.log2(support / 65536)).sum()
        assert cost <= entropy * 1.001 + 5e-4


def test_overflow_is_refused(twin, tmp_path):
    """Weights scaled beyond the bound make conversion refuse, naming op, channel and limit."""
    loud = copy.deepcopy(twin)
    layer = loud.synthesis[1]
    layer.top.mul_(40)
    path = tmp_path / "loud.inm"
    with pytest.raises(BoundError):
        model_file.save(convert.integer_model(loud, {}), path)
    assert not path.exists()


def test_report(twin, float_model, tmp_path, picture):
    """convert_file writes the model and compares every layer and the curve with the float twin."""
    from PIL import Image  # noqa: PLC0415

    path, out, folder = tmp_path / "c.safetensors", tmp_path / "m.inm", tmp_path / "pictures"
    folder.mkdir()
    for i in range(2):
        Image.fromarray(np.tile(picture, (2, 2, 1))[i : 130 + i, :150]).save(folder / f"{i}.png")
    meta = {"stage": "float", "step": 1, "seconds": 1, **float_model.config.as_dict()}
    checkpoint.save_weights(path, float_model.state_dict(), meta)
    with pytest.raises(IntnetError, match="--calibration"):
        convert_report.convert_file(path, out, None, "x", print)
    said = []
    wanted = Wanted(tmp_path / "r.md")
    report = convert_report.convert_file(path, out, folder, "x", said.append, wanted=wanted)
    model = model_file.load(out)
    assert report["model"] == model.sha256
    convs = sum(type(op).__name__ == "Conv" for p in model.programs.values() for op in p.ops)
    assert len(report["layers"]) == convs
    assert all(row["bound"] < row["limit"] for row in report["layers"])
    assert [row["quality"] for row in report["curve"]] == list(convert_report.QUALITIES)
    assert said
    layers = {f"{row['network']}.{row['layer']}": row for row in report["losses"]}
    convs = dict(twin.named_modules())
    assert layers.keys() == {k for k, m in convs.items() if isinstance(m, quantise.IntegerConv)}
    assert any(row["psnr_db"] for row in layers.values())
    assert "## Where the loss comes from" in (tmp_path / "r.md").read_text(encoding="utf-8")


def test_not_a_checkpoint(tmp_path):
    """Other files are named as such."""
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"hello")
    with pytest.raises(IntnetError, match="not a checkpoint"):
        convert_report.convert_file(bad, tmp_path / "m.inm", None, "x", print)
