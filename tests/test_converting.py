"""CompressAI's architectures: recognised, calibrated, and integers that say what floats say."""

from __future__ import annotations

import compressai_models
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from intnet import codec, model_file
from intnet.converting import (
    bottleneck,
    calibrate,
    compare,
    compressai,
    float_codec,
    float_run,
    integer_model,
    recipe,
)
from intnet.distortion import psnr
from intnet.training.data import as_input


@pytest.fixture(scope="module")
def pictures(picture):
    """Four pictures (128, 128, 3), smooth with some noise."""
    noise = np.random.default_rng(0).integers(-20, 21, (4, 128, 128, 3))
    tiled = np.tile(picture, (2, 2, 1))[:128, :128].astype(np.int64)
    return [np.clip(tiled + part, 0, 255).astype(np.uint8) for part in noise]


def converted(architecture, pictures, name="mixed"):
    """Float codec and what it became."""
    floats = compressai.float_codec(compressai_models.state(architecture))
    chosen = recipe.named(name)
    records = calibrate.record(floats, calibrate.crops(pictures, 16), lambda: None, chosen)
    return floats, integer_model.convert(floats, records, chosen, {"name": "test"})


@pytest.fixture(scope="module", params=compressai.NAMES)
def pair(request, pictures):
    return converted(request.param, pictures)


def rows(floats, made, pictures):
    """Of `compare.layers`, for every program."""
    keep = {name: compare.Keep({}) for name in floats.graphs}
    float_codec.code(floats, as_input(pictures[0][None]), 1.0, keep)
    found = []
    for name, graph in floats.graphs.items():
        inputs = {source: keep[name].tensors[source] for source in graph.inputs}
        found += compare.layers(graph, made.emitted[name], inputs, "numpy")
    return found


def test_architecture_is_recognised(pair):
    """By tensors alone."""
    floats, made = pair
    shapes = {name: tuple(x.shape) for name, x in compressai_models.state(floats.name).items()}
    assert compressai.recognise(shapes) == floats.name
    wanted = {"analysis", "synthesis"}
    wanted |= set() if "factorized" in floats.name else {"hyper_analysis", "prior"}
    wanted |= {"context"} if floats.name == "mbt2018" else set()
    assert set(made.model.programs) == wanted


def test_every_layer_says_what_floats_say(pair, pictures):
    """Transforms with 16 bits to 50 dB, hyper-networks with 8 to 20 dB, little saturates."""
    for row in rows(*pair, pictures):
        transform = row.network in ("analysis", "synthesis")
        least = 45 if transform else 18
        least = 30 if row.layer == "g_s.6" else least  # rounded to 8-bit samples
        assert row.snr_db > least, row
        assert row.saturated < 0.02 or row.layer in ("index", "g_s.6"), row  # by design


def test_model_codes_as_the_float_codec(pair, pictures):
    """Saved, loaded, encoded, decoded: samples to 32 dB of the float model's, bits to 3 %."""
    floats, made = pair
    model = model_file.from_bytes(model_file.to_bytes(made.model))
    x = pictures[0]
    for quality in (16, 32, 60):
        stream = codec.encode(x, model, quality, "numpy")
        got = codec.decode(stream, [model], "numpy").pixels
        coded = float_codec.code(floats, as_input(x[None]), floats.gains[quality])
        ideal = (coded.x_hat[0] * 255).round().clamp(0, 255).movedim(0, -1).byte().numpy()
        assert psnr(ideal, got) > 32  # a symbol on the edge may fall the other way
        assert 8 * len(stream) == pytest.approx(
            coded.bits, rel=0.03, abs=1000
        )  # an escape is cheap


@pytest.mark.parametrize("name, least", [("w8a8", 15), ("w8a16", 30), ("mixed", 45)])
def test_recipes_cost_what_they_say(name, least, pictures):
    """More bits, less noise: of y, and of what the synthesis reads."""
    found = rows(*converted("mbt2018-mean", pictures, name), pictures)
    snr = {row.layer: row.snr_db for row in found}
    assert least < snr["g_a.6"] < least + 35
    assert snr["g_s.4"] > least
    bits = {row.layer: row.headroom_bits for row in found if row.headroom_bits is not None}
    assert min(bits.values()) >= 0


def test_weights_of_recipes(pictures):
    """8 bits are 8 bits."""
    model = converted("bmshj2018-hyperprior", pictures, "w8a8")[1].model
    for program in model.programs.values():
        for op in program.ops:
            if op.kind.startswith("conv") and not op.name.endswith(".norm"):
                assert op.weight.dtype == np.int8, op.name


