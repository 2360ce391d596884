"""Quantisation-aware training of other people's models, with the rounding that they will get.

The family's own twin (`training.family`) is trained by the project's trainer. At each step the
weights of its convolutions are what `weights.quantise` makes of them, to the nearest, and tensors
between layers are on the grids that calibration chose; gradients pass straight through. Rounding
within a GDN, of pixels and of scales stays out of it: it has 16 bits or more. Grids of activations
stay as they are, so that what is emitted is what was trained.

The encoder stays as it is, so that what is coded is what was coded, and the gradient of its rate
is exact; only a weight rate trains it too. A few steps of a trained model do more harm than good at
first: the averaged weights of least loss on pictures that stay the same are kept, or those of
post-training rounding where none has less.

Two options go with it: the weight of the distortion, else estimated of the checkpoint, and that of
the bits that weights take in the file (`training.weight_rate`).
"""

from __future__ import annotations

import argparse
import re
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
from intnet.training.weight_rate import bits_per_weight

ARCHITECTURES = {
    "bmshj2018-factorized": "factorized", "bmshj2018-factorized-relu": "factorized-relu",
    "bmshj2018-hyperprior": "scale", "mbt2018-mean": "mean-scale", "mbt2018": "joint",
}  # fmt: skip
NUDGE = 2.0**0.125  # gains this far to both sides of its own tell a model's lambda
RATE, BATCH, LOG_EVERY = "2e-5", 4, 10
CROPS, CHECK_EVERY = 16, 20  # that lambda and loss are measured on; steps
ENCODER = ("g_a", "h_a")
UNITS = re.compile(r"(\d{1,9})(m?)")
State = Mapping[str, Tensor]


@dataclass(frozen=True)
class FineTune:
    """How long: minutes, or steps where given; lmbda: None for the checkpoint's own.

    weight_rate: added to the loss for each bit per weight.
    """

    minutes: int = 0
    steps: int | None = None
    lmbda: float | None = None
    weight_rate: float = 0.0


class Tuned(NamedTuple):
    """The codec that came of it, what it was calibrated with, and a line that says how it went."""

    codec: FloatCodec
    records: Records
    said: str


def asked(length: str | None, lmbda: float | None, weight_rate: float) -> FineTune | None:
    """Of the options of a command line: steps ("300") or minutes ("5m").

    Raises IntnetError for another length, or for the others without one.

    >>> asked("5m", None, 0.0)
    FineTune(minutes=5, steps=None, lmbda=None, weight_rate=0.0)
    """
    if length is None:
        if lmbda is not None or weight_rate:
            raise IntnetError("--lmbda and --weight-rate are of --fine-tune, which is not asked")
        return None
    match = UNITS.fullmatch(length)
    if match is None or not int(match[1]):
        raise IntnetError(f"--fine-tune {length:.40}: must be steps, as 300, or minutes, as 5m")
    if match[2]:
        return FineTune(int(match[1]), None, lmbda, weight_rate)
    return FineTune(0, int(match[1]), lmbda, weight_rate)


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
        model.load_state_dict(dict(state), strict=False)  # bookkeeping may lack or be more
    except RuntimeError as error:
        first = " ".join(str(error).split())[:200]
        raise ModelError(
            f"fine-tuning: tensors are not those of CompressAI 1.2.8 ({first})"
        ) from None
    return model


class Rounded(NamedTuple):
    """The parameters of convolutions, by tensor name.

    values: what their integers stand for, in a parameter's shape. integers: whether a parameter has
    inputs before outputs, and how many (N, I / groups, 1, 1) stand for 1 in its kernel.
    """

    values: dict[str, Tensor]
    integers: dict[str, tuple[bool, Tensor]]


