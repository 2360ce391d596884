"""Prose that is not run is wrong: every block of code of README.md and docs/."""

from __future__ import annotations

import re

import doc_parts
import pytest
from conftest import ROOT

PAGES = {
    path.name: path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
}
SLOW = {"convert.md": "trains a network"}
NEEDS = {"onnx.md": "onnx"}
RUN = [
    pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
    for name, page in PAGES.items()
    if any(block.language in ("bash", "python") and not block.reason
           for block in doc_parts.blocks(page))
]  # fmt: skip
NOT_RUN = {"README.md": 1, "benchmarks.md": 1, "conformance-machines.md": 1, "convert.md": 3,
           "toy-sources.md": 1, "tutorial.md": 2, "why-integers.md": 1}  # fmt: skip


@pytest.mark.parametrize("name", RUN)
def test_blocks_run(name, tmp_path, installed, default_model):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    doc_parts.run(PAGES[name], tmp_path, installed)
    if name == "README.md":
        assert (tmp_path / "piped.png").read_bytes() == (tmp_path / "decoded.png").read_bytes()
    made = {path.name for path in tmp_path.iterdir()}
    assert made >= set(re.findall(r" -o ([\w.]+)", " ".join(code(name))))


def code(name):
    """Texts of the blocks that are run."""
    return [block.text for block in doc_parts.blocks(PAGES[name]) if not block.reason]


@pytest.mark.parametrize("name", PAGES)
def test_blocks_have_a_language_and_few_are_not_run(name):
    """Those that are not say why."""
    found = doc_parts.blocks(PAGES[name])
    assert {block.language for block in found} <= {"bash", "python", "text"}
    assert sum(bool(block.reason) for block in found) == NOT_RUN.get(name, 0)


@pytest.mark.parametrize("page, because", [
    ("```python\nassert False\n```", "AssertionError"),
    ("```bash\nfalse | true\n```", "CalledProcessError"),
    ("```python\nprint(1)  # 2\n```", "'2'"),
    ("```bash\necho 1\n```\n\n```text\n1\n2\n```", "'2'"),
    ("```bash\ntrue\n```\n ```\n", "a fence that is no block"),
])  # fmt: skip
def test_what_is_wrong_is_seen(page, because, tmp_path, installed):
    with pytest.raises(AssertionError, match=re.escape(because)):
        doc_parts.run(page, tmp_path, installed)


def test_pictures_are_small():
    shown = re.findall(r"!\[[^]]*\]\(([^)]*)\)", PAGES["look.md"])
    assert len(shown) == 2
    assert all((ROOT / "docs" / name).stat().st_size < 300_000 for name in shown)


@pytest.mark.parametrize("name", ["pillow.md", "zarr.md"])
def test_how_tos_are_short(name):
    assert len(PAGES[name].splitlines()) < 60
