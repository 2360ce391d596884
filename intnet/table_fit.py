"""Tables from what the integer codec really codes: part of the border, floats end here.

The prior promises a Gaussian of scale i; residuals given that promise have heavier tails and, with
a dead zone, more zeros. Each table becomes the mixture of all the Gaussian tables that fits the
symbols of training pictures best (expectation-maximisation), rounded once to integers. The tables
travel in the model; nothing of this runs on a device.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

import rangecoder
from intnet import codec, latents
from intnet.model_file import Model

QUALITIES = range(2, 64, 6)  # whose symbols are counted
REACH = 2047  # of the largest support
TAIL = 2.0**-17  # mass left to the escape of each side, at most
PRIOR_COUNT = 1000.0  # symbols that the Gaussian itself is worth beside those counted
Z_PRIOR_COUNT = 200.0  # and values that a trained table of z is worth
ITERATIONS = 300
WEIGHT_BITS = 32
BIT_WORTH = np.log(2) / 12  # half of the squared error that one bit is worth, unit step, high rate

Float = npt.NDArray[np.float64]


def fit(model: Model, pictures: Iterable[codec.Pixels], strength: float) -> Model:
    """model with tables fitted to the symbols of uint8 pictures (h, w, 3), and its dead zone.

    strength: of the dead zone, as in `intnet.training.entropy.dead_zone`; 0 is nearest rounding.
    """
    analysed = [codec.analyse(picture, model) for picture in pictures]
    if model.z_tables is not None:
        model = dataclasses.replace(model, z_tables=fitted_z_tables(model.z_tables, analysed))
    gaussians = half_pmfs(model.y_tables)
    for _ in range(2):  # the tables move the dead zone, which moves the counts
        mixtures = [mixture(row, gaussians, i) for i, row in enumerate(counts(analysed, model))]
        model = dataclasses.replace(
            model,
            y_tables=rangecoder.build(*weights(mixtures)),
            scaling=dataclasses.replace(model.scaling, dead_zone=dead_zone(mixtures, strength)),
        )
    return model


def half_pmfs(tables: rangecoder.Tables) -> Float:
    """(tables, REACH + 1): probability of each magnitude, zero beyond a table's support."""
    rows = np.zeros((tables.n_tables, REACH + 1))
    for i, minimum in enumerate(tables.minimum):
        p = np.diff(tables.cdf[tables.start[i] : tables.start[i + 1]])[:-1] / 2**16
        upper = p[-int(minimum) :]
        rows[i, : len(upper)] = 2 * upper
        rows[i, 0] /= 2
    normalised: Float = rows / rows.sum(1, keepdims=True)
    return normalised


def counts(analysed: Iterable[codec.Analysed], model: Model) -> Float:
    """(tables, REACH + 1): how often each magnitude was coded with each table."""
    n = model.y_tables.n_tables
    total = np.zeros(n * (REACH + 1), np.int64)
    for a in analysed:
        for quality in QUALITIES:
            symbols, tables = codec.y_symbols(a, model, quality)
            magnitude = np.minimum(np.abs(symbols), REACH)
            flat = tables.astype(np.int64) * (REACH + 1) + magnitude
            total += np.bincount(flat.ravel(), minlength=len(total))
    return total.reshape(n, -1).astype(np.float64)


def fitted_z_tables(
    tables: rangecoder.Tables, analysed: Iterable[codec.Analysed]
) -> rangecoder.Tables:
    """One table per channel of z: its counts beside Z_PRIOR_COUNT of the trained table."""
    z = np.concatenate([a.z.reshape(-1, a.z.shape[2]) for a in analysed]).astype(np.int64)
    rows, minimum = [], []
    for c, lowest in enumerate(tables.minimum.tolist()):
        p = np.diff(tables.cdf[tables.start[c] : tables.start[c + 1]]) / 2**16
        support = len(p) - 1
        inside = (z[:, c] >= lowest) & (z[:, c] < lowest + support)
        slot = np.where(inside, z[:, c] - lowest, support)
        row = np.bincount(slot, minlength=support + 1) + Z_PRIOR_COUNT * p
        rows.append([round(float(w) * 2**16) for w in row])
        minimum.append(lowest)
    return rangecoder.build(rows, minimum)


def mixture(count: Float, gaussians: Float, own: int) -> Float:
    """The mixture of Gaussians of greatest likelihood; `own` weighs PRIOR_COUNT symbols."""
    count = count + PRIOR_COUNT * gaussians[own]
    share = np.full(len(gaussians), 0.1 / len(gaussians))
    share[own] += 0.9  # the promise, until the counts say otherwise
    for _ in range(ITERATIONS):
        p = np.maximum(share @ gaussians, 1e-30)
        share *= gaussians @ (count / p) / count.sum()
    fitted: Float = share @ gaussians
    return fitted / float(fitted.sum())


def weights(mixtures: list[Float]) -> tuple[list[list[int]], list[int]]:
    """Integer weights, escape last, and minimum of every table."""
    rows, minimum = [], []
    for p in mixtures:
        beyond = 1 - np.cumsum(p)  # mass of both sides above each magnitude
        reach = max(1, int(np.argmax(beyond <= 2 * TAIL)) if (beyond <= 2 * TAIL).any() else REACH)
        side = p[1 : reach + 1] / 2
        row = [*side[::-1], p[0], *side, max(float(beyond[reach]), 0.0)]
        rows.append([round(float(w) * 2**WEIGHT_BITS) for w in row])
        minimum.append(-reach)
    return rows, minimum


def dead_zone(mixtures: list[Float], strength: float) -> latents.Int32Array:
    """Rounding offsets in 1/65536: what coding 1 instead of 0 costs, in units of squared error."""
    p = np.maximum(np.array(mixtures), 2.0**-17)
    extra = np.log2(p[:, 0]) - np.log2(p[:, 1] / 2)
    offset = np.clip(0.5 - strength * extra * BIT_WORTH, 0, 0.5)
    rounded: latents.Int32Array = np.rint(offset * 2**16).astype(np.int32)
    return rounded
