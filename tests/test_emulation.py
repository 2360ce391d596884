"""What the emulators are asked: right for the definitions of the instructions, here and now."""

from __future__ import annotations

import ctypes
from types import ModuleType
from typing import Any

import instructions
import numpy as np
import pytest
from conftest import ROOT


@pytest.fixture(scope="module")
def emulation() -> Any:
    """The modules of `tools/emulation`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tools"))
        from emulation import cases, image, vnni  # noqa: PLC0415

        return cases, image, vnni


def called(image: ModuleType, isa: Any, panels: dict[str, int], some: list[Any]) -> bytes:
    """The outputs of cases, computed in this process."""
    size = len(image.build(isa, some, 0).data)
    buffer = np.zeros(size + 64, np.uint8)
    start = -buffer.ctypes.data % 64
    built = image.build(isa, some, buffer.ctypes.data + start)
    memory = buffer[start : start + size]
    memory[:] = np.frombuffer(built.data, np.uint8)
    entries = memory[8 : 8 + 32 * len(some)].view(np.int64).reshape(-1, 4)
    for case, (_, job, _, _) in zip(some, entries, strict=True):
        ctypes.CFUNCTYPE(None, ctypes.c_int64)(panels[case.kind])(int(job))
    return b"".join(memory[place].tobytes() for place in built.outputs)


@pytest.mark.parametrize("name", ["vnni512", "vnni", "neon"])
def test_cases_are_right_by_definition(emulation: Any, name: str) -> None:
    """Every seventh case, and the sums at their limits; the control is wrong, nothing else is."""
    cases, image, vnni = emulation
    module = instructions.load(name)
    assert module is not None
    every = list(cases.every(module.ISA))
    some = [*every[:-12:7], *every[-12:]]
    wanted = [image.expected(case) for case in (*some, some[-1])]
    placed = [*some, vnni.wrong(some[-1])]
    got = called(image, module.ISA, module.panels(), placed)
    assert not vnni.compare(placed, wanted, got)
    assert vnni.compare(placed, wanted, got[:-1]), "a processor that stopped"
    assert vnni.compare(placed, wanted, b"".join(wanted)), "a control that came out right"
    changed = bytes([got[image.GUARD] ^ 1])
    faults = vnni.compare(placed, wanted, got[: image.GUARD] + changed + got[image.GUARD + 1 :])
    assert faults == [some[0].name]
