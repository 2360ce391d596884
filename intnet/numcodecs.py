"""The numcodecs codec `intnet`: chunks of pictures, as Zarr format 2 keeps them. It is lossy.

    import zarr
    from intnet.numcodecs import Intnet

    zarr.create_array("x.zarr", shape=(99, 2048, 2048), chunks=(1, 512, 512), dtype="uint8",
                      zarr_format=2, compressors=Intnet(quality=40))

A chunk is uint8 (y, x), (y, x, 3) or (y, x, 4), with axes of length 1 before these or none. A last
axis of 3 or 4 is RGB, or RGB and alpha, which is kept without loss; everything else is grey.

An installed package needs no import to read such arrays: numcodecs finds the codec by its entry
point. It never learns of the array that it is for, so that a wrong dtype or chunk is a ValueError
of the first write, before anything is stored; `intnet.zarr` refuses it when the array is made.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from numcodecs.abc import Codec
from numcodecs.compat import ensure_bytes, ensure_ndarray, ndarray_copy

from intnet import api, container, limits, planes, shipped
from intnet.errors import ModelError
from intnet.model_file import Model

COLOURS = 3, 4  # lengths of a last axis that make it channels
ALLOWED = "must be (y, x), (y, x, 3) or (y, x, 4), with axes of length 1 before these or none"
ID = re.compile("[0-9a-f]{16}")


class Intnet(Codec):  # type: ignore[misc]  # numcodecs has no annotations
    """Lossy compression of uint8 chunks, the same samples on every machine.

    quality: 0 smallest to 63 best. model: the name of a shipped model (None: the default), or its
    id, 16 hexadecimal digits. The configuration holds the id: an array asks for the very model that
    it was made with. One that is not at hand is a ModelError when a chunk is coded, no sooner.

    Raises ValueError for another quality, ModelError for no such name.

    >>> Intnet(quality=40).get_config()
    {'id': 'intnet', 'quality': 40, 'model': '5befa56af0f26ece'}
    """

    codec_id = "intnet"

    def __init__(self, quality: int = api.DEFAULT_QUALITY, model: str | None = None) -> None:
        if type(quality) is not int or quality not in range(container.QUALITIES):
            raise ValueError(f"quality: {quality!r}, must be in 0..{container.QUALITIES - 1}")
        self.quality = quality
        self.model = id_of(model)

    def encode(self, buf: Any) -> bytes:
        """The stream of a chunk in C order. Raises ValueError for another, ModelError."""
        chunk = ensure_ndarray(buf)
        shape = picture_shape(chunk.shape, chunk.dtype)
        if not chunk.flags.c_contiguous:
            raise ValueError("intnet: chunk in Fortran order, must be in C order")
        return api.encode(chunk.reshape(shape), self.quality, model_of(self.model))

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Samples uint8 (y, x) or (y, x, 3 or 4) of a stream, or out, filled with them.

        Raises StreamError for a damaged stream, ModelError for one of another model.
        """
        return ndarray_copy(api.decode(ensure_bytes(buf), model_of(self.model)), out)


def id_of(model: str | None) -> str:
    """The id of a shipped model by its name (None: the default); an id stays. Raises ModelError."""
    if model is not None and ID.fullmatch(model):
        return model
    entries = {entry.name: entry.header.model_id.hex() for entry in shipped.at_hand()}
    name = shipped.DEFAULT if model is None else model
    if name not in entries:
        names = ", ".join(entries) or "none"
        raise ModelError(
            f"model {name!r}: must be 16 hexadecimal digits of an id, or one that ships: {names}"
        )
    return entries[name]


@lru_cache(api.MODELS_KEPT)
def model_of(model_id: str) -> Model:
    """The shipped model of an id. Raises ModelError."""
    return api.open_model(shipped.find(bytes.fromhex(model_id)))


def picture_shape(shape: tuple[int, ...], dtype: npt.DTypeLike) -> tuple[int, ...]:
    """(y, x) or (y, x, 3 or 4), of a chunk. Raises ValueError for one that is no picture."""
    check_dtype(dtype)
    axes = 3 if len(shape) > 2 and shape[-1] in COLOURS else 2
    if len(shape) < axes or set(shape[:-axes]) - {1}:
        raise ValueError(f"intnet: chunk {shape}, {ALLOWED}")
    height, width, channels = (*shape[-axes:], 1)[:3]
    planes.check(np.broadcast_to(np.uint8(0), (height, width, channels)))
    if height * width > limits.DEFAULT.pixels:
        raise ValueError(f"intnet: chunk {shape}, at most {limits.DEFAULT.pixels} pixels")
    return shape[-axes:]


def check_dtype(dtype: npt.DTypeLike) -> None:
    """Raise ValueError for another than uint8."""
    if np.dtype(dtype) != np.uint8:
        raise ValueError(f"intnet: dtype {np.dtype(dtype)}, must be uint8")
