"""What a decoder refuses though the format allows it: pictures that are too large for its user.

A symbol may cost no byte, so that a stream of 40 bytes may well be a picture of 2**28 pixels. All
limits are compared before anything is allocated.
"""

from __future__ import annotations

from typing import NamedTuple

from intnet.errors import IntnetError, StreamError

MIB = 2**20


class Limits(NamedTuple):
    """What a caller allows.

    pixels: of a picture. pixels_per_byte: of a stream; pictures of one colour, coded with the
    model that ships, have under 400. memory: bytes that coding allocates; see `intnet.memory`.
    """

    pixels: int = 2**28
    pixels_per_byte: int = 2**14
    memory: int = 2**32

    def check_size(self, width: int, height: int, stream_bytes: int) -> None:
        """Raise StreamError for a picture that is too large, or too large for its bytes."""
        got = width * height
        if got > self.pixels:
            raise StreamError(
                f"stream: {width}x{height} pixels, limit {self.pixels} (see --max-pixels)"
            )
        if got > self.pixels_per_byte * stream_bytes:
            raise StreamError(
                f"stream: {width}x{height} pixels in {stream_bytes} bytes, limit "
                f"{self.pixels_per_byte} pixels a byte (see --max-pixels-per-byte)"
            )

    def check_memory(self, what: str, needed: int) -> None:
        """Raise IntnetError where `needed` bytes are more than are allowed."""
        if needed > self.memory:
            raise IntnetError(
                f"{what}: needs about {needed / MIB:.1f} MiB of memory, limit "
                f"{self.memory / MIB:.1f} MiB (see --max-memory)"
            )


DEFAULT = Limits()
NO_LIMITS = Limits(2**64, 2**64, 2**64)  # those of the format alone, which hold in any case
