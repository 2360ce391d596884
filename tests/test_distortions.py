"""Distortions of the trainer: those of intnet.distortion, and what their papers promise."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from intnet import distortion
from intnet.training import distortions
from intnet.training.distortions import DISTORTIONS, LEVELS, LOW_PASS, NEIGHBOURS, nlpd


def tensor(samples):
    return torch.tensor(samples).movedim(-1, 0)[None].double() / 255


def as_jpeg(picture, quality):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


@pytest.fixture(scope="module")
def photo(picture):
    """(169, 163, 3), odd sides."""
    return np.tile(picture, (4, 4, 1))[:169, :163]


def test_equal_those_of_decoded_pictures(photo):
    """MS-SSIM and squared error of a JPEG, as `intnet eval` has them."""
    decoded = as_jpeg(photo, 20)
    x_hat, x = tensor(decoded), tensor(photo)
    mse = 255**2 * 10 ** (-distortion.psnr(photo, decoded) / 10)
    assert DISTORTIONS["mse"](x_hat, x).item() == pytest.approx(mse, rel=1e-9)
    found = distortions.ms_ssim(x_hat, x).item()
    assert found == pytest.approx(distortion.ms_ssim(photo, decoded), rel=1e-9)
    assert found < 0.999


def test_small_pictures_are_refused():
    x = torch.zeros(1, 3, 160, 300)
    with pytest.raises(ValueError, match="at least 161"):
        distortions.ms_ssim(x, x)


def by_loops(samples):
    """The normalised pyramid of one channel, sample by sample, from the definition."""

    def low(x):
        taps, mirror = np.array(LOW_PASS), np.pad(x, 2, mode="symmetric")
        kernel = np.outer(taps, taps)
        rows, columns = (range(0, side, 2) for side in x.shape)
        sums = [[(mirror[r : r + 5, c : c + 5] * kernel).sum() for c in columns] for r in rows]
        return np.array(sums)

    def up(x, shape):
        taps, edge = np.array(LOW_PASS), np.pad(x, 1, mode="edge")
        out = np.zeros(shape)
        for r in range(shape[0]):
            for c in range(shape[1]):
                for i in range(edge.shape[0]):
                    for j in range(edge.shape[1]):
                        dr, dc = 2 * i - r - 2, 2 * j - c - 2  # sample i, j lies there
                        if abs(dr) <= 2 and abs(dc) <= 2:
                            out[r, c] += 4 * edge[i, j] * taps[dr + 2] * taps[dc + 2]
        return out

    levels, x = [], samples
    for k, (constant, weights) in enumerate(LEVELS):
        coarse = low(x) if k < len(LEVELS) - 1 else None
        band = x if coarse is None else x - up(coarse, x.shape)
        padded, around = np.pad(np.abs(band), 2), np.zeros_like(band)
        for (r, c), weight in zip(NEIGHBOURS, weights, strict=True):
            around += weight * padded[r : r + band.shape[0], c : c + band.shape[1]]
        levels.append(band / (constant + around))
        x = coarse
    return levels


def test_pyramid_is_its_definition():
    rng = np.random.default_rng(0)
    a, b = rng.random((13, 10)), rng.random((13, 10))
    pairs = zip(by_loops(a), by_loops(b), strict=True)
    expected = np.mean([np.sqrt(np.square(p - q).mean()) for p, q in pairs])
    found = nlpd(*(torch.tensor(v)[None, None] for v in (a, b)))
    assert found.item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", DISTORTIONS)
def test_is_a_distortion(name, photo):
    """0 for equal pictures and nowhere else, symmetric, more for less of a JPEG, per picture."""
    measure = DISTORTIONS[name]
    x = tensor(photo)
    ladder = [tensor(as_jpeg(photo, q)) for q in (80, 40, 20, 10)]
    values = [measure(x_hat, x).item() for x_hat in ladder]
    assert measure(x, x).item() == pytest.approx(0, abs=1e-2)
    assert 1 < values[0] < values[1] < values[2] < values[3]
    assert measure(x, ladder[2]).item() == pytest.approx(values[2], rel=1e-9)
    both = measure(torch.cat(ladder[:2]), torch.cat([x, x])).tolist()
    assert both == pytest.approx(values[:2])


def test_one_lambda_serves_all(photo):
    """Along a ladder of JPEGs each changes as squared error does, within a factor of three."""
    x = tensor(photo)
    ladder = [tensor(as_jpeg(photo, q)) for q in (60, 20)]
    changes = {name: np.ptp([f(x_hat, x).item() for x_hat in ladder])
               for name, f in DISTORTIONS.items()}  # fmt: skip
    assert 1 / 3 < changes["nlpd"] / changes["mse"] < 3
    assert 1 / 3 < changes["ms-ssim"] / changes["mse"] < 3


def test_texture_hides_noise():
    """Equal noise costs less on a texture than on grey, for the pyramid; not for squared error."""
    torch.manual_seed(0)
    grey = torch.full((1, 1, 128, 128), 0.5)
    texture = grey + 0.2 * torch.randn(1, 1, 128, 128).clamp(-2, 2)
    noise = 0.02 * torch.randn(1, 1, 128, 128)
    costs = {f: [f(x + noise, x).item() for x in (grey, texture)]
             for f in (nlpd, distortions.squared_error)}  # fmt: skip
    assert costs[nlpd][1] < 0.7 * costs[nlpd][0]
    flat, textured = costs[distortions.squared_error]
    assert textured == pytest.approx(flat, rel=1e-4)


@pytest.mark.parametrize("name", DISTORTIONS)
def test_gradients(name, photo):
    """Finite at equality and far away; a step against them makes the distortion smaller."""
    measure = DISTORTIONS[name]
    x = tensor(photo)
    for start in (x.clone(), 1 - x, tensor(as_jpeg(photo, 10))):
        x_hat = start.requires_grad_()
        before = measure(x_hat, x)
        before.sum().backward()
        assert x_hat.grad.isfinite().all()
    after = measure(x_hat.detach() - 1e-3 * x_hat.grad / x_hat.grad.abs().max(), x)
    assert after.item() < before.item()


@pytest.mark.parametrize("name", DISTORTIONS)
def test_derivative(name):
    """Along one direction, by differences in float64."""
    torch.manual_seed(0)
    x = torch.rand(1, 1, 176, 161, dtype=torch.float64)
    x_hat = (x + 0.1 * torch.randn_like(x)).requires_grad_()
    direction, step = x_hat.detach() - x + 0.05 * torch.randn_like(x), 1e-7
    DISTORTIONS[name](x_hat, x).sum().backward()
    ahead, behind = (DISTORTIONS[name](x_hat.detach() + s * direction, x) for s in (step, -step))
    found = ((ahead - behind) / (2 * step)).item()
    assert (x_hat.grad * direction).sum().item() == pytest.approx(found, rel=1e-4)
