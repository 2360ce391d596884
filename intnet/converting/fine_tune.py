"""Quantisation-aware training of other people's models, with the rounding that they will get.

The family's own twin (`training.family`) is trained by the project's trainer. At each step the
weights of its convolutions are what `weights.quantise` makes of them, to the nearest, and tensors
between layers are on the grids that calibration chose; gradients pass straight through. Rounding
within a GDN, of pixels and of scales stays out of it: it has 16 bits or more. Grids of activations
stay as they are, so that what is emitted is what was trained.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from intnet.converting import calibrate, compressai, float_codec, integer_model, weights
from intnet.converting.emit import Emitted
from intnet.converting.float_codec import FloatCodec
from intnet.converting.formats import Format, fused
from intnet.converting.integer_model import Records
from intnet.converting.layers import ConvTranspose, Graph, Linear
from intnet.converting.recipe import Recipe
from intnet.converting.record import Record
from intnet.errors import IntnetError, ModelError
from intnet.training import train
from intnet.training.bottleneck import with_quantiles
from intnet.training.data import Pictures
from intnet.training.family import FactorizedPrior, FamilyConfig
from intnet.training.layers import round_ste
from intnet.training.models import Output

ARCHITECTURES = {
    "bmshj2018-factorized": "factorized", "bmshj2018-factorized-relu": "factorized-relu",
    "bmshj2018-hyperprior": "scale", "mbt2018-mean": "mean-scale", "mbt2018": "joint",
}  # fmt: skip
NUDGE = 2.0**0.125  # gains this far to both sides of its own tell a model's lambda
RATE, CROP = "1e-4", 128
State = Mapping[str, Tensor]


@dataclass(frozen=True)
class FineTune:
    """How long: minutes, or steps where given; lmbda: None for the checkpoint's own."""

    minutes: float = 0.0
    steps: int | None = None
    lmbda: float | None = None


class Tuned(NamedTuple):
    """The codec that came of it, and what it was calibrated with."""

    codec: FloatCodec
    records: Records


def own_lambda(codec: FloatCodec, x: Tensor) -> float:
    """Of bpp + lambda * squared error on 0..255: the slope of rate and distortion at gain 1.

    A trained model is at rest when its latents are scaled, so there -dR = lambda * dD.
    """
    points = []
    for gain in (1 / NUDGE, NUDGE):
        coded = [float_codec.code(codec, part, gain) for part in torch.split(x, 4)]
        squares = sum(float((255 * (c.x_hat - part)).square().sum())
                      for c, part in zip(coded, torch.split(x, 4), strict=True))  # fmt: skip
        points.append((sum(c.bits for c in coded) / x[:, 0].numel(), squares / x.numel()))
    (coarse_bits, coarse_squares), (fine_bits, fine_squares) = points
    if fine_bits <= coarse_bits or fine_squares >= coarse_squares:
        raise IntnetError("fine-tuning: finer steps give no less error here, so the checkpoint's "
                          "own lambda is not to be seen; say it with --lmbda")  # fmt: skip
    return (fine_bits - coarse_bits) / (coarse_squares - fine_squares)


def twin(state: State, architecture: str) -> FactorizedPrior:
    """The model to train. Raises ModelError where it has none, or other tensors."""
    if architecture not in ARCHITECTURES:
        raise ModelError(f"{architecture}: fine-tuning is for {', '.join(ARCHITECTURES)}; "
                         "convert without it")  # fmt: skip
    n, m = (len(state[f"g_a.{at}.bias"]) for at in (0, 6))
    model = FamilyConfig(ARCHITECTURES[architecture], n, m).model()
    try:
        model.load_state_dict(dict(state))
    except RuntimeError as error:
        first = " ".join(str(error).split())[:200]
        raise ModelError(f"fine-tuning: tensors are not those of CompressAI 1.2.8 ({first})") from None
    return model


def changes(graph: Graph, made: Emitted, record: Record, recipe: Recipe) -> dict[str, Tensor]:
    """What rounding adds to weights and biases of a graph's convolutions, by tensor name."""
    after = {layer.name: name for name, layer in fused(graph).items()}
    found: dict[str, Tensor] = {}
    for layer in graph.layers:
        if not isinstance(layer, Linear):
            continue
        source = made.program_format(layer.inputs[0])
        out = made.program_format(after.get(layer.name, layer.name))
        inputs = weights.Inputs(record.seen[layer.inputs[0]].mean, record.moments.get(layer.name))
        kernel, bias = real(layer, source, out, recipe.of(layer.name).weights, inputs)
        change = kernel - layer.kernel
        turned = change.transpose(0, 1) if isinstance(layer, ConvTranspose) else change
        found[f"{layer.name}.weight"] = turned.float()
        found[f"{layer.name}.bias"] = (bias - layer.bias).float()
    return found


