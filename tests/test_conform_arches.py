"""The comparing part of `tools/conform_arches.py`; no emulation."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import ROOT

FACTS = {"machine": "s390x", "byteorder": "big", "maxsize": 2**63 - 1, "python": "3.11.2"}
PRINTED = "op/a\tvalid\t00ff\t0.001\ninvalid/b\tStreamError stream.layout\t11ee\t0.002\n"


@pytest.fixture(scope="module")
def arches() -> Any:
    """The tool."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tools"))
        import conform_arches  # noqa: PLC0415

        return conform_arches


@pytest.fixture
def run(arches: Any) -> Any:
    """A run of two cases."""
    return arches.parse(f"{json.dumps(FACTS)}\n{PRINTED}", 2.5)


def architecture(arches: Any, name: str) -> Any:
    return next(a for a in arches.pythons.ARCHITECTURES if a.name == name)


def test_lines_are_read(arches, run):
    assert run.facts == FACTS
    assert run.cases[1] == arches.Case("invalid/b", "StreamError stream.layout", "11ee")


@pytest.mark.parametrize("text", ["", json.dumps(FACTS), f"{json.dumps(FACTS)}\nop/a\tvalid\n"])
def test_output_without_cases_is_refused(arches, text):
    with pytest.raises(ValueError, match=r"no cases|not enough values"):
        arches.parse(text, 1.0)


def test_equal_runs_agree(arches, run):
    assert arches.compare(run.cases, run.cases[::-1]) == []
    assert arches.agreeing(run.cases, run.cases) == 2


@pytest.mark.parametrize("field, value", [("result", "StreamError coder.end"), ("digest", "11ef")])
def test_a_difference_is_a_fault(arches, run, field, value):
    there = [run.cases[0], run.cases[1]._replace(**{field: value})]
    (fault,) = arches.compare(run.cases, there)
    assert fault.startswith("invalid/b: ")
    assert arches.agreeing(run.cases, there) == 1


def test_cases_too_few_too_many_or_twice_are_faults(arches, run):
    first, second = run.cases
    assert arches.compare(run.cases, [first]) == ["invalid/b: missing"]
    assert arches.compare([first], run.cases) == ["invalid/b: not run on this machine"]
    assert arches.compare(run.cases, [first, second, second]) == ["1 cases came twice"]


def test_the_processor_is_checked(arches):
    assert arches.is_architecture(architecture(arches, "s390x"), FACTS) == []
    assert len(arches.is_architecture(architecture(arches, "armhf"), FACTS)) == 3


def test_a_control_must_be_seen_and_whole(arches, run):
    planted = [run.cases[0]._replace(digest="bad")]
    assert arches.judge_control("ties", run.cases, planted) == ("ties: 1 of 1 cases differ", True)
    assert not arches.judge_control("ties", run.cases, run.cases)[1]
    assert not arches.judge_control("ties", run.cases, [])[1]
    assert not arches.judge_control("ties", run.cases[1:], planted)[1]


def test_faults_need_their_line(arches):
    assert "- 1) >> s" in arches.plant(f"    {arches.TIES.right}\n", arches.TIES)
    with pytest.raises(arches.MissingError, match="no line"):
        arches.plant("pass\n", arches.SWAP)


def test_what_is_missing_or_wrong_fails_and_is_said(arches, run, capsys):
    work = arches.Work(ROOT, {}, ["stream/two-lanes"])
    good = arches.Outcome("s390x", run)
    assert arches.report([good], run, work)
    assert "| s390x        | 64   | big        | 2     | 2     | 2.5" in capsys.readouterr().out
    assert not arches.report([good, arches.Outcome("armhf", missing="no qemu")], run, work)
    assert "NOT RUN: armhf: no qemu" in capsys.readouterr().err
    assert not arches.report([good._replace(faults=["op/a: missing"])], run, work)
    wrong = run._replace(cases=[run.cases[0]._replace(result="WRONG valid")])
    assert not arches.report([], wrong, work)
    json.dumps(arches.as_json([good, arches.Outcome("armhf", missing="no qemu")], run, work))


def test_a_missing_decoder_is_said(arches, tmp_path):
    with pytest.raises(arches.MissingError, match="there is no"):
        arches.prepare(tmp_path, tmp_path, everything=False)


class Refusal(Exception):  # noqa: N818
    """As of a decoder."""

    clause = "table.bytes"


def observed(arches: Any, read_tables: Any, **more: Any) -> str:
    """The result of a vector of tables, by a decoder that only reads them."""
    decoder = SimpleNamespace(CodecError=Refusal, read_tables=read_tables)
    vector = {"id": "t", "class": "tables", "tables": "00", **more}
    return arches.reference_cases.Observer(decoder, ROOT / "conformance").case(vector)[0]


def test_results_are_held_against_the_vector(arches):
    table = SimpleNamespace(minimum=7, cdf=(0, 65535, 65536))
    right = {"minimum": [7], "cdf": [[0, 65535, 65536]]}
    assert observed(arches, lambda data: [table], expected=right) == "valid"
    assert observed(arches, lambda data: [], expected=right) == "WRONG valid"
    refused = {"error": "Refusal"}
    assert observed(arches, lambda data: [table], expected=refused) == "WRONG valid"

    def refuse(data: bytes) -> Any:
        raise Refusal

    assert observed(arches, refuse, expected=refused) == "Refusal table.bytes"
    assert observed(arches, refuse, expected=right) == "WRONG Refusal table.bytes"
    other = observed(arches, refuse, expected=refused, clause="table.order")
    assert other == "WRONG Refusal table.bytes"
    crash = observed(arches, lambda data: data[1], expected=refused)
    assert crash == "WRONG CRASH IndexError"


def test_arrays_are_hashed_in_little_endian(arches):
    got = arches.reference_cases.summary("s16", (2,), [1, -2])
    assert got["sha256"] == hashlib.sha256(b"\1\0\xfe\xff").hexdigest()
    assert arches.reference_cases.without_values({"a": {"values": [1], **got}}) == {"a": got}


def test_what_runs_there_needs_the_standard_library_only(arches):
    """-I and -S: no folder of this machine's packages."""
    script = [sys.executable, "-I", "-S", arches.reference_cases.__file__, "--help"]
    assert subprocess.run(script, check=False, capture_output=True).returncode == 0
