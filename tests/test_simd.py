"""Instruction sets: which one is chosen, and that the instructions are the ones meant."""

from __future__ import annotations

import importlib

import llvmlite.binding as llvm
import pytest

from intnet.backends.simd import choose, emit

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
