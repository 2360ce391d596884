"""What is not supported is counted apart, shown, and never passed; choices, processes, JUnit."""

import json
import shutil
import sys
from xml.etree import ElementTree as ET

import pytest
from conform_parts import OURS, ROOT, VECTORS, code_copy, edit, external, intnet

PAIR = "*pixel-crc-[gw]*"  # a valid and an invalid stream
QUICK = "op/[ps]*"  # a few
SOME_MODELS = """
import sys
from intnet.conform.__main__ import main
if "minimal" in sys.argv[1]:
    sys.exit(69)
sys.exit(main(["decode", "--backend", "numpy", "--model", sys.argv[1]]))
"""
REFUSES_BY_69 = """
import sys
from intnet.conform.__main__ import main
code = main(["decode", "--backend", "numpy", "--model", sys.argv[1]])
sys.exit(69 if code else 0)
"""


def script(tmp_path, text):
    """A decoder's command line."""
    (tmp_path / "decoder.py").write_text(text, encoding="utf-8")
    return f"{sys.executable} {tmp_path}/decoder.py {{model}}"


@pytest.fixture
def future(tmp_path):
    """The vectors and one of a class that this version does not know."""
    shutil.copytree(VECTORS, tmp_path / "v1")
    vector = {"id": "future/one", "class": "future", "clause": "x", "result": "valid",
              "expected": {}}  # fmt: skip
    (tmp_path / "v1" / "future.json").write_text(json.dumps({"vectors": [vector]}))
    edit(tmp_path / "v1" / "index.json", lambda d: d["classes"].update(future=["future/one"]))
    edit(tmp_path / "v1" / "index.json", lambda d: d["files"].append("future.json"))
    return tmp_path / "v1"


def results(done, kind):
    """Result of every case of a class, by the runner's JSON."""
    return [case["result"] for case in json.loads(done.stdout)["classes"][kind]["cases"]]


@pytest.mark.parametrize("allow", [[], ["--allow-not-supported"]])
def test_a_decoder_of_some_models(tmp_path, allow):
    """Cases of the other are counted apart and named; they fail the run unless allowed."""
    decoder, report = script(tmp_path, SOME_MODELS), tmp_path / "report.xml"
    done = external(decoder, "--only", "stream/1x1*", "--json", *allow)
    assert (done.returncode, results(done, "stream")) == (0, ["pass"] * 2)
    done = external(decoder, "--only", "stream/m*", "--json", *allow)
    assert (done.returncode, results(done, "stream")) == (1, ["not-supported"])
    done = external(decoder, "--only", "stream/[m6]*", "--json", "--junit", str(report), *allow)
    found = json.loads(done.stdout)
    assert done.returncode == (0 if allow else 1)
    assert (found["passed"], found["failed"], found["not_supported"]) == (2, 0, 1)
    assert "stream/minimal [decode.example]: not supported" in done.stderr
    tags = [one.tag for case in ET.parse(report).getroot().iter("testcase") for one in case]
    assert tags == ["skipped" if allow else "failure"]


def test_69_is_no_rejection(tmp_path):
    """An invalid stream that is answered with it does not pass."""
    done = external(script(tmp_path, REFUSES_BY_69), "--only", PAIR, "--json")
    assert done.returncode == 1
    assert results(done, "stream") == ["pass"]
    assert results(done, "invalid_stream") == ["not-supported"]


@pytest.mark.parametrize(
    "code, result", [("69", "not-supported"), ("1 if not sys.stdin.buffer.read() else 69", "pass")]
)
def test_a_decoder_that_supports_nothing_fails(code, result):
    """Whatever is allowed, and although it rejects what it should."""
    decoder = f"{sys.executable} -S -c 'import sys; sys.exit({code})'"
    done = external(decoder, "--only", "invalid/empty", "--json", "--allow-not-supported")
    assert done.returncode == 1
    assert results(done, "invalid_stream") == [result]
    assert "no valid stream is supported" in done.stderr


