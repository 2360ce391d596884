"""No compiled kernel knows a floating-point type."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numba
import numpy as np
import pytest
import sample_programs as make
import test_context

import rangecoder.compile
from intnet import backends, serial_context
from intnet.backends import (
    numba_cpu,
    numba_kernels,
    numba_latents,
    numba_serial,
    rounding,
    serial_kernels,
    shared_work,
)
from intnet.backends.simd import choose, drivers, emit, linear
from intnet.model_file import Model

FLOAT = re.compile(r"\b(?:float|double|half|bfloat|fp128|x86_fp80)\b")


def fresh(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> ModuleType:
    """A module compiled anew: from its disk cache numba keeps machine code without LLVM IR."""

    def jit(function: Callable[..., Any]) -> Any:
        return numba.njit(nogil=True, error_model="numpy")(function)

    assert module.__file__ is not None
    monkeypatch.setattr(rangecoder.compile, "jit", jit)
    spec = importlib.util.spec_from_file_location("fresh_kernels", module.__file__)
    assert spec is not None and spec.loader is not None
    again = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(again)
    return again


def llvm(dispatcher: Any) -> str:
    return "\n".join(dispatcher.inspect_llvm().values())


def assert_integer(module: ModuleType, rows: set[str]) -> None:
    """Every kernel of a module was compiled, and its IR is integers only.

    Those that it imports are looked at where they are written; rounding is written once.
    """
    own = module.__name__, rounding.__name__
    kernels = {name: f for name, f in vars(module).items()
               if hasattr(f, "inspect_llvm") and f.py_func.__module__ in own}  # fmt: skip
    assert {name for name in kernels if name.endswith("_rows")} == rows
    for name, kernel in kernels.items():
        text = llvm(kernel)
        assert " i64 " in text, f"{name} was not compiled"
        assert_no_float(name, text)


def assert_no_float(name: str, text: str) -> None:
    found = FLOAT.search(text)
    assert found is None, f"{name}: {text[found.start() - 100 : found.end() + 100]}"


def test_no_plain_loop_contains_a_floating_point_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of all operations uses every one of them."""
    monkeypatch.setenv("INTNET_SIMD", "generic")
    module = fresh(monkeypatch, numba_kernels)
    monkeypatch.setattr(numba_cpu, "kernels", lambda: module)
    numba_cpu.run(*make.everything(np.random.default_rng(0)))
    assert_integer(module, {
        "conv_rows", "conv_transpose_rows", "depthwise_rows", "requantise_rows", "mul_rows",
        "add_rows", "div_rows", "lut_rows",
    })  # fmt: skip


@pytest.mark.skipif(choose.available() == ["generic"], reason="NO SIMD: only plain loops here")
def test_no_driver_of_tiles_contains_a_floating_point_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """1x1 and larger kernels, u8 and s16."""
    monkeypatch.setenv("INTNET_SIMD", choose.available()[0])
    module = fresh(monkeypatch, drivers)
    monkeypatch.setattr(linear, "drivers", module)
    monkeypatch.setattr(linear, "Grid", module.Grid)
    monkeypatch.setattr(linear, "Layer", module.Layer)
    numba_cpu.run(*make.everything(np.random.default_rng(0)))
    assert_integer(module, {"point_rows", "kernel_rows"})


def test_no_latent_kernel_contains_a_floating_point_type(
    monkeypatch: pytest.MonkeyPatch, tiny: Model
) -> None:
    """Table indexes, symbols and reconstructed latents."""
    module = fresh(monkeypatch, numba_latents)
    rng, shape = np.random.default_rng(0), (3, 4, tiny.scaling.gain.shape[1])
    y, mean, index = (rng.integers(-99, 99, shape).astype(np.int16) for _ in range(3))
    tables = module.table_indexes(index, tiny.scaling, 5, tiny.y_tables.n_tables)
    symbols = module.quantise(y, mean, tables, tiny.scaling, 5)
    module.dequantise(symbols, mean, tiny.scaling, 5, tiny.programs["synthesis"].inputs[0])
    assert_integer(module, {"index_rows", "symbol_rows", "value_rows"})


@pytest.mark.skipif(choose.available() == ["generic"], reason="NO SIMD: only plain loops here")
def test_no_serial_kernel_contains_a_floating_point_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fronts and the sharing of work, by one picture that is encoded and decoded."""
    monkeypatch.setenv("INTNET_THREADS", "2")
    monkeypatch.setattr(numba_serial, "GRAIN", 1)
    work = fresh(monkeypatch, shared_work)
    monkeypatch.setattr(numba_serial, "shared_work", work)
    monkeypatch.setattr(shared_work, "offer", work.offer)
    fronts = fresh(monkeypatch, serial_kernels)
    monkeypatch.setattr(numba_serial, "kernels", fronts)
    tables = rangecoder.build([[1, 2, 1, 1]], minimum=[-1])
    rng, y, features = test_context.picture(0, 20, (5, 7))
    serial = serial_context.serial(test_context.program(rng, 20))
    c, backend = test_context.coding(rng, 20, 1), backends.load("numba")
    payload, _ = test_context.coded(backend, serial, features, y, tables, c)
    test_context.decoded(backend, serial, features, payload, tables, c)
    assert_integer(fronts, {
        "front_rows", "predict_rows", "take_rows", "give_rows", "keep_rows", "gather_rows",
    })  # fmt: skip
    assert_integer(work, {"help_rows"})


@pytest.mark.parametrize("name", [n for n in choose.FEATURES if n != "generic"])
def test_no_tile_contains_a_floating_point_type(name: str) -> None:
    """The LLVM IR of every instruction set, whether this machine has it or not."""
    isa = importlib.import_module(f"intnet.backends.simd.{name}").ISA
    for kind in (*isa.dots, "depthwise"):
        text = str(emit.module(isa, kind))
        assert f"<{isa.lanes} x i32>" in text
        assert_no_float(f"{name} {kind}", text)


def test_the_search_finds_a_float() -> None:
    """True division by an integer is the float that creeps in."""

    @numba.njit
    def third(x: Any) -> Any:
        return x / 3

    third(7)
    assert FLOAT.search(llvm(third))
