"""What coding depends on beside the picture or stream, the model and the quality.

`codec.encode`, `codec.code` and the three `decode` take these as plain keywords, which read better
in a call and in its documentation; everything behind them takes one of these.
"""

from __future__ import annotations

from typing import NamedTuple

from intnet import limits, tiles
from intnet.chunks import Chunks


class EncoderOptions(NamedTuple):
    """How a picture is coded.

    backend: who runs the networks; never changes a byte. verify: also decode, and store the CRC-32
    of the samples in the stream. tile: pixels along a side of what is coded on its own, a multiple
    of 64; 0: the whole picture at once. ancillary: chunks that go with the picture, an ICC profile
    or EXIF.
    """

    backend: str = "numba"
    verify: bool = False
    tile: int = tiles.DEFAULT
    ancillary: Chunks = ()


class DecoderOptions(NamedTuple):
    """How a stream is decoded. backend: as above. limits: what is refused for its size."""

    backend: str = "numba"
    limits: limits.Limits = limits.DEFAULT


ENCODER = EncoderOptions()
