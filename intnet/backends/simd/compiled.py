"""How a panel becomes an address."""

import zlib
from collections.abc import Callable
from pathlib import Path

import numba


def source_stamp() -> int:
    """A checksum of the files of this folder, which emit the tiles: panels close over it.

    Numba's cache on disk looks at a function's file, its code and what it closes over, not at what
    it calls: without the stamp it would miss a change of `emit`.
    """
    paths = sorted(Path(__file__).parent.glob("*.py"))
    return zlib.crc32(b"".join(path.read_bytes() for path in paths))


def address(function: Callable[[int], None]) -> int:
    """A C function of one address, compiled now or loaded from numba's cache on disk."""
    compiled = numba.cfunc("void(int64)", cache=True)(function)
    return int(compiled.address or 0)
