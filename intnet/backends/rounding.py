"""The only rounding of the project; the numba backend compiles this very function.

Numba's disk cache of the kernels does not notice a change here: delete `__pycache__` after one.
"""

from typing import Any


def round_shift(value: Any, shift: Any) -> Any:
    """value / 2**shift rounded to nearest, ties toward plus infinity.

    value: int64 (any shape), |value| + 2**(shift - 1) < 2**63.  shift: int64, within [1, 62].

    >>> [round_shift(value, 1) for value in (-3, -1, 1, 3)]
    [-1, 0, 1, 2]
    """
    return (value + (1 << (shift - 1))) >> shift
