"""Instruction sets: which one is chosen, and that the instructions are the ones meant."""

from __future__ import annotations

import importlib
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import pytest
import sample_programs as make

from intnet.backends import numba_cpu
from intnet.backends.execute import Rows
from intnet.backends.simd import choose, emit, extents, linear
from intnet.backends.simd.drivers import Grid, Layer, Panels
from intnet.program import Add, Conv, Program

# A processor of each instruction set, and the instruction that a kind of layer must use.
MACHINES = {
    ("vnni512", "u8"): ("x86_64-unknown-linux-gnu", "icelake-server", "vpdpbusd", 24),
    ("vnni512", "s16"): ("x86_64-unknown-linux-gnu", "icelake-server", "vpdpwssd", 24),
    ("vnni", "u8"): ("x86_64-unknown-linux-gnu", "alderlake", "vpdpbusd", 12),
    ("vnni", "s16"): ("x86_64-unknown-linux-gnu", "alderlake", "vpdpwssd", 12),
    ("avx2", "s16"): ("x86_64-unknown-linux-gnu", "haswell", "vpmaddwd", 12),
    ("vnni512", "depthwise"): ("x86_64-unknown-linux-gnu", "icelake-server", "vpdpwssd", 24),
    ("vnni", "depthwise"): ("x86_64-unknown-linux-gnu", "alderlake", "vpdpwssd", 12),
    ("avx2", "depthwise"): ("x86_64-unknown-linux-gnu", "haswell", "vpmaddwd", 12),
    ("neon", "u8"): ("aarch64-unknown-linux-gnu", "cortex-a76", "sdot", 24),
}


def assembly(name: str, kind: str, triple: str, cpu: str) -> str:
    """Machine code of a panel for a processor."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    isa = importlib.import_module(f"intnet.backends.simd.{name}").ISA
    module = emit.module(isa, kind)
    module.triple = triple
    parsed = llvm.parse_assembly(str(module))
    parsed.verify()
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=cpu, opt=3)
    passes = llvm.create_pass_builder(machine, llvm.PipelineTuningOptions(speed_level=3))
    passes.getModulePassManager().run(parsed, passes)
    text: str = machine.emit_assembly(parsed)
    return text


@pytest.mark.parametrize(("name", "kind"), MACHINES)
def test_a_tile_is_the_instruction_it_is_meant_to_be(name: str, kind: str) -> None:
    """One for each register of sums; none spilled to memory; never the saturating one."""
    triple, cpu, instruction, count = MACHINES[name, kind]
    text = assembly(name, kind, triple, cpu)
    assert text.count(instruction) == count
    assert "vpmaddubsw" not in text
    assert "vpmuludq" not in text, "a product of 64 bits in place of one of 32"
    assert "pill" not in text.partition("sravd")[0], "sums leave their registers"


def test_the_best_instruction_set_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """From what the processor says of itself; every processor has the plain loops."""
    monkeypatch.delenv("INTNET_SIMD", raising=False)
    for features, want in (
        ({"avx2", "avx512f", "avx512bw", "avx512vl", "avx512vnni"}, "vnni512"),
        ({"avx2", "avxvnni"}, "vnni"), ({"avx2"}, "avx2"), ({"neon", "dotprod"}, "neon"),
        ({"neon"}, "generic"), (set(), "generic"),
    ):  # fmt: skip
        monkeypatch.setattr(choose, "features", lambda there=features: frozenset(there))
        assert choose.chosen() == want


def test_dot_products_of_arm_are_found_where_llvm_says_nothing_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """LLVM reads no dot products from Linux; a processor that it cannot name has none for it."""
    there = choose.HWCAP_ASIMDDP | 3
    for machine, system, name, hwcap, want in (
        ("aarch64", "linux", "cortex-a76", there, {"dotprod"}),
        ("aarch64", "linux", "cortex-a72", there - choose.HWCAP_ASIMDDP, set()),
        ("aarch64", "linux", "generic", there, set()),
        ("arm64", "darwin", "apple-m1", 0, {"neon", "dotprod"}),
        ("x86_64", "linux", "znver3", there, set()),
    ):
        monkeypatch.setattr(choose.platform, "machine", lambda value=machine: value)
        monkeypatch.setattr(choose.sys, "platform", system)
        monkeypatch.setattr(choose.llvm, "get_host_cpu_name", lambda value=name: value)
        monkeypatch.setattr(choose, "linux_hwcap", lambda value=hwcap: value)
        assert choose.unreported() == want, (machine, name)


def test_an_instruction_set_can_be_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worse one than there is, not a better one; unknown names are refused."""
    monkeypatch.setattr(choose, "features", lambda: frozenset({"avx2"}))
    monkeypatch.setenv("INTNET_SIMD", "generic")
    assert choose.chosen() == "generic"
    assert choose.load() is None
    monkeypatch.setenv("INTNET_SIMD", "vnni")
    with pytest.raises(ValueError, match="processor lacks avxvnni; it can run avx2"):
        choose.chosen()
    monkeypatch.setenv("INTNET_SIMD", "sse")
    with pytest.raises(ValueError, match="'sse', must be one of vnni512, vnni, avx2"):
        choose.chosen()


