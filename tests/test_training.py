"""The trainer: gradients of the papers, integers that are integers, runs that can go on."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from intnet.training import checkpoint, evaluate, initialise, quantise
from intnet.training.entropy import LogisticMixture, gaussian_bits
from intnet.training.layers import Block, Conv, QReLU, lower_bound, round_ste
from intnet.training.models import Config, MeanScaleHyperprior, rate_lambda
from intnet.training.optimisers import orthogonalise
from intnet.training.train import main

TINY = ["--c", "16", "--m", "16", "--m-hidden", "16", "--z", "16", "--blocks", "1"]


def test_round_ties_toward_plus_infinity():
    """Training rounds as the integer programs do; the gradient is the identity."""
    x = torch.tensor([-1.5, -0.5, 0.5, 1.5, 2.4], requires_grad=True)
    y = round_ste(x)
    y.sum().backward()
    assert y.tolist() == [-1, 0, 1, 2, 2]
    assert x.grad.tolist() == [1] * 5


def test_qrelu_gradient():
    """dv/du = exp(-alpha^4 |2u/top - 1|^4), alpha = Gamma(1/4)/4; its integral is the clip's."""
    u = torch.linspace(-400, 700, 11001, dtype=torch.float64, requires_grad=True)
    v = QReLU.apply(u, 255)
    v.sum().backward()
    assert v.min() == 0
    assert v.max() == 255
    middle = torch.argmin((u - 127.5).abs())
    assert u.grad[middle].item() == pytest.approx(1, abs=1e-6)
    expected = math.exp(-((math.gamma(0.25) / 4) ** 4) * (2 * 700 / 255 - 1) ** 4)
    assert u.grad[-1].item() == pytest.approx(expected)
    assert u.grad.sum().item() * 0.1 == pytest.approx(255, rel=1e-3)


def test_lower_bound_lets_the_gradient_out():
    """Below the bound the gradient passes only where a step would move x up."""
    x = torch.tensor([0.0, 0.0, 2.0], requires_grad=True)
    (lower_bound(x, 1.0) * torch.tensor([1.0, -1.0, 1.0])).sum().backward()
    assert x.grad.tolist() == [0, -1, 1]


def test_rates_are_probabilities():
    """Both priors sum to one over the integers."""
    k = torch.arange(-600, 601, dtype=torch.float32)
    for scale in (0.11, 1.0, 30.0):
        total = torch.exp2(-gaussian_bits(k, torch.full_like(k, math.log(scale)))).sum()
        assert total.item() == pytest.approx(1, abs=1e-4)
    z = k[:, None, None].expand(-1, -1, 1)[None].movedim(3, 1)
    total = torch.exp2(-LogisticMixture(1).bits(z)).sum()
    assert total.item() == pytest.approx(1, abs=1e-4)


def test_muon_update_is_orthogonal():
    """All singular values of the update are near one."""
    torch.manual_seed(0)
    for shape in ((16, 64), (64, 16)):
        values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)))
        assert 0.6 < values.min() <= values.max() < 1.3


def test_lambda_covers_its_range():
    """Quality 0 and 63 are the ends, and steps are equal in log lambda."""
    lam = rate_lambda(torch.arange(64.0))
    assert lam[0].item() == pytest.approx(0.0005)
    assert lam[63].item() == pytest.approx(0.2)
    ratios = lam[1:] / lam[:-1]
    assert ratios.max() / ratios.min() < 1.0001


def test_integer_layer_approaches_its_float_layer():
    """IntegerConv computes, in steps of its scales, what the Conv computes: within rounding."""
    torch.manual_seed(0)
    conv = Conv(24, 16, 3, relu=True)
    x = torch.randint(0, 256, (2, 24, 9, 7)).float()
    in_scale, out_scale = torch.full((24,), 1 / 255), torch.full((16,), 3 / 255)
    twin = quantise.IntegerConv.calibrated(conv, in_scale, out_scale, 255)
    assert torch.equal(twin.kernel(), twin.kernel().round())
    assert (twin.integer_divisor() >= 256).all()
    out, exact = twin(x), (conv(x / 255) * 255 / 3).clamp(0, 255)
    assert torch.equal(out, out.round())
    assert (out - exact).abs().max() < 4
    assert (out - exact).abs().mean() < 0.7


def test_twin_forward_carries_integers(picture):
    """Between the networks of a twin there is nothing but whole numbers."""
    torch.manual_seed(0)
    model = MeanScaleHyperprior(Config(c=16, m=16, m_hidden=16, z=16, blocks=1))
    x = torch.rand(4, 3, 64, 64)
    twin = quantise.integer_twin(model, x).eval()
    with torch.no_grad():
        y = twin.analysis((x * 255).round())
        prior = twin.prior(twin.hyper_analysis(y))
    for tensor in (y, prior):
        assert torch.equal(tensor, tensor.round())
    assert y.abs().max() > 100  # and they are not all zero


