"""Where the loss comes from: the codec in integers, with one layer at a time left in float."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from intnet.converting import float_codec, mixed
from intnet.converting.emit import Emitted
from intnet.converting.float_codec import FloatCodec
from intnet.converting.integer_model import Converted
from intnet.converting.mixed import Mixed
from intnet.distortion import psnr

Row = dict[str, Any]
Known = dict[tuple[Any, ...], dict[str, Tensor]]


class Cost(NamedTuple):
    """Of a picture: bits per pixel by the float formula, PSNR of rounded samples."""

    bpp: float
    psnr: float


Costs = list[Cost]


def rows(
    all_integers: Costs, by_layer: Iterator[tuple[str, str, Costs]], slope: float | None
) -> list[Row]:
    """A row per layer, the costliest first. slope: see `measure.slope`; None: no percentages.

    bpp_percent, psnr_db: what the codec loses by the layer's integers, both above 0 if it does;
    percent: both in bits at equal PSNR. error: of percent, or of psnr_db without one, the standard
    error of the mean over pictures. Rows are in order of loss less error: what another value falls
    to in rounding is no loss of the layer's.
    """
    found = []
    for network, layer, costs in by_layer:
        pairs = list(zip(all_integers, costs, strict=True))
        bits = np.array([100 * (a.bpp / c.bpp - 1) for a, c in pairs])
        decibels = np.array([c.psnr - a.psnr for a, c in pairs])
        loss = decibels if slope is None else bits + 100 * slope * decibels
        error = float(loss.std(ddof=1)) / math.sqrt(len(pairs)) if len(pairs) > 1 else 0.0
        found.append((float(loss.mean()) - error, {
            "network": network, "layer": layer, "bpp_percent": round(float(bits.mean()), 4),
            "psnr_db": round(float(decibels.mean()), 5),
            "percent": None if slope is None else round(float(loss.mean()), 4),
            "error": round(error, 5),
        }))  # fmt: skip
    return [row for _, row in sorted(found, key=lambda pair: -pair[0])]


def of(codec: FloatCodec, made: Converted, x: Tensor, gain: float, slope: float | None
       ) -> list[Row]:  # fmt: skip
    """Rows of every layer that has an integer form, see `mixed.leave`. x: (n, 3, h, w) in 0..1."""
    known: Known = {}
    whole = costs(codec, made.emitted, x, gain, known, keep=True)

    def each() -> Iterator[tuple[str, str, Costs]]:
        for name, emitted in made.emitted.items():
            graph = codec.graphs[name]
            for layer in emitted.tensors:
                if layer not in graph.inputs:
                    left = mixed.leave(graph, emitted, layer)
                    yield name, layer, costs(codec, {**made.emitted, name: left}, x, gain, known)

    return rows(whole, each(), slope)


def costs(
    codec: FloatCodec, made: Mapping[str, Emitted | Mixed], x: Tensor, gain: float, known: Known,
    *, keep: bool = False,
) -> Costs:  # fmt: skip
    """Of the codec in integers, but for layers left in float.

    known: outputs of networks all in integers, by name and inputs. keep: whether to add to them.
    """

    def run(name: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        network = made[name]
        if isinstance(network, Mixed):
            return mixed.run(codec.graphs[name], network, inputs)
        key = (name, *(t.numpy().tobytes() for t in inputs.values()))
        outputs = known.get(key) or mixed.run(codec.graphs[name], network, inputs)
        if keep:
            known[key] = outputs
        return outputs

    return [of_picture(codec, picture[None], gain, run) for picture in x]


def of_picture(codec: FloatCodec, x: Tensor, gain: float, run: float_codec.Run) -> Cost:
    """Of a picture (1, 3, h, w)."""
    coded = float_codec.code(codec, x, gain, run=run)
    original, decoded = ((t[0] * 255).round().clamp(0, 255).numpy() for t in (x, coded.x_hat))
    return Cost(coded.bits / (x.shape[2] * x.shape[3]), psnr(original, decoded))
