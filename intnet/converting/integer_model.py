"""A float codec, calibrated, as an integer Model: floats end here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intnet.architecture import SERIAL
from intnet.convert import GAIN_SHIFT, INDEX_SHIFT, INVERSE_SHIFT, gaussian_tables
from intnet.converting import bottleneck
from intnet.converting.emit import Emitted, emit
from intnet.converting.float_codec import FloatCodec
from intnet.converting.formats import MARGIN, S16_MAX, Format, audible, consumers, symmetric, top_16
from intnet.converting.layers import Graph, Linear
from intnet.converting.recipe import Recipe
from intnet.converting.record import Record
from intnet.model_file import QUALITIES, Model, Scaling
from intnet.training.entropy import LOG_STEP
from intnet.training.quantise import INDEX_UNITS, U8_MAX, Z_MAX

LATENT_MARGIN = 2.0  # of latents over the largest of the calibration: a clipped one is seen
FINEST = 16  # integers of y for a symbol's step at the greatest gain, at least
NEAREST = 2**15  # dead zone of plain rounding
WIDE_Z = 2047
FACTORIZED_GAINS = 9  # groups of tables of a factorized prior, over the range of gains
MEDIANS = ("z_hat", "y_median")  # layers that add medians
Records = Mapping[str, Record]


@dataclass(frozen=True, eq=False)
class Converted:
    """The model, and the integer tensor of each float one by program."""

    model: Model
    emitted: Mapping[str, Emitted]


def convert(
    codec: FloatCodec, records: Records, recipe: Recipe, metadata: Mapping[str, Any]
) -> Converted:
    """Raises LayerError or BoundError naming the layer."""
    emitted = programs(codec, records, recipe)
    step = emitted["synthesis"].program_format("y_hat").step
    built = {name: made.program for name, made in emitted.items()}
    order = SERIAL if "context" in built else None
    if codec.factorized:
        gains = group_gains(codec.gains)
        tables, z_tables = bottleneck.tables(codec.density, gains), None
    else:
        gains = (1.0,)
        tables, z_tables = gaussian_tables(), bottleneck.tables(codec.density)
    scaling = scaling_of(codec, step, tables.n_tables, gains)
    return Converted(Model(built, tables, z_tables, scaling, metadata, order), emitted)


def programs(codec: FloatCodec, records: Records, recipe: Recipe) -> dict[str, Emitted]:
    """By name, in the order of the family."""
    y = latents_format(codec, records, recipe)
    pixels = Format("u8", 0, U8_MAX, torch.full((3,), 1 / U8_MAX, dtype=torch.float64))
    fixed: dict[str, Format] = {"x": pixels, "y": y, "y_hat": y, "mean": y}
    last = {name: graph.outputs[-1] for name, graph in codec.graphs.items()}
    fixed |= {last["analysis"]: y, last["synthesis"]: pixels}
    for name in ("prior", "synthesis"):
        fixed |= centred_format(codec, records, recipe, name)
    if "prior" in codec.graphs:
        fixed |= dict.fromkeys(("z", last["hyper_analysis"]), z_format(codec))
    if "context" in codec.graphs:
        features = features_format(codec, records, recipe)
        fixed |= dict.fromkeys(("features", last["prior"]), features)
    return {
        name: emit(graph, records[name], recipe, known(graph, fixed))
        for name in ("analysis", "hyper_analysis", "prior", "context", "synthesis")
        if (graph := codec.graphs.get(name)) is not None
    }


def known(graph: Graph, fixed: Mapping[str, Format]) -> dict[str, Format]:
    """Those that a graph has."""
    names = {*graph.inputs, *(layer.name for layer in graph.layers)}
    return {name: form for name, form in fixed.items() if name in names}


def readers(graph: Graph, name: str) -> list[Linear]:
    """Convolutions that read a tensor."""
    return [layer for layer in consumers(graph, name) if isinstance(layer, Linear)]


def latents_format(codec: FloatCodec, records: Records, recipe: Recipe) -> Format:
    """Of y, mean and y_hat: s16, fine beside the step of symbols at any gain."""
    seen = [records["analysis"].seen[codec.graphs["analysis"].outputs[0]].peak,
            records["synthesis"].seen["y_hat"].peak]  # fmt: skip
    for name in ("prior", "context"):
        if name in records and "mean" in records[name].seen:
            seen.append(records[name].seen["mean"].peak)
    peak = LATENT_MARGIN * audible(torch.stack(seen).amax(0))
    tops = [top_16(readers(codec.graphs[name], "y_hat"), records[name], recipe)
            for name in ("synthesis", "context") if name in codec.graphs]  # fmt: skip
    fine = math.ceil(FINEST * max(1.0, *codec.gains) * float(peak.max()))
    return symmetric("s16", min(S16_MAX, max(*tops, fine)), peak)


def z_format(codec: FloatCodec) -> Format:
    """Symbols of z: 8 bits, or 16 where its tables reach further."""
    channels = len(codec.density.medians)
    wide = bottleneck.reach(bottleneck.tables(codec.density)) > Z_MAX
    dtype, top = ("s16", WIDE_Z) if wide else ("s8", Z_MAX)
    return Format(dtype, -top, top, torch.ones(channels, dtype=torch.float64))


def centred_format(
    codec: FloatCodec, records: Records, recipe: Recipe, name: str
) -> dict[str, Format]:
    """Of latents with their medians, the first tensor of a network that adds them: s16."""
    graph = codec.graphs.get(name)
    if graph is None or graph.layers[0].name not in MEDIANS:
        return {}
    made = graph.layers[0].name
    top = top_16(readers(graph, made), records[name], recipe)
    peak = LATENT_MARGIN * audible(records[name].seen[made].peak)
    return {made: symmetric("s16", top, peak)}


def features_format(codec: FloatCodec, records: Records, recipe: Recipe) -> Format:
    """What the prior makes for the context: s16."""
    graph, record = codec.graphs["context"], records["context"]
    top = top_16(readers(graph, "features"), record, recipe)
    return symmetric("s16", top, MARGIN * audible(record.seen["features"].peak))


def group_gains(gains: tuple[float, ...]) -> tuple[float, ...]:
    """For which a factorized prior has tables: geometric over the range."""
    low, high = math.log(min(gains)), math.log(max(gains))
    steps = FACTORIZED_GAINS - 1
    return tuple(math.exp(low + k * (high - low) / steps) for k in range(FACTORIZED_GAINS))


def scaling_of(codec: FloatCodec, step: Tensor, tables: int, groups: tuple[float, ...]) -> Scaling:
    """Gains, their inverses and offsets of indexes of the 64 qualities."""
    gains = np.array(codec.gains)[:, None]
    unit = step.numpy()[None]
    if codec.factorized:
        nearest = np.abs(np.log(gains) - np.log(np.array(groups))[None]).argmin(1)
        offset = 2 * (len(step) * nearest[:, None] + np.arange(len(step))[None])
    else:
        offset = np.repeat(np.log(gains) * (INDEX_UNITS / LOG_STEP), len(step), 1)
    return Scaling(
        gain=whole(gains * unit * 2**GAIN_SHIFT),
        inverse_gain=whole(2**INVERSE_SHIFT / gains / unit),
        index_offset=whole(offset), dead_zone=np.full(tables, NEAREST, np.int32),
        gain_shift=GAIN_SHIFT, inverse_shift=INVERSE_SHIFT,
        index_shift=1 if codec.factorized else INDEX_SHIFT,
    )  # fmt: skip


def whole(values: Any) -> Any:
    """Rounded, s32, (QUALITIES, M)."""
    rounded = np.ascontiguousarray(np.rint(values).astype(np.int64))
    assert rounded.shape[0] == QUALITIES
    return np.clip(rounded, -(2**31), 2**31 - 1).astype(np.int32)
