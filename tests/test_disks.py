"""Disks that are full or read-only, and folders that vanish: one line, and no part of a file."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
from conftest import BIN
from typer.testing import CliRunner

from intnet import cli, codec, files, model_file, pictures
from intnet.model_file import Model

LIMIT = 4096  # bytes; less than any file below, and a page of memory


@pytest.fixture
def work(tmp_path: Path, tiny: Model) -> Path:
    """A picture, and its stream; both and what they become have more than LIMIT bytes."""
    x = np.random.default_rng(0).integers(0, 256, (500, 600, 3), dtype=np.uint8)
    pictures.write(tmp_path / "photo.png", x)
    (tmp_path / "photo.inic").write_bytes(codec.encode(x, tiny, 63))
    assert (tmp_path / "photo.inic").stat().st_size > LIMIT
    (tmp_path / "out").mkdir()
    return tmp_path


VERBS = [("encode", "photo.png", "x.inic"), ("decode", "photo.inic", "x.png"),
         ("decode", "photo.inic", "x.ppm")]  # fmt: skip


def one_line(done: subprocess.CompletedProcess[str], because: str) -> None:
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert line.startswith("intnet: error: ")
    assert because in line


def command(work: Path, tiny_path: Path, verb: tuple[str, str, str]) -> list[str]:
    name, source, output = verb
    line = [BIN / "intnet", name, work / source, "-o", work / "out" / output]
    return [*map(str, line), "--model", str(tiny_path)]


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[2])
def test_files_may_not_grow(work: Path, tiny_path: Path, verb: tuple[str, str, str]) -> None:
    """A limit of the system cuts a write short, as a quota does."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT))

    done = subprocess.run(
        command(work, tiny_path, verb),
        preexec_fn=limit,  # no threads of ours are running here
        capture_output=True,
        text=True,
        check=False,
    )
    one_line(done, "File too large")
    assert list((work / "out").iterdir()) == []


def mounted(work: Path, options: str, line: list[str]) -> subprocess.CompletedProcess[str]:
    """A command with a tmpfs at work/out, which lasts as long as it; what is left is on stdout."""
    script = (
        'mount -t tmpfs -o "$0" tmpfs "$1" || exit 99; out=$1; shift; '
        '"$@"; code=$?; ls -A "$out"; exit $code'
    )
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("no unshare here")
    begin = [unshare, "-m", "sh", "-c", script, options, str(work / "out")]
    done = subprocess.run([*begin, *line], capture_output=True, text=True, check=False)
    if "unshare" in done.stderr or done.returncode == 99:
        pytest.skip(f"may not mount: {done.stderr.splitlines()[-1]}")
    return done


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[2])
def test_a_full_disk(work: Path, tiny_path: Path, verb: tuple[str, str, str]) -> None:
    """Of one page of 4 KiB."""
    done = mounted(work, "size=4k", command(work, tiny_path, verb))
    one_line(done, "No space left on device")
    assert done.stdout == ""


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[2])
def test_a_disk_that_is_read_only(work: Path, tiny_path: Path, verb: tuple[str, str, str]) -> None:
    done = mounted(work, "ro", command(work, tiny_path, verb))
    one_line(done, "Read-only file system")
    assert done.stdout == ""


def test_a_folder_without_permission() -> None:
    """For anyone but root, who may write anywhere: the child is nobody."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o555)
        child = os.fork()
        if not child:
            try:
                if not os.getuid():
                    os.setuid(65534)
                files.write(f"{name}/x", b"new")
            except PermissionError:
                os._exit(7)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[2])
def test_a_folder_that_vanishes(
    work: Path, tiny_path: Path, verb: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the work is done."""

    def vanish(*arguments: object, **options: object) -> object:
        shutil.rmtree(work / "out")
        return loaded(*arguments, **options)

    loaded = model_file.load
    monkeypatch.setattr(model_file, "load", vanish)
    done = CliRunner().invoke(cli.app, command(work, tiny_path, verb)[1:])
    assert (done.exit_code, len(done.stderr.splitlines())) == (1, 1)
    assert "No such f" in done.stderr
    assert sorted(path.name for path in work.iterdir()) == ["photo.inic", "photo.png"]


def test_a_folder_that_vanishes_while_it_is_written_to(work: Path) -> None:
    output = work / "out" / "x"
    with pytest.raises(FileNotFoundError), contextlib.ExitStack() as stack:  # noqa: PT012
        stack.enter_context(files.writing(output)).write(b"new")
        shutil.rmtree(output.parent)
