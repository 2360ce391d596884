"""How a panel becomes an address."""

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[[int], None]) -> Any:
    """A C function of one address, compiled when its module is imported, kept on disk."""
    return numba.cfunc("void(int64)", cache=True)(function)
