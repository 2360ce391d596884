"""The field's codecs: CompressAI's tensors and results, rates that are rates, checkpoints."""

from __future__ import annotations

import json
import math
from pathlib import Path

import compressai_parts
import pytest
import torch
from torch import nn

from intnet.training import checkpoint
from intnet.training.bottleneck import TAIL_MASS, EntropyBottleneck, with_quantiles
from intnet.training.complexity import complexity, main
from intnet.training.family import ARCHITECTURES, FamilyConfig, MaskedConv
from intnet.training.family_files import load_family
from intnet.training.gdn import Gdn, SimplifiedGdn
from intnet.training.models import Config
from intnet.training.models import MeanScaleHyperprior as Flagship

COMPRESSAI = json.loads(compressai_parts.FILE.read_text(encoding="utf-8"))
N, M = compressai_parts.N, compressai_parts.M


def codec(name, n=N, m=M, gdn="gdn"):
    torch.manual_seed(0)
    return FamilyConfig(name, n, m, gdn).model()


def latents(model, x):
    """What the synthesis is given, and all else."""
    seen = []
    hook = model.g_s.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        out = model(x)
    hook.remove()
    return seen[0], out


def test_every_architecture_is_compared():
    assert COMPRESSAI.keys() == compressai_parts.CLASSES.keys() == ARCHITECTURES.keys()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_tensors_are_those_of_compressai(name):
    """Names, dtypes and shapes: a strict load_state_dict works either way."""
    state = codec(name).state_dict()
    found = {key: [str(t.dtype), *t.shape] for key, t in state.items()}
    assert found == COMPRESSAI[name]["tensors"]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_results_are_those_of_compressai(name):
    """Equal weights give equal latents, pictures and rates, to float32."""
    model, wanted = codec(name).eval(), COMPRESSAI[name]
    compressai_parts.fill(model)
    y_hat, out = latents(model, compressai_parts.picture())
    for tensor, key in ((y_hat, "y_hat"), (out.x_hat, "x_hat")):
        got, summary = (torch.tensor(v) for v in (compressai_parts.summary(tensor), wanted[key]))
        assert summary.std() > 0.2  # it is not flat
        assert torch.allclose(got, summary, rtol=1e-3, atol=1e-3 * summary.abs().max().item())
    if "y" in wanted["bits"]:
        assert out.bits_y.item() == pytest.approx(wanted["bits"]["y"], rel=1e-4)
    if "z" in wanted["bits"]:
        assert out.bits_z.item() == pytest.approx(wanted["bits"]["z"], rel=1e-4)


def test_a_state_with_tables_loads():
    """As CompressAI saves it after update(): the coder's tables have sizes of their own."""
    model = codec("scale")
    state = model.state_dict()
    state["entropy_bottleneck._quantized_cdf"] = torch.ones(N, 30, dtype=torch.int32)
    state["gaussian_conditional.scale_table"] = torch.ones(64)
    model.load_state_dict(state)
    assert model.gaussian_conditional.scale_table.shape == (64,)
    assert model.entropy_bottleneck._quantized_cdf.shape == (N, 30)


def test_masked_convolution_sees_what_is_before():
    """An output moves with the twelve positions before its own, and with no other."""
    torch.manual_seed(0)
    x = torch.zeros(1, 1, 7, 7, requires_grad=True)
    MaskedConv(1, 1)(x)[0, 0, 3, 3].backward()
    seen = x.grad[0, 0].nonzero().tolist()
    assert seen == [[r, c] for r in range(1, 4) for c in range(1, 6) if (r, c) < (3, 3)]


