"""The one place that names the compiler."""

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import numba
from numba import extending

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


def intrinsic(function: Callable[Concatenate[Any, P], Any]) -> Callable[P, Any]:
    """A call that builds its own LLVM IR; numba passes the first argument, the context."""
    return cast("Callable[P, Any]", extending.intrinsic(function))


@intrinsic
def quotient(_context: Any, dividend: Any, divisor: Any) -> Any:
    """Compile to floor(dividend / divisor) of int64 dividend >= 0, divisor > 0, in one instruction.

    `//` would look at both signs and for a zero. The divisor is combined with its sign, which is 0,
    by an exclusive or: after that LLVM expects a large number. For others it tests before each
    division whether 32 bits would do, which is a branch that no processor foresees.
    """

    def build(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        a, b = arguments
        return builder.udiv(a, builder.xor(b, builder.ashr(b, b.type(63))))

    return numba.int64(dividend, divisor), build
