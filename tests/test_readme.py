"""The README is one screen, and says how things are run; test_docs.py runs its blocks."""

from __future__ import annotations

import re

import doc_parts
from conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_only_make_is_not_run():
    for reason, language, text in doc_parts.blocks(README):
        assert language in ("bash", "python")
        lines = [line for line in text.splitlines() if line]
        assert bool(reason) == all(line.startswith("make ") for line in lines)


def test_one_screen_and_one_sentence_per_line():
    lines = README.splitlines()
    assert len(lines) <= 70
    prose = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    assert not re.search(r"[a-z)`]\. [A-Z]", prose)
