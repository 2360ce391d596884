"""Calibration: pictures through the float codec, every tensor watched."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from intnet.converting.float_codec import FloatCodec, code
from intnet.converting.layers import Graph, LayerError, Linear
from intnet.converting.recipe import Recipe
from intnet.converting.record import Record
from intnet.training.data import Pictures, as_input, batches

CROPS, SIDE, TOGETHER = 32, 256, 4
SMALLEST = 64  # of crops, where a picture is smaller than SIDE


def crops(pictures: Pictures, count: int = CROPS, most: int = SIDE) -> Tensor:
    """Random crops (count, 3, side, side) in 0..1, side <= most, the same for the same pictures."""
    smallest = min(min(picture.shape[:2]) for picture in pictures)
    side = min(most, smallest // SMALLEST * SMALLEST)
    return as_input(next(batches(pictures, count, side, np.random.default_rng(1))))


def steps(x: Tensor) -> int:
    """Calls of `step` that `record` makes."""
    return -(-len(x) // TOGETHER)


def record(
    codec: FloatCodec, x: Tensor, step: Callable[[], None], recipe: Recipe
) -> dict[str, Record]:
    """What every tensor of every graph was, by graph, for pictures x at gain 1.

    step: called after each batch. recipe: says which weights need care. Raises LayerError for
    values that are not finite.
    """
    records = {name: Record(careful(graph, recipe)) for name, graph in codec.graphs.items()}
    gain = min(codec.gains, key=lambda g: abs(g - 1))
    for batch in torch.split(x, TOGETHER):
        code(codec, batch.contiguous(), gain, records)
        step()
    for name, found in records.items():
        for tensor, seen in found.seen.items():
            if not (seen.low.isfinite().all() and seen.high.isfinite().all()):
                raise LayerError(f"{name}, layer {tensor!r}: values that are not finite in "
                                 "calibration; the weights before it are broken")  # fmt: skip
    return records


def careful(graph: Graph, recipe: Recipe) -> tuple[Linear, ...]:
    """Convolutions of square kernels whose weights are few bits, rounded with compensation."""
    linear = [layer for layer in graph.layers if isinstance(layer, Linear)]
    return tuple(layer for layer in linear if recipe.of(layer.name).compensates
                 and layer.kernel.shape[2] == layer.kernel.shape[3])  # fmt: skip
