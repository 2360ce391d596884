"""A process that is stopped, at whatever moment, leaves no file or a whole one."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import BIN, ROOT
from PIL import Image

from intnet import pictures, selftest, shipped

SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143}
pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, default_model: object) -> Path:
    """A folder with a picture of 6 megapixels, and its stream: a second or more of work."""
    folder = tmp_path_factory.mktemp("large")
    sample = pictures.read(selftest.sample_path())
    Image.fromarray(np.tile(sample, (5, 6, 1))[:2000, :3000]).save(folder / "large.ppm")
    whole(["encode", folder / "large.ppm", "-o", folder / "large.inic"])
    return folder


def stopped(
    line: list[object], number: signal.Signals, when: Callable[[], bool]
) -> tuple[int, str]:
    """Exit code and stderr of a verb that gets a signal as soon as `when`, unless it has ended."""
    command = [str(BIN / "intnet"), *map(str, line)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not when():
            time.sleep(0.005)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        _, errors = process.communicate(timeout=120)
    return process.returncode, errors


def after(seconds: float) -> Callable[[], bool]:
    begun = time.monotonic()
    return lambda: time.monotonic() - begun >= seconds


def in_time(code: int, errors: str, number: signal.Signals) -> None:
    """The code of the signal, and no traceback once our code runs; or the default, before.

    What was said of the work until then stays.
    """
    if code == SIGNALS[number]:
        expected = ["intnet: interrupted"] if number == signal.SIGINT else []
        said = [line for line in errors.splitlines() if not line.startswith("calibrating: ")]
        assert said in ([], expected)
    else:
        assert code == -number or "init_import_site" in errors, errors


@pytest.mark.parametrize("number", SIGNALS)
def test_while_the_file_is_written(large: Path, tmp_path: Path, number: signal.Signals) -> None:
    """A picture of rows is there in part for as long as decoding takes, under another name."""
    line = ["decode", large / "large.inic", "-o", tmp_path / "x.ppm"]
    code, errors = stopped(line, number, lambda: any(tmp_path.iterdir()))
    assert (code, list(tmp_path.iterdir())) == (SIGNALS[number], [])
    in_time(code, errors, number)


@pytest.mark.parametrize("number", SIGNALS)
def test_an_old_file_stays(large: Path, tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "x.ppm").write_bytes(b"old")
    line = ["decode", large / "large.inic", "-o", tmp_path / "x.ppm"]
    code, _ = stopped(line, number, lambda: len(list(tmp_path.iterdir())) > 1)
    assert code == SIGNALS[number]
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


MOMENTS = [0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 1.2, 1.6, 2.0]


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("verb", ["encode", "decode", "convert"])
def test_at_several_moments(large: Path, tmp_path: Path, verb: str, number: signal.Signals) -> None:
    """From the start of Python to the end of the work."""
    checkpoint = ROOT / "models" / f"{shipped.DEFAULT}.safetensors"  # of floats
    calibrated = ["--calibration", selftest.sample_path().parent]
    lines: dict[str, list[object]] = {
        "encode": ["encode", large / "large.ppm", "-o", tmp_path / "x.inic"],
        "decode": ["decode", large / "large.inic", "-o", tmp_path / "x.png"],
        "convert": ["convert", checkpoint, "-o", tmp_path / "x.inm", *calibrated],
    }
    ended = 0
    for seconds in (4 * t for t in MOMENTS) if verb == "convert" else MOMENTS:
        code, errors = stopped(lines[verb], number, after(seconds))
        if found := list(tmp_path.iterdir()):  # the signal came after the file was whole
            assert [path.stem for path in found] == ["x"]
            assert code in (0, SIGNALS[number], -number)
            found[0].unlink()
            continue
        in_time(code, errors, number)
        ended += 1
    assert ended > 2


def writing(folder: Path, late: float) -> Callable[[], bool]:
    """So many seconds after there is another temporary file."""
    before, begun = temporary(folder), list[float]()

    def when() -> bool:
        if not begun and set(temporary(folder)) - set(before):
            begun.append(time.monotonic())
        return bool(begun) and time.monotonic() - begun[0] >= late

    return when


def temporary(folder: Path) -> list[Path]:
    """What killed processes left."""
    return list(folder.glob(".*.tmp"))


def whole(line: list[object]) -> None:
    """A verb that nothing stops."""
    subprocess.run([BIN / "intnet", *map(str, line)], check=True, capture_output=True)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="abandoned files are found by flock")
def test_kill_9_of_decodes(large: Path, tmp_path: Path) -> None:
    """At random moments: never a part under the final name, and the next run clears the rest."""
    rng, left, name = random.Random(0), 0, tmp_path / "x.ppm"
    line: list[object] = ["decode", large / "large.inic", "-o", name]
    whole(line)
    want = name.read_bytes()
    for _ in range(20):
        name.unlink(missing_ok=True)
        stopped(line, signal.SIGKILL, writing(tmp_path, rng.random() / 2))
        assert not name.exists() or name.read_bytes() == want
        left += bool(temporary(tmp_path))
    assert left > 2
    whole(line)
    assert (list(tmp_path.iterdir()), name.read_bytes()) == ([name], want)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="abandoned files are found by flock")
def test_kill_9_of_encodes(large: Path, tmp_path: Path) -> None:
    """200 of them, at random moments: no file, the old one or the whole new one, ever.

    Writing is a small part of the time, so that every fourth is killed as soon as it has begun.
    """
    rng, found, name = random.Random(0), Counter[str](), tmp_path / "x.inic"
    pixels = pictures.read(large / "large.ppm")[:1000, :1500]
    pictures.write(large / "smaller.ppm", pixels)
    line: list[object] = ["encode", large / "smaller.ppm", "-o", name]
    begun = time.monotonic()
    whole(line)
    seconds, want = time.monotonic() - begun, name.read_bytes()
    for number in range(200):
        name.unlink()
        before = rng.choice((None, b"old"))
        if before:
            name.write_bytes(before)
        moment = after(1.1 * seconds * rng.random())
        part = writing(tmp_path, rng.random() / 200)
        code, _ = stopped(line, signal.SIGKILL, moment if number % 4 else part)
        there = name.read_bytes() if name.exists() else None
        assert there in ((want,) if code == 0 else (before, want))
        assert len(temporary(tmp_path)) <= (code != 0)
        found["whole" if there == want else "before"] += 1
        found["with a temporary file"] += bool(temporary(tmp_path))
        name.touch()
    sys.stdout.write(f"encodes that took {seconds:.1f} s, killed: {dict(found)}\n")  # seen with -s
    assert min(found["whole"], found["before"], found["with a temporary file"]) > 2
    whole(line)
    assert (list(tmp_path.iterdir()), name.read_bytes()) == ([name], want)
