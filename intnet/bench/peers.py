"""Optional packages: imported by name, and reported rather than missed."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

EXTRA = "pip install 'intnet[bench]'"
# Its requirements exclude numpy 2, which it runs with all the same.
COMPRESSAI = f"{EXTRA} && pip install --no-deps compressai==1.2.8"
LOOK = "pip install 'intnet[look]'"
INSTALL = {
    "compressai": COMPRESSAI,
    "pillow_jxl": LOOK,
    "matplotlib": LOOK,
}  # all others come with the extra

Peer = TypeVar("Peer")


class NotInstalledError(Exception):
    """A peer that this machine does not have; the message says how to get it."""


def need(module: str) -> Any:
    """Import an optional module. Raises NotInstalledError saying what is missing or broken."""
    try:
        with stdout_as_stderr():
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        lacks = (error.name or package).partition(".")[0]
        because = "" if lacks in (package, "torch") else f", {package} needs {lacks}"
        raise NotInstalledError(f"not installed ({INSTALL.get(package, EXTRA)}){because}") from None
    except (ImportError, OSError, RuntimeError) as error:  # there, but built for another machine
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise NotInstalledError(f"installed, but does not load: {line}") from None


@contextlib.contextmanager
def stdout_as_stderr() -> Iterator[None]:
    """For packages that compile on import and let the compiler talk."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def gather(
    makers: Mapping[str, Callable[[], Peer]],
) -> tuple[dict[str, Peer], dict[str, str]]:
    """What every maker gives; for those that raise NotInstalledError, its message."""
    there, missing = {}, {}
    for name, make in makers.items():
        try:
            there[name] = make()
        except NotInstalledError as error:
            missing[name] = str(error)
    return there, missing


def select(names: list[str], only: str | None) -> list[str]:
    """The name `only`, else names that contain it; all for None.

    >>> select(["5x5", "5x5 stride 2"], "5x5")
    ['5x5']
    >>> select(["5x5", "5x5 stride 2", "3x3"], "5")
    ['5x5', '5x5 stride 2']
    """
    return [only] if only in names else [name for name in names if only is None or only in name]


def wanted(cases: list[str], rivals: list[str], only: str | None) -> tuple[list[str], list[str]]:
    """Cases and peers whose names contain `only`; all of a kind of which none does.

    Raises ValueError where nothing at all does.

    >>> wanted(["5x5", "3x3"], ["torch", "onnxruntime"], "3x3")
    (['3x3'], ['torch', 'onnxruntime'])
    """
    if only is None:
        return cases, rivals
    chosen = select(cases, only), select(rivals, only)
    if not any(chosen):
        raise ValueError(f"only {only!r}: must be part of one of {', '.join(cases + rivals)}")
    return chosen[0] or cases, chosen[1] or rivals
