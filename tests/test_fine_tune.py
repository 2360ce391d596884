"""`convert --fine-tune`: what is trained is what is emitted, and the loss falls."""

from __future__ import annotations

import re
from pathlib import Path

import compressai_models
import numpy as np
import pytest
import torch
from cli_parts import call, refused
from PIL import Image

from intnet import model_file
from intnet.converting import calibrate, compressai, fine_tune, float_codec, integer_model, recipe
from intnet.converting.fine_tune import FineTune, Trainer, asked, fine_tuned, options, own_lambda
from intnet.errors import IntnetError, ModelError
from intnet.program import Conv, ConvTranspose
from intnet.training.data import batches

W8A8 = recipe.named("w8a8")
JOINT = "mbt2018"


@pytest.fixture(scope="module")
def pictures(picture):
    """Three pictures (128, 128, 3), smooth with some noise."""
    noise = np.random.default_rng(0).integers(-20, 21, (3, 128, 128, 3))
    tiled = np.tile(picture, (2, 2, 1))[:128, :128].astype(np.int64)
    return [np.clip(tiled + part, 0, 255).astype(np.uint8) for part in noise]


def start(architecture, pictures, chosen=W8A8):
    """State, float codec and records."""
    state = compressai_models.state(architecture)
    codec = compressai.float_codec(state)
    records = calibrate.record(codec, calibrate.crops(pictures, 4), lambda: None, chosen)
    return state, codec, records


def trainer(architecture, pictures, chosen=W8A8):
    """A trainer before its first step."""
    state, codec, records = start(architecture, pictures, chosen)
    args = options(FineTune(steps=4), 0.01, codec.name, Path("unused"))
    return Trainer(args, pictures, state, codec, records, chosen)


def integers(model):
    """Weights (N, I / groups, KY, KX) of convolutions."""
    ops = [op for program in model.programs.values() for op in program.ops]
    return [op.weight.transpose(0, 3, 1, 2) for op in ops if isinstance(op, Conv | ConvTranspose)]


@pytest.mark.parametrize("architecture", list(fine_tune.ARCHITECTURES))
def test_kernels_of_training_are_those_of_the_file(architecture, pictures):
    """After a step: the same integers, in every convolution of the checkpoint."""
    run = trainer(architecture, pictures)
    run.train_step(next(batches(pictures, 2, 64, run.rng)), 0.0)
    state = run.model.state_dict()
    run.output(torch.rand(1, 3, 64, 64), torch.zeros(1))
    codec = compressai.float_codec(state, architecture)
    made = integers(integer_model.convert(codec, run.records, W8A8, {}).model)
    assert len(run.kernels) == sum(name.endswith(".weight") for name in state)
    for kernel in run.kernels:
        whole = kernel.detach().round()
        assert (kernel - whole).abs().max() < 1e-2
        assert any(np.array_equal(weight, whole.numpy()) for weight in made)


def test_fewer_bits_are_coarser(pictures):
    """Weights of 5 bits lead further from the picture of the float model than those of 8."""
    x = calibrate.crops(pictures, 4)
    five = recipe.Recipe("w5a8", {"*": {"weights": 5, "activations": 8}})
    fine, coarse = (trainer("mbt2018-mean", pictures, chosen) for chosen in (W8A8, five))
    y_fine, y_coarse = (run.output(x, torch.zeros(4)).x_hat for run in (fine, coarse))
    ideal = float_codec.code(compressai.float_codec(fine.state), x, 1.0).x_hat
    errors = [(y - ideal).square().mean().item() for y in (y_fine, y_coarse)]
    assert errors[0] < errors[1] * 2 / 3
    assert max(int(kernel.detach().abs().max().round()) for kernel in coarse.kernels) == 15
    assert max(int(kernel.detach().abs().max().round()) for kernel in fine.kernels) == 127


def tuned(pictures, **options):
    """What came of ten steps at a known lambda."""
    state, codec, records = start("mbt2018-mean", pictures)
    how = FineTune(steps=10, lmbda=0.01, **options)
    return fine_tuned(state, how, codec, records, W8A8, pictures)


def losses(said):
    """Before and after, of the line."""
    found = re.fullmatch(r"loss on 16 crops ([0-9.]+), then ([0-9.]+)", said)
    return float(found[1]), float(found[2])


def test_loss_falls(pictures):
    """On pictures that stay the same; the encoder stays too."""
    got = tuned(pictures)
    before, after = losses(got.said)
    assert after < before
    given = trainer("mbt2018-mean", pictures).codec()
    for name, same in (("analysis", True), ("synthesis", False)):
        old, new = (codec.graphs[name].layers[-1].bias for codec in (given, got.codec))
        assert torch.equal(old, new) == same


def test_training_starts_at_post_training_rounding(pictures):
    """Rounding what training starts with makes nearly that: biases are not corrected twice."""
    run = trainer("mbt2018-mean", pictures)
    again = run.rounded(run.codec(), run.records).values
    for name, values in run.compensated.values.items():
        if name.endswith(".bias"):
            moved = (again[name] - values).norm() / (run.state[name] - values).norm()
            assert moved < 0.2, name