def add_rounded(graph: Graph, made: Emitted, record: Record, recipe: Recipe, to: Rounded) -> None:
    """Those of a graph."""
    after = {layer.name: name for name, layer in fused(graph).items()}
    for layer in graph.layers:
        if not isinstance(layer, Linear):
            continue
        source = made.program_format(layer.inputs[0])
        out = made.program_format(after.get(layer.name, layer.name))
        seen = weights.inputs(layer, record, source)
        integers = weights.quantise(layer, source, out, recipe.of(layer.name).weights, seen)
        rows = unit(integers, out)
        scale = per_integer(layer, source, rows)
        whole = torch.from_numpy(np.ascontiguousarray(integers.weight.transpose(0, 3, 1, 2)))
        kernel = whole / scale
        turned = isinstance(layer, ConvTranspose)
        name = f"{layer.name}.weight"
        to.values[name] = (kernel.transpose(0, 1) if turned else kernel).float()
        to.integers[name] = turned, scale.float()
        bias = torch.from_numpy(integers.bias.astype(np.float64)) * rows
        to.values[f"{layer.name}.bias"] = bias.float()


def unit(made: weights.Integers, out: Format) -> Tensor:
    """What 1 in each accumulator stands for, (N,)."""
    ratio = made.multiplier * 2.0 ** -made.shift.astype(np.float64)
    return torch.from_numpy(weights.numbers(out.step) * ratio)


