"""No compiled kernel knows a floating-point type."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numba
import numpy as np
import pytest
import sample_programs as make

import rangecoder.compile
from intnet.backends import numba_cpu, numba_kernels

FLOAT = re.compile(r"\b(?:float|double|half|bfloat|fp128|x86_fp80)\b")


def fresh_kernels(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The kernels, compiled anew: from its disk cache numba keeps machine code without LLVM IR."""

    def jit(function: Callable[..., Any]) -> Any:
        return numba.njit(nogil=True, error_model="numpy")(function)

    monkeypatch.setattr(rangecoder.compile, "jit", jit)
    spec = importlib.util.spec_from_file_location("fresh_kernels", numba_kernels.__file__)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def llvm(dispatcher: Any) -> str:
    return "\n".join(dispatcher.inspect_llvm().values())


def test_no_kernel_contains_a_floating_point_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kernel is used by a program of all operations, and its IR is integers only."""
    module = fresh_kernels(monkeypatch)
    monkeypatch.setattr(numba_cpu, "kernels", module)
    numba_cpu.run(*make.everything(np.random.default_rng(0)))
    kernels = {name: f for name, f in vars(module).items() if hasattr(f, "inspect_llvm")}
    assert {name for name in kernels if name.endswith("_rows")} == {
        "conv_rows", "conv_transpose_rows", "depthwise_rows", "requantise_rows", "mul_rows",
        "add_rows", "div_rows", "lut_rows",
    }  # fmt: skip
    for name, kernel in kernels.items():
        text = llvm(kernel)
        assert " i64 " in text, f"{name} was not compiled"
        found = FLOAT.search(text)
        assert found is None, f"{name}: {text[found.start() - 100 : found.end() + 100]}"


def test_the_search_finds_a_float() -> None:
    """True division by an integer is the float that creeps in."""

    @numba.njit
    def third(x: Any) -> Any:
        return x / 3

    third(7)
    assert FLOAT.search(llvm(third))
