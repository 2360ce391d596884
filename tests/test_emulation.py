"""What the emulators are asked: right for the definitions of the instructions, here and now."""

from __future__ import annotations

from typing import Any

import instructions
import pytest
from conftest import ROOT


@pytest.fixture(scope="module")
def emulation() -> Any:
    """The modules of `tools/emulation`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tools"))
        from emulation import cases, image  # noqa: PLC0415

        return cases, image


@pytest.mark.parametrize("name", ["vnni512", "vnni", "neon"])
def test_cases_are_right_by_definition(emulation: Any, name: str) -> None:
    """Every seventh case, and the sums at their limits; the control is wrong, nothing else is."""
    cases, image = emulation
    module = instructions.load(name)
    assert module is not None
    every = list(cases.every(module.ISA))
    some = [*every[:-12:7], *every[-12:]]
    wanted = [image.expected(case) for case in (*some, some[-1])]
    placed = [*some, cases.wrong(some[-1])]
    got = image.run_here(module.ISA, module.panels(), placed)
    assert not image.compare(placed, wanted, got)
    assert image.compare(placed, wanted, got[:-1]), "a processor that stopped"
    assert image.compare(placed, wanted, b"".join(wanted)), "a control that came out right"
    changed = bytes([got[image.GUARD] ^ 1])
    faults = image.compare(placed, wanted, got[: image.GUARD] + changed + got[image.GUARD + 1 :])
    assert faults == [some[0].name]
