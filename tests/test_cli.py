"""What verbs have in common: pipes, files, usage, settings, interrupts, help."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from cli_parts import call, refused
from conftest import BIN

from intnet import codec, pictures


def test_pipes(photo_folder):
    """stdin to stdout; the summary goes to stderr."""
    stream = call("encode", "-", "-o", "-", stdin=Path("photo.png").read_bytes())
    assert "90x70" in stream.stderr
    decoded = call("decode", "-", "-o", "-", stdin=stream.stdout_bytes)
    assert pictures.from_bytes(decoded.stdout_bytes).shape == (70, 90, 3)


def test_a_real_pipeline(tmp_path, tiny_path, picture):
    """Bytes through the console script, in the shell."""
    pictures.write(tmp_path / "photo.png", picture)
    line = (
        f"'{BIN}/intnet' encode - -o - --model '{tiny_path}' < photo.png"
        f" | '{BIN}/intnet' decode - -o out.ppm --model '{tiny_path}' --json"
    )
    done = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, check=True)
    assert json.loads(done.stdout)["width"] == 90
    assert pictures.read(tmp_path / "out.ppm").shape == picture.shape


@pytest.mark.parametrize("setting", ["INTNET_SIMD", "INTNET_THREADS"])
def test_wrong_settings(tmp_path, picture, setting, script, tiny_path):
    """One line that names the variable and what is allowed."""
    pictures.write(tmp_path / "photo.png", picture)
    line = ("encode", "photo.png", "-o", "x.inic", "--model", tiny_path)
    done = script(*line, cwd=tmp_path, env={**os.environ, setting: "nonsense"})
    (error,) = done.stderr.decode().splitlines()
    assert done.returncode == 1
    assert error.startswith(f"intnet: error: {setting} is 'nonsense', must be ")
    assert not (tmp_path / "x.inic").exists()


def test_unwritable_outputs(photo_folder):
    """Missing folder, a folder, a file as folder, a full device, a read-only file system."""
    Path("d.png").mkdir()
    for verb, source in (("encode", "photo.png"), ("decode", "photo.inic")):
        refused(verb, source, "-o", "no/such/x.png", because="no/such")
        refused(verb, source, "-o", "d.png", because="Is a directory")
        refused(verb, source, "-o", "photo.png/x.png", because="photo.png")
        refused(verb, source, "-o", "/proc/x.png", because="/proc")
    refused("encode", "photo.png", "-o", "/dev/full", because="No space left")
    if os.getuid():  # root may write anyway
        Path("r.png").touch(mode=0o444)
        refused("decode", "photo.inic", "-o", "r.png", because="Permission denied")


def test_missing_inputs(photo_folder):
    refused("encode", "gone.png", "-o", "x.inic", because="gone.png: No such file")
    refused("decode", "gone.inic", "-o", "x.png", because="gone.inic: No such file")
    refused("info", ".", because="Is a directory")
    refused("encode", "photo.png", "-o", "x.inic", "--model", "gone", because="'gone'")
    refused("certify", "gone.inm", because="gone.inm")


@pytest.mark.parametrize("arguments", [
    ("encode", "photo.png"),
    ("encode", "photo.png", "-o", "x", "-q", 64),
    ("encode", "photo.png", "-o", "x", "-q", -1),
    ("encode", "photo.png", "-o", "x", "-q", 5, "--max-bytes", 900),
    ("encode", "photo.png", "-o", "x", "--target-bpp", 1, "--max-bytes", 900),
    ("encode", "photo.png", "-o", "x", "--target-bpp", "nan"),
    ("encode", "photo.png", "-o", "-", "--json"),
    ("encode", "photo.png", "-o", "x", "--backend", "abacus"),
    ("decode", "photo.inic", "-o", "x.jpg"),
    ("decode", "photo.inic", "-o", "x.png", "--max-pixels", 0),
    ("transmogrify",),
])  # fmt: skip
def test_wrong_usage_ends_with_2(photo_folder, arguments):
    call(*arguments, code=2)
    assert not Path("x").exists()


def test_interrupt_leaves_nothing(photo_folder, monkeypatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(codec, "encode", interrupted)
    call("encode", "photo.png", "-o", "x.inic", code=130)
    monkeypatch.setattr(os, "fsync", interrupted)
    call("decode", "photo.inic", "-o", "x.png", code=130)
    assert sorted(p.name for p in photo_folder.iterdir()) == ["photo.inic", "photo.png"]


def test_ctrl_c_of_a_real_process(tmp_path, tiny_path):
    """A signal while it waits for stdin: exit code 130, no traceback."""
    command = [BIN / "intnet", "encode", "-", "-o", tmp_path / "x.inic", "--model", tiny_path]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stderr=pipe) as process:
        time.sleep(2.0)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.decode().splitlines() == ["intnet: interrupted"]
    assert not list(tmp_path.iterdir())


VERBS = (
    "encode", "decode", "info", "models", "eval", "batch encode", "batch decode", "batch eval",
    "compare", "map", "train", "convert", "certify", "selftest", "warmup",
)  # fmt: skip


@pytest.mark.parametrize("verb", [*VERBS, *("conform run", "conform make", "conform compare")])
def test_help_teaches_with_an_example(verb):
    result = call(*verb.split(), "--help")
    assert f"\n  intnet {verb}" in result.stdout
    assert "--json" in result.stdout


def test_version():
    assert call("--version").stdout.startswith("intnet 0.")
