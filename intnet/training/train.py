"""The trainer: time-boxed, resumable, seeded, on CPU or CUDA, from float to integer forward.

    python -m intnet.training.train CORPUS --out out/model.safetensors --minutes 60

Needs only torch, numpy, pillow, safetensors and tqdm. Writes OUT (averaged weights, what `convert`
reads), OUT.resume (to go on), OUT.jsonl (log) and, where matplotlib is installed, OUT.png (curve).
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import math
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from intnet.training import checkpoint
from intnet.training.bottleneck import with_quantiles
from intnet.training.data import Pictures, as_input, batches, load_pictures
from intnet.training.distortions import DISTORTIONS
from intnet.training.family import ARCHITECTURES, NORMALISATIONS, FamilyConfig
from intnet.training.family_files import Codec, new_model
from intnet.training.initialise import klt
from intnet.training.models import (
    DEAD_ZONE,
    QUALITIES,
    Config,
    MeanScaleHyperprior,
    Output,
    rate_lambda,
)
from intnet.training.optimisers import MATRICES, Optimisers
from intnet.training.plot import draw_log
from intnet.training.quantise import integer_twin
from intnet.training.weight_rate import bits_per_weight, kernels

EMA_DECAY = 0.999
REFERENCE_LAMBDA = 0.018
FLAGSHIP = "flagship"
TRANSFORMS = ("analysis", "synthesis", "log_gain", "log_inverse_gain")  # what trades distortion


def parser() -> argparse.ArgumentParser:
    """Options of the trainer; `intnet train` passes them through."""
    p = argparse.ArgumentParser(
        prog="intnet train",
        description="Train the flagship, one model for all rates, or one of the field's codecs.",
    )
    p.add_argument("corpus", type=Path, help="folder of training pictures")
    p.add_argument("--out", type=Path, required=True, help="checkpoint to write (.safetensors)")
    p.add_argument("--minutes", type=float, default=30.0, help="time box of the whole schedule")
    p.add_argument("--steps", type=int, help="length of the schedule in steps, instead of minutes")
    p.add_argument("--architecture", choices=(FLAGSHIP, *ARCHITECTURES), default=FLAGSHIP,
                   help="all but the flagship are of one rate and need --lmbda")  # fmt: skip
    p.add_argument("--lmbda", type=float, help="loss = bpp + lmbda * distortion; 0.0018 to 0.18")
    p.add_argument("--distortion", choices=tuple(DISTORTIONS), default="mse")
    p.add_argument("--optimiser", choices=MATRICES, default="muon",
                   help="of kernels; Adam updates the rest")  # fmt: skip
    p.add_argument(
        "--stage",
        choices=("float", "integer"),
        default="float",
        help="float: ordinary weights; integer: quantisation-aware, from --init",
    )
    p.add_argument("--init", type=Path, help="start from these weights instead of a KLT")
    p.add_argument("--resume", action="store_true", help="go on from OUT.resume")
    p.add_argument("--rate", type=float, default=1e-3, help="peak learning rate")
    p.add_argument("--crop", type=int, default=192, help="side of a crop, a multiple of 64")
    p.add_argument("--batch", type=int, default=8)
    p.add_argument(
        "--entropy-only",
        action="store_true",
        help="leave analysis and synthesis as they are (needs --init); several times as fast",
    )
    p.add_argument(
        "--dead-zone",
        type=float,
        default=DEAD_ZONE,
        help="strength of the encoder's dead zone, 0 (nearest) to about 0.5",
    )
    p.add_argument("--hard-rate", action="store_true",
                   help="count the rate of symbols, not of noisy latents (last stage)")  # fmt: skip
    p.add_argument("--weight-rate", type=float, default=0.0, metavar="LAMBDA",
                   help="integer stage: add LAMBDA * bits per weight to the loss, for a smaller "
                        "model file; 0.01 is a gentle start")  # fmt: skip
    p.add_argument("--log-every", type=int, default=100, help="steps per line of the log")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--device", default="cpu", help="cpu or cuda")
    p.add_argument("--bf16", action="store_true", help="bfloat16 autocast (GPU, or a CPU with it)")
    p.add_argument("--compile", action="store_true",
                   help="torch.compile: minutes at the start, faster steps (GPU)")  # fmt: skip
    p.add_argument("--half", action="store_true", help="write float16 weights, half the file")
    p.add_argument("--threads", type=int, default=0, help="CPU threads (0: torch's default)")
    p.add_argument(
        "--entropy-first",
        type=int,
        default=200,
        help="steps that train the entropy model alone when starting afresh",
    )
    for field, default in Config().as_dict().items():
        p.add_argument(f"--{field.replace('_', '-')}", type=int, default=default)
    p.add_argument("--n", type=int, default=FamilyConfig.n, help="width, of all but the flagship")
    p.add_argument("--gdn", choices=tuple(NORMALISATIONS), default=FamilyConfig.gdn,
                   help="root of squares, or Johnston's form without either")  # fmt: skip
    return p


def check(args: argparse.Namespace) -> None:
    """Refuse options that do not go together."""
    least = 192 if args.distortion == "ms-ssim" else 64
    if args.crop % 64 or args.crop < least:
        raise SystemExit(f"--crop {args.crop}: must be a multiple of 64, at least {least}")
    flagship = args.architecture == FLAGSHIP
    if flagship != (args.lmbda is None):
        rule = "none: it is trained for all rates" if flagship else "the weight of the distortion"
        raise SystemExit(f"--lmbda {args.lmbda}: {args.architecture} takes {rule}")
    if args.stage == "integer" and not flagship:
        raise SystemExit(f"--stage integer: --architecture {args.architecture}, must be {FLAGSHIP}")
    if args.entropy_only and not (flagship and args.init):
        raise SystemExit(f"--entropy-only: needs {FLAGSHIP} and --init with trained transforms")
    if args.weight_rate and args.stage != "integer":
        raise SystemExit("--weight-rate: needs --stage integer")


def schedule(fraction: float) -> float:
    """Rate multiplier over the time box: constant, then a cosine to 1 % over the last 60 %."""
    late = max(0.0, (fraction - 0.4) / 0.6)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, late)))


class Trainer:
    """One run: model, averaged weights, optimisers, clock."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        check(args)
        if args.threads:
            torch.set_num_threads(args.threads)
        torch.manual_seed(args.seed)
        self.rng = np.random.default_rng(args.seed)
        self.pictures = self.corpus()
        self.step, self.seconds = 0, 0.0
        self.model: Codec = self.first_model()
        self.model.to(device=args.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in torch's stubs
        self.model.hard_rate = args.hard_rate
        self.model.train()  # calibration leaves it in evaluation mode
        if args.entropy_only:
            for name, parameter in self.model.named_parameters():
                parameter.requires_grad_(not name.startswith(TRANSFORMS))
        self.ema = {k: v.clone() for k, v in self.model.state_dict().items()}
        self.optimisers = Optimisers(self.model, kind=args.optimiser)
        self.forward = torch.compile(self.output) if args.compile else self.output
        if args.resume:
            self.resume()

    def corpus(self) -> Pictures:
        """Training pictures."""
        return load_pictures(self.args.corpus, max(self.args.crop, 256))

    def first_model(self) -> Codec:
        """What training starts with."""
        return self.start() if self.args.architecture == FLAGSHIP else new_model(self.args)

    def start(self) -> MeanScaleHyperprior:
        """A fresh KLT, given weights, or their integer twin."""
        args = self.args
        weights, meta = checkpoint.load_weights(args.init) if args.init else (None, vars(args))
        config = Config.of(meta)
        grows = args.context > 0 and not config.context  # a context for weights without one
        model = MeanScaleHyperprior(replace(config, context=args.context) if grows else config)
        calibration = as_input(next(batches(self.pictures, 64, 128, np.random.default_rng(1))))
        if weights is None:
            klt(model, calibration)
        elif meta["stage"] == "float":
            if grows:
                weights = grown(model, weights, calibration)
            model.load_state_dict(weights)
        if args.stage == "integer":
            if weights is None:
                raise SystemExit("--stage integer: needs --init with a trained checkpoint")
            model = integer_twin(model, calibration)
            if meta["stage"] == "integer":
                model.load_state_dict(weights)
        model.dead_zone.fill_(args.dead_zone)
        return model

    def resume(self) -> None:
        """Load OUT.resume over the fresh state."""
        state = checkpoint.load_resume(resume_path(self.args.out))
        self.model.load_state_dict(state["model"])
        self.ema = {k: v.to(self.args.device) for k, v in state["ema"].items()}
        self.optimisers.load_state_dict(state["optimisers"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.rng.bit_generator.state = json.loads(state["numpy_state"])
        torch.set_rng_state(state["torch_state"])

    def save(self) -> None:
        """Averaged weights and resume state, each renamed into place."""
        meta = {"stage": self.args.stage, "step": self.step, "seconds": round(self.seconds),
                **self.model.config.as_dict()}  # fmt: skip
        weights = with_quantiles(self.model, self.ema)
        checkpoint.save_weights(self.args.out, weights, meta, half=self.args.half)
        checkpoint.save_resume(resume_path(self.args.out), {
            "model": self.model.state_dict(), "ema": self.ema, "step": self.step,
            "optimisers": self.optimisers.state_dict(), "seconds": self.seconds,
            "numpy_state": json.dumps(self.rng.bit_generator.state),
            "torch_state": torch.get_rng_state(),
        })  # fmt: skip

    def loss(self, x: Tensor, quality: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Rate + lambda * distortion, each over sqrt(lambda) so that no quality dominates."""
        kind = torch.device(self.args.device).type
        with torch.autocast(kind, torch.bfloat16, enabled=self.args.bf16):
            out = self.forward(x, quality)
        pixels = x.shape[2] * x.shape[3]
        bpp = (out.bits_y + out.bits_z) / pixels
        distortion = DISTORTIONS[self.args.distortion](out.x_hat, x)
        fixed = self.args.lmbda
        lam = rate_lambda(quality) if fixed is None else torch.full_like(quality, fixed)
        loss = ((bpp + lam * distortion) * (REFERENCE_LAMBDA / lam).sqrt()).mean()
        mse = (out.x_hat - x).square().mean().item()
        numbers = {"loss": loss.item(), "bpp": bpp.mean().item(), "mse": mse}
        if self.args.weight_rate:
            rate = self.weight_bits()
            loss = loss + self.args.weight_rate * rate
            numbers["bits_per_weight"] = rate.item()
        return loss, numbers

    def weight_bits(self) -> Tensor:
        """Mean bits of a weight in a packed file."""
        return bits_per_weight(kernels(self.model))

    def output(self, x: Tensor, quality: Tensor) -> Output:
        """What the model makes of x (n, 3, h, w); of bits alone the picture is as it was."""
        if self.args.entropy_only:
            assert isinstance(self.model, MeanScaleHyperprior), "by its options"
            _, bits_y, bits_z = self.model.rates(self.model.latents(x), quality)
            return Output(x, bits_y, bits_z)
        out: Output = self.model(x, quality)
        return out

    def train_step(self, batch: Any, fraction: float) -> dict[str, float]:
        """One batch, one step of every optimiser, one step of the average."""
        x = as_input(batch, self.args.device)
        quality = self.rng.uniform(0, QUALITIES - 1, len(batch))
        self.model.zero_grad()
        loss, numbers = self.loss(x, torch.tensor(quality, dtype=torch.float32, device=x.device))
        loss.backward()  # type: ignore[no-untyped-call]  # torch stubs
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 2.0).item()
        if math.isfinite(norm):
            klt = self.args.init is None and self.args.architecture == FLAGSHIP
            alone = self.args.entropy_first if klt else 0
            ramp = min(1.0, (self.step + 1) / 50)
            late = min(1.0, max(0.0, (self.step - alone) / 300)) if alone else ramp
            self.optimisers.step(self.args.rate * schedule(fraction), (late, ramp))
        decay = min(EMA_DECAY, self.step / (self.step + 10))
        with torch.no_grad():
            state = self.model.state_dict()
            real = [name for name, value in state.items() if value.is_floating_point()]
            averages = [self.ema[name] for name in real]
            values = [state[name] for name in real]
            torch._foreach_lerp_(averages, values, 1 - decay)  # one launch on a GPU
            for name in state.keys() - set(real):
                self.ema[name].copy_(state[name])
        self.step += 1
        return {**numbers, "gradient": norm}

    def run(self) -> None:
        """Train until the box of time or steps ends; save every five minutes and at the end."""
        args, started, saved = self.args, time.monotonic() - self.seconds, self.seconds
        log_path = args.out.with_suffix(".jsonl")
        if not args.resume:
            log_path.unlink(missing_ok=True)
        window: list[dict[str, float]] = []
        source = batches(self.pictures, args.batch, args.crop, self.rng)
        length, unit = (args.steps, "steps") if args.steps else (60 * args.minutes, "s")
        with progress(length, unit) as bar:
            while (position := self.step if args.steps else self.seconds) < length:
                bar.update(position - bar.n)
                window.append(self.train_step(next(source), position / length))
                now = time.monotonic() - started
                self.seconds = now
                if len(window) == args.log_every:
                    entry = {k: round(float(np.mean([w[k] for w in window])), 5) for k in window[0]}
                    entry |= {"step": self.step, "seconds": round(now)}
                    append(log_path, entry)
                    bar.set_postfix_str(f"step {self.step} loss {entry['loss']:.4f}")
                    window = []
                if now - saved > 300:
                    self.save()
                    saved = now
        self.save()
        draw_log(log_path, args.out.with_suffix(".png"))


def grown(model: MeanScaleHyperprior, weights: dict[str, Tensor], x: Tensor) -> dict[str, Tensor]:
    """Weights without a context, and what model has beside them as a fresh start has it."""
    fresh = copy.deepcopy(model)
    kept = {k: v for k, v in weights.items() if fresh.state_dict()[k].shape == v.shape}
    fresh.load_state_dict(kept, strict=False)
    assert fresh.context is not None, "it grows"
    with torch.no_grad():
        fresh.context.start(fresh.latents(x).std((0, 2, 3)))
    return fresh.state_dict()


def resume_path(out: Path) -> Path:
    """OUT.resume beside OUT."""
    return out.with_suffix(".resume")


def append(path: Path, entry: dict[str, Any]) -> None:
    """One JSON line."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + os.linesep)


@contextlib.contextmanager
def progress(length: float, unit: str) -> Iterator[Any]:
    """Progress over the box, on stderr."""
    form = "{l_bar}{bar}| {n:.0f}/{total:.0f} {unit}{postfix}"
    with tqdm(total=length, unit=unit, bar_format=form, mininterval=1.0) as bar:
        yield bar
        bar.update(length - bar.n)


def main(argv: list[str] | None = None) -> None:
    """Command line entry."""
    args = parser().parse_args(argv)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    Trainer(args).run()


if __name__ == "__main__":
    main()
