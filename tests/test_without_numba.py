"""Where numba cannot be imported the NumPy backend does all, and the numba backend says so."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from conftest import ROOT

from intnet import selftest

# A module that is None cannot be imported.
BLOCKED = "import sys; sys.modules |= dict.fromkeys({names!r}); "
ONLY_NUMPY = ("numba", "llvmlite", "safetensors", "PIL", "typer", "rich")
VECTORS = """
import json
import rangecoder
from intnet import backends, errors
from intnet.conform import running
assert rangecoder.Encoder.__module__ == rangecoder.decode.__module__ == "rangecoder.uncompiled"
report = running.run("numpy")
try:
    backends.load("numba")
except errors.BackendError as error:
    report["refused"] = str(error)
print(json.dumps(report))
"""


def run(names, code, *arguments):
    """Python without some modules."""
    command = [sys.executable, "-c", BLOCKED.format(names=names) + code, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_every_vector_with_numpy_alone():
    """All that decoding needs: what is installed on the emulated machines."""
    done = run(ONLY_NUMPY, f"exec({VECTORS!r})")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["passed"] > 300
    assert [case for case in report["cases"] if case["result"] != "pass"] == []
    assert report["refused"].startswith("backend 'numba': ")
    assert report["refused"].endswith("install numba, or choose backend 'numpy'")


@pytest.mark.usefixtures("default_model")
@pytest.mark.parametrize("line", [["encode", selftest.sample_path(), "-o", "-"], ["warmup"]])
def test_a_verb_that_needs_numba_says_so_in_a_line(line):
    done = run(("numba",), "from intnet import cli; cli.main()", *line)
    assert done.returncode == 1
    assert done.stderr.startswith("intnet: error: backend 'numba': ")
    assert done.stderr.count("\n") == 1


@pytest.mark.usefixtures("default_model")
def test_pictures_too(tmp_path):
    """Encode and decode by the command line, the bytes of the compiled coder."""
    from PIL import Image  # noqa: PLC0415

    with Image.open(selftest.sample_path()) as picture:
        picture.crop((0, 0, 65, 64)).save(tmp_path / "in.png")
    streams = []
    for names in (("numba",), ()):
        out = tmp_path / f"{len(names)}.inic"
        line = ["encode", tmp_path / "in.png", "-o", out, "--backend", "numpy", "--verify"]
        done = run(names, "from intnet import cli; cli.main()", *line)
        assert done.returncode == 0, done.stderr
        streams.append(out.read_bytes())
    assert streams[0] == streams[1]