def per_integer(layer: Linear, source: Format, rows: Tensor) -> Tensor:
    """Integers that stand for 1 in a kernel, (N, I / groups, 1, 1)."""
    steps = source.step.reshape(layer.groups, 1, -1)
    steps = steps.expand(-1, len(rows) // layer.groups, -1).reshape(len(rows), -1)
    return (steps / rows[:, None])[:, :, None, None]


def on_grid(x: Tensor, form: Format) -> Tensor:
    """Values (n, C, h, w) as integers of a format say them; no gradient outside its interval."""
    step = form.step.float()[:, None, None]
    return round_ste(x / step).clamp(form.lo, form.hi) * step


class Trainer(train.Trainer):
    """The project's trainer on a twin whose convolutions and tensors are rounded."""

    def __init__(
        self, args: argparse.Namespace, pictures: Pictures, state: State, codec: FloatCodec,
        records: Records, recipe: Recipe, weight_rate: float = 0.0,
    ) -> None:  # fmt: skip
        self.given, self.state, self.name = pictures, state, codec.name
        self.recipe = recipe
        self.records = {name: replace(record, moments={}) for name, record in records.items()}
        self.emitted = integer_model.programs(codec, self.records, recipe)
        self.compensated = self.rounded(codec, records)
        self.kernels: list[Tensor] = []
        self.x = calibrate.crops(pictures, CROPS)
        args.crop = self.x.shape[-1]  # less has too much of borders: hyper-latents are 1/64
        super().__init__(args)
        args.weight_rate = weight_rate  # it refuses one of other stages
        for name, parameter in self.model.named_parameters():
            if name.startswith(ENCODER) and not weight_rate:
                parameter.requires_grad_(False)
        self.untrained: Rounded | None = self.compensated
        self.least = self.before = self.settled_loss()
        self.best: State | None = None

    def corpus(self) -> Pictures:
        """Those of the calibration."""
        return self.given

    def first_model(self) -> FactorizedPrior:
        """The twin, its parameters such that rounding makes what post-training rounding made."""
        model = twin(self.state, self.name)
        wanted = self.compensated.values
        codec = compressai.float_codec({**self.state, **wanted}, self.name)
        again = self.rounded(codec, self.records).values
        with torch.no_grad():
            for name, values in wanted.items():
                moved = (
                    values - again[name] if name.endswith(".bias") else 0
                )  # biases are corrected
                model.get_parameter(name).copy_(values + moved)
        modules = dict(model.named_modules())
        for made in self.emitted.values():
            ends = {made.tensors[name] for name in made.tensors} & set(made.program.outputs)
            for name, tensor in made.tensors.items():
                if name in modules and tensor not in ends:
                    modules[name].register_forward_hook(rounding_hook(made.formats[tensor]))
        return model

    def rounded(self, codec: FloatCodec, records: Records) -> Rounded:
        """Of every graph; medians are no parameters of the twin."""
        found = Rounded({}, {})
        for name, made in self.emitted.items():
            add_rounded(codec.graphs[name], made, records[name], self.recipe, found)
        for part in found:
            for name in part.keys() - self.state.keys():
                del part[name]
        return found

    def output(self, x: Tensor, quality: Tensor) -> Output:
        """Of the rounded model; to gradients rounding is nothing."""
        found = self.untrained or self.rounded(self.codec(), self.records)
        parameters = dict(self.model.named_parameters())
        rounded = {name: straight(parameters[name], x) for name, x in found.values.items()}
        self.kernels = [
            (rounded[name].transpose(0, 1) if turned else rounded[name]) * scale
            for name, (turned, scale) in found.integers.items()
        ]
        out: Output = functional_call(self.model, rounded, (x, quality))
        return out

    def codec(self) -> FloatCodec:
        """Of the weights as they are."""
        state = {name: x.detach() for name, x in self.model.state_dict().items()}
        return compressai.float_codec(state, self.name)

    def weight_bits(self) -> Tensor:
        """Of the kernels of the last output."""
        return bits_per_weight(self.kernels)

    def train_step(self, batch: Any, fraction: float) -> dict[str, float]:
        """Now and then the averaged weights are looked at."""
        self.untrained = None
        numbers = super().train_step(batch, fraction)
        if self.step % CHECK_EVERY == 0:
            self.look()
        return numbers

    def look(self) -> None:
        """Keep the averaged weights if none had less loss."""
        now = {name: x.clone() for name, x in self.model.state_dict().items()}
        averaged = with_quantiles(self.model, self.ema)
        self.model.load_state_dict(averaged)
        loss = self.settled_loss()
        if loss < self.least:
            self.least, self.best = loss, {name: x.clone() for name, x in averaged.items()}
        self.model.load_state_dict(now)

    @torch.no_grad()
    def settled_loss(self) -> float:
        """On pictures that stay the same."""
        parts = [self.loss(part, torch.zeros(len(part)))[0] for part in torch.split(self.x, 4)]
        return float(torch.stack(parts).mean())

    def tuned(self) -> State | None:
        """Train; the averaged weights of least loss, None where post-training rounding has less."""
        self.run()
        self.look()
        return self.best


def straight(x: Tensor, values: Tensor) -> Tensor:
    """Values, with the gradient of x."""
    return x + (values - x).detach()


def rounding_hook(form: Format) -> Any:
    """A forward hook that puts a module's output on a grid."""

    def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        return on_grid(output, form)

    return hook


def options(how: FineTune, lmbda: float, architecture: str, out: Path) -> argparse.Namespace:
    """Of the trainer."""
    length = ["--steps", str(how.steps)] if how.steps else ["--minutes", str(how.minutes)]
    args = train.parser().parse_args([
        ".", "--out", str(out), "--architecture", ARCHITECTURES[architecture],
        "--lmbda", repr(lmbda), "--optimiser", "adam", "--rate", RATE, "--batch", str(BATCH),
        "--hard-rate",  # of what will be coded: it is the last stage
        "--log-every", str(LOG_EVERY), *length,
    ])  # fmt: skip
    train.check(args)
    return args


def fine_tuned(
    state: State, how: FineTune, codec: FloatCodec, records: Records, recipe: Recipe,
    pictures: Pictures,
) -> Tuned:  # fmt: skip
    """Train for so long. records: of the calibration with this recipe.

    Raises ModelError for an architecture without a twin, IntnetError without a lambda.
    """
    twin(state, codec.name)
    lmbda = how.lmbda or own_lambda(codec, calibrate.crops(pictures, CROPS))
    with tempfile.TemporaryDirectory() as folder:
        args = options(how, lmbda, codec.name, Path(folder) / "tuned.safetensors")
        trainer = Trainer(args, pictures, state, codec, records, recipe, how.weight_rate)
        tuned = trainer.tuned()
    if tuned is None:
        said = f"loss on {CROPS} crops has not fallen from {trainer.before:.4f}: not fine-tuned"
        return Tuned(codec, records, said)
    said = f"loss on {CROPS} crops {trainer.before:.4f}, then {trainer.least:.4f}"
    return Tuned(compressai.float_codec(tuned, codec.name), trainer.records, said)
