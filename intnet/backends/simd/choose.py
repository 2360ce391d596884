"""Which instruction set the kernels use: the best one that the processor has, or INTNET_SIMD.

All give the same bits. `generic` is the plain loops of `numba_kernels`, which every machine has.
"""

from __future__ import annotations

import os
from functools import cache
from importlib import import_module
from types import ModuleType

import llvmlite.binding as llvm

# Best first; all features of LLVM's names must be there.
FEATURES = {
    "vnni512": ("avx512f", "avx512bw", "avx512vl", "avx512vnni"),
    "vnni": ("avx2", "avxvnni"),
    "avx2": ("avx2",),
    "neon": ("neon", "dotprod"),
    "generic": (),
}


@cache
def features() -> frozenset[str]:
    """What this processor has, by LLVM's names."""
    return frozenset(name for name, there in llvm.get_host_cpu_features().items() if there)


def available() -> list[str]:
    """Instruction sets of this machine, best first; the last one is "generic"."""
    return [name for name, needs in FEATURES.items() if features().issuperset(needs)]


def chosen() -> str:
    """INTNET_SIMD or the best one.

    Raises ValueError for a name that is unknown or that this processor cannot run.
    """
    name = os.environ.get("INTNET_SIMD")
    if not name:
        return available()[0]
    if name not in FEATURES:
        raise ValueError(f"INTNET_SIMD is {name!r:.40}, must be one of {', '.join(FEATURES)}")
    if name not in available():
        missing = ", ".join(sorted(set(FEATURES[name]).difference(features())))
        raise ValueError(f"INTNET_SIMD is {name!r}, but this processor lacks {missing}; "
                         f"it can run {', '.join(available())}")  # fmt: skip
    return name


def load() -> ModuleType | None:
    """The module of the chosen instruction set, None for "generic"."""
    name = chosen()
    return None if name == "generic" else import_module(f"intnet.backends.simd.{name}")