def test_an_unknown_class_is_not_supported(future):
    """In process: named, counted apart, a reason to fail unless allowed."""
    line = ("conform", "run", "--vectors", future, "--only", "[tf]*")
    done = intnet(ROOT, *line)
    assert done.returncode == 1
    assert "NOT SUPPORTED future/one [x]: class 'future' is not known" in done.stdout
    assert " 0 failed, 1 not supported" in done.stdout
    assert intnet(ROOT, *line, "--allow-not-supported").returncode == 0
    done = intnet(ROOT, *line[:-1], "future/*", "--allow-not-supported")
    assert (done.returncode, "nothing passed" in done.stderr) == (1, True)


def test_a_backend_without_its_compiler_is_not_supported():
    """Every case, so that the run fails; the reference backend runs."""
    line, block = ("conform", "run", "--only", QUICK, "--json", "--allow-not-supported"), "numba"
    done = intnet(ROOT, *line, "--backend", "numba", block=block)
    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert report["not_supported"] == len(report["cases"]) > 1
    assert "numba" in report["cases"][0]["detail"]
    assert report["cases"][0]["digest"] == ""
    done = intnet(ROOT, *line, block=block)
    assert (done.returncode, json.loads(done.stdout)["not_supported"]) == (0, 0)


def test_our_decoder_says_69_without_its_compiler():
    """And nothing on stdout."""
    code = "import sys; sys.modules['numba'] = None; from intnet.conform.__main__ import main; "
    code += "sys.exit(main(['decode', '--model', sys.argv[1]]))"
    done = external(f'{sys.executable} -c "{code}" {{model}}', "--only", "stream/1x1", "--json")
    assert results(done, "stream") == ["not-supported"]


def test_processes_find_what_one_finds(future):
    """Cases in the same order; a process that dies is an error, not silence."""
    line = ("conform", "run", "--vectors", future, "--only", QUICK, "--json", "--stages")
    one, two = (json.loads(intnet(ROOT, *line, "--jobs", n).stdout) for n in (1, 2))
    assert one == two
    assert len(one["cases"]) > 1


def test_a_process_that_dies_is_an_error(tmp_path):
    """The case that it took with it fails."""
    code = code_copy(tmp_path)
    path = code / "intnet" / "backends" / "reshape.py"
    text = path.read_text().replace(
        '    """Removed rows and columns."""', "    __import__('os').abort()"
    )
    path.write_text(text)
    line = ("conform", "run", "--vectors", VECTORS, "--only", "op/crop", "--json", "--jobs", 2)
    done = intnet(code, *line)
    assert done.returncode == 1
    assert [case["result"] for case in json.loads(done.stdout)["cases"]] == ["error"]


def test_choices_and_junit_in_process(tmp_path):
    """The same file as the runner of command lines writes; nothing chosen is a failure."""
    line = ("conform", "run", "--junit", tmp_path / "a.xml", "--only")
    assert intnet(ROOT, *line, QUICK).returncode == 0
    (suite,) = ET.parse(tmp_path / "a.xml").getroot()
    assert suite.get("name") == "op"
    assert (int(suite.get("tests")), suite.get("failures")) == (len(suite), "0")
    done = intnet(ROOT, *line, "nothing")
    assert (done.returncode, "no vector is chosen" in done.stdout) == (1, True)
    assert ET.parse(tmp_path / "a.xml").getroot()[0].get("failures") == "1"


def test_the_command_runs_other_decoders(tmp_path):
    """`--decoder` is conformance/run.py, with its exit code and its report."""
    line = ("conform", "run", "--only", PAIR, "--jobs", 2, "--json", "--decoder")
    done = intnet(ROOT, *line, OURS)
    assert json.loads(done.stdout) == json.loads(external(OURS, "--only", PAIR, "--json").stdout)
    assert done.returncode == 0
    assert intnet(ROOT, *line, "false").returncode == 1
    assert intnet(ROOT, *line, OURS, "--stages").returncode == 2
