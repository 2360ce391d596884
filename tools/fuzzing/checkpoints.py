"""Mutated checkpoints: bytes as they are; a safetensors header changed under the right framing."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from random import Random
from typing import Any

from fuzzing.edits import edited
from fuzzing.models import edit_json

LENGTH = struct.Struct("<Q")
DTYPES = ("BOOL", "U8", "I8", "F8_E5M2", "I16", "BF16", "F16", "F32", "I64", "F64", "C64")
HUGE = (2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1)
ODD = (float("nan"), float("inf"), -float("inf"), 3e38, 0.0)


def save_models(floating: Path, integer: Path) -> None:
    """The smallest models of either stage."""
    import torch  # noqa: PLC0415  # seconds, for this target alone

    from intnet.training import checkpoint, quantise  # noqa: PLC0415
    from intnet.training.models import Config, MeanScaleHyperprior  # noqa: PLC0415

    torch.manual_seed(0)
    model = MeanScaleHyperprior(Config(c=1, m=1, m_hidden=1, z=1, blocks=1))
    for path, made, stage in (
        (floating, model, "float"), (integer, quantise.empty_twin(model), "integer")
    ):  # fmt: skip
        meta = {"stage": stage, **model.config.as_dict()}
        checkpoint.save_weights(path, made.state_dict(), meta)


def mutated(rng: Random, data: bytes) -> bytes:
    """A file that is not data, but for luck."""
    if rng.random() < 0.2:
        return edited(rng, data)
    (size,) = LENGTH.unpack_from(data)
    header, body = json.loads(data[8 : 8 + size]), bytearray(data[8 + size :])
    while True:
        body = rng.choice((edit_entry, edit_shapes, edit_metadata, edit_values))(rng, header, body)
        if rng.random() < 0.6:
            break
    text = json.dumps(header).encode()
    return LENGTH.pack(len(text)) + text + body


def edit_entry(rng: Random, header: dict[str, Any], body: bytearray) -> bytearray:
    """Anything in the header."""
    edit_json(rng, header)
    return body


def edit_shapes(rng: Random, header: dict[str, Any], body: bytearray) -> bytearray:
    """Shape or dtype of a tensor, at times with data of the size that it asks for."""
    entry = header.get(rng.choice(list(header)))
    if not isinstance(entry, dict) or not isinstance(entry.get("shape"), list):
        return body
    shape = entry["shape"]
    entry["shape"] = rng.choice((
        shape[::-1], [*shape, 1], [0, *shape], [0, rng.choice(HUGE)], [rng.choice(HUGE), *shape],
        [rng.choice(HUGE)] * 2, [1] * 99,
    ))  # fmt: skip
    if rng.random() < 0.5:
        entry["dtype"] = rng.choice(DTYPES)
    if rng.random() < 0.5 and 0 in entry["shape"]:
        keep_the_rest(header, entry, body)
    return body


def keep_the_rest(header: dict[str, Any], entry: dict[str, Any], body: bytearray) -> None:
    """Take a tensor's bytes away, so that offsets fit a shape of no values."""
    begin, end = (int(x) for x in entry.get("data_offsets", (0, 0)))
    del body[begin:end]
    entry["data_offsets"] = [begin, begin]
    for other in header.values():
        if other is not entry and isinstance(other, dict) and "data_offsets" in other:
            other["data_offsets"] = [x - (end - begin) * (x >= end) for x in other["data_offsets"]]


def edit_metadata(rng: Random, header: dict[str, Any], body: bytearray) -> bytearray:
    """Our own numbers: sizes of networks, stage."""
    strings = header.get("__metadata__")
    if isinstance(strings, dict) and isinstance(strings.get("intnet"), str):
        try:
            meta = json.loads(strings["intnet"])
        except ValueError:
            return body
        if isinstance(meta, dict) and rng.random() < 0.3:
            meta[rng.choice(list(meta) or ["c"])] = rng.choice(HUGE)
        elif isinstance(meta, dict | list):
            edit_json(rng, meta)
        strings["intnet"] = json.dumps(meta)
    return body


def edit_values(rng: Random, header: dict[str, Any], body: bytearray) -> bytearray:  # noqa: ARG001
    """A number of a tensor."""
    if len(body) >= 4:
        struct.pack_into("<f", body, rng.randrange(len(body) // 4) * 4, rng.choice(ODD))
    return body
