"""Code in docs/ runs: the python blocks of each page, in order, as one program."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

from intnet import selftest

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}


def program(name: str) -> str:
    return "\n".join(BLOCK.findall(PAGES[name]))


@pytest.mark.parametrize("name", sorted(name for name in PAGES if program(name)))
def test_python_blocks_run(name, tmp_path, installed):
    """In a folder with a picture called photo.png; what comments say is printed is printed."""
    shutil.copy(selftest.sample_path(), tmp_path / "photo.png")
    done = subprocess.run(
        [sys.executable, "-c", program(name)], cwd=tmp_path, env=installed, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for said in re.findall(r"print\(.*\)  # (.*)", program(name)):
        assert re.search(".*".join(map(re.escape, said.split("..."))), done.stdout), done.stdout


@pytest.mark.parametrize("name", ["pillow.md", "zarr.md"])
def test_how_tos_are_short_and_all_of_their_code_runs(name):
    page = PAGES[name]
    assert len(page.splitlines()) < 60
    assert page.count("```") == 2 * len(BLOCK.findall(page)) > 0
