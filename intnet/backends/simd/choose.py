"""Which instruction set the kernels use: the best one that the processor has, or INTNET_SIMD.

All give the same bits. `generic` is the plain loops of `numba_kernels`, which every machine has.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from functools import cache
from importlib import import_module
from types import ModuleType

import llvmlite.binding as llvm

from intnet.errors import SettingError

# Best first; all features of LLVM's names must be there.
FEATURES = {
    "vnni512": ("avx512f", "avx512bw", "avx512vl", "avx512vnni"),
    "vnni": ("avx2", "avxvnni"),
    "avx2": ("avx2",),
    "neon": ("neon", "dotprod"),
    "generic": (),
}
AT_HWCAP, HWCAP_ASIMDDP = 16, 1 << 20  # Linux; the bits of 64-bit Arm


@cache
def features() -> frozenset[str]:
    """What this processor has, by LLVM's names."""
    there = {name for name, there in llvm.get_host_cpu_features().items() if there}
    return frozenset(there | unreported())


def unreported() -> set[str]:
    """What a 64-bit Arm has and LLVM does not say, although it compiles for it.

    LLVM reads no dot products from Linux and nothing at all from macOS. To compile for them it
    must know the processor by name: those of "generic" have none.
    """
    if platform.machine() not in ("aarch64", "arm64") or llvm.get_host_cpu_name() == "generic":
        return set()
    if sys.platform == "darwin":
        return {"neon", "dotprod"}  # every Mac with an Arm has both
    return {"dotprod"} if linux_hwcap() & HWCAP_ASIMDDP else set()


def linux_hwcap() -> int:
    """What the kernel says of the processor, 0 where there is no such kernel."""
    if sys.platform != "linux":
        return 0
    getauxval = ctypes.CDLL(None).getauxval
    getauxval.argtypes, getauxval.restype = [ctypes.c_ulong], ctypes.c_ulong
    return int(getauxval(AT_HWCAP))


def available() -> list[str]:
    """Instruction sets of this machine, best first; the last one is "generic"."""
    return [name for name, needs in FEATURES.items() if features().issuperset(needs)]


def chosen() -> str:
    """INTNET_SIMD or the best one.

    Raises SettingError for a name that is unknown or that this processor cannot run.
    """
    name = os.environ.get("INTNET_SIMD")
    if not name:
        return available()[0]
    if name not in FEATURES:
        raise SettingError(f"INTNET_SIMD is {name!r:.40}, must be one of {', '.join(FEATURES)}")
    if name not in available():
        missing = ", ".join(sorted(set(FEATURES[name]).difference(features())))
        raise SettingError(f"INTNET_SIMD is {name!r}, but this processor lacks {missing}; "
                         f"it can run {', '.join(available())}")  # fmt: skip
    return name


def load() -> ModuleType | None:
    """The module of the chosen instruction set, None for "generic"."""
    name = chosen()
    return None if name == "generic" else import_module(f"intnet.backends.simd.{name}")
