"""What results belong to: the machine, the versions, and the kernels chosen for it."""

from __future__ import annotations

import os
import platform
import sys
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from intnet.backends.threads import thread_count

CPUINFO = Path("/proc/cpuinfo")


def facts() -> dict[str, Any]:
    """Of this process; None for what is not there. Nothing in it changes a result.

    kernels: the instruction set of the numba backend; threads: how many it may use.
    """
    return {
        "architecture": platform.machine(),
        "bits": 64 if sys.maxsize > 2**32 else 32,
        "byte_order": sys.byteorder,
        "cpu": model_name(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "intnet": version("intnet"),
        "numpy": version("numpy"),
        "numba": version("numba"),
        "llvm": llvm(),
        "kernels": asked(kernels),
        "threads": asked(thread_count),
    }


def asked(setting: Any) -> Any:
    """What an environment variable chose, or why it cannot."""
    try:
        return setting()
    except ValueError as error:
        return str(error)


def kernels() -> str | None:
    """Instruction set of the compiled kernels. Raises ValueError for a wrong INTNET_SIMD."""
    try:
        choose = import_module("intnet.backends.simd.choose")
    except ImportError:
        return None
    return str(choose.chosen())


def llvm() -> str | None:
    """Version of the compiler below numba."""
    try:
        binding = import_module("llvmlite.binding")
    except ImportError:
        return None
    return ".".join(map(str, binding.llvm_version_info))


def version(package: str) -> str | None:
    """Of an installed package."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def model_name() -> str:
    """The processor's name as the system gives it."""
    if CPUINFO.is_file():
        for line in CPUINFO.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
