"""Machines that execute integer programs, all with the same bits.

A backend is a module with `run(program, inputs) -> outputs`, `BACKEND` for programs fed strip by
strip (`execute.Stream`), and `latents`, the module of the arithmetic between networks and coder.
"""

from importlib import import_module
from types import ModuleType

MODULES = {"numpy": "numpy_reference", "numba": "numba_cpu"}


def load(name: str) -> ModuleType:
    """Import the backend of this name, and only that one. Raises ValueError for another name."""
    if name not in MODULES:
        raise ValueError(f"backend {name!r:.40}, must be one of {', '.join(MODULES)}")
    return import_module(f"intnet.backends.{MODULES[name]}")
