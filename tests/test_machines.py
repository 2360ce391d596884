"""Other machines, in short: emulated processors, instruction sets and threads, a sample of vectors.

`make conform-arches` and `make conform-here` run everything. What emulation needs and is not here
makes a test skip and say so: apt-get, dpkg-deb, Debian's keys, Debian's mirror.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from intnet.backends.simd import choose

SAMPLE = 8  # of each class one vector in so many
PROCESSORS = {"i386": 3, "s390x": 4}  # and how many controls each has


@pytest.fixture(scope="module")
def tools() -> Any:
    """Both tools."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tools"))
        import conform_arches  # noqa: PLC0415
        import conform_here  # noqa: PLC0415

        return conform_arches, conform_here


@pytest.fixture(scope="module")
def emulators(tools: Any) -> Path:
    """The folder of qemu's programs, with the packages of the architectures unpacked beside it."""
    arches, _ = tools
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        pytest.skip("NOT RUN: the emulators are programs for x86-64 Linux")
    try:
        for architecture in arches.pythons.ARCHITECTURES:
            if architecture.name in PROCESSORS:
                arches.pythons.sysroot(arches.CACHE, architecture)
        return Path(arches.pythons.emulators(arches.CACHE))
    except arches.MissingError as error:
        pytest.skip(f"NOT RUN: {error}")
    except subprocess.CalledProcessError as error:
        if Path(error.cmd[0]).name != "apt-get":
            raise
        pytest.skip(f"NOT RUN: Debian's mirror cannot be reached: {arches.reason(error)}")


@pytest.mark.slow
def test_both_decoders_on_other_processors(tools: Any, emulators: Path) -> None:
    """32 bits without an emulator, and big-endian on one; every control is seen."""
    arches, _ = tools
    ids = {d: arches.choice.ids(ROOT / arches.VECTORS, d, sample=SAMPLE)
           for d in ("reference", "numpy")}  # fmt: skip
    work = arches.Work(ids, arches.CACHE, emulators)
    wanted = [a for a in arches.pythons.ARCHITECTURES if a.name in PROCESSORS]
    with ThreadPoolExecutor(2) as pool:
        for outcome in pool.map(partial(arches.run_architecture, work=work), wanted):
            assert outcome.missing == ""
            assert outcome.faults == []
            passed = {d: run.passed for d, run in outcome.runs.items()}
            assert passed == {d: len(ids[d]) for d in ids}
            assert len(outcome.controls) == PROCESSORS[outcome.name]


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
