"""The Python API, which `import intnet` gives: encode, decode, open_model, read_header.

>>> import intnet, numpy as np
>>> x = np.arange(48 * 64, dtype=np.uint8).reshape(48, 64)
>>> stream = intnet.encode(x, quality=40)
>>> intnet.decode(stream).shape
(48, 64)
>>> intnet.read_header(stream).quality
40
"""

from __future__ import annotations

import sys
from functools import lru_cache
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from intnet import chunks, codec, container, memory, model_file, planes, rate_search, shipped, tiles
from intnet import region as regions
from intnet.limits import DEFAULT, Limits
from intnet.model_file import Model
from intnet.options import EncoderOptions
from intnet.windows import Area

if TYPE_CHECKING:
    from PIL.Image import Image

Pixels = npt.NDArray[np.uint8]
Header = container.Header

DEFAULT_QUALITY = 32
MODELS_KEPT = 8


def open_model(name_or_path: str | Path | None = None) -> Model:
    """A model, read and proved: a shipped name (None: the default) or the path of a .inm file.

    One that was opened before is read again only where its file has changed since.
    Raises ModelError for no such model, a damaged one, or one that could overflow.

    >>> open_model("photo").name
    'photo'
    """
    path = shipped.path_of(name_or_path)
    state = path.stat()
    return opened(path.resolve(), state.st_mtime_ns, state.st_size)


@lru_cache(MODELS_KEPT)
def opened(path: Path, modified: int, size: int) -> Model:  # noqa: ARG001  # keys of the cache
    """The model in a file of that time and size."""
    return model_file.load(path)


def encode(
    picture: npt.ArrayLike | Image,
    quality: int | None = None,
    model: Model | str | Path | None = None,
    *,
    target_bpp: float | None = None,
    max_bytes: int | None = None,
    verify: bool = False,
    tile: int = tiles.DEFAULT,
    icc: bytes | None = None,
    exif: bytes | None = None,
    backend: str = "numba",
    limits: Limits = DEFAULT,
) -> bytes:
    """A stream of a picture: uint8 samples (h, w) or (h, w, 1 to 4), or an image of Pillow.

    Two channels are grey and alpha, four are RGB and alpha; alpha is kept without loss.

    quality: 0 smallest to 63 best, 32 by default. Instead of it, target_bpp: the quality that is
    nearest to so many bits per pixel; or max_bytes: the best quality that fits. model: as for
    `open_model`, or what that gives. verify: decode too, and store the CRC-32 of the samples. tile:
    pixels along a side of what is coded on its own, a multiple of 64; 0: the picture at once.
    icc, exif: go with the picture; None: those of an image of Pillow, b"": none. An image is turned
    as its EXIF says; EXIF of samples must not say that they are to be turned.

    Raises TypeError or ValueError for other samples and settings, PictureError for an image of a
    mode that samples of 8 bits cannot hold, ModelError for a model that does not fit, IntnetError
    beyond the limits.

    >>> len(encode(np.zeros((64, 64, 3), np.uint8), max_bytes=200)) <= 200
    True
    """
    pixels, carried = samples(picture, icc, exif)
    if sum(option is not None for option in (quality, target_bpp, max_bytes)) > 1:
        raise ValueError("quality, target_bpp and max_bytes exclude each other")
    if target_bpp is not None and not 0 < target_bpp < inf:
        raise ValueError(f"target_bpp: {target_bpp}, must be above 0")
    loaded = model if isinstance(model, Model) else open_model(model)
    height, width, channels = pixels.shape
    options = EncoderOptions(backend, verify, tile, carried)
    searching = target_bpp is not None or max_bytes is not None
    memory.check_encoding(loaded, (height, width), channels, options, limits, searching=searching)
    if target_bpp is not None:
        return rate_search.encode_to_bpp(pixels, loaded, target_bpp, options)
    if max_bytes is not None:
        return rate_search.encode_to_size(pixels, loaded, max_bytes, options)
    chosen = DEFAULT_QUALITY if quality is None else quality
    return codec.encode(pixels, loaded, chosen, **options._asdict())


def samples(
    picture: npt.ArrayLike | Image, icc: bytes | None, exif: bytes | None
) -> tuple[Pixels, chunks.Chunks]:
    """uint8 (h, w, 1 to 4) of a picture, and the chunks that go with it."""
    if "PIL.Image" in sys.modules and isinstance(picture, sys.modules["PIL.Image"].Image):
        from intnet import pictures  # noqa: PLC0415  # needs Pillow, which arrays do not

        found = pictures.of_image(picture)
        icc, exif = (found.icc if icc is None else icc), (found.exif if exif is None else exif)
        pixels = found.pixels
    else:
        pixels = np.asarray(picture)
        pixels = pixels[..., None] if pixels.ndim == 2 else pixels
        check_upright(exif)
    planes.check(pixels)
    said = ((chunks.ICC, icc), (chunks.EXIF, exif))
    return pixels, tuple(chunks.Chunk(kind, data) for kind, data in said if data)


def check_upright(exif: bytes | None) -> None:
    """Raise ValueError for EXIF that says how samples are to be turned: no stream says that."""
    if not exif:
        return
    from intnet import pictures  # noqa: PLC0415  # as above

    orientation = pictures.orientation_in(exif)
    if orientation not in (None, 1):
        raise ValueError(
            f"exif: orientation {orientation}, must be 1 or not there; pass the image itself, or "
            "samples that are turned and EXIF without it"
        )


def decode(
    stream: bytes | bytearray | memoryview,
    model: Model | str | Path | None = None,
    *,
    region: tuple[int, int, int, int] | None = None,
    backend: str = "numba",
    limits: Limits = DEFAULT,
) -> Pixels:
    """Samples of a stream: uint8 (h, w) for grey, else (h, w, 2 to 4), the same on every machine.

    model: as for `encode`; None: the shipped one whose id is in the stream. region: left, top,
    width and height of a part of the picture, in pixels, made from the tiles that it needs.

    Raises StreamError for anything that is not a whole and undamaged stream, ModelError where the
    model is not at hand, IntnetError beyond the limits, ValueError for a region that is not within
    the picture.

    >>> decode(encode(np.zeros((64, 96, 3), np.uint8)), region=(8, 0, 32, 16)).shape
    (16, 32, 3)
    """
    data = bytes(stream)
    if model is None:
        model = shipped.find(container.peek(data, limits).model_id)
    models = [model if isinstance(model, Model) else open_model(model)]
    if region is None:
        pixels = codec.decode(data, models, backend, limits).pixels
    else:
        x, y, w, h = region
        area = Area((y, y + h), (x, x + w))
        pixels = regions.decode(data, models, area, backend, limits).pixels
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def read_header(stream: bytes | bytearray | memoryview, limits: Limits = DEFAULT) -> Header:
    """Size, channels, quality, id of the model, chunks: all that a stream says of its picture.

    Checksums are looked at, nothing is decoded. Raises StreamError.
    """
    return container.unpack(bytes(stream), limits).header
