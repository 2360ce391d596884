"""What runs in the emulated Python: every check of the Arm kernels, exit code 1 if one fails."""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import pytest

from intnet import conform, selftest, shipped
from intnet.backends.simd import choose, pack

WITH_NEON = "numba-neon or kernels_write or random_programs"
ONE = "linear and numba-neon-5x5-Conv"


def tests(which: str) -> int:
    """pytest's exit code for some of the tests of backends; 5 where there are none."""
    return int(pytest.main(["-q", "-p", "no:cacheprovider", "tests/test_backends.py", "-k", which]))


def vectors() -> str:
    """The conformance vectors."""
    report = conform.run("numba")
    failed = [case["id"] for case in report["cases"] if case["result"] != "pass"]
    if failed or not report["passed"]:
        raise AssertionError(f"{report['passed']} passed, failed: {failed[:10]}")
    return f"{report['passed']} vectors passed"


def photograph() -> str:
    """The bundled photograph against selftest.json, which other processors wrote."""
    model = shipped.load()
    got = selftest.pin(model, selftest.outcome(model, "numba"))
    want = json.loads(selftest.pin_path().read_text(encoding="utf-8"))
    if got != want:
        raise AssertionError(f"got {got}, want {want}")
    return f"pixels {got['pixel_sha256'][:16]}, stream {got['stream_sha256'][:16]}"


def all_tests() -> str:
    """Every test of the backends that takes the kernels."""
    if tests(WITH_NEON):
        raise AssertionError("tests failed")
    return "tests passed"


def processor() -> str:
    """That this is the processor it is meant to be, and that its kernels are chosen."""
    if choose.available()[0] != "neon" or choose.chosen() != "neon":
        raise AssertionError(f"the processor can run {choose.available()}")
    return f"{platform.machine()}, {llvm.get_host_cpu_name()}, {choose.available()}"


def control() -> str:
    """A wrong weight must be seen."""
    weights = pack.weights
    pack.weights = planted(weights)
    try:
        if tests(ONE) != 1:
            raise AssertionError("a wrong weight went unseen")
    finally:
        pack.weights = weights
    return "a test with a wrong weight failed, as it must"


def planted(weights: Callable[..., Any]) -> Callable[..., Any]:
    """`pack.weights` with one wrong weight."""

    def wrong(*arguments: Any) -> Any:
        packed = weights(*arguments)
        packed.flat[0] ^= 1
        return packed

    return wrong


def main() -> int:
    """All checks, quick ones first."""
    faults = 0
    checks = [processor, control, all_tests, vectors, photograph]
    if "--plant" in sys.argv:
        checks = [processor, vectors, photograph]
        pack.weights = planted(pack.weights)
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
