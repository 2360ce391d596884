"""Tensors of a checkpoint file, read without running anything that it contains.

    .pth, .pth.tar, .pt    torch.save of a state dict, or of a dict with "state_dict"
    .safetensors

Nothing here believes a file: sizes are compared with limits before anything of that size is made.
"""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from reprlib import repr as brief
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from intnet.errors import ModelError

MAX_TENSOR, MAX_ALL, MAX_FILE = 2**26, 2**28, 2**31  # elements, elements, bytes
SAFETENSORS = ".safetensors"
PREFIX = "module."  # of models that were trained on several devices


def read(path: Path) -> dict[str, Tensor]:
    """Tensors by name, on the CPU. Raises ModelError naming file, tensor, got and allowed."""
    size = path.stat().st_size
    if size > MAX_FILE:
        raise ModelError(f"{path}: {size} bytes, at most {MAX_FILE}")
    found = from_safetensors(path) if path.suffix == SAFETENSORS else from_pickle(path)
    names = sorted(found, key=str)
    if not names:
        raise ModelError(f"{path}: no tensors in it")
    total = 0
    for name in names:
        check(found[name], name, path)
        total += found[name].numel()
        if total > MAX_ALL:
            raise ModelError(f"{path}: more than {MAX_ALL} numbers in all")
    return {name.removeprefix(PREFIX): tensor for name, tensor in found.items()}


def from_safetensors(path: Path) -> dict[str, Tensor]:
    """All of them."""
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError, RuntimeError) as error:
        raise ModelError(f"{path}: not a safetensors file ({one_line(error)})") from None


def trained_here(path: Path) -> Mapping[str, Any] | None:
    """What `intnet train` wrote of a .safetensors file; None where it did not write it.

    Empty for a file or metadata that are damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("intnet")
        found = None if text is None else json.loads(text)
    except (SafetensorError, ValueError, RecursionError):
        return {}
    return found if found is None or isinstance(found, dict) else {}


def from_pickle(path: Path) -> dict[str, Any]:
    """What torch.save wrote; classes and functions are refused, so no code of the file runs."""
    check_archive(path)
    try:
        with path.open("rb") as file:
            found = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path}: not plain tensors ({one_line(error)}); code in files is never run: save "
            "`model.state_dict()`, not the model"
        ) from None
    except Exception as error:  # noqa: BLE001  # whatever reading meets in a damaged file
        raise ModelError(f"{path}: not a file of torch.save ({one_line(error)})") from None
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping):
        kind = type(found).__name__
        raise ModelError(f"{path}: a {kind}, must be a state dict or a dict with 'state_dict'")
    return dict(found)


def check_archive(path: Path) -> None:
    """A zip file must not unpack to more than files may have."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return  # an older format, or nothing that torch.load knows
    if unpacked > MAX_FILE:
        raise ModelError(f"{path}: unpacks to {unpacked} bytes, at most {MAX_FILE}")


def one_line(error: Exception) -> str:
    """The first sentence of an error of another library."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:160]


def check(tensor: Any, name: Any, path: Path) -> None:
    """A dense tensor of real numbers, not too large."""
    where = f"{path}: tensor {brief(name)}"
    if not isinstance(name, str):
        raise ModelError(f"{where}: its name is a {type(name).__name__}, must be text")
    if not isinstance(tensor, Tensor):
        raise ModelError(f"{where}: a {type(tensor).__name__}, must be a tensor")
    if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
        raise ModelError(f"{where}: {tensor.layout} on {tensor.device}, must be dense and stored")
    if tensor.numel() > MAX_TENSOR:
        raise ModelError(f"{where}: shape {tuple(tensor.shape)} is {tensor.numel()} numbers, at "
                         f"most {MAX_TENSOR}")  # fmt: skip
    if tensor.is_complex():
        raise ModelError(f"{where}: {tensor.dtype}, must be real numbers")