def test_density_is_the_reference(pictures):
    """Tables against the density in floats: sums to 1, rate within 0.2 % of the entropy."""
    density = compressai.float_codec(compressai_models.state("mbt2018-mean")).density
    tables = bottleneck.tables(density)
    for c in range(compressai_models.N):
        counts = np.diff(tables.cdf[tables.start[c] : tables.start[c + 1]]) / 65536
        symbols = torch.arange(len(counts) - 1)[None] + int(tables.minimum[c])
        bits = density.bits(symbols.expand(compressai_models.N, -1).float())[c].numpy()
        p = 2.0**-bits
        assert p.sum() == pytest.approx(1, abs=1e-3)
        assert -(p * np.log2(counts[:-1])).sum() == pytest.approx((p * bits).sum(), rel=2e-3)


def test_density_follows_its_formula():
    """One channel, one layer after the other, in NumPy."""
    state = compressai_models.state("mbt2018-mean")
    density = compressai.float_codec(state).density
    x, c, prefix = np.array([[-3.0, 0.2, 7.0]]), 5, "entropy_bottleneck"
    u = x
    for k in range(5):
        matrix, bias = (state[f"{prefix}.{kind}.{k}"][c].double().numpy()
                        for kind in ("matrices", "biases"))  # fmt: skip
        u = np.log1p(np.exp(matrix)) @ u + bias
        if k < 4:
            u = u + np.tanh(state[f"{prefix}.factors.{k}"][c].double().numpy()) * np.tanh(u)
    got = density.cumulative(torch.from_numpy(x).expand(compressai_models.N, -1))[c]
    np.testing.assert_allclose(got.numpy(), 1 / (1 + np.exp(-u[0])), rtol=1e-12)


def test_medians_go_and_come_back():
    """Symbols of z are less the medians, and what the prior reads has them again."""
    state = compressai_models.state("mbt2018-mean")
    floats = compressai.float_codec(state)
    y = torch.randn(1, compressai_models.M, 16, 16, generator=torch.Generator().manual_seed(0))
    (z,) = float_run.run(floats.graphs["hyper_analysis"], {"y": y}).values()
    keep = compare.Keep({})
    float_run.run(floats.graphs["prior"], {"z": z}, keep)
    plain = y
    for k, stride in ((0, 1), (2, 2), (4, 2)):
        weight, bias = state[f"h_a.{k}.weight"], state[f"h_a.{k}.bias"]
        plain = F.conv2d(plain if k == 0 else F.leaky_relu(plain, 0.01), weight, bias, stride,
                         weight.shape[2] // 2)  # fmt: skip
    medians = state["entropy_bottleneck.quantiles"][:, 0, 1]
    torch.testing.assert_close(z, plain - medians[:, None, None])
    torch.testing.assert_close(keep.tensors["z_hat"], plain)


def test_old_names_are_read():
    """CompressAI below 1.2.7 has other names for its densities."""
    new = compressai_models.state("mbt2018-mean")
    renamed = {"matrices.": "_matrix", "biases.": "_bias", "factors.": "_factor"}
    old = dict(new)
    for word, before in renamed.items():
        old = {name.replace(word, before): x for name, x in old.items()}
    assert old.keys() != new.keys()
    a, b = (compressai.float_codec(state).density for state in (new, old))
    x = torch.linspace(-3, 3, 7).repeat(compressai_models.N, 1)
    assert torch.equal(a.cumulative(x), b.cumulative(x))


def test_gains_of_variable_rate(pair):
    """64 gains, rising; one rate has its own step at 32."""
    floats, made = pair
    assert list(floats.gains) == sorted(floats.gains) and len(floats.gains) == 64
    if floats.name.endswith("-vbr"):
        assert floats.gains[0] == pytest.approx(0.25) and floats.gains[63] == pytest.approx(1)
    else:
        assert floats.gains[32] == 1
    scaling = made.model.scaling
    product = scaling.gain.astype(float) * scaling.inverse_gain
    np.testing.assert_allclose(
        product, 2.0 ** (scaling.gain_shift + scaling.inverse_shift), rtol=0.01
    )


def test_real_classes_convert():
    """CompressAI's own MeanScaleHyperprior computes what the float graph computes."""
    from intnet.bench import compressai_peers, peers  # noqa: PLC0415

    compressai_peers.stand_in_for_torchvision()
    try:
        google = peers.need("compressai.models.google")
    except peers.NotInstalledError as error:
        pytest.skip(f"CompressAI: {error}")
    torch.manual_seed(0)
    net = google.MeanScaleHyperprior(compressai_models.N, compressai_models.M).eval()
    net.update(force=True)
    floats = compressai.float_codec(net.state_dict())
    x = torch.rand(1, 3, 64, 128)
    keep = {name: compare.Keep({}) for name in floats.graphs}
    with torch.no_grad():
        theirs = net(x)
    ours = float_codec.code(floats, x, 1.0, keep)
    torch.testing.assert_close(ours.x_hat, theirs["x_hat"], rtol=1e-4, atol=1e-4)
    bits = sum(float(-p.log2().sum()) for p in theirs["likelihoods"].values())
    assert ours.bits == pytest.approx(bits, rel=1e-3)
