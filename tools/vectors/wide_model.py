"""A model of many channels and no arithmetic to speak of: two lanes in a picture of 512x512.

y is 64 samples of a block as they are; mean and index are one channel of z each, repeated; the
picture is y_hat in blocks. Whatever goes wrong in a symbol is seen in a sample.
"""

from __future__ import annotations

import numpy as np

from intnet.model_file import QUALITIES, Model, Scaling
from intnet.program import Concat, Conv, ConvTranspose, DepthToSpace, Port, Program, Slice
from intnet.program import SpaceToDepth as Blocks
from vectors.tiny_model import linear, noise, tables

M, Y_TABLES = 64, 5


def programs() -> dict[str, Program]:
    """Copies, but for z and what the prior makes of it."""
    y = Port("y", "u8", M, 0, 255)
    made = (
        Program("analysis", (Port("x", "u8", 3, 0, 255),), (
            Blocks("blocks", ("x",), 16), Slice("y", ("blocks",), 0, M),
        ), ("y",)),
        Program("hyper_analysis", (y,), (
            Slice("first", ("y",), 0, 1),
            linear(Conv, "z", "first", ("s8", -31, 31), np.ones((1, 4, 4, 1), np.int8), 6,
                   bias=-128 * 16, stride=4),
        ), ("z",)),
        Program("prior", (Port("z", "s8", 1, -31, 31),), (
            linear(ConvTranspose, "level", "z", ("u8", 0, 255), np.full((1, 4, 4, 1), 4, np.int8),
                   0, bias=128, stride=4),
            linear(ConvTranspose, "spread", "z", ("s16", -999, 999), noise(81, 30, 1, 4, 4, 1), 0,
                   stride=4),
            Concat("mean", ("level",) * M), Concat("index", ("spread",) * M),
        ), ("mean", "index")),
        Program("synthesis", (Port("y_hat", "u8", M, 0, 255),), (
            Concat("blocks", ("y_hat",) * 12), DepthToSpace("x_hat", ("blocks",), 16),
        ), ("x_hat",)),
    )  # fmt: skip
    return {program.name: program for program in made}


def build() -> Model:
    """Steps of 65 to 2; four tables in turn where index is 0."""
    step = np.broadcast_to(np.arange(65, 1, -1)[:, None], (QUALITIES, M))
    offset = np.broadcast_to(np.arange(M) % 4 * 256, (QUALITIES, M))
    arrays = (2**20 // step, step * 2**16, offset, np.full(Y_TABLES, 2**15))
    scaling = Scaling(*(np.ascontiguousarray(x, np.int32) for x in arrays), 20, 16, 8)
    y_tables = tables([1, 2, 4, 6, 8], [4, 12, 24, 36, 48])
    metadata = {"name": "conformance wide", "licence": "Apache-2.0"}
    return Model(programs(), y_tables, tables([12], [52]), scaling, metadata)
