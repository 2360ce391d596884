"""What runs in the emulated Python: every check of the Arm kernels, exit code 1 if one fails."""

from __future__ import annotations

import platform
import sys
import time

import backend_cases
import llvmlite.binding as llvm
import numpy as np
import pytest

from emulation import image
from emulation.cases import every, wrong
from intnet import backends
from intnet.backends.simd import choose, neon, pack
from intnet.conform import running
from intnet.program import Conv, Port, Program

WITH_NEON = "numba-neon or kernels_write or random_programs"


def vectors() -> str:
    """The conformance vectors."""
    report = running.run("numba")
    failed = [case["id"] for case in report["cases"] if case["result"] != "pass"]
    if failed or not report["passed"]:
        raise AssertionError(f"{report['passed']} passed, failed: {failed[:10]}")
    return f"{report['passed']} vectors passed"


def photograph() -> str:
    """The bundled photograph against selftest.json, which other processors wrote."""
    if fault := backend_cases.photograph("numba"):
        raise AssertionError(fault)
    return "stream and pixels are those of selftest.json"


def all_tests() -> str:
    """Every test of the backends that takes the kernels."""
    selected = ["tests/test_backends.py", "-k", WITH_NEON]
    if code := pytest.main(["-q", "-p", "no:cacheprovider", *selected]):
        raise AssertionError(f"pytest ended with {code}")  # 5: there were none
    return "tests passed"


def panels() -> str:
    """The compiled panels on the jobs that other instruction sets get too; the last is wrong."""
    cases = list(every(neon.ISA))
    wanted = [image.expected(case) for case in (*cases, cases[-1])]
    placed = [*cases, wrong(cases[-1])]
    faults = image.compare(placed, wanted, image.run_here(neon.ISA, neon.panels(), placed))
    if faults:
        raise AssertionError(f"{len(faults)} of {len(cases)} cases, among them {faults[:10]}")
    return f"{len(cases)} cases right, the control wrong"


def processor() -> str:
    """That this is the processor it is meant to be, and that its kernels are chosen."""
    if choose.available()[0] != "neon" or choose.chosen() != "neon":
        raise AssertionError(f"the processor can run {choose.available()}")
    return f"{platform.machine()}, {llvm.get_host_cpu_name()}, {choose.available()}"


def control() -> str:
    """A wrong weight must be seen."""
    if not one_layer_is_right():
        raise AssertionError("one layer is wrong")
    weights = pack.weights
    pack.weights = backend_cases.planted(weights)
    try:
        if one_layer_is_right():
            raise AssertionError("a wrong weight went unseen")
    finally:
        pack.weights = weights
    return "a layer is right, with a wrong weight it is wrong"


def one_layer_is_right() -> bool:
    """A layer of u8 and s8, the compiled kernel against NumPy."""
    weight, one = np.full((5, 1, 1, 9), 3, np.int8), np.ones(5, np.int32)
    op = Conv("y", ("x",), "s32", -9999, 9999, 1, (0, 0, 0, 0), 1, weight, 0 * one, one, one)
    program = Program("control", (Port("x", "u8", 9, 0, 255),), (op,), ("y",))
    inputs = {"x": np.full((3, 4, 9), 255, np.uint8)}
    fast, slow = (backends.load(name).run(program, inputs)["y"] for name in ("numba", "numpy"))
    return bool(np.array_equal(fast, slow))


def main() -> int:
    """All checks, quick ones first."""
    faults = 0
    checks = [processor, control, panels, all_tests, vectors, photograph]
    if "--plant" in sys.argv:
        checks = [processor, vectors, photograph]
        backend_cases.plant()
    for check in checks:
        started = time.perf_counter()
        try:
            detail, word = check(), "ok"
        except AssertionError as error:
            detail, word, faults = str(error), "FAULT", faults + 1
        seconds = time.perf_counter() - started
        print(f"{word} {check.__name__}: {detail} ({seconds:.0f} s)", flush=True)
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
