"""Turn the prototype's float weights into a starting checkpoint of our model.

    python tools/adopt_prototype.py ../shared/data/prototype_float.safetensors \
        ../shared/data/train out/start.safetensors

The prototype has M = 192 latents and LeakyReLU; ours has more latents and ReLU. Added latents span
the largest principal components of what the prototype's latents leave over.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from intnet.training.checkpoint import save_weights
from intnet.training.data import as_input, batches, load_pictures
from intnet.training.models import ANCHORS, LAMBDA_MAX, LAMBDA_MIN, Config, MeanScaleHyperprior

RENAME = {
    "ga.1": "analysis.1", "ga.2": "analysis.2", "ga.3": "analysis.3", "ga.4": "analysis.5",
    "ga.5": "analysis.6", "gs.0": "synthesis.0", "gs.1": "synthesis.1", "gs.3": "synthesis.3",
    "gs.4": "synthesis.4", "gs.5": "synthesis.5", "ha.0": "hyper_analysis.0",
    "ha.2": "hyper_analysis.1", "ha.4": "hyper_analysis.2", "hs.0": "prior.0", "hs.3": "prior.2",
    "hs.6": "prior.4", "pz": "z_prior",
}  # fmt: skip
OLD_M = 192


def pad(old: Tensor, shape: torch.Size) -> Tensor:
    """old in the leading corner of a zero tensor of the new shape."""
    new = torch.zeros(shape)
    new[tuple(slice(0, s) for s in old.shape)] = old
    return new


def resample_gains(old: Tensor) -> Tensor:
    """Move (8, m) gain anchors from the prototype's lambdas to ours, linear in log lambda."""
    theirs = np.log(0.0018 * 100 ** (np.arange(8) / 7))
    ours = np.log(LAMBDA_MIN) + np.log(LAMBDA_MAX / LAMBDA_MIN) * np.arange(ANCHORS) / (ANCHORS - 1)
    position = np.interp(ours, theirs, np.arange(8))
    low = np.minimum(position.astype(int), 6)
    rows = torch.lerp(old[low], old[low + 1], torch.tensor(position - low)[:, None].float())
    slope = (old[7] - old[0]) / (theirs[7] - theirs[0])
    beyond = torch.tensor(ours - np.clip(ours, theirs[0], theirs[7])).float()
    return rows + beyond[:, None] * slope


def main(source: Path, corpus: Path, target: Path) -> None:
    """Read, widen, fit the added latents, write."""
    torch.manual_seed(0)
    old = load_file(source)
    config = Config()
    model = MeanScaleHyperprior(config)
    state = model.state_dict()
    for name, weight in old.items():
        tensor = weight
        key = next(
            (new + name[len(was) :] for was, new in RENAME.items() if name.startswith(was + ".")),
            name,
        )
        if key == "analysis.5.weight":
            tensor = tensor.reshape(OLD_M, -1, 1, 1)
        if key.startswith("prior.4."):  # mean | log-scale halves
            shape = state[key][: config.m].shape
            tensor = torch.cat([pad(half, shape) for half in tensor.chunk(2)])
        if key in ("log_gain", "log_inverse_gain"):
            tensor = resample_gains(tensor)
            mean = tensor.mean(1, keepdim=True).expand(-1, config.m - OLD_M)
            tensor = torch.cat([tensor, mean], 1)
        state[key] = pad(tensor, state[key].shape)
    model.load_state_dict(state)
    with torch.no_grad():
        add_latents(model, corpus)
    save_weights(target, model.state_dict(), {"stage": "float", **config.as_dict()})


def add_latents(model: MeanScaleHyperprior, corpus: Path) -> None:
    """Principal components of what the known latents leave over, to the rows beyond OLD_M."""
    pictures = load_pictures(corpus, 384, 300)
    x = as_input(next(batches(pictures, 300, 128, np.random.default_rng(0)))) - 0.5
    features = model.analysis[:5](x)
    u = features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])
    known = torch.linalg.qr(model.analysis[5].weight[:OLD_M, :, 0, 0].T)[0]
    u = u - u.mean(0) - (u - u.mean(0)) @ known @ known.T
    basis = torch.linalg.eigh(u.T @ u / len(u))[1].flip(1)[:, : model.config.m - OLD_M]
    model.analysis[5].weight[OLD_M:, :, 0, 0] = basis.T
    model.synthesis[1].weight[:, OLD_M:, 0, 0] = basis
    y = F.conv2d(features, model.analysis[5].weight, model.analysis[5].bias)[:, OLD_M:]
    model.analysis[5].bias[OLD_M:] = -y.mean((0, 2, 3))
    model.prior[4].bias[model.config.m + OLD_M :] = y.std((0, 2, 3)).log()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