def test_float_twin_is_close(picture):
    """Rounding is the only difference between a twin and its float twin."""
    torch.manual_seed(0)
    model = MeanScaleHyperprior(Config(c=16, m=16, m_hidden=16, z=16, blocks=1)).eval()
    x = torch.rand(4, 3, 64, 64)
    twin = quantise.integer_twin(model, x).eval()
    q = torch.full((4,), 30.0)
    with torch.no_grad():
        a, b, c = (m(x, q).x_hat for m in (model, quantise.float_twin(twin), twin))
    assert (a - b).abs().max() < 1e-2  # scales folded in, nothing else
    assert 0 < (b - c).abs().mean() < 0.1


@pytest.mark.parametrize("c", [16, 192, 208])
def test_a_fresh_start_is_a_transform_coder(c):
    """Of a block of 192 samples: all latents give the picture back, however wide the network."""
    torch.manual_seed(0)
    model = MeanScaleHyperprior(Config(c=c, m=min(4 * c, 768), m_hidden=8, z=8, blocks=1))
    for block in (m for m in model.modules() if isinstance(m, Block)):
        for conv in (block.b, block.f2):
            conv.weight.data.zero_()
            conv.bias.data.zero_()
    initialise.klt(model, torch.rand(16, 3, 128, 128))
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        x_hat = model.synthesis(model.analysis(x - 0.5)) + 0.5
    error = (x_hat - x).square().mean().item()
    assert error < 1e-9 if c >= 192 else 0.05 < error < 0.083  # of uniform noise: 1/12


def test_train_resume_and_stages(corpus, tmp_path):
    """A float run improves and writes its files; it resumes; an integer stage follows."""
    out, small = tmp_path / "run.safetensors", ["--crop", "64", "--batch", "2", "--threads", "1",
                                                   "--log-every", "5"]  # fmt: skip
    main([str(corpus), "--out", str(out), "--minutes", "0.12", *small, *TINY])
    steps = checkpoint.load_weights(out)[1]["step"]
    assert steps > 20
    assert {p.name for p in tmp_path.iterdir()} >= {"run.safetensors", "run.resume"}
    main([str(corpus), "--out", str(out), "--minutes", "0.16", "--resume", *small, *TINY])
    meta = checkpoint.load_weights(out)[1]
    assert meta["step"] > steps
    assert meta["stage"] == "float"
    integer = tmp_path / "integer.safetensors"
    main([str(corpus), "--out", str(integer), "--minutes", "0.05", "--stage", "integer",
          "--init", str(out), "--rate", "1e-4", *small])  # fmt: skip
    twin = evaluate.load_model(integer)
    assert any(isinstance(m, quantise.IntegerConv) for m in twin.modules())
    log = [json.loads(line) for line in (tmp_path / "run.jsonl").read_text().splitlines()]
    loss = [entry["loss"] for entry in log]
    assert np.mean(loss[-5:]) < np.mean(loss[:5])


def test_seeded(corpus, tmp_path):
    """Equal seeds give equal first losses."""
    from intnet.training.train import Trainer, parser  # noqa: PLC0415

    def first_losses(seed):
        args = [str(corpus), "--out", str(tmp_path / "x"), "--crop", "64", "--batch", "2",
                "--seed", str(seed), "--threads", "1", *TINY]  # fmt: skip
        trainer = Trainer(parser().parse_args(args))
        from intnet.training.data import batches  # noqa: PLC0415

        source = batches(trainer.pictures, 2, 64, trainer.rng)
        return [trainer.train_step(next(source), 0.0)["loss"] for _ in range(3)]

    assert first_losses(0) == first_losses(0)
    assert first_losses(0) != first_losses(1)


def test_checkpoints_of_others_are_refused(tmp_path):
    """A safetensors file without our metadata is named as such."""
    from safetensors.torch import save_file  # noqa: PLC0415

    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match="not a checkpoint"):
        checkpoint.load_weights(tmp_path / "x.safetensors")


def test_trainer_needs_little():
    """On a machine with torch, numpy, pillow, safetensors and tqdm alone, the trainer starts."""
    blocked = "numba llvmlite typer rich matplotlib hypothesis pytest rangecoder"
    code = (
        "import sys\n"
        f"for name in {blocked!r}.split(): sys.modules[name] = None\n"
        "from intnet.training.train import parser\n"
        "print(parser().prog)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "intnet train\n", done.stderr
