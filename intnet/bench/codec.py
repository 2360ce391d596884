"""Whole pictures: the shipped model beside its own float twin, CompressAI and picture formats."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from intnet import codec, pictures, selftest, shipped
from intnet.bench import compressai_peers, float_twin, peers, pillow_peers
from intnet.bench import serial as serial_prior
from intnet.bench.pillow_peers import FORMATS
from intnet.bench.race import Call, Settings, race
from intnet.bench.report import PRODUCT, Report, Value
from intnet.bench.verbs import Verbs
from intnet.model_file import Model

KODAK = Path("../shared/data/kodak")
QUALITY = 32
QUICK = 128  # side of the picture
MEGA = 1e6
TWIN, HYPERPRIOR, JOINT = "float twin", "CompressAI hyperprior", "CompressAI mbt2018"
SERIAL = "decode, serial prior alone"
SLOW_ROUNDS = 3
KEYS = {
    PRODUCT: "intnet", TWIN: "float_twin", HYPERPRIOR: "compressai_hyperprior", **FORMATS,
}  # fmt: skip


def run(settings: Settings, picture: Path | None, *, slow: bool) -> Report:
    """Time encoding and decoding of one picture.

    picture: a file; None for one of Kodak or the bundled one. slow: also serial priors, in
    three rounds at most. settings.only: peers whose names contain it. Raises ValueError where
    none does.
    """
    path, pixels, model = *load(picture, settings), shipped.load()
    height, width = pixels.shape[:2]
    product = coded(pixels, model)
    bpp = 8 * product.size / (height * width)
    makers: dict[str, Callable[[], Verbs]] = {
        TWIN: lambda: float_twin.verbs(pixels, model, QUALITY, settings.threads),
        HYPERPRIOR: lambda: compressai_peers.verbs(
            "bmshj2018-hyperprior", pixels, settings.threads
        ),
    } | {name: partial(pillow_peers.verbs, name, pixels, bpp, settings.threads) for name in FORMATS}
    if slow:
        makers[JOINT] = lambda: compressai_peers.verbs(
            "mbt2018", pixels, settings.threads, synthesis=False
        )
    _, rivals = peers.wanted([], list(makers), settings.only)
    there, missing = peers.gather({name: makers[name] for name in rivals})
    asked = {"picture": str(path), "width": width, "height": height, "quality": QUALITY}
    report = Report("codec", "MP/s", asked, missing=missing)
    joint = there.pop(JOINT, None)
    compare({PRODUCT: product} | there, report, pixels, settings)
    if slow:
        serial(joint, report, pixels, settings)
    report.summary = summary(report)
    report.notes = [
        "ratio: how many times faster intnet is, the median over rounds",
        "float twin: the same networks in torch float32, the same symbols, tables and range coder",
        "CompressAI: quality 4, random weights; formats: Pillow's, quality of the nearest size",
        f"{SERIAL}: hyper synthesis, context and parameter networks, range decoder; no transforms",
    ]
    return report


def load(picture: Path | None, settings: Settings) -> tuple[Path, codec.Pixels]:
    """The picture, as RGB, and where it lies; a corner of it for quick."""
    kodak = sorted(KODAK.glob("*.png"))
    path = picture or (kodak[0] if kodak else selftest.sample_path())
    pixels = pictures.read(str(path))
    if pixels.shape[2] == 1:  # others know RGB alone
        pixels = np.repeat(pixels, 3, axis=2)
    return path, pixels[:QUICK, :QUICK].copy() if settings.quick else pixels


def coded(pixels: codec.Pixels, model: Model) -> Verbs:
    """The product."""
    stream = codec.encode(pixels, model, QUALITY)
    return Verbs(
        partial(codec.encode, pixels, model, QUALITY), partial(codec.decode, stream, [model]),
        len(stream),
    )  # fmt: skip


def compare(
    contenders: dict[str, Verbs], report: Report, pixels: codec.Pixels, settings: Settings
) -> None:
    """A race to encode and one to decode."""
    area = pixels.shape[0] * pixels.shape[1]
    bpp: dict[str, Value] = {name: 8 * verbs.size / area for name, verbs in contenders.items()}
    for verb in ("encode", "decode"):
        calls: dict[str, Call] = {name: getattr(verbs, verb) for name, verbs in contenders.items()}
        report.add(verb, race(verb, calls, settings), area / MEGA, bpp=bpp)


def serial(joint: Verbs | None, report: Report, pixels: codec.Pixels, settings: Settings) -> None:
    """Decoding of an autoregressive prior, which takes CompressAI some ten seconds a round."""
    contenders = {PRODUCT: serial_prior.verbs(pixels)} | ({JOINT: joint} if joint else {})
    area = pixels.shape[0] * pixels.shape[1]
    asked = dataclasses.replace(settings, rounds=min(settings.rounds, SLOW_ROUNDS))
    times = race(SERIAL, {name: verbs.decode for name, verbs in contenders.items()}, asked)
    bpp: dict[str, Value] = {name: 8 * verbs.size / area for name, verbs in contenders.items()}
    report.add(SERIAL, times, area / MEGA, bpp=bpp)


def summary(report: Report) -> dict[str, Value]:
    """Ratios against neural codecs, then rates of all."""
    found: dict[str, Value] = {
        f"{verb}_vs_{KEYS[peer]}": report.ratio(verb, peer)
        for verb in ("decode", "encode") for peer in (TWIN, HYPERPRIOR)
    }  # fmt: skip
    found["serial_decode_vs_compressai_mbt2018"] = report.ratio(SERIAL, JOINT)
    return found | {
        f"{key}_{verb}_mp_per_s": report.rate(verb, name)
        for name, key in KEYS.items() for verb in ("encode", "decode")
    }  # fmt: skip
