"""`tools/break_conformance.py`: a few of its breaks, and that it cannot pass by looking away."""

import json
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

QUICK = ("--class", "arith", "--class", "op", "--class", "tables", "--class", "coder")


@pytest.fixture(scope="module")
def breaking():
    """The tool."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tools"))
        import break_conformance  # noqa: PLC0415

        return break_conformance


def run(*arguments):
    """The tool in a process of its own."""
    command = [sys.executable, str(ROOT / "tools" / "break_conformance.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


def test_some_breaks_are_seen():
    """In both implementations: by the clause of the rule, and nothing is red without a break."""
    rules = ("ties*", "clip*", "lut*", "pad edge*", "cdf*", "carry*", "lanes*", "escape*")
    done = run(*QUICK, *(f"--only=*: {rule}" for rule in rules), "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["failed"]) == (0, 0), done.stdout
    by_name = {entry["name"]: entry for entry in report["breaks"]}
    assert len(by_name) == 2 + 8 + 7
    for what in ("ours", "reference"):
        assert by_name[f"{what}: no break"]["red"] == []
        assert "arith.round-shift" in by_name[f"{what}: ties rounded down"]["clauses"]
        assert "coder.lanes" in by_name[f"{what}: lanes in reverse"]["clauses"]


@pytest.mark.slow
def test_every_break_is_seen():
    """With every class."""
    done = run()
    assert done.returncode == 0, done.stdout


def test_every_text_is_there_once(breaking, tmp_path):
    """A break that no longer fits is noticed without a run; each changes something."""
    for number, change in enumerate(breaking.BREAKS):
        copy = tmp_path / str(number) / change.path
        copy.parent.mkdir(parents=True)
        shutil.copy(ROOT / change.path, copy)
        breaking.apply(tmp_path / str(number), change)
        assert copy.read_text("utf-8") != (ROOT / change.path).read_text("utf-8")


def test_the_breaks_are_about_clauses(breaking):
    """Each clause is one of some vector's, each name is its own; both implementations have many."""
    folder = ROOT / breaking.VECTORS
    classes = json.loads((folder / "index.json").read_text("utf-8"))["classes"]
    known = {
        vector["clause"]
        for kind in classes
        for vector in json.loads((folder / f"{kind}.json").read_text("utf-8"))["vectors"]
    }
    assert {change.clause for change in breaking.BREAKS} <= known
    names = [(change.what, change.name) for change in breaking.BREAKS]
    assert len(set(names)) == len(names)
    assert all(sum(what == name for name, _ in names) >= 12 for what in ("ours", "reference"))


def test_what_is_not_seen_is_a_fault(breaking):
    """A break that stays green, another clause than the rule's, a control that is red."""
    assert breaking.judge("a", "op.pad", {"op/pad": "op.pad"}).fault == ""
    assert breaking.judge("a", "op.pad", {}).fault == "stayed green"
    assert breaking.judge("a", "op.pad", {"op/lut": "op.lut"}).fault == "op.pad is not named"
    assert breaking.judge("a", "", {}).fault == ""
    assert "op/lut" in breaking.judge("a", "", {"op/lut": "op.lut"}).fault


@pytest.mark.parametrize("what", ["ours", "reference"])
def test_a_harmless_break_fails(breaking, tmp_path, what):
    """Run in full: nothing is red, and the tool says so; a text that is not there is a fault."""
    path = {"ours": "intnet/codec.py", "reference": "conformance/reference_decoder.py"}[what]
    kinds = ["arith"]
    breaking.copy_tree(ROOT, tmp_path)
    breaking.reduce(ROOT / breaking.VECTORS, tmp_path / breaking.VECTORS, kinds)
    text = "from __future__ import annotations\n"
    harmless = breaking.Break(what, "harmless", "op.pad", path, text, f"{text}\n")
    assert breaking.run(tmp_path, harmless, kinds).fault == "stayed green"
    gone = harmless._replace(right="no such text")
    assert "must have it once" in breaking.run(tmp_path, gone, kinds).fault


def test_no_such_break():
    """Exit code 1."""
    done = run("--only", "none")
    assert done.returncode == 1
    assert "no break" in done.stderr
