"""The smallest model the format allows: one latent, one hyper-latent; and files that damage it."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
from safetensors.numpy import load as load_safetensors

from intnet import model_file
from intnet.model_file import QUALITIES, Model, Scaling
from intnet.program import Conv, ConvTranspose, DepthToSpace, Port, Program, Slice, SpaceToDepth
from vectors.tiny_model import framed, linear, tables

Json = dict[str, Any]
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


class Parts:
    """A model file taken apart, so that one thing can be changed."""

    def __init__(self, data: bytes) -> None:
        length = int.from_bytes(data[:8], "little")
        self.header: Json = json.loads(data[8 : 8 + length])
        self.tensors = bytearray(data[8 + length :])

    def write(self, name: str, at: int, new: bytes) -> None:
        """Bytes of a tensor."""
        begin = self.header[name]["data_offsets"][0] + at
        self.tensors[begin : begin + len(new)] = new

    def rename(self, old: str, new: str) -> None:
        """Part of the JSON document."""
        text, count = re.subn(re.escape(old), new, self.header["__metadata__"]["intnet"], count=1)
        assert count, old
        self.header["__metadata__"]["intnet"] = text

    def joined(self) -> bytes:
        """The file as it is, with the hash it had."""
        return framed(self.header, bytes(self.tensors))

    def rehashed(self) -> bytes:
        """The file with the hash of what it now holds."""
        arrays = load_safetensors(self.joined())
        metadata = self.header["__metadata__"]
        metadata["sha256"] = model_file.content_hash(metadata["intnet"], arrays)
        return self.joined()


def invalid() -> dict[str, tuple[str, str, bytes]]:
    """Name -> comment, class of the error, file: one fault each."""
    good = model_file.to_bytes(build())
    hash_wrong, weight, bound, cdf, gain, format_2, kind = (Parts(good) for _ in range(7))
    stated = hash_wrong.header["__metadata__"]["sha256"]
    hash_wrong.header["__metadata__"]["sha256"] = f"{int(stated[0], 16) ^ 1:x}{stated[1:]}"
    weight.write("synthesis/spread/weight", 5, b"\2")
    bound.write("analysis/y/bias", 0, (2**31 - 1).to_bytes(4, "little"))
    cdf.write("tables/z", 12, b"\0\0")  # cdf[1] of the only table: after header, minimum, size
    gain.write("scaling/gain", 0, bytes(4))
    format_2.rename('"format":1', '"format":2')
    kind.rename('"kind":"slice"', '"kind":"slide"')
    hashed = "; the hash is that of the damaged content."
    return {
        "hash-wrong": ("One digit of the stated hash.", "ModelError", hash_wrong.joined()),
        "weight-changed": ("One weight is 2; the hash is not.", "ModelError", weight.joined()),
        "bound-exceeded": (f"A bias of 2**31 - 1{hashed}", "BoundError", bound.rehashed()),
        "cdf-not-increasing": (f"cdf[1] of z is 0{hashed}", "ModelError", cdf.rehashed()),
        "gain-0": (f"The first gain is 0{hashed}", "ModelError", gain.rehashed()),
        "format-2": (f"Format 2{hashed}", "ModelError", format_2.rehashed()),
        "kind-unknown": (f"An op `slide`{hashed}", "ModelError", kind.rehashed()),
        "truncated-by-1": ("The last byte is missing.", "ModelError", good[:-1]),
        "empty": ("No bytes.", "ModelError", b""),
    }
