"""Files that a release wrote decode to the same bytes in every later one: see docs/policy.md."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, tool

from intnet import container

golden = tool("pin_golden")
LINES: list[dict[str, Any]] = golden.lines()
FIELDS = {"version", "since", "file", "file_sha256", "result_sha256"}


def name_of(line: dict[str, Any]) -> str:
    return f"{line['version']}-{Path(line['file']).stem}".replace(" ", "-")


@pytest.mark.parametrize("line", LINES, ids=name_of)
def test_golden_files_are_what_they_were(line: dict[str, Any]) -> None:
    """The file, its version, and what says of it when it was pinned."""
    assert line.keys() - {"model"} == FIELDS
    data = (ROOT / line["file"]).read_bytes()
    assert hashlib.sha256(data).hexdigest() == line["file_sha256"]
    assert golden.version_of(data, tables=line["version"].startswith("tables")) == line["version"]
    assert dt.date.fromisoformat(line["since"]) >= dt.date(2026, 11, 24)
    assert any(pin["file"] == line.get("model", line["file"]) for pin in LINES)  # its model is one


@pytest.mark.parametrize("backend", golden.BACKENDS)
@pytest.mark.parametrize("line", LINES, ids=name_of)
def test_golden_files_decode_as_they_did(line: dict[str, Any], backend: str) -> None:
    """Samples, content of models, values of tables."""
    assert golden.result(line, backend) == line["result_sha256"]


def test_every_version_that_is_read_has_a_pin() -> None:
    """A new version goes red here until `tools/pin_golden.py` has added a file of it."""
    assert {line["version"] for line in LINES} == golden.versions_read()


def test_a_new_version_needs_a_pin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "MINOR_TILED", container.MINOR_TILED + 1)
    assert {line["version"] for line in LINES} < golden.versions_read()


def test_the_tool_adds_lines_and_changes_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it adds is what is pinned; a file is pinned once."""
    path, pinned = tmp_path / "golden.jsonl", next(x for x in LINES if "chunks" in x["version"])
    line = [str(ROOT / pinned["file"]), "--model", Path(pinned["model"]).stem]
    assert golden.main([*line, "--golden", str(path)]) == 0
    before = path.read_bytes()
    (added,) = map(json.loads, before.splitlines())
    assert {**added, "since": pinned["since"]} == pinned
    assert golden.main([*line, "--golden", str(path)]) == 1
    assert "a pin never changes" in capsys.readouterr().err
    assert path.read_bytes() == before
