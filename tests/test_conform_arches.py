"""What judges `tools/conform_arches.py` and `tools/conform_here.py`; no emulation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from typing import Any

import pytest
from conftest import ROOT

VECTORS = ROOT / "conformance" / "vectors" / "v1"
FACTS = {"machine": "s390x", "byteorder": "big", "maxsize": 2**63 - 1, "python": "3.11.2",
         "numpy": "1.24.2"}  # fmt: skip
PRINTED = f"{json.dumps(FACTS)}\nop/a\tpass\t0.001\ninvalid/b\tAssertionError: error\t0.002\n"
SHORT = ["tables/smallest", "coder/nothing", "model/minimal"]


@pytest.fixture(scope="module")
def tools() -> Any:
    """The first tool; the modules that judge are among its names."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tools"))
        import conform_arches  # noqa: PLC0415

        return conform_arches


@pytest.fixture(scope="module")
def here() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tools"))
        import conform_here  # noqa: PLC0415

        return conform_here


@pytest.fixture
def run(here: Any) -> Any:
    """One vector right, one wrong."""
    return sys.modules["emulation.lines"].parse(PRINTED, 2.5)


def architecture(tools: Any, name: str) -> Any:
    return next(a for a in tools.pythons.ARCHITECTURES if a.name == name)


def test_lines_are_read_as_they_are_written(run, capsys):
    lines = sys.modules["emulation.lines"]
    assert run.facts == FACTS
    assert run.passed == 1

    def crash() -> str:
        raise AssertionError("error")

    lines.write(FACTS, [("op/a", str), ("invalid/b", crash), ("c", lambda: "two\n\tlines")])
    again = lines.parse(capsys.readouterr().out, 2.5)
    assert again.cases == run.cases | {"c": "two lines"}


@pytest.mark.parametrize("text", ["", json.dumps(FACTS), f"{json.dumps(FACTS)}\nop/a\tpass\n"])
def test_output_without_cases_is_refused(here, text):
    with pytest.raises(ValueError, match="no cases"):
        sys.modules["emulation.lines"].parse(text, 1.0)


def test_a_case_that_came_twice_is_refused(here):
    with pytest.raises(ValueError, match="1 cases came twice"):
        sys.modules["emulation.lines"].parse(PRINTED + "op/a\tpass\t0.1\n", 1.0)


def test_wrong_missing_and_unasked_vectors_are_faults(tools, run):
    assert tools.faults_of(run, list(run.cases), "d") == ["d: invalid/b: AssertionError: error"]
    (missing,) = tools.faults_of(run, [*run.cases, "c"], "d")[1:]
    assert missing == "d: c: missing"
    assert tools.faults_of(run, ["invalid/b"], "d")[1:] == ["d: op/a: unasked"]


def test_the_processor_is_checked(tools):
    assert tools.is_architecture(architecture(tools, "s390x"), FACTS) == []
    assert len(tools.is_architecture(architecture(tools, "armhf"), FACTS)) == 3


def test_a_control_must_be_seen_and_whole(tools, run):
    assert tools.controls.judge("ties", run, list(run.cases)) == (
        "ties: 1 of 2 vectors differ", []
    )  # fmt: skip
    unseen = run._replace(cases={"op/a": "pass"})
    assert "went unseen" in tools.controls.judge("ties", unseen, ["op/a"])[1][0]
    assert "ran 2 vectors of 3" in tools.controls.judge("ties", run, [*run.cases, "c"])[1][0]


def test_faults_need_their_text(tools, tmp_path):
    for number, fault in enumerate(tools.controls.FAULTS):
        root = tools.controls.plant(fault, tmp_path / str(number))
        text = (root / fault.path).read_text(encoding="utf-8")
        assert fault.wrong in text and fault.right not in text
    with pytest.raises(tools.MissingError, match="no text 'never'"):
        tools.controls.plant(fault._replace(right="never"), tmp_path / "none")


def test_every_kind_of_processor_has_its_controls(tools):
    shown = {a.name: [f for f in tools.controls.FAULTS if f.shows_on(a)]
             for a in tools.pythons.ARCHITECTURES}  # fmt: skip
    assert {name: len(faults) for name, faults in shown.items()} == {
        "aarch64": 2, "s390x": 4, "i386": 3, "armhf": 3, "riscv64": 2, "ppc64el": 2,
    }  # fmt: skip
    assert {fault.decoder for fault in shown["ppc64el"]} == {"reference", "numpy"}