def test_what_does_not_help_is_left_out(pictures, monkeypatch):
    """Steps far too long: the model of post-training rounding, and that is said."""
    monkeypatch.setattr(fine_tune, "RATE", "100")
    state, codec, records = start("mbt2018-mean", pictures)
    got = fine_tuned(state, FineTune(steps=4, lmbda=0.01), codec, records, W8A8, pictures)
    assert got.codec is codec and got.records is records
    assert re.fullmatch(r"loss on 16 crops has not fallen from [0-9.]+: not fine-tuned", got.said)


def test_loss_before_is_that_of_the_file(pictures):
    """Post-training rounding as emitted, with its errors carried on; a step later the twin's."""
    state, codec, records = start("mbt2018-mean", pictures)
    args = options(FineTune(steps=4), 0.01, codec.name, Path("unused"))
    run = Trainer(args, pictures, state, codec, records, W8A8)
    run.settled_loss()
    made = integers(integer_model.convert(codec, records, W8A8, {}).model)
    for kernel in run.kernels:
        whole = kernel.detach().round().numpy()
        assert any(np.array_equal(weight, whole) for weight in made)


def test_averaged_weights_of_least_loss_are_kept(pictures, monkeypatch):
    """Whichever look found them; training goes on from the weights as they are."""
    run = trainer("mbt2018-mean", pictures)
    found = iter([run.before - 2, run.before - 3, run.before - 1])
    monkeypatch.setattr(run, "settled_loss", lambda: next(found))
    kept = []
    for _ in range(3):
        run.train_step(next(batches(pictures, 2, 64, run.rng)), 0.0)
        now = run.model.g_s[0].bias.clone()
        run.look()
        assert torch.equal(run.model.g_s[0].bias, now)
        kept.append(run.best["g_s.0.bias"])
    assert run.least == run.before - 3
    assert torch.equal(kept[1], kept[2]) and not torch.equal(kept[0], kept[1])


@pytest.mark.slow
def test_weight_rate_makes_a_smaller_file(pictures):
    """Bytes of the packed model."""
    sizes = []
    for rate in (0.0, 1000.0):
        made = tuned(pictures, weight_rate=rate)
        model = integer_model.convert(made.codec, made.records, W8A8, {}).model
        sizes.append(len(model_file.to_bytes(model, plain=False)))
    assert sizes[1] < sizes[0]


def test_lambda_is_seen_or_asked_for(pictures):
    """A slope where finer steps help; a random model whose picture is noise has none."""
    codec = compressai.float_codec(compressai_models.state("mbt2018-mean"))
    x = calibrate.crops(pictures, 4)
    coded = iter([(100.0, 2.0), (150.0, 1.0)])

    def code(*_):
        bits, error = next(coded)
        return float_codec.Coded(x + error / 255, bits)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(float_codec, "code", code)
        pixels = x[:, 0].numel()
        assert own_lambda(codec, x) == pytest.approx((50 / pixels) / (4 - 1))
        coded = iter([(100.0, 1.0), (150.0, 2.0)])
        with pytest.raises(IntnetError, match="say it with --lmbda"):
            own_lambda(codec, x)


def test_lengths():
    """Steps or minutes; nothing else, and no option of it alone."""
    assert asked("300", None, 0.0) == FineTune(steps=300)
    assert asked("5m", 0.01, 0.1) == FineTune(minutes=5, lmbda=0.01, weight_rate=0.1)
    assert asked(None, None, 0.0) is None
    for wrong in ("0", "0m", "5h", "-3", "", "1.5m", "9" * 50):
        with pytest.raises(IntnetError, match="must be steps, as 300, or minutes, as 5m"):
            asked(wrong, None, 0.0)
    with pytest.raises(IntnetError, match="are of --fine-tune"):
        asked(None, 0.01, 0.0)


def test_variable_rate_has_no_twin(pictures):
    """What to do instead is said."""
    state, codec, records = start("mbt2018-mean-vbr", pictures)
    with pytest.raises(ModelError, match="mbt2018-mean-vbr: fine-tuning is for bmshj2018"):
        fine_tuned(state, FineTune(steps=1), codec, records, W8A8, pictures)


def test_command(tmp_path, monkeypatch, pictures):
    """A model that says what it was, and a progress bar; ours are sent to the trainer."""
    monkeypatch.chdir(tmp_path)
    Path("pictures").mkdir()
    Image.fromarray(pictures[0]).save("pictures/a.png")
    torch.save(compressai_models.state("bmshj2018-factorized-relu"), "a.pth")
    done = call("convert", "a.pth", "-o", "a.inm", "--calibration", "pictures", "--recipe", "w8a8",
                "--fine-tune", "2", "--lmbda", "0.01")  # fmt: skip
    assert "2/2 steps" in done.stderr
    assert "fine-tuned: loss on 16 crops" in done.stderr
    assert model_file.load(Path("a.inm")).metadata["fine_tuned"].startswith("loss on 16 crops")
    refused("convert", "a.pth", "-o", "b.inm", "--calibration", "pictures", "--fine-tune", "2h",
            because="must be steps, as 300, or minutes, as 5m")  # fmt: skip
