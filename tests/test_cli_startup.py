"""What a verb loads: it answers at once."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from intnet import codec, shipped
from intnet.backends.simd import choose

LAZY = ("numba", "torch", "numpy")


def loaded_by(line, *, and_then=""):
    """Modules that a process has after `intnet line`; and_then: what else it checks at its end."""
    code = (
        "import gc, sys\nfrom intnet import cli\ntry:\n cli.main()\nexcept SystemExit as e:\n"
        f" assert not e.code\n{and_then}\nprint(*sys.modules, file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, *line.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(done.stderr.splitlines()[-1].split())


def verbs_in(modules):
    """Files of verbs among modules."""
    names = [name for name in modules if name.startswith("intnet.commands.")]
    return {name.split(".")[2] for name in names} - {"common"}


@pytest.mark.parametrize(
    ("line", "verbs"),
    [
        ("--version", set()),
        ("encode --help", {"encode"}),
        ("decode --help", {"decode", "encode"}),  # they share their report
        ("bench codec --help", {"bench"}),
        ("batch encode --help", {"batch", "batch_work", "encode"}),
        ("info photo.inic", {"info"}),
        ("models", {"info"}),
    ],
)
def test_light_verbs_load_nothing_heavy(line, verbs, photo_folder):
    """Help, info and models answer at once: no numba, no torch, not even NumPy, no other verb."""
    modules = loaded_by(line)
    assert not modules & {*LAZY, "rich"}
    assert verbs_in(modules) == verbs


def test_help_of_all_verbs_loads_nothing_heavy():
    assert not loaded_by("--help") & {*LAZY, "rich"}


@pytest.mark.skipif(choose.available() == ["generic"], reason="no SIMD: only plain loops here")
def test_decode_loads_what_it_needs(tmp_path, picture):
    """Not the plain loops, no reporting, no other verb."""
    stream = tmp_path / "a.inic"
    stream.write_bytes(codec.encode(picture, shipped.load()))
    line = f"decode {stream} -o {tmp_path / 'a.png'}"
    modules = loaded_by(line)
    assert "numba" in modules
    assert not modules & {"torch", "rich", "intnet.backends.numba_kernels", "intnet.convert"}
    assert verbs_in(modules) == {"decode", "encode"}


def test_the_end_of_a_process_is_short():
    """What a verb leaves is not searched for garbage; in a program that imports intnet it is."""
    loaded_by("models", and_then="assert gc.get_freeze_count() > 10_000")
    code = (
        "import gc; from intnet import cli, codec; print(gc.get_threshold(), gc.get_freeze_count())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"{gc.get_threshold()} 0\n"