def real(
    layer: Linear, source: Format, out: Format, bits: int, inputs: weights.Inputs
) -> tuple[Tensor, Tensor]:
    """The kernel (N, I / groups, KY, KX) and bias that a layer's integers stand for."""
    made = weights.quantise(layer, source, out, bits, inputs)
    unit = weights.numbers(out.step) * made.multiplier * 2.0 ** -made.shift.astype(np.float64)
    whole = torch.from_numpy(np.ascontiguousarray(made.weight.transpose(0, 3, 1, 2))).double()
    rows = torch.from_numpy(unit)
    per_group = layer.kernel.shape[1]
    steps = source.step.reshape(layer.groups, 1, per_group).expand(
        layer.groups, len(rows) // layer.groups, per_group
    )
    kernel = whole * rows[:, None, None, None] / steps.reshape(-1, per_group)[:, :, None, None]
    return kernel, torch.from_numpy(made.bias.astype(np.float64)) * rows


def on_grid(x: Tensor, form: Format) -> Tensor:
    """Values (n, C, h, w) as integers of a format say them; no gradient outside its interval."""
    step = form.step.float()[:, None, None]
    return round_ste(x / step).clamp(form.lo, form.hi) * step


class Trainer(train.Trainer):
    """The project's trainer on a twin whose convolutions and tensors are rounded."""

    def __init__(
        self, args: argparse.Namespace, pictures: Pictures, state: State, codec: FloatCodec,
        records: Records, recipe: Recipe,
    ) -> None:  # fmt: skip
        self.given, self.state, self.name = pictures, state, codec.name
        self.recipe = recipe
        self.records = {name: replace(record, moments={}) for name, record in records.items()}
        self.emitted = integer_model.programs(codec, self.records, recipe)
        self.start_changes = self.all_changes(codec, records)
        super().__init__(args)

    def corpus(self) -> Pictures:
        """Those of the calibration."""
        return self.given

    def first_model(self) -> FactorizedPrior:
        """The twin, its weights where post-training rounding puts them."""
        model = twin(self.state, self.name)
        with torch.no_grad():
            for name, change in self.start_changes.items():
                model.get_parameter(name).add_(change)
        modules = dict(model.named_modules())
        for made in self.emitted.values():
            ends = {made.tensors[name] for name in made.tensors} & set(made.program.outputs)
            for name, tensor in made.tensors.items():
                if name in modules and tensor not in ends:
                    modules[name].register_forward_hook(rounding_hook(made.formats[tensor]))
        return model

    def all_changes(self, codec: FloatCodec, records: Records) -> dict[str, Tensor]:
        """Of every graph; medians are no parameters of the twin."""
        found: dict[str, Tensor] = {}
        for name, made in self.emitted.items():
            found |= changes(codec.graphs[name], made, records[name], self.recipe)
        return {name: x for name, x in found.items() if name in self.state}

    def output(self, x: Tensor, quality: Tensor) -> Output:
        """Of the rounded model; to gradients rounding is nothing."""
        codec = compressai.float_codec(
            {name: x.detach() for name, x in self.model.state_dict().items()}, self.name
        )
        parameters = dict(self.model.named_parameters())
        rounded = {name: parameters[name] + change
                   for name, change in self.all_changes(codec, self.records).items()}  # fmt: skip
        out: Output = functional_call(self.model, rounded, (x, quality))
        return out


def rounding_hook(form: Format) -> Any:
    """A forward hook that puts a module's output on a grid."""

    def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        return on_grid(output, form)

    return hook


def options(how: FineTune, lmbda: float, architecture: str, out: Path) -> argparse.Namespace:
    """Of the trainer."""
    length = ["--steps", str(how.steps)] if how.steps else ["--minutes", str(how.minutes)]
    return train.parser().parse_args([
        ".", "--out", str(out), "--architecture", ARCHITECTURES[architecture],
        "--lmbda", repr(lmbda), "--optimiser", "adam", "--rate", RATE, "--crop", str(CROP),
        "--log-every", "20", *length,
    ])  # fmt: skip


def fine_tuned(
    state: State, codec: FloatCodec, records: Records, recipe: Recipe, pictures: Pictures,
    how: FineTune,
) -> Tuned:  # fmt: skip
    """Train for so long. records: of the calibration with this recipe.

    Raises ModelError for an architecture without a twin, IntnetError without a lambda.
    """
    twin(state, codec.name)
    lmbda = how.lmbda or own_lambda(codec, calibrate.crops(pictures, 8))
    with tempfile.TemporaryDirectory() as folder:
        args = options(how, lmbda, codec.name, Path(folder) / "tuned.safetensors")
        trainer = Trainer(args, pictures, state, codec, records, recipe)
        trainer.run()
    tuned = with_quantiles(trainer.model, trainer.ema)
    return Tuned(compressai.float_codec(tuned, codec.name), trainer.records)
