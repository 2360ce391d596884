"""The smallest model the format allows: one latent, one hyper-latent."""

from __future__ import annotations

from typing import Any

import numpy as np

from intnet.model_file import QUALITIES, Model, Scaling
from intnet.program import Conv, ConvTranspose, DepthToSpace, Port, Program, Slice, SpaceToDepth
from vectors.tiny_model import linear, tables

S16 = ("s16", -4095, 4095)
Y = Port("y", "s16", 1, -4095, 4095)


def ones(value: int, *shape: int) -> Any:
    """Constant s8 weights."""
    return np.full(shape, value, np.int8)


def build() -> Model:
    """Y is the mean of a 16x16 block's sum of colours, z that of a 4x4 block of y."""
    analysis = Program("analysis", (Port("x", "u8", 3, 0, 255),), (
        SpaceToDepth("blocks", ("x",), 16),
        linear(Conv, "y", "blocks", S16, ones(1, 1, 1, 1, 768), 6, bias=-128 * 768),
    ), ("y",))  # fmt: skip
    hyper = Program("hyper_analysis", (Y,), (
        linear(Conv, "z", "y", ("s8", -31, 31), ones(1, 1, 4, 4, 1), 10, stride=4),
    ), ("z",))  # fmt: skip
    prior = Program("prior", (Port("z", "s8", 1, -31, 31),), (
        linear(ConvTranspose, "both", "z", S16, ones(64, 2, 4, 4, 1), 1, stride=4),
        Slice("mean", ("both",), 0, 1), Slice("index", ("both",), 1, 2),
    ), ("mean", "index"))  # fmt: skip
    synthesis = Program("synthesis", (Port("y_hat", "s16", 1, -4095, 4095),), (
        linear(ConvTranspose, "spread", "y_hat", ("u8", 0, 255), ones(1, 12, 8, 8, 1), 4,
               bias=128 << 4, stride=8),
        DepthToSpace("x_hat", ("spread",), 2),
    ), ("x_hat",))  # fmt: skip
    step = np.arange(64, 0, -1)[:, None]
    scaling = Scaling(
        (2**20 // step).astype(np.int32), (step * 2**16).astype(np.int32),
        np.zeros((QUALITIES, 1), np.int32), np.full(2, 2**15, np.int32), 20, 16, 8,
    )  # fmt: skip
    programs = {p.name: p for p in (analysis, hyper, prior, synthesis)}
    metadata = {"name": "conformance minimal", "licence": "Apache-2.0"}
    return Model(programs, tables([3, 12], [20, 50]), tables([4], [40]), scaling, metadata)
