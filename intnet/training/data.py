"""Training pictures: decoded once, kept as uint8 in memory, cropped at random offsets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".ppm"}
Pictures = list[npt.NDArray[np.uint8]]


def load_pictures(folder: Path, smallest: int, limit: int | None = None) -> Pictures:
    """RGB arrays (h, w, 3) of the pictures in folder whose sides are at least `smallest`.

    limit: at most so many, evenly spaced over the sorted names.
    Raises FileNotFoundError when none is found.
    """
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
    if limit is not None:
        paths = paths[:: -(-len(paths) // limit)]
    pictures: Pictures = []
    for path in paths:
        with Image.open(path) as picture:
            if min(picture.size) >= smallest:
                pictures.append(np.asarray(picture.convert("RGB")))
    if not pictures:
        raise FileNotFoundError(f"{folder}: no picture with sides of at least {smallest} pixels")
    return pictures


def as_input(batch: npt.NDArray[np.uint8], device: str = "cpu") -> Tensor:
    """uint8 (n, h, w, 3) to float32 (n, 3, h, w) in [0, 1], channels last."""
    x = torch.tensor(batch, device=device).permute(0, 3, 1, 2)
    return x.float().div_(255).contiguous(memory_format=torch.channels_last)


def random_crop(
    rng: np.random.Generator, picture: npt.NDArray[np.uint8], size: int
) -> npt.NDArray[Any]:
    """A (size, size, 3) crop, mirrored and transposed at random."""
    top = rng.integers(picture.shape[0] - size + 1)
    left = rng.integers(picture.shape[1] - size + 1)
    crop = picture[top : top + size, left : left + size]
    crop = crop[:, ::-1] if rng.random() < 0.5 else crop
    return crop.transpose(1, 0, 2) if rng.random() < 0.5 else crop


def batches(
    pictures: Pictures, count: int, size: int, rng: np.random.Generator
) -> Iterator[npt.NDArray[np.uint8]]:
    """Endless uint8 batches (count, size, size, 3)."""
    while True:
        batch = np.empty((count, size, size, 3), np.uint8)
        for slot in batch:
            slot[...] = random_crop(rng, pictures[rng.integers(len(pictures))], size)
        yield batch
