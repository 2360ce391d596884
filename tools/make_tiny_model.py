"""Write a model with random weights and few channels, for tests: milliseconds per picture.

python tools/make_tiny_model.py out/tiny.inm [SEED]
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch.nn import functional

from intnet import model_file
from intnet.convert import integer_model
from intnet.training.initialise import klt
from intnet.training.models import Config, MeanScaleHyperprior
from intnet.training.quantise import integer_twin


def pictures() -> torch.Tensor:
    """Smooth noise (8, 3, 128, 128) in [0, 1]: something a transform coder can learn from."""
    coarse = torch.rand(8, 3, 16, 16)
    smooth = functional.interpolate(coarse, size=(128, 128), mode="bicubic").clamp(0, 1)
    return (0.9 * smooth + 0.1 * torch.rand(8, 3, 128, 128)).clamp(0, 1)


@torch.no_grad()
def make(seed: int = 0, name: str = "tiny") -> model_file.Model:
    """The model, deterministic from the seed on one machine."""
    torch.manual_seed(seed)
    model = MeanScaleHyperprior(Config(c=16, m=16, m_hidden=16, z=16, blocks=1))
    x = pictures()
    klt(model, x)
    model.hyper_analysis[-1].weight.mul_(40)  # or z would be zero everywhere, and never tested
    twin = integer_twin(model, x)
    return integer_model(twin, {"name": name, "licence": "CC0-1.0", "recipe": "random weights"})


if __name__ == "__main__":
    model_file.save(make(int(sys.argv[2]) if len(sys.argv) > 2 else 0), Path(sys.argv[1]))
