"""Memory of large pictures grows with their samples, not with what the networks make of them."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import BIN, anonymous
from PIL import Image

from intnet import pictures, pnm, selftest

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


def peak_anonymous(*line: object) -> int:
    """Peak of the memory that no file backs, of a verb in a process of its own."""
    command = [str(BIN / "intnet"), *map(str, line)]
    peak = 0
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        while process.poll() is None:
            try:
                peak = max(peak, anonymous(process.pid))
            except (OSError, StopIteration):  # it is ending
                break
            time.sleep(0.02)
        _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()
    return peak


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_30000_columns_by_strips(tmp_path: Path) -> None:
    """The samples of a PPM stay in files. 0.6 GB, for the networks' rows, is independent of rows.

    30000 x 30000 takes minutes: measured on two processors that others shared, 475 MB and 292 s to
    encode, 388 MB and 251 s to decode.
    """
    height, width = 3000, 30000
    sample = pictures.read(selftest.sample_path())
    rows = np.tile(sample, (1, -(-width // sample.shape[1]), 1))[:, :width]
    with (tmp_path / "large.ppm").open("wb") as file:
        file.write(pnm.header(width, height, 3))
        for top in range(0, height, len(rows)):
            file.write(rows[: height - top].tobytes())
    large, stream, decoded = (tmp_path / x for x in ("large.ppm", "large.inic", "decoded.ppm"))
    for line in (("encode", large, "-o", stream), ("decode", stream, "-o", decoded)):
        peak = peak_anonymous(*line)
        sys.stdout.write(f"{line[0]}: {peak / 1e6:.0f} MB\n")  # to be seen with -s
        assert peak < 600e6
    assert decoded.stat().st_size == large.stat().st_size


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1, 200_000), (200_000, 1)])
def test_long_slivers(tmp_path: Path, size: tuple[int, int]) -> None:
    """One row, one column."""
    x = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    pictures.write(tmp_path / "x.png", x)
    peaks = [peak_kib("encode", tmp_path / "x.png", "-o", tmp_path / "x.inic"),
             peak_kib("decode", tmp_path / "x.inic", "-o", tmp_path / "y.png")]  # fmt: skip
    sys.stdout.write(f"{size}: {peaks} KiB\n")  # to be seen with -s
    assert pictures.read(tmp_path / "y.png").shape == x.shape