def test_fronts_are_raster_order():
    """Latents of all fronts equal those of a decoder that goes one by one."""
    model = codec("joint").eval()
    compressai_parts.fill(model)
    y, features = 3 * torch.randn(2, M, 5, 4), torch.randn(2, 2 * M, 5, 4)
    expected = torch.zeros_like(y)
    with torch.no_grad():
        for r in range(5):
            for c in range(4):
                context = model.context_prediction(expected)
                means = model.scales_and_means(features, context)[1][:, :, r, c]
                expected[:, :, r, c] = means + torch.round(y[:, :, r, c] - means)
        found = model.in_order(y, features)
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("scale", [0.3, 10.0, 300.0])
def test_bottleneck_is_a_distribution(scale):
    """Bits of all integers are those of probabilities; far tails keep a gradient."""
    torch.manual_seed(0)
    bottleneck = EntropyBottleneck(2, scale)
    k = torch.arange(-6000.0, 6001).expand(2, -1)[None, :, :, None]
    p = torch.exp2(-bottleneck.bits(k)).sum((0, 2, 3))
    assert torch.allclose(p, torch.ones(2), atol=1e-4)
    ends = torch.tensor([40 * scale, -40 * scale])[:, None, None, None]
    y = ends.expand(2, 2, 1, 1).clone().requires_grad_()
    bottleneck.bits(y).sum().backward()
    assert (y.grad * ends > 0).all()


def test_quantiles_hold_the_mass():
    """All but TAIL_MASS lies between the outer quantiles; the centre stays."""
    torch.manual_seed(0)
    model = codec("factorized")
    compressai_parts.fill(model)
    state = with_quantiles(model, model.state_dict())
    model.load_state_dict(state)
    lower, centre, upper = model.entropy_bottleneck.quantiles.double().unbind(2)
    bottleneck = model.entropy_bottleneck.double()
    for end, sign in ((lower, 1), (upper, -1)):
        mass = torch.sigmoid(sign * bottleneck.logits(end[:, :, None]))
        assert torch.allclose(mass, torch.full_like(mass, TAIL_MASS / 2), rtol=0.05)
    assert torch.equal(centre, codec_centres())


def codec_centres():
    model = codec("factorized")
    compressai_parts.fill(model)
    return model.entropy_bottleneck.quantiles[:, :, 1].double()


@pytest.mark.parametrize("gdn, power, root", [(Gdn, 2, 0.5), (SimplifiedGdn, 1, 1.0)])
def test_gdn(gdn, power, root):
    """The formula, written once more; and the inverse multiplies by the same norm."""
    torch.manual_seed(0)
    x = torch.randn(2, 5, 3, 3)
    layers = [gdn(5), gdn(5, inverse=True)]
    for layer in layers:
        torch.manual_seed(1)
        layer.gamma.data.add_(0.3 * torch.rand(5, 5))
    beta, gamma = layers[0].beta.detach() ** 2, layers[0].gamma.detach() ** 2
    pooled = torch.stack([beta[i] + sum(gamma[i, j] * x[:, j].abs() ** power for j in range(5))
                          for i in range(5)], 1)  # fmt: skip
    assert torch.allclose(layers[0](x), x / pooled**root, atol=1e-5)
    assert torch.allclose(layers[1](x), x * pooled**root, atol=1e-5)


def test_gdn_parameters_can_leave_their_bound():
    """At the bound a gradient that would raise gamma passes, one that would lower it does not."""
    layer = Gdn(2)
    layer.gamma.data.zero_()
    layer.gamma_reparam(layer.gamma)[0, 0].neg().backward()
    assert layer.gamma.grad[0, 0] < 0
    layer.gamma.grad = None
    layer.gamma_reparam(layer.gamma)[0, 0].backward()
    assert layer.gamma.grad[0, 0] == 0


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("hard_rate", [False, True])
def test_every_parameter_learns(name, hard_rate):
    """A gradient reaches each, in both kinds of training."""
    model = codec(name).train()
    model.hard_rate = hard_rate
    compressai_parts.fill(model)
    out = model(compressai_parts.picture())
    (out.bits_y.sum() + out.bits_z.sum() + out.x_hat.square().sum()).backward()
    for key, p in model.named_parameters():
        if p.requires_grad:
            assert p.grad is not None and p.grad.abs().max() > 0, key


