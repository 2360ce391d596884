"""What every environment is given, computed once: z of the integer codec, y of both codecs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from intnet import codec, planes
from intnet.model_file import Z_STRIDE, Model
from intnet.program import Array
from intnet.training import entropy
from intnet.training.models import MeanScaleHyperprior

Float32 = npt.NDArray[np.float32]


class Picture(NamedTuple):
    """z: int8, the same for all. Latents (h, w, M): y of the float codec, y_integer of ours."""

    z: Array
    y: Float32
    y_integer: Array


class Gains(NamedTuple):
    """Of one quality, float32 (M,)."""

    log_gain: Float32
    gain: Float32
    inverse_gain: Float32


@torch.inference_mode()
def picture(pixels: codec.Pixels, model: Model, floats: MeanScaleHyperprior) -> Picture:
    """One picture through both encoders. pixels: uint8 (h, w, 3)."""
    analysed = codec.analyse(pixels, model)
    h, w, _ = analysed.y.shape
    padded = np.array(planes.padded(pixels, 0, Z_STRIDE * len(analysed.z)))
    x = torch.from_numpy(padded)[None].movedim(-1, 1).float() / 255
    y = floats.analysis((x - floats.pixel_offset) * floats.pixel_scale)[0].movedim(0, -1)
    return Picture(analysed.z, np.ascontiguousarray(y[:h, :w].numpy()), analysed.y)


@torch.inference_mode()
def gains(floats: MeanScaleHyperprior, quality: int) -> Gains:
    """Gains of a quality, as the float model has them."""
    at = torch.tensor([float(quality)])
    log_gain, log_inverse = (
        floats.at_quality(table, at).flatten()
        for table in (floats.log_gain, floats.log_inverse_gain)
    )
    return Gains(*(t.numpy() for t in (log_gain, log_gain.exp(), log_inverse.exp())))


def write(
    target: Path, pictures: Iterable[Picture], floats: MeanScaleHyperprior, given: Gains
) -> None:
    """inputs.npz, see `exchange`."""
    weights = [p.detach().numpy() for p in floats.prior.parameters()]
    limits = (math.log(entropy.SCALE_MIN), entropy.LOG_STEP, entropy.SCALES - 1)
    arrays = {f"weight{i}": w for i, w in enumerate(weights[::2])}
    arrays |= {f"bias{i}": b for i, b in enumerate(weights[1::2])}
    arrays |= {"log_gain": given.log_gain, "limits": np.array(limits, np.float32)}
    for i, p in enumerate(pictures):
        arrays |= {f"z{i}": p.z, f"grid{i}": np.array(p.y.shape[:2])}
    np.savez(target, allow_pickle=False, **arrays)
