"""Memory of large pictures grows with their samples, not with what the networks make of them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import BIN, anonymous
from PIL import Image

from intnet import codec, container, pictures, pnm, selftest
from intnet.limits import DEFAULT
from intnet.model_file import Model

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


LONGEST = 2**24  # samples of a side


def test_the_longest_row_is_refused(
    tmp_path: Path, script: Callable[..., subprocess.CompletedProcess[bytes]], default_model: Model
) -> None:
    """A strip has 64 rows of it, 16 GB and more: said before any of it is taken, and what to do."""
    x = np.zeros((1, LONGEST, 1), np.uint8)
    pictures.write(tmp_path / "x.pgm", x)
    header = container.peek(codec.encode(x[:, :64], default_model))._replace(width=LONGEST)
    noise = container.Tile(b"", bytes(2000))  # else there were too few bytes for the pixels
    (tmp_path / "x.inic").write_bytes(container.pack(container.Stream(header, [noise])))
    for verb, source, target in (("encode", "x.pgm", "y.inic"), ("decode", "x.inic", "y.pgm")):
        done = script(verb, tmp_path / source, "-o", tmp_path / target)
        assert done.returncode == 1
        (line,) = done.stderr.decode().splitlines()
        assert f"{LONGEST}x1 pixels: needs about" in line
        assert line.endswith("MiB of memory, limit 4096.0 MiB (see --max-memory)")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.inic", "x.pgm"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux alone")
def test_the_longest_column(tmp_path: Path) -> None:
    """Columns of 64 pixels pass through the networks, a gigapixel, within the limit of memory."""
    x = np.resize(np.arange(256, dtype=np.uint8), (LONGEST, 1, 1))
    pictures.write(tmp_path / "x.pgm", x)
    peaks = [peak_kib("encode", tmp_path / "x.pgm", "-o", tmp_path / "x.inic"),
             peak_kib("decode", tmp_path / "x.inic", "-o", tmp_path / "y.pgm")]  # fmt: skip
    sys.stdout.write(f"{peaks} KiB\n")  # to be seen with -s
    assert max(peaks) < DEFAULT.memory >> 10
    assert pictures.read(tmp_path / "y.pgm").shape == x.shape
