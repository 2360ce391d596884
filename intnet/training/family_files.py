"""Checkpoints of the family: a CompressAI state dict with our metadata.

net.load_state_dict(safetensors.torch.load_file("scale.safetensors"))   # CompressAI's own class
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from intnet.training import checkpoint
from intnet.training.family import FactorizedPrior, FamilyConfig
from intnet.training.models import MeanScaleHyperprior

Codec = MeanScaleHyperprior | FactorizedPrior  # the flagship, or another


def new_model(args: argparse.Namespace) -> FactorizedPrior:
    """What the trainer starts with: fresh, or the weights of --init."""
    if args.init:
        return load_family(args.init)
    return FamilyConfig.of(vars(args)).model()


def load_family(path: Path) -> FactorizedPrior:
    """The codec of a checkpoint, in training mode. Raises ValueError for any other file."""
    weights, meta = checkpoint.load_weights(path)
    try:
        with torch.device("meta"):  # shapes alone, before anything of such sizes is made
            model = FamilyConfig.of(meta).model()
        checkpoint.check_weights(weights, model.state_dict())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    model.load_state_dict(weights, assign=True)
    return model
