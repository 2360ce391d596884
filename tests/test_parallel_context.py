"""The parallel context of training: steps, causality, and its integer form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from intnet import bounds, convert
from intnet.training import checkpoint, evaluate, initialise, quantise
from intnet.training.context import EVERYTHING, QUADTREE, steps
from intnet.training.models import Config, MeanScaleHyperprior
from intnet.training.train import TRANSFORMS, main

M = 16


@pytest.fixture(scope="module")
def model():
    """A model with a context that has something to say."""
    torch.manual_seed(0)
    made = MeanScaleHyperprior(Config(c=16, m=M, m_hidden=16, z=16, blocks=1, context=16))
    initialise.klt(made, torch.rand(4, 3, 128, 128))
    made.context.predict.weight.data.normal_(0, 0.05)
    return made.eval()


@pytest.fixture
def coded(model):
    """Latents of noise, their features and what became of them."""
    torch.manual_seed(1)
    y = torch.randn(2, M, 6, 5)
    features = torch.rand(2, 16, 6, 5)
    quality = torch.tensor([10.0, 50.0])
    with torch.no_grad():
        return y, features, quality, model.code(y, features, quality)


def test_each_step_codes_a_quarter_of_the_channels_at_every_position():
    """And all four together code every latent once; without a context one step does."""
    step = steps(QUADTREE, torch.zeros(1, M, 6, 4))
    for now in range(4):
        assert ((step == now).sum(0) == M // 4).all()
    assert step.max() == 3
    assert steps(EVERYTHING, torch.zeros(1, 5, 3, 3)).max() == 0


def test_a_decoder_that_has_symbols_alone_gets_the_same_latents(model, coded):
    """No prediction of a step sees what is coded in it or later."""
    y, features, quality, done = coded
    step = steps(model.order, y)
    inverse_gain = model.at_quality(model.log_inverse_gain, quality).exp()
    y_hat = torch.zeros_like(y)
    with torch.no_grad():
        for now in range(4):
            mean, _ = model.context(y_hat, features).chunk(2, 1)
            y_hat = torch.where(step == now, mean + done.symbols * inverse_gain, y_hat)
    assert torch.equal(y_hat, done.y_hat)
    assert done.symbols.any()


def test_later_steps_learn_from_earlier_ones(model, coded):
    """A latent of step 0 moves predictions of later steps, none of its own."""
    y, features, quality, done = coded
    step, moved = steps(model.order, y), y.clone()
    row, column = 2, 2
    channel = int(torch.nonzero(step[:, row, column] == 0)[0])
    moved[:, channel, row, column] += 5
    with torch.no_grad():
        again = model.code(moved, features, quality)
    changed = (again.log_scale != done.log_scale).any(0)
    assert not changed[step == 0].any()
    assert changed[step > 0].any()


def test_integers_predict_as_floats_do(model):
    """The integer twin counts the same bits within 1 %, and its program is proved."""
    x, quality = torch.rand(2, 3, 128, 128), torch.tensor([20.0, 45.0])
    twin = quantise.integer_twin(model, x).eval()
    with torch.no_grad():
        ideal, integer = model(x, quality), twin(x, quality)
    assert integer.bits_y.tolist() == pytest.approx(ideal.bits_y.tolist(), rel=0.01)
    context = convert.programs(twin)["context"]
    assert [port.name for port in context.inputs] == ["y_hat", "features"]
    assert bounds.prove(context)


def test_a_context_grows_on_trained_transforms(model, tmp_path):
    """`--context --entropy-only`: the transforms stay bit for bit, the new context learns."""
    plain = MeanScaleHyperprior(Config(c=16, m=M, m_hidden=16, z=16, blocks=1))
    given, out = tmp_path / "given.safetensors", tmp_path / "out.safetensors"
    checkpoint.save_weights(given, plain.state_dict(), {"stage": "float", **vars(plain.config)})
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    main([str(tmp_path), "--out", str(out), "--init", str(given), "--minutes", "0.02", "--crop",
          "64", "--batch", "2", "--context", "16", "--entropy-only", "--threads", "1"])  # fmt: skip
    after, meta = checkpoint.load_weights(out)
    assert (meta["context"], meta["m"]) == (16, M)
    assert meta["step"] > 1
    for name, before in plain.state_dict().items():
        if name.startswith(TRANSFORMS):
            assert torch.equal(after[name], before), name
    assert after["context.predict.weight"].abs().max() > 0
    assert evaluate.load_model(out).config.context == 16


def test_entropy_only_needs_transforms(tmp_path, capsys):
    """A rate alone would push fresh latents to zero."""
    Image.fromarray(np.zeros((256, 256, 3), np.uint8)).save(tmp_path / "black.png")
    with pytest.raises(SystemExit, match="and --init"):
        main([str(tmp_path), "--out", str(tmp_path / "out.safetensors"), "--entropy-only"])
