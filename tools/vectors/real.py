"""Streams of photographs, coded with the model that ships.

The photographs are not in this repository: a stream once made is kept, and so is the model. What
they decode to is worked out anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from intnet import codec, model_file, pictures, shipped
from intnet.model_file import Model
from vectors.streams import Json, Made, cost, decoded, model_vector

MODEL = "model/photo.inm"


class Crop(NamedTuple):
    """A rectangle of a Kodak picture, and the quality that it is coded at."""

    picture: str
    left: int
    top: int
    width: int
    height: int
    quality: int
    grey: bool = False  # the green channel alone


CROPS = {
    "motorbike-low": Crop("kodim05.png", 330, 210, 48, 32, 5),
    "roof-middle": Crop("kodim24.png", 440, 110, 48, 32, 30),
    "water-high": Crop("kodim13.png", 300, 400, 48, 32, 60),
    "sails-grey": Crop("kodim09.png", 250, 300, 33, 45, 40, grey=True),
    "house-large": Crop("kodim24.png", 300, 100, 256, 192, 16),
    "river-large": Crop("kodim13.png", 257, 301, 251, 187, 48),
}


def real(kodak: Path | None, kept: Mapping[str, bytes]) -> Iterator[Made]:
    """The model, and a stream a crop. kodak: the folder of photographs. kept: files by path.

    Raises FileNotFoundError where a stream is neither kept nor can be made.
    """
    data = kept.get(MODEL) or model_file.to_bytes(model_file.load(shipped.path_of()), plain=True)
    model = model_file.from_bytes(data)
    yield model_vector("photo", model, data)
    for name, crop in CROPS.items():
        path = f"real/{name}.inic"
        if path in kept:
            stream = kept[path]
        elif kodak:
            stream = encoded(kodak, crop, model)
        else:
            raise FileNotFoundError(f"{path}: no such file; --kodak DIR makes it")
        yield vector(name, crop, stream, model), path, stream


def encoded(kodak: Path, crop: Crop, model: Model) -> bytes:
    """By the NumPy backend."""
    pixels = pictures.read(kodak / crop.picture)
    pixels = pixels[crop.top :, crop.left :][: crop.height, : crop.width]
    return codec.encode(pixels[..., 1:2] if crop.grey else pixels, model, crop.quality, "numpy")


def vector(name: str, crop: Crop, stream: bytes, model: Model) -> Json:
    """A stream, where it is from, and what it decodes to."""
    expected = decoded(stream, model)
    return {
        "id": f"real/{name}", "class": "real", "clause": "decode.whole",
        "comment": f"A photograph of {crop.width} x {crop.height} samples at quality {crop.quality}"
        f"{', the green channel alone' if crop.grey else ''}.",
        **cost(expected), "model": MODEL, "stream": f"real/{name}.inic",
        "source": crop._asdict(), "result": "valid", "expected": expected,
    }  # fmt: skip
