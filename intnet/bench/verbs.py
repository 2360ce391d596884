"""What every codec is asked to do with one picture."""

from typing import NamedTuple

from intnet.bench.race import Call


class Verbs(NamedTuple):
    """encode: uint8 samples to bytes. decode: its bytes to uint8 samples. size: bytes."""

    encode: Call
    decode: Call
    size: int
