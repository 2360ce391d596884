"""Small models of every family but the mean-scale hyperprior, which is `tiny_model`.

They share its transforms: what differs is how latents are coded.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from intnet.architecture import SERIAL, Order
from intnet.model_file import QUALITIES, Model, Scaling
from intnet.program import Array, Concat, Conv, Op, Port, Program, Slice
from vectors import tiny_model
from vectors.tiny_model import M, linear, noise, tables

CLIP = ("s16", -4095, 4095)
CHECKERBOARD = (((0,), (1,)), ((1,), (0,)))
# Four positions of each block, four groups of channels: every step codes a quarter of each.
QUADTREE = (((0, 1, 2, 3), (2, 3, 0, 1)), ((3, 2, 1, 0), (1, 0, 3, 2)))


def transforms() -> dict[str, Program]:
    """Programs that every family has."""
    return {p.name: p for p in (tiny_model.analysis(), tiny_model.synthesis())}


def model(name: str, programs: dict[str, Program], order: Order | None = None) -> Model:
    """With tables and scaling of `tiny_model`."""
    metadata = {"name": f"conformance {name}", "licence": "Apache-2.0"}
    return dataclasses.replace(
        tiny_model.build(), programs=programs, metadata=metadata, order=order
    )


def rate_groups() -> Scaling:
    """Of a factorized prior: table M * (quality >= 32) + channel, which index_offset says."""
    offset = [[2 * (M * (q >= QUALITIES // 2) + c) for c in range(M)] for q in range(QUALITIES)]
    dead_zone = np.array([2**15 - 500 * t for t in range(2 * M)], np.int32)
    return dataclasses.replace(
        tiny_model.scaling(), index_offset=np.array(offset, np.int32), index_shift=1,
        dead_zone=dead_zone,
    )  # fmt: skip


def factorized() -> Model:
    """No z; two groups of M tables, for low and for high qualities."""
    reaches = [2 + c for c in range(M)] + [20 + 3 * c for c in range(M)]
    slopes = [20 + 4 * c for c in range(M)] + [56 + c % 6 for c in range(M)]
    return dataclasses.replace(
        model("factorized", transforms()), y_tables=tables(reaches, slopes), z_tables=None,
        scaling=rate_groups(),
    )  # fmt: skip


def hyper(*outputs: str) -> dict[str, Program]:
    """Transforms, and hyper-latents; outputs: of the prior."""
    prior = tiny_model.prior()
    ops = tuple(op for op in prior.ops if op.name in outputs or not isinstance(op, Slice))
    made = dataclasses.replace(prior, ops=ops, outputs=outputs)
    return {**transforms(), "hyper_analysis": tiny_model.hyper_analysis(), "prior": made}


def scale() -> Model:
    """Balle et al. 2018: the prior makes index alone."""
    return model("scale", hyper("index"))


def context(name: str, order: Order, first: Callable[[], Op], *outputs: str) -> Model:
    """first: makes `seen`, of 16 channels, from y_hat."""
    hidden, both = 12, 16 + 2 * M
    ops: list[Op] = [
        first(),
        Concat("both", ("seen", "features")),
        linear(Conv, "hidden", "both", ("s16", 0, 4095), noise(52, 50, hidden, 1, 1, both), 6),
        linear(Conv, "out", "hidden", CLIP, noise(53, 60, 2 * M, 1, 1, hidden), 7),
    ]
    ops += [Slice(part, ("out",), *span) for part, span in
            (("mean", (0, M)), ("index", (M, 2 * M))) if part in outputs]  # fmt: skip
    inputs = Port("y_hat", "s16", M, -8191, 8191), Port("features", "s16", 2 * M, -4095, 4095)
    made = Program("context", inputs, tuple(ops), outputs)
    return model(name, {**hyper("both"), "context": made}, order)


def neighbours(weight: Array, padding: int, groups: int = 1) -> Callable[[], Op]:
    """A convolution of y_hat."""
    edges = (padding,) * 4
    return lambda: linear(Conv, "seen", "y_hat", CLIP, weight, 8, padding=edges, groups=groups)


def masked(seed: int) -> Array:
    """A 5x5 kernel that sees what is before its position."""
    weight = noise(seed, 40, 16, 5, 5, M)
    weight.reshape(16, 25, M)[:, 12:] = 0
    return weight


def serial() -> Model:
    """Minnen et al. 2018, in small."""
    return context("serial", SERIAL, neighbours(masked(54), 2), "mean", "index")


def serial_scale() -> Model:
    """The same without a mean."""
    return context("serial-scale", SERIAL, neighbours(masked(55), 2), "index")


def checkerboard() -> Model:
    """He et al. 2021, without a mean: half of the positions see the other half."""
    weight = noise(56, 40, 16, 5, 5, M)
    return context("checkerboard", CHECKERBOARD, neighbours(weight, 2), "index")


def quadtree() -> Model:
    """Li et al. 2023: four steps, four groups of channels. One channel a group sees others."""
    weight = noise(57, 60, 16, 3, 3, M)
    return context("quadtree", QUADTREE, neighbours(weight, 1), "mean", "index")


FAMILIES: dict[str, Callable[[], Model]] = {
    "factorized": factorized, "scale": scale, "serial": serial, "serial-scale": serial_scale,
    "checkerboard": checkerboard, "quadtree": quadtree,
}  # fmt: skip