def test_slow_vectors_are_left_out_by_size_of_picture_array_or_model(tools):
    chosen = {d: tools.choice.ids(VECTORS, d) for d in ("reference", "numpy")}
    every = tools.choice.ids(VECTORS, "reference", slow=True)
    index = json.loads((VECTORS / "index.json").read_text("utf-8"))["classes"]
    assert every == [name for names in index.values() for name in names]
    left = set(every).difference(chosen["reference"])
    assert "stream/two-lanes" in left
    assert len(left) < len(every) / 10
    limit = tools.choice.Limit(100, 100, 10_000)
    quick = partial(tools.choice.quick, folder=VECTORS, limit=limit)
    assert quick({"expected": {"width": 10, "height": 10}, "a": [{"shape": [10, 10]}]})
    assert not quick({"expected": {"width": 10, "height": 11}})
    assert not quick({"expected": {}, "a": [{"shape": [10, 11]}]})
    assert quick({"expected": {}, "model": "model/minimal.inm"})
    assert not quick({"expected": {}, "model": "model/wide.inm"})


def test_a_sample_has_every_class(tools):
    index = json.loads((VECTORS / "index.json").read_text("utf-8"))["classes"]
    sample = tools.choice.ids(VECTORS, "reference", sample=50)
    assert len(sample) < 20
    assert all(set(ids).intersection(sample) for ids in index.values())
    assert tools.choice.ids(VECTORS, "numpy", kind="prior", sample=99) == index["prior"][:1]


def test_what_is_missing_or_wrong_fails_and_is_said(tools, run, capsys):
    ids = {"reference": ["op/a"], "numpy": ["op/a"]}
    good = tools.Outcome("s390x", {"reference": run, "numpy": run})
    missing = tools.Outcome("armhf", {}, missing="no qemu")
    assert tools.report([good])
    text = tools.table(tools.rows([good, missing], ids))
    assert text.splitlines()[2].split(" | ")[1:] == [
        "64  ", "big       ", "3.11.2", "1.24.2", "1 of 1           ", "1 of 1        |"
    ]  # fmt: skip
    assert "NOT RUN" in text
    assert not tools.report([good, missing])
    assert "NOT RUN: armhf: no qemu" in capsys.readouterr().err
    assert not tools.report([good._replace(faults=["op/a: missing"])])
    json.dumps(tools.as_json([good, missing], ids))


@pytest.mark.parametrize("decoder", ["reference", "numpy"])
def test_both_decoders_run_in_a_python_of_this_machine(tools, tmp_path, decoder):
    """And a planted fault is seen: the same calls as on other machines."""
    python = tools.Python([sys.executable], os.environ)
    made = tools.run(python, decoder, {decoder: SHORT}, tmp_path)
    assert made.cases == dict.fromkeys(SHORT, "pass")
    fault = next(f for f in tools.controls.FAULTS if f.decoder == decoder)
    planted = python._replace(root=tools.controls.plant(fault, tmp_path / "planted"))
    ids = tools.choice.ids(VECTORS, decoder, kind=fault.kind)
    made = tools.run(planted, decoder, {decoder: ids}, tmp_path)
    assert tools.controls.judge(fault.name, made, ids)[1] == []


def test_the_reference_decoder_needs_the_standard_library_only(tools, tmp_path):
    """-I and -S: no folder of this machine's packages."""
    made = tools.Python([sys.executable, "-S"], {}).reference(SHORT, tmp_path)
    assert made.cases == dict.fromkeys(SHORT, "pass")


def test_a_process_that_ends_badly_is_no_run(tools, tmp_path):
    with pytest.raises(ValueError, match=r"ended with 2: (.|\n)*invalid choice: 'other'"):
        tools.Python([sys.executable], os.environ).backend("other", SHORT, tmp_path)


def test_lowest_versions_are_those_of_the_project(here):
    lowest = here.requirements(lowest=True)
    assert {text.partition("==")[0] for text in lowest} == set(here.NEEDED)
    assert all(text.endswith(".*") for text in lowest)
    assert here.is_version("0.60.1", "0.60") and not here.is_version("0.6.0", "0.60")


def test_a_process_of_other_versions_or_settings_is_a_fault(here, run):
    """Facts that are not those asked for; a control that differs nowhere."""
    made = run._replace(facts=FACTS | {"simd": "avx2"}, cases={"op/a": "pass"})
    place = here.Place("p", here.Python([], {}), {"simd": "avx2", "numpy": "1.24"})
    assert here.judge(place, made, ["op/a"]) == []
    wrong = place._replace(must={"simd": "generic"})
    assert here.judge(wrong, made, ["op/a"]) == ["simd is avx2, must be generic"]
    assert here.judge(place, made, ["op/a", "op/b"]) == ["numba backend: op/b: missing"]
    assert "unseen" in here.judge(place._replace(plant=True), made, ["op/a"])[0]


def test_help_teaches():
    for name in ("conform_arches.py", "conform_here.py"):
        done = subprocess.run(
            [sys.executable, ROOT / "tools" / name, "--help"],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        assert f"python tools/{name}" in done.stdout
