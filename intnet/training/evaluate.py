"""Rate and distortion of a checkpoint on a folder of pictures, by the training model itself.

    python -m intnet.training.evaluate CHECKPOINT FOLDER [--qualities 0,9,...]

Rates are sums of -log2 of the float model's probabilities, not bytes of a coder: `convert` compares
them with the integer codec's real streams.
"""

from __future__ import annotations

import argparse
import reprlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from intnet.distortion import psnr
from intnet.training.checkpoint import check_weights, load_weights
from intnet.training.data import Pictures, as_input, load_pictures
from intnet.training.family_files import Codec, load_family
from intnet.training.models import Config, MeanScaleHyperprior
from intnet.training.quantise import empty_twin


class Point(NamedTuple):
    """Averages over pictures at one quality."""

    quality: float
    bpp: float
    psnr: float


def load_codec(path: Path) -> Codec:
    """The flagship or another architecture, in evaluation mode. Raises ValueError as load_model."""
    if "architecture" in load_weights(path)[1]:
        return load_family(path).eval()
    return load_model(path)


def load_model(path: Path) -> MeanScaleHyperprior:
    """The float or integer flagship of a checkpoint, in evaluation mode.

    Raises ValueError naming field or tensor, got and allowed. What the file says of sizes is
    compared with the tensors that it has before anything of such sizes is made.
    """
    weights, meta = load_weights(path)
    if "architecture" in meta:
        raise ValueError(f"{path}: architecture {meta['architecture']!r}, must be the flagship")
    stage = meta.get("stage")
    if stage not in ("float", "integer"):
        raise ValueError(f"{path}: stage {reprlib.repr(stage)}, must be 'float' or 'integer'")
    try:
        with torch.device("meta"):  # shapes alone
            model = MeanScaleHyperprior(Config.of(meta))
            model = empty_twin(model) if stage == "integer" else model
        check_weights(weights, model.state_dict())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    model.load_state_dict(weights, assign=True)
    return model.eval()


def rate_distortion(
    model: Codec, picture: npt.NDArray[np.uint8], quality: float
) -> tuple[float, float]:
    """(bpp, PSNR in dB of rounded pixels) of one uint8 picture (h, w, 3)."""
    bpp, decoded = coded(model, picture, quality)
    return bpp, psnr(picture, decoded)


@torch.no_grad()
def coded(
    model: Codec, picture: npt.NDArray[np.uint8], quality: float
) -> tuple[float, npt.NDArray[np.uint8]]:
    """(bpp by the model's probabilities, rounded samples) of one uint8 picture (h, w, 3)."""
    h, w = picture.shape[:2]
    x = F.pad(as_input(picture[None]), (0, -w % 64, 0, -h % 64), mode="replicate")
    out = model(x, torch.tensor([float(quality)]))
    x_hat = (out.x_hat[0, :, :h, :w] * 255).round().clamp(0, 255).movedim(0, -1)
    return (out.bits_y + out.bits_z).item() / (h * w), x_hat.to(torch.uint8).numpy()


def curve(model: Codec, pictures: Pictures, qualities: list[float]) -> list[Point]:
    """Mean bpp and mean PSNR at each quality."""
    points = []
    for q in qualities:
        pairs = [rate_distortion(model, p, q) for p in pictures]
        bpp, psnr = np.mean(pairs, 0)
        points.append(Point(q, float(bpp), float(psnr)))
    return points


def main() -> None:
    """Print a table."""
    p = argparse.ArgumentParser(
        description="Rate-distortion of a checkpoint (float probabilities)."
    )
    p.add_argument("checkpoint", type=Path)
    p.add_argument("folder", type=Path)
    p.add_argument("--qualities", default="0,9,18,27,36,45,54,63")
    args = p.parse_args()
    qualities = [float(q) for q in args.qualities.split(",")]
    for point in curve(load_codec(args.checkpoint), load_pictures(args.folder, 64), qualities):
        print(f"q {point.quality:4.0f}  {point.bpp:.4f} bpp  {point.psnr:.3f} dB")  # noqa: T201


if __name__ == "__main__":
    main()
