"""Other machines, in short: emulated processors, instruction sets and threads, a sample of vectors.

`make conform-arches` and `make conform-here` run everything. What emulation needs and is not here
makes a test skip and say so: apt-get, dpkg-deb, Debian's keys, Debian's mirror.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from intnet.backends.simd import choose

SAMPLE = 8  # of each class one vector in so many


@pytest.fixture(scope="module")
def tools() -> Any:
    """Both tools."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tools"))
        import conform_arches  # noqa: PLC0415
        import conform_here  # noqa: PLC0415

        return conform_arches, conform_here


def prepared(arches: Any, architecture: Any) -> Path:
    """The folder of emulators, with the packages of an architecture unpacked beside it."""
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        pytest.skip("NOT RUN: the emulators are programs for x86-64 Linux")
    try:
        programs = arches.pythons.emulators(arches.CACHE)
        arches.pythons.sysroot(arches.CACHE, architecture)
    except arches.MissingError as error:
        pytest.skip(f"NOT RUN: {error}")
    except subprocess.CalledProcessError as error:
        if Path(error.cmd[0]).name != "apt-get":
            raise
        pytest.skip(f"NOT RUN: Debian's mirror cannot be reached: {arches.reason(error)}")
    return programs


@pytest.mark.parametrize("name", ["i386", "s390x"])
def test_both_decoders_on_another_processor(tools: Any, name: str) -> None:
    """32 bits without an emulator, and big-endian on one; every control is seen."""
    arches, _ = tools
    (architecture,) = (a for a in arches.pythons.ARCHITECTURES if a.name == name)
    programs = prepared(arches, architecture)
    ids = {d: arches.choice.ids(ROOT / arches.VECTORS, d, sample=SAMPLE)
           for d in ("reference", "numpy")}  # fmt: skip
    outcome = arches.run_architecture(architecture, arches.Work(ids, arches.CACHE, programs))
    assert outcome.missing == ""
    assert outcome.faults == []
    assert {d: run.passed for d, run in outcome.runs.items()} == {d: len(ids[d]) for d in ids}
    assert len(outcome.controls) == {"i386": 3, "s390x": 4}[name]


@pytest.mark.usefixtures("default_model")
@pytest.mark.parametrize("simd", choose.available())
@pytest.mark.parametrize("threads", [1, 2, "control"])
def test_instruction_sets_and_threads(tools: Any, simd: str, threads: int | str) -> None:
    """Vectors and the photograph in a process of its own; with a weight wrong they differ."""
    arches, here = tools
    plant = threads == "control"
    python = here.set_to(here.Python([sys.executable], os.environ), simd, 1 if plant else threads)
    place = here.Place(f"{simd}-{threads}", python, {"simd": simd}, plant=plant)
    ids = arches.choice.ids(ROOT / arches.VECTORS, "numpy", sample=SAMPLE)
    outcome = here.run(place, ids)
    assert outcome.run is not None, outcome.faults
    assert outcome.faults == []
    assert len(outcome.run.cases) == len(ids) + 1
