"""Codecs beside one another: ours and those of Pillow, each with one picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from intnet import codec, memory
from intnet.bench import peers, pillow_peers
from intnet.errors import PictureError
from intnet.limits import Limits
from intnet.model_file import QUALITIES, Model
from intnet.options import ENCODER
from intnet.pictures import Picture, Pixels

PRODUCT = "intnet"
NAMES = {PRODUCT: PRODUCT} | {key: name for name, key in pillow_peers.FORMATS.items()}


class Coder(NamedTuple):
    """A codec and one picture. decode: to samples as the picture has them."""

    encode: Callable[[int], bytes]
    decode: Callable[[bytes], Pixels]
    qualities: range


def at_hand(codecs: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """Of keys of NAMES, those that this machine has; for the others, how to get them."""
    makers = {key: partial(find, key) for key in codecs}
    there, missing = peers.gather(makers)
    return list(there), missing


def find(key: str) -> None:
    """Raises NotInstalledError for a codec that is not at hand."""
    if key != PRODUCT:
        pillow_peers.format_of(NAMES[key], 1)


def check(picture: Picture, name: str) -> None:
    """Raise PictureError for what some of the codecs could not keep."""
    if picture.pixels.shape[2] in (2, 4):
        raise PictureError(f"{name}: has alpha, which not all codecs keep")


def coder(key: str, pixels: Pixels, model: Model | None, limits: Limits) -> Coder:
    """Ours with a model, or another of NAMES, at hand; and a picture: uint8 (h, w, 1 or 3)."""
    return product(pixels, model, limits) if model else peer(NAMES[key], pixels)


def product(pixels: Pixels, model: Model, limits: Limits) -> Coder:
    """Ours; the networks of the encoder run once."""
    height, width, channels = pixels.shape
    memory.check_encoding(model, (height, width), channels, ENCODER, limits, searching=True)
    a = codec.analyse(pixels, model)
    return Coder(
        lambda quality: codec.code(a, model, quality),
        lambda data: codec.decode(data, [model], limits=limits).pixels,
        range(QUALITIES),
    )


def peer(name: str, pixels: Pixels) -> Coder:
    """One of Pillow's. On one thread: with more, AVIF's bytes are others."""
    mode = "L" if pixels.shape[2] == 1 else "RGB"

    def decode(data: bytes) -> Pixels:
        return pillow_peers.load(data, mode).reshape(pixels.shape)

    return Coder(pillow_peers.saver(name, pixels, 1), decode, pillow_peers.QUALITIES)
