"""Machines that execute integer programs, all with the same bits.

A backend is a module with `run(program, inputs) -> outputs`, `BACKEND` for programs fed strip by
strip (`execute.Stream`), and `latents`, the module of the arithmetic between networks and coder.
"""

from importlib import import_module
from types import ModuleType

from intnet.errors import BackendError

MODULES = {"numpy": "numpy_reference", "numba": "numba_cpu"}


def load(name: str) -> ModuleType:
    """Import the backend of this name, and only that one.

    Raises ValueError for another name, BackendError where numba is asked for and not installed.
    """
    if name not in MODULES:
        raise ValueError(f"backend {name!r:.40}, must be one of {', '.join(MODULES)}")
    if name == "numba":
        need_numba()
    return import_module(f"intnet.backends.{MODULES[name]}")


def need_numba() -> None:
    """Raise BackendError where numba cannot be imported."""
    try:
        import_module("numba")
    except ImportError as error:
        raise BackendError(
            f"backend 'numba': {error}; install numba, or choose backend 'numpy'"
        ) from None
