"""What CompressAI 1.2.8 computes with weights that anyone can make: tests/compressai.json.

make bench; .venv/bin/python tests/compressai_parts.py     # writes the file anew
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import torch

FILE = Path(__file__).with_name("compressai.json")
N, M = 6, 9
CLASSES = {
    "factorized": "FactorizedPrior", "factorized-relu": "FactorizedPriorReLU",
    "scale": "ScaleHyperprior", "mean-scale": "MeanScaleHyperprior",
    "joint": "JointAutoregressiveHierarchicalPriors",
}  # fmt: skip


def fill(model):
    """Every tensor that is learned, from its name alone."""
    for name, p in model.named_parameters():
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        values = torch.tensor(rng.standard_normal(p.shape), dtype=torch.float32)
        with torch.no_grad():
            if name.endswith(("beta", "gamma")):
                p.add_(0.1 * values.abs())
            elif name.endswith("quantiles"):
                p[:, 0, 1] = 0.3 * values[:, 0, 1]
            elif "entropy_bottleneck" in name:
                if "matrices" not in name:
                    p.copy_(0.2 * values)
            elif p.ndim == 4:
                p.copy_(values * (2 / p[0].numel()) ** 0.5)
                if name == "g_a.6.weight":
                    p.mul_(8)  # latents of several steps
            else:
                p.copy_(0.1 * values)


def picture():
    """(1, 3, 64, 128), smooth with a texture."""
    i, j = np.mgrid[:64, :128]
    planes = [np.sin(i / 9 + c) + np.cos(j / (5 + c)) + np.sin(i * j / 50) for c in range(3)]
    return torch.tensor(np.stack(planes) / 6 + 0.5, dtype=torch.float32)[None]


def summary(tensor):
    """Enough of a tensor (1, channels, h, w) to tell it from another."""
    return tensor[0].flatten()[::13][:150].tolist()


@torch.no_grad()
def measure(name):
    """Tensors, picture and bits of one of CompressAI's classes."""
    from intnet.bench.compressai_peers import stand_in_for_torchvision  # noqa: PLC0415

    stand_in_for_torchvision()
    from compressai import models  # noqa: PLC0415  # only where it is installed

    model = getattr(models, CLASSES[name])(N, M).eval()
    shapes = {key: [str(t.dtype), *t.shape] for key, t in model.state_dict().items()}
    fill(model)
    x = picture()
    bits = {k: -v.log2().sum().item() for k, v in model(x)["likelihoods"].items()}
    model.update()
    decoded = []
    model.g_s.register_forward_hook(lambda _, y_hat, x_hat: decoded.extend((*y_hat, x_hat.clone())))
    coded = model.compress(x)
    model.decompress(coded["strings"], coded["shape"])
    y_hat, x_hat = decoded
    if name == "joint":  # its forward pass takes other means than its coder
        del bits["y"]
    return {"tensors": shapes, "y_hat": summary(y_hat), "x_hat": summary(x_hat), "bits": bits}


if __name__ == "__main__":
    found = {name: measure(name) for name in CLASSES}
    FILE.write_text(json.dumps(found) + "\n")
