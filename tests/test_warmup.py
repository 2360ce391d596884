"""Kernels compile once: later processes load them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conform_parts import code_copy

from intnet.backends.simd import choose

COUNT = """
import sys
from numba.core import event
from intnet import cli
with event.install_recorder("numba:compile") as compiled:
    try:
        cli.main()
    except SystemExit as done:
        assert not done.code
print(len(compiled.buffer), file=sys.stderr)
"""


def test_nothing_compiles_after_a_warmup(tmp_path: Path) -> None:
    """warmup fills a fresh cache; encode and decode then find all they need in it."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    sample = Path(__file__).parents[1] / "intnet" / "samples" / "giraffe.png"

    def compiled(*line: object) -> int:
        command = [sys.executable, "-c", COUNT, *map(str, line)]
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
        )
        if line[0] == "warmup":
            assert json.loads(done.stdout)["seconds"] > 0
        return int(done.stderr.split()[-1])

    assert compiled("warmup", "--json") > 10
    assert compiled("encode", sample, "-o", "g.inic", "--verify") == 0
    assert compiled("decode", "g.inic", "-o", "g.png") == 0


PANELS = """
from numba.core import event
from intnet.backends.simd import choose
with event.install_recorder("numba:run_pass") as passes:
    choose.load().panels()
print(len(passes.buffer))
"""


@pytest.mark.skipif(choose.available() == ["generic"], reason="no SIMD: no panels here")
def test_panels_compile_anew_when_what_emits_them_changes(tmp_path: Path) -> None:
    """Numba's cache looks at the files of functions alone; a stale panel would read another job."""
    code = code_copy(tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(code), "INTNET_SIMD": choose.available()[0],
                   "NUMBA_CACHE_DIR": str(tmp_path / "cache")}  # fmt: skip

    def passes() -> int:  # of the compiler
        command = [sys.executable, "-c", PANELS]
        done = subprocess.run(
            command, env=environment, cwd=code, capture_output=True, text=True, check=True
        )
        return int(done.stdout)

    assert passes() > 0
    assert passes() == 0
    with (code / "intnet" / "backends" / "simd" / "emit.py").open("a") as file:
        file.write("# changed\n")
    assert passes() > 0
