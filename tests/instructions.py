"""Instruction sets that this machine may lack, run by the definitions of their instructions.

Everything of a path but its dot product is then the very code that ships.
"""

from __future__ import annotations

import importlib
from dataclasses import replace
from functools import cache
from types import ModuleType, SimpleNamespace
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir

from intnet.backends.simd import choose, emit
from intnet.backends.simd.isa import Dot, product
from intnet.backends.simd.values import constant


def defined(value_bits: int, first_is_unsigned: bool, offset: int = 0) -> Dot:
    """acc + the sum over the values of a word of (a - offset) * weight, step by step."""

    def dot(builder: ir.IRBuilder, acc: Any, a: Any, weight: Any) -> Any:
        vector, rest = acc.type, 32 - value_bits

        def value(word: Any, position: int, unsigned: bool) -> Any:
            top = builder.shl(word, constant(vector, rest - position))
            return (builder.lshr if unsigned else builder.ashr)(top, constant(vector, rest))

        for position in range(0, 32, value_bits):
            x = builder.sub(value(a, position, first_is_unsigned), constant(vector, offset))
            acc = builder.add(acc, builder.mul(x, value(weight, position, False)))
        return acc

    return dot


@cache
def by_definition(name: str) -> Any:
    """What stands in for a module of `intnet.backends.simd`."""
    isa = importlib.import_module(f"intnet.backends.simd.{name}").ISA
    dots = {kind: defined(8, True, isa.u8_offset) if kind == "u8" else defined(16, False)
            for kind in isa.dots}  # fmt: skip
    isa = replace(isa, name=f"{name} by definition", dots=dots, one=product)
    engines = {kind: engine(str(emit.module(isa, kind))) for kind in (*dots, "depthwise")}
    addresses = {kind: e.get_function_address("panel") for kind, e in engines.items()}
    return SimpleNamespace(ISA=isa, panels=lambda: addresses, engines=engines)


def engine(text: str) -> Any:
    """LLVM IR compiled for this machine."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3
    )
    made = llvm.create_mcjit_compiler(llvm.parse_assembly(text), machine)
    made.finalize_object()
    return made


def load(name: str) -> ModuleType | Any | None:
    """An instruction set as itself where this machine has it, else by definition."""
    if name == "generic":
        return None
    if name in choose.available():
        return importlib.import_module(f"intnet.backends.simd.{name}")
    return by_definition(name)