def test_complexity_of_one_layer():
    """By hand: 5x5 from 3 to 8 channels at 1/2, and back; GDN of 8."""

    class Small(nn.Module):
        def __init__(self):
            super().__init__()
            self.g_a = nn.Sequential(nn.Conv2d(3, 8, 5, 2, 2), Gdn(8))
            self.g_s = nn.ConvTranspose2d(8, 3, 5, 2, 2, 1)

        def forward(self, x, _quality):
            return self.g_s(self.g_a(x))

    found = complexity(Small())
    assert found.encode_kmac == pytest.approx((25 * 3 * 8 + 8 * 8) / 4 / 1000)
    assert found.decode_kmac == pytest.approx(25 * 3 * 8 / 4 / 1000)
    assert found.parameters == 25 * 3 * 8 + 8 + 8 + 64 + 25 * 3 * 8 + 3


def test_complexity_of_the_family():
    """Factorized prior of N = 128, M = 192: by hand; a context costs twelve taps of 25."""
    n, m = 128, 192
    kernels = 25 * (3 * n / 4 + n * n / 16 + n * n / 64 + n * m / 256)
    gdn = n * n * (1 / 4 + 1 / 16 + 1 / 64)
    assert complexity(codec("factorized", n, m)).decode_kmac == pytest.approx(
        (kernels + gdn) / 1000
    )
    with_context, without = (complexity(codec(name, n, m)) for name in ("joint", "mean-scale"))
    serial = 12 * m * 2 * m + 4 * m * (m * 10 // 3) + (m * 10 // 3) * (m * 8 // 3)
    serial += (m * 8 // 3) * 2 * m
    assert with_context.decode_kmac - without.decode_kmac == pytest.approx(serial / 256 / 1000)


def test_complexity_of_the_flagship():
    """Synthesis and prior, by the layers of the class."""
    config = Config(c=16, m=24, m_hidden=8, z=4, blocks=1)
    found = complexity(Flagship(config))
    assert 0 < found.decode_kmac < found.encode_kmac * 2
    trained = sum(p.numel() for p in Flagship(config).parameters())
    assert found.parameters == trained


def test_complexity_of_a_checkpoint(capsys):
    """As the card of the model states it."""
    main([str(Path(__file__).parents[1] / "models" / "fast.safetensors")])
    assert capsys.readouterr().out.splitlines()[1].split() == ["fast", "8.6", "7.8", "2,256,928"]


def test_checkpoint_round_trip(tmp_path):
    """Metadata make the class, weights fill it."""
    model = codec("joint", gdn="simplified")
    path = tmp_path / "joint.safetensors"
    checkpoint.save_weights(path, model.state_dict(), {"stage": "float", **model.config.as_dict()})
    loaded = load_family(path)
    assert loaded.config == model.config
    assert isinstance(loaded.g_a[1], SimplifiedGdn)
    state = loaded.state_dict()
    assert all(torch.equal(state[name], t) for name, t in model.state_dict().items())
    loaded(compressai_parts.picture())


@pytest.mark.parametrize("field, value, because", [
    ("architecture", "vvc", "architecture: 'vvc', must be one of factorized"),
    ("gdn", 3, "gdn: 3, must be one of gdn"),
    ("n", 0, r"n: 0, must be an integer within \[1, 4096\]"),
    ("m", math.inf, "m: inf"),
    ("m", M + 1, "tensor 'g_a"),
])  # fmt: skip
def test_wrong_metadata_are_named(field, value, because, tmp_path):
    model, path = codec("scale"), tmp_path / "x.safetensors"
    meta = {"stage": "float", **model.config.as_dict(), field: value}
    checkpoint.save_weights(path, model.state_dict(), meta)
    with pytest.raises(ValueError, match=because):
        load_family(path)
