"""`intnet convert` for checkpoints of other people: the model file, and what integers cost."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open

from intnet import convert_report, model_file
from intnet.converting import calibrate, compare, compressai, float_codec, integer_model, state_file
from intnet.converting.fine_tune import FineTune, Tuned, fine_tuned
from intnet.converting.float_codec import OWN_QUALITY, FloatCodec
from intnet.converting.integer_model import Converted, Records
from intnet.converting.recipe import Recipe
from intnet.distortion import psnr
from intnet.errors import IntnetError
from intnet.model_file import Model
from intnet.training.data import Pictures, as_input
from intnet.training.family import ARCHITECTURES

QUALITIES, CURVE_PICTURES = (16, 32, 48), 4
Report = dict[str, Any]
Progress = Callable[[str, int], AbstractContextManager[Callable[[], None]]]


class Labels(NamedTuple):
    """Of a model, for its metadata."""

    name: str
    licence: str = ""


def is_ours(path: Path) -> bool:
    """Whether `intnet train` wrote a checkpoint of the flagship; others are as CompressAI's."""
    if path.suffix != state_file.SAFETENSORS:
        return False
    try:
        with safe_open(path, framework="pt") as file:
            found = file.metadata() or {}
    except SafetensorError:
        return True  # its reader says what is wrong
    return "intnet" in found and not any(f'"{name}"' in found["intnet"] for name in ARCHITECTURES)


def convert_file(
    checkpoint: Path, out: Path, calibration: Path | None, recipe: Recipe, labels: Labels,
    progress: Progress, say: Callable[[str], None], architecture: str = "auto",
    *, plain: bool = False, how: FineTune | None = None,
) -> Report:  # fmt: skip
    """Write the integer model of a checkpoint; report layers, rate and PSNR beside the float model.

    plain: do not pack the tensors. how: fine-tune before.
    Raises IntnetError in one line for a checkpoint that has no integer form.
    """
    codec = load(checkpoint, architecture)
    if calibration is None:
        raise IntnetError(f"{checkpoint}: {codec.name} needs --calibration with a folder of "
                          "pictures like those that will be coded")  # fmt: skip
    pictures = convert_report.calibration_pictures(calibration)
    tune = partial(fine_tuned, state_file.read(checkpoint), how) if how else None
    made = converted(codec, pictures, recipe, labels, progress, tune)
    if how is not None:
        say(f"fine-tuned: {made.model.metadata['fine_tuned']}")
    model_file.save(made.model, out, plain=plain)
    say(f"wrote {out}, model {made.model.sha256[:16]}: CompressAI {codec.name}, {recipe.name}")
    return {
        "model": made.model.sha256,
        "architecture": codec.name,
        "recipe": recipe.name,
        "file_bytes": out.stat().st_size,
        "layers": layers(codec, made, pictures),
        "curve": curve(codec, made.model, pictures[:CURVE_PICTURES]),
    }


def load(checkpoint: Path, architecture: str = "auto") -> FloatCodec:
    """The float codec of a file. Raises ModelError naming file, tensor, got and allowed."""
    state = state_file.read(checkpoint)
    try:
        return compressai.float_codec(state, architecture)
    except IntnetError as error:
        raise type(error)(f"{checkpoint}: {error}") from None


def converted(
    codec: FloatCodec, pictures: Pictures, recipe: Recipe, labels: Labels, progress: Progress,
    tune: Callable[..., Tuned] | None = None,
) -> Converted:  # fmt: skip
    """Calibrate, fine-tune where wanted, then convert."""
    x = calibrate.crops(pictures)
    said = metadata(codec, recipe, labels)
    with progress("calibrating", calibrate.steps(x)) as step:
        records: Records = calibrate.record(codec, x, step, recipe)
    if tune is not None:
        codec, records, said["fine_tuned"] = tune(codec, records, recipe, pictures)
    return integer_model.convert(codec, records, recipe, said)


def metadata(codec: FloatCodec, recipe: Recipe, labels: Labels) -> Report:
    """What the model file says of its origin."""
    own = not codec.name.endswith("-vbr")
    said = (f"trained for one rate, which is quality {OWN_QUALITY}; others scale its step"
            if own else "the gains of its levels, evenly over the qualities; its offsets of "
            "reconstruction (QuantABCD) are left out")  # fmt: skip
    return {
        "name": labels.name, "licence": labels.licence, "architecture": f"compressai {codec.name}",
        "recipe": recipe.name, "rates": said,
    }  # fmt: skip


def layers(codec: FloatCodec, made: Converted, pictures: Pictures) -> list[Report]:
    """A row per layer, each network on inputs of the float model."""
    x = calibrate.crops(pictures, 1)
    keep = {name: compare.Keep({}) for name in codec.graphs}
    float_codec.code(codec, x, 1.0, keep)
    rows = []
    for name, emitted in made.emitted.items():
        graph = codec.graphs[name]
        inputs = {source: keep[name].tensors[source] for source in graph.inputs}
        rows += [row._asdict() for row in compare.layers(graph, emitted, inputs)]
    return rows


def curve(codec: FloatCodec, model: Model, pictures: Pictures) -> list[Report]:
    """Mean bpp and PSNR of both at a few qualities."""
    rows = []
    for q in QUALITIES:
        floats = np.mean([float_point(codec, p, codec.gains[q]) for p in pictures], 0)
        integers = np.mean([convert_report.integer_point(model, p, q) for p in pictures], 0)
        names = ("float_bpp", "float_psnr", "integer_bpp", "integer_psnr")
        values = (round(float(value), 5) for value in (*floats, *integers))
        rows.append({"quality": q} | dict(zip(names, values, strict=True)))
    return rows


def float_point(codec: FloatCodec, picture: Any, gain: float) -> tuple[float, float]:
    """(bpp by the float model's probabilities, PSNR of rounded samples) of uint8 (h, w, 3)."""
    h, w = picture.shape[:2]
    x = F.pad(as_input(picture[None]), (0, -w % 64, 0, -h % 64), mode="replicate")
    coded = float_codec.code(codec, x, gain)
    samples = (coded.x_hat[0, :, :h, :w] * 255).round().clamp(0, 255).movedim(0, -1)
    return coded.bits / (h * w), psnr(picture, samples.to(torch.uint8).numpy())
