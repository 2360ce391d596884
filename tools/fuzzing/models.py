"""Mutated model files: bytes as they are; document and tensors changed under the right hash."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from vectors.model_parts import Parts

from fuzzing.edits import edited

NUMBERS = (0, 1, -1, 2, 3, 4, 7, 8, 15, 16, 62, 63, 64, 65, 127, 128, 255, 256, 32767, 32768,
           65536, 2**31 - 1, 2**31, 2**32, 2**63, -(2**31), -(2**63), 10**30)  # fmt: skip
ODD = (None, True, 1.0, "", "x", [], {}, [0], "y", "conv")


def mutated(rng: Random, data: bytes) -> tuple[bytes, bool]:
    """A file that is not data, and whether its hash was made anew."""
    choice = rng.random()
    if choice < 0.15:
        return edited(rng, data), False
    parts = Parts(data)
    while True:
        if rng.random() < 0.5:
            document = json.loads(parts.document)
            edit_json(rng, document)
            parts.document = json.dumps(
                document, sort_keys=True, separators=(",", ":"), ensure_ascii=False
            )
        else:
            edit_tensor(rng, parts)
        if rng.random() < 0.6:
            return parts.file(), True


def edit_json(rng: Random, root: Any) -> None:
    """One value below root."""
    here = root
    while True:
        keys = list(here) if isinstance(here, dict) else list(range(len(here)))
        if not keys:
            return
        key = rng.choice(keys)
        child = here[key]
        if isinstance(child, dict | list) and child and rng.random() < 0.9:
            here = child
            continue
        replace_value(rng, here, key)
        return


def replace_value(rng: Random, here: Any, key: Any) -> None:
    """Another value, one more, one less, or two that change places."""
    choice, value = rng.random(), here[key]
    if choice < 0.6 and type(value) is int:
        near = value + rng.choice((-1, 1, -2, 2, value))
        here[key] = rng.choice((near, near, rng.choice(NUMBERS), -value))
    elif choice < 0.6 and type(value) is str:
        here[key] = rng.choice((value + "x", *ODD[3:5], *NAMES, value[:-1]))
    elif choice < 0.8:
        other = rng.choice(list(here) if isinstance(here, dict) else range(len(here)))
        here[key], here[other] = here[other], here[key]
    elif choice < 0.9:
        here[key] = rng.choice((*ODD, *NUMBERS))
    elif isinstance(here, list):
        here.insert(key, value) if rng.random() < 0.5 else here.pop(key)
    else:
        del here[key]


NAMES = ("x", "y", "z", "u8", "s8", "s16", "s32", "zero", "edge", "conv", "add", "lut", "y_hat",
         "x_hat", "mean", "index", "conv_transpose", "features", "serial")  # fmt: skip


def edit_tensor(rng: Random, parts: Parts) -> None:
    """Bytes, shape, dtype or name of one."""
    name = rng.choice(list(parts.tensors))
    dtype, shape, data = parts.tensors[name]
    choice = rng.random()
    if choice < 0.75:
        size = {"U8": 1, "I8": 1, "I16": 2, "I32": 4}.get(dtype, 1)
        at = rng.randrange(max(len(data) // size, 1)) * size
        value = rng.choice((rng.getrandbits(8 * size), 0, 2 ** (8 * size - 1), 2 ** (8 * size) - 1))
        if rng.random() < 0.4:
            near = int.from_bytes(data[at : at + size], "little") + rng.choice((-1, 1))
            value = near % 256**size
        data = data[:at] + value.to_bytes(size, "little") + data[at + size :]
    elif choice < 0.85:
        data = edited(rng, data)
        shape = [*shape[:-1], len(data)] if len(shape) == 1 else shape
    elif choice < 0.92:
        shape = rng.choice((shape[::-1], [*shape, 1], [1, *shape], [len(data)], shape[1:]))
    elif choice < 0.96:
        dtype = rng.choice(("U8", "I8", "I16", "I32", "F32", "I64"))
    else:
        del parts.tensors[name]
        name = rng.choice((name + "x", name[:-1], *parts.tensors)) if parts.tensors else "x"
    parts.tensors[name] = (dtype, shape, data)
