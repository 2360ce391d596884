"""Curves of a checkpoint's float twin, and of float transforms with the integer prior.

Rates are ideal code lengths, so they leave out the container (34 bytes) and the coder's excess.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

import rangecoder
from intnet import convert_report, latents, networks, tile_coding
from intnet.distortion import psnr
from intnet.model_file import Model
from intnet.program import DTYPES
from intnet.training import evaluate, quantise
from intnet.training.data import as_input
from intnet.training.models import MeanScaleHyperprior

Pixels = npt.NDArray[np.uint8]
Curve = list[tuple[float, float]]


def curves_of(
    checkpoint: Path,
    calibration: Path,
    model: Model,
    pictures: list[Pixels],
    qualities: Sequence[int],
) -> dict[str, Curve]:
    """'float twin' (nothing rounded) and 'integer prior' (only the prior and its tables are).

    The second for models without a context, which would need y_hat step by step.
    """
    known = convert_report.calibration_pictures(calibration)
    twin, *_ = convert_report.integer_checkpoint(checkpoint, known, print)  # the model's units
    twin = quantise.float_twin(twin).eval()
    floats = evaluate.curve(twin, pictures, [float(q) for q in qualities])
    found = {"float twin": [(p.bpp, p.psnr) for p in floats]}
    if twin.context is None:
        points = [[hybrid_point(twin, model, x, q) for q in qualities] for x in pictures]
        found["integer prior"] = [(float(b), float(p)) for b, p in np.mean(points, 0)]
    return found


def channel_last(x: Tensor) -> npt.NDArray[np.float32]:
    """(1, c, h, w) to (h, w, c)."""
    return x[0].movedim(0, -1).contiguous().numpy()


@torch.no_grad()
def hybrid_point(
    twin: MeanScaleHyperprior, model: Model, picture: Pixels, quality: int
) -> tuple[float, float]:
    """(bpp, PSNR) with float analysis, hyper-analysis and synthesis around the integer prior."""
    h, w = picture.shape[:2]
    x = F.pad(as_input(picture[None]), (0, -w % 64, 0, -h % 64), mode="replicate") * 255
    y = twin.analysis(x)
    z_port = networks.port(model, "prior")
    z = channel_last(twin.hyper_analysis(y).round()).clip(z_port.lo, z_port.hi)
    z = z.astype(DTYPES[z_port.dtype])
    mean, index = networks.prior(model, z, h, w, "numba")
    tables = latents.table_indexes(index, model.scaling, quality, len(model.y_tables.minimum))
    q = torch.tensor([float(quality)])
    gain, inverse = (
        channel_last(twin.at_quality(t, q).exp()) for t in (twin.log_gain, twin.log_inverse_gain)
    )
    residual = (channel_last(y)[: mean.shape[0], : mean.shape[1]] - mean) * gain
    magnitude = np.floor(np.abs(residual) + model.scaling.dead_zone[tables] / 2**16)
    symbols = np.copysign(magnitude, residual)
    y_hat = torch.from_numpy((mean + symbols * inverse).astype(np.float32)).movedim(-1, 0)[None]
    x_hat = channel_last(twin.synthesis(y_hat))[:h, :w].round().clip(0, 255)
    bits = rangecoder.ideal_bits(symbols.astype(np.int32).ravel(), tables.ravel(), model.y_tables)
    bits += rangecoder.ideal_bits(
        z.astype(np.int32).ravel(), tile_coding.z_indexes(z.shape), model.z_tables
    )
    return bits / (h * w), psnr(picture, x_hat)
