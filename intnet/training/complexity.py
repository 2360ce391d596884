"""Multiplications and parameters of a codec, counted layer by layer.

python -m intnet.training.complexity                        # the family at the papers' sizes
python -m intnet.training.complexity fast.safetensors ...   # checkpoints of the flagship
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from intnet.training.evaluate import load_model
from intnet.training.family import ARCHITECTURES, MaskedConv
from intnet.training.gdn import Gdn
from intnet.training.layers import Conv

SIDE = 64  # every layer has at least one position of its output
ENCODER_ALONE = ("analysis", "g_a", "hyper_analysis", "h_a")
DECODER_ALONE = ("synthesis", "g_s")  # what is in neither, the prior, runs on both sides


class Complexity(NamedTuple):
    """Thousands of multiply-accumulates for each pixel, and learned numbers."""

    encode_kmac: float
    decode_kmac: float
    parameters: int


def macs(layer: nn.Module, x: Tensor, y: Tensor) -> int:
    """Multiply-accumulates of one layer from x to y, one picture; 0 for what has no kernel."""
    if isinstance(layer, MaskedConv):
        return int(layer.mask.sum()) * y[0, 0].numel()
    if isinstance(layer, nn.ConvTranspose2d):
        return layer.weight.numel() * x[0, 0].numel()
    if isinstance(layer, nn.Conv2d | Conv):
        return layer.weight.numel() * y[0, 0].numel()
    if isinstance(layer, Gdn):
        return layer.gamma.numel() * y[0, 0].numel()
    return 0


@torch.no_grad()
def complexity(model: nn.Module) -> Complexity:
    """Of a model of the family or the flagship, from one forward pass of 64 by 64 pixels."""
    counts = dict.fromkeys(("encode", "decode"), 0)

    def counting(name: str) -> Any:
        def hook(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            found = macs(layer, inputs[0], output)
            counts["encode"] += 0 if name.startswith(DECODER_ALONE) else found
            counts["decode"] += 0 if name.startswith(ENCODER_ALONE) else found

        return hook

    counted = (nn.Conv2d, nn.ConvTranspose2d, Conv, Gdn)
    hooks = [
        layer.register_forward_hook(counting(name))
        for name, layer in model.named_modules() if isinstance(layer, counted)
    ]  # fmt: skip
    was_training = model.training
    try:
        model.train()  # a context at all positions at once
        model(torch.rand(1, 3, SIDE, SIDE), torch.zeros(1))
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    learned = sum(p.numel() for p in model.parameters() if p.requires_grad)
    encode, decode = (count / SIDE**2 / 1000 for count in counts.values())
    return Complexity(encode, decode, learned)


def main(argv: list[str] | None = None) -> None:
    """Print a table."""
    p = argparse.ArgumentParser(description="kMAC/pixel and parameters.")
    p.add_argument("checkpoint", nargs="*", type=Path, help="of the flagship; none: the family")
    p.add_argument("--n", type=int, default=192, help="channels of the transforms")
    p.add_argument("--m", type=int, default=320, help="channels of the latents")
    args = p.parse_args(argv)
    codecs: dict[str, nn.Module] = {path.stem: load_model(path) for path in args.checkpoint}
    codecs = codecs or {name: make(args.n, args.m) for name, make in ARCHITECTURES.items()}
    print(f"{'architecture':16} {'encode':>8} {'decode':>8} kMAC/pixel  parameters")  # noqa: T201
    for name, codec in codecs.items():
        found = complexity(codec)
        print(  # noqa: T201
            f"{name:16} {found.encode_kmac:8.1f} {found.decode_kmac:8.1f} {found.parameters:22,}"
        )


if __name__ == "__main__":
    main()
