"""The one place that names the compiler."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numba

P = ParamSpec("P")
R = TypeVar("R")


def jit(function: Callable[P, R]) -> Callable[P, R]:
    """Compile at the first call, keep the machine code on disk, let other threads run.

    error_model: division by zero does not raise; no kernel divides by anything that can be zero.
    """
    compiled = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    return cast("Callable[P, R]", compiled)


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """As `jit`, but copied into each caller; LLVM alone does not inline functions of many arrays.

    It may not allocate: without numba's runtime, arrays cost no reference counts.
    """
    options: dict[str, Any] = {"error_model": "numpy", "forceinline": True, "_nrt": False}
    compiled = numba.njit(nogil=True, **options)(function)
    return cast("Callable[P, R]", compiled)
