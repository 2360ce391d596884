"""Conversion as a user sees it: the model file, and what integers cost, layer by layer.

The float twin is the trained network without rounding and clipping; the integer side is the real
codec, its rate counted in bytes of real streams.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intnet import convert, model_file, program, table_fit
from intnet.bounds import Bound
from intnet.converting import report
from intnet.converting.losses import Cost, Costs
from intnet.converting.losses import rows as loss_rows
from intnet.converting.report import NOTHING, Report, Say, Subject, Wanted
from intnet.distortion import psnr
from intnet.errors import IntnetError
from intnet.training import evaluate, quantise
from intnet.training.checkpoint import load_weights
from intnet.training.data import Pictures, as_input, batches, load_pictures
from intnet.training.models import MeanScaleHyperprior

QUALITIES = (0, 16, 32, 48, 63)
CALIBRATION_CROPS, CALIBRATION_SIDE, PICTURES, CURVE_PICTURES = 64, 128, 160, 8
LOSS_CROPS, LOSS_QUALITY = 16, 32


def convert_file(
    checkpoint: Path,
    out: Path,
    calibration: Path | None,
    name: str,
    say: Say,
    licence: str = "",
    dead_zone: float | None = None,
    *,
    gaussian_tables: bool = False,
    wanted: Wanted = NOTHING,
) -> Report:
    """Write the integer model of a checkpoint to `out`; report what integers cost.

    A float checkpoint needs `calibration`, a folder of pictures; an integer one gets tables fitted
    to them, and the report. dead_zone: its strength, by default the one trained with.
    gaussian_tables: leave the tables plain Gaussians. wanted: see `report.finish`.
    Raises IntnetError for a checkpoint that is not ours or a bound that fails.
    """
    report.check(wanted, measured=calibration is not None)
    pictures = calibration_pictures(calibration) if calibration else []
    twin, meta = integer_checkpoint(checkpoint, pictures, say)
    metadata = {
        "name": name, "licence": licence, "architecture": architecture(twin),
        "configuration": twin.config.as_dict(),
        "training": {key: meta[key] for key in ("stage", "step", "seconds")},
    }  # fmt: skip
    if dead_zone is not None:
        twin.dead_zone.fill_(dead_zone)
    model = convert.integer_model(twin, metadata)
    if pictures and not gaussian_tables:
        say(f"fitting the tables to {len(pictures)} pictures")
        model = table_fit.fit(model, pictures, float(twin.dead_zone))
    return report.finish(subject(twin, model, pictures), out, wanted, say)


def subject(twin: MeanScaleHyperprior, model: model_file.Model, pictures: Pictures) -> Subject:
    """What a report is about."""
    ideal = quantise.float_twin(twin).eval()
    return Subject(
        model, {"architecture": architecture(twin)}, pictures[:CURVE_PICTURES], QUALITIES, None,
        lambda picture, quality: evaluate.coded(ideal, picture, quality),
        lambda: layers(twin, model, calibration_crops(pictures)),
        lambda slope: losses(twin, calibration_crops(pictures)[:LOSS_CROPS], slope),
    )  # fmt: skip


def architecture(twin: MeanScaleHyperprior) -> str:
    """For people."""
    return "quadtree-context" if twin.context else "mean-scale-hyperprior"


def integer_checkpoint(
    path: Path, pictures: Pictures, say: Say
) -> tuple[MeanScaleHyperprior, dict[str, Any]]:
    """The integer twin of either kind of checkpoint, and its metadata."""
    try:
        meta = load_weights(path)[1]
        model = evaluate.load_model(path)
    except ValueError as error:
        raise IntnetError(f"{path}: not a checkpoint of `intnet train` ({error})") from None
    if meta["stage"] == "integer":
        return model, meta
    if not pictures:
        raise IntnetError(
            f"{path}: a float checkpoint needs --calibration with a folder of pictures"
        )
    say("calibrating: post-training quantisation of a float checkpoint")
    return quantise.integer_twin(model, calibration_crops(pictures)).eval(), meta


def calibration_pictures(folder: Path) -> Pictures:
    """At most PICTURES of a folder, evenly spaced over its sorted names."""
    return load_pictures(folder, CALIBRATION_SIDE, PICTURES)


def calibration_crops(pictures: Pictures) -> Tensor:
    """Random crops (64, 3, 128, 128) in [0, 1], the same for the same pictures."""
    source = batches(pictures, CALIBRATION_CROPS, CALIBRATION_SIDE, np.random.default_rng(1))
    return as_input(next(source))


def layers(twin: MeanScaleHyperprior, model: model_file.Model, x: Tensor) -> list[Report]:
    """Signal-to-noise in dB of each linear layer's integers against the float twin's values.

    Each network is fed the same inputs in both forms, so noise does not travel between networks.
    """
    ideal = quantise.float_twin(twin)
    rows = []
    for name in model.family:
        tightest = {b.op: b for b in model_file.certify(model)[name] if b.quantity == "accumulator"}
        inputs = network_inputs(ideal, name, x)
        signal = network_outputs(getattr(ideal, name), inputs)
        noisy = network_outputs(getattr(twin, name), [t.round() for t in inputs])
        linear = [op for op in model.programs[name].ops if isinstance(op, program.Conv)]
        for op, (reference, actual) in zip(linear, zip(signal, noisy, strict=True), strict=True):
            rows.append(layer_row(name, op, reference, actual, tightest[op.name]))
    return rows


def layer_row(
    network: str, op: program.Conv, reference: Tensor, actual: Tensor, bound: Bound
) -> Report:
    """One line of the report."""
    noise = (reference - actual).square().mean().clamp_min(1e-12)
    snr = 10 * torch.log10(reference.var() / noise).item()
    limits = (actual <= op.lo) & (op.lo != 0) | (actual >= op.hi)
    return {
        "network": network,
        "layer": op.name,
        "snr_db": round(snr, 2),
        "saturated": round(limits.float().mean().item(), 6),
        "channel": bound.channel,
        "bound": bound.bound,
        "limit": bound.limit,
        "headroom_bits": round(bound.headroom, 2),
    }


@torch.no_grad()
def network_outputs(network: torch.nn.Module, inputs: list[Tensor]) -> list[Tensor]:
    """Outputs of every IntegerConv, in order of execution."""
    seen: list[Tensor] = []
    convs = [m for m in network.modules() if isinstance(m, quantise.IntegerConv)]
    handles = [m.register_forward_hook(lambda *call: seen.append(call[2])) for m in convs]
    network(*inputs)
    for handle in handles:
        handle.remove()
    return seen


@torch.no_grad()
def network_inputs(ideal: MeanScaleHyperprior, name: str, x: Tensor) -> list[Tensor]:
    """What the float twin feeds a network for pictures x; a context sees all latents."""
    pixels = x * ideal.pixel_scale
    if name == "analysis":
        return [pixels]
    y: Tensor = ideal.analysis(pixels)
    if name in ("hyper_analysis", "synthesis"):
        return [y]
    z: Tensor = ideal.hyper_analysis(y).round()
    return [z] if name == "prior" else [y, ideal.prior(z)]


@torch.no_grad()
def losses(twin: MeanScaleHyperprior, x: Tensor, slope: float | None) -> list[Report]:
    """A row per layer: the integer twin with that one in float. x: crops (n, 3, h, w) in 0..1.

    A layer in float neither rounds its weights nor what it makes.
    """
    convs = {name: m for name, m in twin.named_modules() if isinstance(m, quantise.IntegerConv)}

    def each() -> Iterator[tuple[str, str, Costs]]:
        for name, conv in convs.items():
            conv.rounding = False
            try:
                network, _, layer = name.partition(".")
                yield network, layer, costs(twin, x)
            finally:
                conv.rounding = True

    return loss_rows(costs(twin, x), each(), slope)


def costs(twin: MeanScaleHyperprior, x: Tensor) -> Costs:
    """Of crops at LOSS_QUALITY."""
    out = twin(x, torch.full((len(x),), float(LOSS_QUALITY)))
    bpp = (out.bits_y + out.bits_z) / (x.shape[2] * x.shape[3])
    pairs = zip(*((t * 255).round().clamp(0, 255).numpy() for t in (x, out.x_hat)), strict=True)
    return [Cost(*of) for of in zip(bpp.tolist(), (psnr(*pair) for pair in pairs), strict=True)]
