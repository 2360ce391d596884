"""`intnet convert` for checkpoints of other people: the model file, and what integers cost."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F

from intnet import convert_report
from intnet.converting import (
    calibrate,
    compare,
    compressai,
    float_codec,
    integer_model,
    losses,
    onnx_codec,
    report,
    state_file,
)
from intnet.converting.fine_tune import FineTune, Tuned, fine_tuned
from intnet.converting.float_codec import OWN_QUALITY, FloatCodec
from intnet.converting.integer_model import Converted, Records
from intnet.converting.layers import Gdn
from intnet.converting.recipe import Recipe
from intnet.converting.report import NOTHING, Report, Subject, Wanted
from intnet.errors import IntnetError
from intnet.pictures import Pixels
from intnet.training.data import Pictures, as_input

QUALITIES, CURVE_PICTURES = (16, 32, 48), 4
LOSS_CROPS, LOSS_SIDE = 16, 128
Progress = Callable[[str, int], AbstractContextManager[Callable[[], None]]]


class Labels(NamedTuple):
    """Of a model, for its metadata."""

    name: str
    licence: str = ""


def is_ours(path: Path) -> bool:
    """Whether a checkpoint is of the flagship of `intnet train`.

    Its other architectures have CompressAI's tensors and are read as such.
    """
    if path.suffix != state_file.SAFETENSORS:
        return False
    found = state_file.trained_here(path)
    return found is not None and "architecture" not in found


def convert_file(
    checkpoint: Path, out: Path, calibration: Path | None, recipe: Recipe, labels: Labels,
    progress: Progress, say: Callable[[str], None], architecture: str = "auto",
    wanted: Wanted = NOTHING, how: FineTune | None = None,
) -> Report:  # fmt: skip
    """Write the integer model of a checkpoint; report layers, rate and PSNR beside the float model.

    how: fine-tune before.
    Raises IntnetError in one line for a checkpoint that has no integer form.
    """
    report.check(wanted, measured=calibration is not None)
    codec = load(checkpoint, architecture)
    if calibration is None:
        raise IntnetError(f"{checkpoint}: {codec.name} needs --calibration with a folder of "
                          "pictures like those that will be coded")  # fmt: skip
    pictures = convert_report.calibration_pictures(calibration)
    if how is not None and checkpoint.is_dir():
        raise IntnetError(f"{checkpoint}: a folder of ONNX files; --fine-tune is for checkpoints")
    tune = partial(fine_tuned, state_file.read(checkpoint), how) if how else None
    made = converted(codec, pictures, recipe, labels, progress, tune)
    if how is not None:
        say(f"fine-tuned: {made.model.metadata['fine_tuned']}")
    about = {"architecture": codec.name, "recipe": recipe.name}
    return report.finish(subject(codec, made, pictures, about), out, wanted, say)


def subject(codec: FloatCodec, made: Converted, pictures: Pictures, about: Report) -> Subject:
    """What a report is about."""
    own = None if several_rates(codec) else OWN_QUALITY
    x = calibrate.crops(pictures, LOSS_CROPS, LOSS_SIDE)
    gain = codec.gains[OWN_QUALITY]
    return Subject(
        made.model, about, pictures[:CURVE_PICTURES], QUALITIES, own,
        lambda picture, quality: float_coded(codec, picture, codec.gains[quality]),
        lambda: layers(codec, made, pictures), partial(losses.of, codec, made, x, gain),
    )  # fmt: skip


def several_rates(codec: FloatCodec) -> bool:
    """Whether a model was trained for more than one."""
    return codec.name.endswith("-vbr")


def load(checkpoint: Path, architecture: str = "auto") -> FloatCodec:
    """The float codec of a file, or of a folder of ONNX files.

    Raises ModelError naming file, tensor, got and allowed.
    """
    if checkpoint.is_dir():
        if architecture != "auto":
            raise IntnetError(f"{checkpoint}: a folder of ONNX files; --architecture is for "
                              "checkpoints of CompressAI")  # fmt: skip
        return onnx_codec.float_codec(checkpoint)
    state = state_file.read(checkpoint)
    try:
        codec = compressai.float_codec(state, architecture)
    except IntnetError as error:
        raise type(error)(f"{checkpoint}: {error}") from None
    if checkpoint.suffix == state_file.SAFETENSORS:
        said = state_file.trained_here(checkpoint) or {}
        return simplified(codec) if said.get("gdn") == "simplified" else codec
    return codec


def simplified(codec: FloatCodec) -> FloatCodec:
    """The same with simplified GDN, which tensors do not tell from the other."""
    graphs = {
        name: replace(graph, layers=tuple(
            replace(layer, simplified=True) if isinstance(layer, Gdn) else layer
            for layer in graph.layers
        ))
        for name, graph in codec.graphs.items()
    }  # fmt: skip
    return replace(codec, graphs=graphs)


def origin(codec: FloatCodec) -> str:
    """Whose architecture it is."""
    return codec.name if codec.name.startswith("onnx-") else f"compressai {codec.name}"


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
    said = ("the gains of its levels, evenly over the qualities; its offsets of reconstruction "
            "(QuantABCD) are left out" if several_rates(codec) else
            f"trained for one rate, which is quality {OWN_QUALITY}; others scale its step"
            )  # fmt: skip
    return {
        "name": labels.name, "licence": labels.licence, "architecture": origin(codec),
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


def float_coded(codec: FloatCodec, picture: Pixels, gain: float) -> tuple[float, Pixels]:
    """(bpp by the float model's probabilities, rounded samples) of uint8 (h, w, 3)."""
    h, w = picture.shape[:2]
    x = F.pad(as_input(picture[None]), (0, -w % 64, 0, -h % 64), mode="replicate")
    coded = float_codec.code(codec, x, gain)
    samples = (coded.x_hat[0, :, :h, :w] * 255).round().clamp(0, 255).movedim(0, -1)
    return coded.bits / (h * w), samples.to(torch.uint8).numpy()
