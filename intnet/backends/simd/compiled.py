"""How a panel becomes an address."""

from collections.abc import Callable

import numba


def address(function: Callable[[int], None]) -> int:
    """A C function of one address, compiled now or loaded from numba's cache on disk."""
    compiled = numba.cfunc("void(int64)", cache=True)(function)
    return int(compiled.address or 0)
