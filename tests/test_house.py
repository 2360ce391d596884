"""The tree is the diagram: imports point one way, and light things stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

# The float side: the only files of intnet that may name torch.
FLOAT_SIDE = (
    "intnet/training/", "intnet/converting/", "intnet/convert.py", "intnet/convert_report.py",
)  # fmt: skip
LIGHT = (
    "intnet/architecture.py", "intnet/cli.py", "intnet/commands/common.py",
    "intnet/container.py", "intnet/errors.py", "intnet/files.py", "intnet/model_frame.py",
    "intnet/model_header.py",
)  # fmt: skip
HEAVY = {"numpy", "numba", "llvmlite", "torch", "PIL", "safetensors", "rangecoder"}


def imports(source: str) -> set[str]:
    """Dotted names of every module that a source imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the arrows"
            found |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def roots(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def runtime() -> list[Path]:
    """Files of intnet that a decoder needs."""
    names = [p for p in sources("intnet") if not str(p.relative_to(ROOT)).startswith(FLOAT_SIDE)]
    assert len(names) > 15
    return names


def test_imports_are_found():
    """The checker itself: it sees imports inside functions, and submodules by name."""
    text = "import torch.nn as n\ndef f():\n from intnet import training\n from a.b import c"
    assert imports(text) == {"torch.nn", "intnet", "intnet.training", "a.b", "a.b.c"}


@pytest.mark.parametrize("path", sources("rangecoder"), ids=str)
def test_rangecoder_knows_no_networks(path):
    assert not roots(imports(path.read_text())) & {"intnet", "conformance", "tools", "torch"}


@pytest.mark.parametrize("path", runtime(), ids=lambda p: str(p.relative_to(ROOT)))
def test_runtime_never_names_the_float_side(path):
    """`intnet train` reaches it by name only, see commands/train.py."""
    names = imports(path.read_text())
    assert not roots(names) & {"torch", "tqdm", "matplotlib", "conformance", "tools", "tests"}
    assert not [n for n in names if n.startswith(("intnet.training", "intnet.convert"))]


@pytest.mark.parametrize("path", runtime(), ids=lambda p: str(p.relative_to(ROOT)))
def test_runtime_needs_no_array_library(path):
    """Zarr and numcodecs import us, by entry points; no other file names them or what they load.

    Dask is where a batch gets its workers from, and nowhere else.
    """
    allowed = {
        "intnet/numcodecs.py": {"numcodecs"}, "intnet/zarr.py": {"zarr", "intnet.numcodecs"},
        "intnet/batch/executors.py": {"distributed"},
    }.get(str(path.relative_to(ROOT)), set())  # fmt: skip
    names = imports(path.read_text())
    others = {"zarr", "numcodecs", "dask", "distributed"}
    found = roots(names) & others | names & {"intnet.zarr", "intnet.numcodecs"}
    assert found <= allowed


@pytest.mark.parametrize("path", sources("conformance"), ids=str)
def test_conformance_is_independent(path):
    """A second opinion shares no line with the first."""
    assert not roots(imports(path.read_text())) & {"intnet", "rangecoder", "torch"}


@pytest.mark.parametrize("name", LIGHT)
def test_light_files_import_nothing_heavy(name):
    """At module level; a function may."""
    tree = ast.parse((ROOT / name).read_text())
    tree.body = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert not roots(imports(ast.unparse(tree))) & HEAVY


@pytest.mark.parametrize("module", ["intnet", "intnet.codec", "intnet.selftest", "intnet.cli"])
def test_import_loads_no_torch(module):
    code = f"import sys, {module}; print(*{{m.split('.')[0] for m in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"torch", "triton", "cupy", "jax", "tensorflow"}


def test_import_of_the_package_loads_nothing_else():
    """Neither the version, which takes a search of what is installed, nor NumPy."""
    code = "import sys; had = set(sys.modules); import intnet; print(*set(sys.modules) - had)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["intnet"]