def run_layer(out_rows: int, addend_rows: int) -> None:
    """A 1x1 convolution of 4 rows with an addition, its arrays of so many rows."""
    rng, p = np.random.default_rng(1), make.port("x", "s16", 8)
    conv = make.linear(Conv, rng, p, "s16", 8, name="c")
    program = Program(
        "p", (p, make.port("a", "s16", 8)), (conv, Add("y", ("c", "a"), "s16", -32768, 32767)),
        ("y",),
    )  # fmt: skip
    (step,) = numba_cpu.BACKEND.steps(program)
    module = choose.load()
    ready = linear.packed(module, step, np.dtype(np.int16))
    x, a = (np.zeros((rows, 5, 8), np.int16) for rows in (4, addend_rows))
    y = np.zeros((out_rows, 5, 8), np.int16)
    linear.compute(module, step, ready, [Rows(x, 0, 4), Rows(a, 0, addend_rows)], Rows(y, 0, 4))


@pytest.mark.skipif(choose.chosen() == "generic", reason="plain loops have no tiles")
def test_arrays_that_tiles_would_leave_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outputs, inputs and addends that are too small, at the one place where all pass."""
    run_layer(4, 4)
    with pytest.raises(ValueError, match="must be samples within 160"):
        run_layer(5, 5)
    placed = linear.placed

    def further(*arguments: Any) -> tuple[Any, int]:
        grid, rows = placed(*arguments)
        return grid._replace(origin=grid.origin + 16), rows

    monkeypatch.setattr(linear, "placed", further)
    with pytest.raises(ValueError, match=r"must be output bytes 16\.\.336 within 320"):
        run_layer(4, 4)


@pytest.mark.skipif(choose.chosen() == "generic", reason="plain loops have no tiles")
def test_panels_that_do_not_belong_together_are_refused() -> None:
    """Fewer parameters, targets or samples to add than tiles would read."""
    layer = Layer(0, 0, 8, 2, 0, 0, 0, 0, 0, 0)
    grid, out = Grid(8, 1, 1, 0, 0, 5, 0, 80, 16), np.zeros(320, np.uint8)
    samples, scratch = np.zeros((1, 160), np.int16), np.empty(0, np.int16)
    weights = np.zeros((1, 1, 4, 8, 2), np.int16)
    targets = np.array([[8, 0, 8]])
    good = Panels(weights, np.zeros((1, 40), np.int32), targets)

    def check(side: Panels, addend: int = 0) -> None:
        extents.check(layer, grid, 4, samples, scratch, side, out, np.zeros(addend, np.uint8),
                      flat=True)  # fmt: skip

    check(good)
    check(good, 320)
    for bad, addend, said in (
        (good._replace(parameters=good.parameters[:0]), 0, "parameters"),
        (good._replace(targets=targets.repeat(2, 0)), 0, "targets"),
        (good._replace(targets=np.array([[8, 2, 8]])), 0, "output bytes"),
        (good._replace(targets=np.array([[8, -2, 8]])), 0, "output bytes"),
        (good, 319, "bytes to add"),
        (good._replace(weights=np.zeros((1, 1, 99, 8, 2), np.int16)), 0, "samples after"),
    ):
        with pytest.raises(ValueError, match=said):
            check(bad, addend)
