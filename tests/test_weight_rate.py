"""`--weight-rate`: training makes the integer weights cheaper to store."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from intnet import packing
from intnet.training import weight_rate
from intnet.training.data import batches
from intnet.training.models import Config, MeanScaleHyperprior
from intnet.training.quantise import IntegerConv
from intnet.training.train import Trainer, parser

SMALL = ["--crop", "64", "--batch", "2", "--threads", "1", "--c", "16", "--m", "16",
         "--m-hidden", "16", "--z", "16", "--blocks", "1"]  # fmt: skip
STEPS = 25


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, picture):
    """One picture, and the weights of a float model."""
    folder = tmp_path_factory.mktemp("weight-rate")
    (folder / "pictures").mkdir()
    tiled = np.tile(picture, (4, 4, 1))[:256, :256]
    Image.fromarray(tiled).save(folder / "pictures" / "a.png")
    trained = trainer(folder, "--stage", "float", out="float")
    trained.save()
    return folder


def trainer(folder, *options, out="integer"):
    """A trainer of a small model."""
    target = str(folder / f"{out}.safetensors")
    return Trainer(
        parser().parse_args([str(folder / "pictures"), "--out", target, *SMALL, *options])
    )


def integers(model):
    """The weights that a file would have."""
    found = {}
    for name, layer in model.named_modules():
        if isinstance(layer, IntegerConv):
            w = layer.kernel().detach().movedim(1, -1).numpy()
            found[name] = w.astype(np.int8 if np.abs(w).max() < 128 else np.int16)
    return found


def packed_bits(model):
    """Bits per weight of a payload of the weights."""
    weights = integers(model)
    return 8 * len(packing.pack(weights)) / sum(w.size for w in weights.values())


def trained(folder, strength):
    """A model after a few steps of the integer stage."""
    run = trainer(folder, "--stage", "integer", "--init", str(folder / "float.safetensors"),
                  "--rate", "0.1", "--weight-rate", strength)  # fmt: skip
    source = batches(run.pictures, 2, 64, run.rng)
    numbers = [run.train_step(next(source), 0.0) for _ in range(STEPS)]
    return run.model, numbers


def test_rate_falls(corpus):
    """In the log, and in the bytes of a packed file; without the option it does not."""
    without, logged = trained(corpus, "0")
    assert "bits_per_weight" not in logged[0]
    model, logged = trained(corpus, "10")
    assert logged[-1]["bits_per_weight"] < logged[0]["bits_per_weight"] - 0.3
    assert packed_bits(model) < packed_bits(without) - 0.3


def test_rate_is_that_of_a_packed_file(corpus):
    """Within a twentieth, side information included."""
    model, _ = trained(corpus, "0")
    with torch.no_grad():
        rate = weight_rate.bits_per_weight(weight_rate.kernels(model)).item()
    assert packed_bits(model) == pytest.approx(rate, rel=0.05)


def test_distribution_sums_to_one():
    """Over all integers, whatever the scale; zeros alone cost almost nothing."""
    k = torch.arange(-20_000, 20_001, dtype=torch.float64)
    for scale in (0.25, 1.0, 30.0):
        sum_ = (1 + (k / scale).square()).pow(-2).sum()
        assert weight_rate.norm(torch.tensor(scale).double()).item() == pytest.approx(sum_.item())
    assert weight_rate.bits(torch.zeros(3, 100)).max() < 0.02


def test_scales_are_those_of_the_weights():
    """Rows and columns that were made with known scales, up to what their number tells."""
    torch.manual_seed(0)
    row, column = torch.tensor([2.0, 8.0, 32.0])[:, None], torch.tensor([1.0, 4.0]).repeat(4000)
    t3 = torch.distributions.StudentT(3.0, 0.0, 3**-0.5)
    w = (t3.sample((3, 8000)) * row * column).round()
    fitted = weight_rate.scales(w)
    for i in range(3):
        for j in range(2):
            assert fitted[i, j::2].log().mean().exp() == pytest.approx(
                float(row[i] * column[j]), rel=0.15
            )


def test_gradient_pulls_weights_toward_zero():
    """A step down the rate makes weights smaller; the largest of a channel stays its measure."""
    w = torch.tensor([[100.0, 10.0, -3.0, 1.0]], requires_grad=True)
    weight_rate.bits(w).sum().backward()
    assert (w.grad * w > 0).all()


def test_float_stage_refuses_it(corpus):
    """Integers have a rate; floats have none."""
    with pytest.raises(SystemExit, match="--weight-rate: needs --stage integer"):
        trainer(corpus, "--weight-rate", "0.1")


def test_no_layer_is_left_out():
    """The rate counts every IntegerConv, and nothing else has kernels."""
    model = MeanScaleHyperprior(Config(c=16, m=16, m_hidden=16, z=16, blocks=1))
    with pytest.raises(RuntimeError):
        weight_rate.bits_per_weight(weight_rate.kernels(model))  # a float model has none
