"""Prose that is not run is wrong: code blocks of README and how-tos, in order, in one folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest
from conftest import BIN, ROOT

from intnet import selftest

BLOCK = re.compile(r"(<!-- not run[^\n]*-->\n)?```(\w+)\n(.*?)```", re.DOTALL)
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_block_has_a_language_that_is_run():
    """Only blocks of make commands may be skipped."""
    blocks = BLOCK.findall(README)
    assert README.count("```") == 2 * len(blocks)
    assert {language for _, language, _ in blocks} == {"bash", "python"}
    for marker, _, text in blocks:
        lines = [line for line in text.splitlines() if line]
        assert bool(marker) == all(line.startswith("make ") for line in lines)


def test_one_screen_and_one_sentence_per_line():
    lines = README.splitlines()
    assert len(lines) <= 70
    prose = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    assert not re.search(r"[a-z)`]\. [A-Z]", prose)


@pytest.fixture
def run(default_model, tmp_path, monkeypatch):
    """Runs blocks as a reader would: console script on PATH, a picture called photo.png."""
    shutil.copy(selftest.sample_path(), tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    environment = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}

    def blocks(document):
        for marker, language, text in BLOCK.findall(document):
            if marker:
                continue
            if language == "python":
                exec(compile(text, "a document", "exec"), {})
                continue
            command = ["bash", "-euo", "pipefail", "-c", text]
            done = subprocess.run(command, env=environment, capture_output=True, check=False)
            assert done.returncode == 0, done.stderr.decode()

    return blocks


def test_blocks_run(run, tmp_path):
    run(README)
    assert (tmp_path / "piped.png").read_bytes() == (tmp_path / "decoded.png").read_bytes()


def test_how_to_look(run, tmp_path):
    """Its blocks make the files that they name; its pictures are there and small."""
    document = (ROOT / "docs" / "look.md").read_text(encoding="utf-8")
    assert document.count("```") == 2 * len(BLOCK.findall(document))
    run(document)
    made = set(re.findall(r"-o (\S+)", document))
    assert made == {"compare.html", "compare.png", "photo.inic", "map.png", "bits.npy"}
    assert made < {path.name for path in tmp_path.iterdir()}
    shown = re.findall(r"!\[[^]]*\]\(([^)]*)\)", document)
    assert len(shown) == 2
    assert all((ROOT / "docs" / name).stat().st_size < 300_000 for name in shown)
