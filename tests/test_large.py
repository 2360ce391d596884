"""Memory of large pictures grows with their samples, not with what the networks make of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from intnet import pictures, selftest

CALL = """
import resource, sys
from intnet import cli
try:
    cli.main()
except SystemExit as done:
    assert not done.code
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def peak_kib(*line: object) -> int:
    """Peak resident memory of a process that runs a verb."""
    command = [sys.executable, "-c", CALL, *map(str, line)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stderr.split()[-1])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux alone")
@pytest.mark.parametrize(
    ("height", "width", "limit"), [(4000, 6000, 1_000_000), (10000, 10000, 1_500_000)]
)
def test_peak_memory(tmp_path: Path, height: int, width: int, limit: int) -> None:
    """24 megapixels under 1 GB, 100 under 1.5 GB, to encode and to decode."""
    sample = pictures.read(selftest.sample_path())
    times = -(-height // sample.shape[0]), -(-width // sample.shape[1]), 1
    Image.fromarray(np.tile(sample, times)[:height, :width]).save(tmp_path / "large.ppm")
    stream, decoded = tmp_path / "large.inic", tmp_path / "decoded.ppm"
    assert peak_kib("encode", tmp_path / "large.ppm", "-o", stream) * 1024 < limit * 1000
    assert peak_kib("decode", stream, "-o", decoded) * 1024 < limit * 1000
    assert decoded.stat().st_size > height * width * 3
