"""Checkpoints: weights as safetensors with JSON metadata; resume state as a weights-only pickle."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor


def save_weights(
    path: Path, state: Mapping[str, Tensor], meta: Mapping[str, Any], *, half: bool = False
) -> None:
    """Write tensors and metadata to a temporary file, then rename.

    half: what is float32 is written as float16, and read as float32 again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(path.suffix + ".tmp")
    tensors = {k: v.detach().cpu().contiguous() for k, v in state.items()}
    if half:
        tensors = {k: v.half() if v.dtype == torch.float32 else v for k, v in tensors.items()}
    save_file(tensors, temporary, {"intnet": json.dumps(dict(meta), sort_keys=True)})
    temporary.replace(path)


def load_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and metadata of a checkpoint. Raises ValueError if it is not one of ours."""
    try:
        with safe_open(path, framework="pt") as file:
            meta = (file.metadata() or {}).get("intnet")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file ({error})") from None
    if meta is None:
        raise ValueError(f"{path}: no 'intnet' metadata, not a checkpoint of `intnet train`")
    try:
        found = json.loads(meta)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: its 'intnet' metadata are not JSON ({error})") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path}: its 'intnet' metadata are no object")  # noqa: TRY004  # a bad file is a ValueError throughout
    return {k: v.float() if v.dtype == torch.float16 else v for k, v in tensors.items()}, found


def check_weights(weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Raise ValueError unless names, dtypes and shapes are those wanted, and all values finite."""
    if weights.keys() != wanted.keys():
        name = min(weights.keys() ^ wanted.keys())
        there = "is there, must not be" if name in weights else "is missing"
        raise ValueError(f"tensor {reprlib.repr(name)} {there}")
    for name, tensor in wanted.items():
        got, want = ((x.dtype, tuple(x.shape)) for x in (weights[name], tensor))
        if got != want:
            raise ValueError(f"tensor {name!r}: {got}, must be {want}")
        if not weights[name].isfinite().all():
            raise ValueError(f"tensor {name!r}: a value that is not finite")


def save_resume(path: Path, state: Mapping[str, Any]) -> None:
    """Everything needed to go on (weights, average, optimisers, clock, generator states)."""
    temporary = path.with_suffix(path.suffix + ".tmp")
    torch.save(dict(state), temporary)
    temporary.replace(path)


def load_resume(path: Path) -> dict[str, Any]:
    """Inverse of save_resume; never unpickles code. Raises ValueError for any other file."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001  # whatever unpickling meets in a damaged file
        raise ValueError(f"{path}: not a state of `intnet train` ({error})") from None
    if not isinstance(state, dict):
        kind = type(state).__name__
        raise ValueError(f"{path}: {kind}, not a state of `intnet train`")  # noqa: TRY004  # same
    return state
