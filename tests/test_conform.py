"""Promises of the vectors and of both runners; each check is shown to fail."""

import ast
import importlib.util
import io
import json
import shutil
import sys
from collections import Counter
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from conform_parts import OURS, ROOT, VECTORS, edit, external
from spec_text import SPEC, clauses

import rangecoder
import rangecoder.layout
from intnet import backends, codec, container, latents, model_file, networks
from intnet.conform import running
from intnet.conform.__main__ import main
from intnet.conform.classes import CLASSES
from intnet.conform.folder import Setting
from intnet.program import KINDS

SAMPLE = "*pixel-crc-[gw]*"  # a valid and an invalid stream: few processes, both outcomes


def script(name):
    """A file of tools/ as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tools"))
        spec.loader.exec_module(module)
    return module


make_vectors = script("make_vectors")


@pytest.fixture
def folder(tmp_path):
    """A copy of the vectors to damage."""
    shutil.copytree(VECTORS, tmp_path / "v1")
    return tmp_path / "v1"


def failures(folder, backend="numpy"):
    """Id -> result of every case that does not pass."""
    cases = running.run(backend, folder)["cases"]
    return {case["id"]: case["result"] for case in cases if case["result"] != "pass"}


@pytest.mark.parametrize("backend", backends.MODULES)
def test_every_vector_passes(backend):
    """Both backends give every expected result, and every vector is counted."""
    report = running.run(backend)
    assert [case for case in report["cases"] if case["result"] != "pass"] == []
    index = json.loads((VECTORS / "index.json").read_text(encoding="utf-8"))
    assert report["passed"] == sum(map(len, index["classes"].values())) == len(report["cases"])
    assert report["failed"] == 0


def test_the_vectors_are_what_the_tool_makes(capsys):
    """Made anew, every file is the same to the byte."""
    assert make_vectors.main(["--check"]) == 0, capsys.readouterr().err


def test_the_vectors_cover_what_they_must():
    """A valid vector per op kind, sixty invalid ones and more, every class; small."""
    read = {path.stem: json.loads(path.read_text("utf-8")) for path in VECTORS.glob("*.json")}
    valid = [v for v in read["op"]["vectors"] if v["result"] == "valid"]
    assert {op["kind"] for v in valid for op in v["program"]["ops"]} == set(KINDS)
    assert set(read["index"]["classes"]) == set(CLASSES)
    everything = [v for name in CLASSES for v in read[name]["vectors"]]
    refused = Counter(v["class"] for v in everything if v["result"] == "invalid")
    assert refused["op"] >= 60 and refused["model"] >= 60 and refused["invalid_stream"] >= 40
    assert refused["tables"] >= 12 and refused["coder"] >= 12
    sizes = {path.name: path.stat().st_size for path in VECTORS.rglob("*") if path.is_file()}
    assert sizes.pop("photo.inm") < 4_000_000
    assert sizes.pop("chunk-too-large.inic") < 4_500_000  # zeros: the archive has 4 kB
    assert sum(sizes.values()) < 1_500_000
    assert all(v["comment"] for v in everything)
    assert all("invalid" in v["id"] for v in everything if v["result"] == "invalid")


def test_every_vector_names_a_clause():
    """One of SPEC.md's; runners name it where the vector fails."""
    known = set(clauses(SPEC.read_text(encoding="utf-8")))
    found = {}
    for name in CLASSES:
        document = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))
        found |= {v["id"]: v["clause"] for v in document["vectors"]}
    assert [name for name, clause in found.items() if clause not in known] == []
    assert len(set(found.values())) >= 60


@pytest.mark.parametrize("name, symbols", [("two-lanes", 2**16), ("one-lane-1.1", 63488)])
def test_lanes_are_as_many_as_they_say(name, symbols):
    """The payload of 65536 symbols is a length and two like lanes; read as one it is another."""
    model = model_file.load(VECTORS / "model" / "wide.inm")
    data = (VECTORS / "stream" / f"{name}.inic").read_bytes()
    header, ((_, y),) = stream = container.unpack(data)
    assert 64 * -(-header.height // 16) * -(-header.width // 16) == symbols
    pixels = codec.decode(data, [model], "numpy").pixels
    assert pixels.std() > 10
    older = container.pack(stream._replace(header=header._replace(minor=0)))
    same = np.array_equal(pixels, codec.decode(older, [model], "numpy").pixels)
    assert same == (name == "one-lane-1.1")
    if not same:
        first, _ = rangecoder.layout.read_length(y, 0, 0)
        assert len(y) // 3 < first < len(y) * 2 // 3


def test_the_streams_are_not_trivial():
    """Some symbols escape, most tables are used, and the decoded samples vary."""
    model = model_file.load(VECTORS / "model" / "tiny.inm")
    data = (VECTORS / "stream" / "quality-63.inic").read_bytes()
    header, ((z_payload, y_payload),) = container.unpack(data)
    size = header.height, header.width
    z = codec.decode_z([z_payload], model, header.grid, header.minor)
    mean, index = networks.prior(model, z, *size, "numpy")
    y_tables = model.y_tables
    tables = latents.table_indexes(index, model.scaling, header.quality, y_tables.n_tables).ravel()
    symbols = rangecoder.decode(y_payload, tables, y_tables)
    escaped = np.abs(symbols) > -y_tables.minimum[tables]
    assert 0 < escaped.sum() < escaped.size
    assert len(np.unique(tables)) > y_tables.n_tables // 2
    assert len(np.unique(codec.decode(data, [model], "numpy").pixels)) > 100
    assert mean.std() > 10


@pytest.mark.slow
def test_streams_decode_alike_by_definition(monkeypatch):
    """Networks executed by `tools/vectors/definition.py` give every expected picture."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tools"))
        from vectors import definition  # noqa: PLC0415
    setting = Setting(VECTORS, "numpy")
    vectors = json.loads((VECTORS / "stream.json").read_text(encoding="utf-8"))["vectors"]

    class Whole:
        """In place of `execute.Stream`: these pictures are one strip."""

        def __init__(self, model, program, *_):
            self.program = model.programs[program]

        def push(self, inputs):
            return definition.run(self.program, inputs)

    monkeypatch.setattr(networks, "stream_of", Whole)
    assert [running.run_vector("stream", v, setting).result for v in vectors] == ["pass"] * len(
        vectors
    )


def flip(vector):
    """The lowest bit of a hash's last digit."""
    digest = vector["expected"]["sha256"]
    vector["expected"]["sha256"] = digest[:-1] + f"{int(digest[-1], 16) ^ 1:x}"


@pytest.mark.parametrize("kind", ["stream", "model"])
def test_a_flipped_bit_in_an_expected_hash_fails(folder, kind):
    """One case fails, and it is that one."""
    edit(folder / f"{kind}.json", lambda d: flip(d["vectors"][0]))
    first = json.loads((folder / f"{kind}.json").read_text("utf-8"))["vectors"][0]["id"]
    assert failures(folder) == {first: "fail"}


def test_a_changed_expected_value_fails(folder):
    """Each class of numbers is compared, not only hashes."""

    def change(document, name, *keys):
        found = next(v for v in document["vectors"] if v["id"] == name)["expected"]
        for key in keys[:-1]:
            found = found[key]
        found[keys[-1]] += 1

    edit(folder / "op.json", lambda d: change(d, "op/crop", "outputs", "out", "values", 0))
    edit(folder / "tables.json", lambda d: change(d, "tables/four", "minimum", 3))
    edit(folder / "coder.json", lambda d: change(d, "coder/certain", "symbols", "values", 0))
    edit(folder / "prior.json", lambda d: change(d, "prior/ends", "tables", "31", "shape", 0))
    edit(folder / "model.json", lambda d: change(d, "model/tiny", "bounds", 0, 4))
    found = failures(folder)
    assert found == dict.fromkeys(
        ["op/crop", "tables/four", "coder/certain", "prior/ends", "model/tiny"], "fail"
    )


def test_a_missing_and_an_extra_file_fail(folder):
    """The index is compared with the folder both ways, even where a case still passes."""
    (folder / "stream" / "1x1.inic").unlink()
    (folder / "stream" / "new.inic").write_bytes(b"")
    expected = {"stream/1x1.inic": "fail", "stream/new.inic": "fail", "stream/1x1": "error"}
    assert failures(folder) == expected


def test_a_missing_an_extra_and_a_double_vector_fail(folder):
    """So are the ids of every class."""

    def change(document):
        document["vectors"][0]["id"] = "tables/new"
        document["vectors"].append(document["vectors"][1])

    edit(folder / "tables.json", change)
    assert failures(folder) == dict.fromkeys(
        ["tables/smallest", "tables/new", "tables/four"], "fail"
    )


def test_no_vectors_fail(folder, tmp_path):
    """An empty index, an empty class, a class without a file, no index, no folder."""
    edit(folder / "tables.json", lambda d: d.update(vectors=[]))
    edit(folder / "index.json", lambda d: d["classes"].update(tables=[]))
    assert failures(folder) == {"tables.json": "fail"}
    (folder / "tables.json").unlink()
    assert failures(folder) == {"tables.json": "error"}
    edit(folder / "index.json", lambda d: d["classes"].clear())
    assert failures(folder)["index.json"] == "fail"
    (folder / "index.json").unlink()
    assert failures(folder) == {"index.json": "error"}
    with pytest.raises(FileNotFoundError, match="no folder"):
        running.run("numpy", tmp_path / "none")


def test_an_invalid_vector_expected_valid_fails(folder):
    """And the other way round; a wrong class of error fails too."""

    def change(document):
        first, second, third = document["vectors"][:3]
        first["expected"] = {"width": 1, "height": 1, "channels": 1, "sha256": "0" * 64}
        first["result"] = "valid"
        second["expected"]["error"] = "BoundError"
        third["result"] = "valid"  # contradicts its own expectation

    edit(folder / "invalid_stream.json", change)
    edit(folder / "stream.json", lambda d: d["vectors"][0].update(
        result="invalid", expected={"error": "StreamError"}))  # fmt: skip
    ids = [v["id"] for v in json.loads((VECTORS / "invalid_stream.json").read_text())["vectors"]]
    expected = dict(zip(ids[:3], ["fail", "fail", "error"], strict=True))
    assert failures(folder) == expected | {"stream/1x1": "fail"}


def test_a_vector_changed_on_disk_is_named_and_left(folder, capsys):
    """The tool refuses, names the id, writes nothing; it adds what is missing."""
    edit(folder / "coder.json", lambda d: d["vectors"][0].update(comment="another"))
    (folder / "stream" / "1x1.inic").unlink()
    before = make_vectors.read(folder)
    assert make_vectors.main(["--folder", str(folder)]) == 1
    assert "coder/nothing" in capsys.readouterr().err
    assert make_vectors.read(folder) == before
    shutil.copy(VECTORS / "coder.json", folder / "coder.json")
    assert make_vectors.main(["--folder", str(folder), "--check"]) == 1
    assert make_vectors.main(["--folder", str(folder)]) == 0
    assert make_vectors.read(folder) == make_vectors.read(VECTORS)


def test_the_external_runner_passes_our_decoder(tmp_path):
    """A few valid and invalid streams through a command line; cases in JUnit have no faults."""
    path = tmp_path / "report.xml"
    done = external(OURS, "--only", SAMPLE, "--json", "--jobs", "2", "--junit", str(path))
    report = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert report["failed"] == 0
    assert all(report["classes"][kind]["passed"] >= 1 for kind in ("stream", "invalid_stream"))
    cases = ET.parse(path).getroot().findall("*/testcase")
    assert len(cases) == report["passed"]
    assert [case.get("name") for case in cases if len(case)] == []


@pytest.mark.parametrize(
    "decoder, failing",
    [
        ("false", "stream"),  # rejects everything
        ("cat", "invalid_stream"),  # accepts everything
        (f"{sys.executable} -S -c 'import os; os.abort()'", "invalid_stream"),  # crashes
        ("/no/such/decoder", "invalid_stream"),
    ],
)
def test_the_external_runner_fails_bad_decoders(decoder, failing):
    """Exit code 1, and the class that shows it."""
    done = external(decoder, "--only", SAMPLE, "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert report["classes"][failing]["passed"] == 0
    assert report["classes"][failing]["failed"] > 0


def test_a_decoder_that_decodes_nothing_rejects_nothing():
    """`false` passes no choice of invalid streams: a valid one comes first."""
    done = external("false", "--only", "invalid/empty", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert report["classes"]["invalid_stream"]["passed"] == 1
    assert report["classes"]["probe"]["results"] == {"fail": 1}
    assert external(OURS, "--only", "invalid/empty").returncode == 0


@pytest.mark.parametrize(
    "code, result",
    [
        ("import os; os.abort()", "error"),
        ("import time; time.sleep(9)", "timeout"),
        ("pass", "fail"),
    ],
)
def test_the_external_runner_says_what_went_wrong(tmp_path, code, result):
    """In every form of the report; two decoders at a time judge alike."""
    command = f"{sys.executable} -S -c '{code}'"
    options = ("--only", SAMPLE, "--timeout", "0.5", "--jobs", "2")
    done = external(command, *options, "--json", "--junit", str(tmp_path / "report.xml"))
    assert done.returncode == 1
    report = json.loads(done.stdout)["classes"]
    root = ET.parse(tmp_path / "report.xml").getroot()
    suites = {suite.get("name"): suite for suite in root}
    for kind in ("stream", "invalid_stream"):
        group = report[kind]
        assert group["results"] == {result: len(group["cases"])}
        found = [case[0].get("type") for case in suites[kind]]
        assert found == [result] * len(group["cases"])
        assert suites[kind].get("failures" if result == "fail" else "errors") == str(len(found))


def test_a_failure_names_its_clause(folder, capsys):
    """The runners say which clause of SPEC.md is at stake."""
    edit(folder / "stream.json", lambda d: flip(d["vectors"][0]))
    vector = json.loads((folder / "stream.json").read_text("utf-8"))["vectors"][0]
    clause = vector["clause"]
    case = running.run_vector("stream", vector, Setting(folder, "numpy")).json()
    assert (case["id"], case["result"], case["clause"]) == ("stream/1x1", "fail", clause)
    done = external(OURS, "--only", "stream/1x1", "--vectors", str(folder))
    assert f"stream/1x1 [{clause}]: sha256" in done.stderr


def test_the_external_runner_fails_without_cases(folder):
    """Nothing chosen, a missing file, no folder."""
    for arguments in (("--only", "nothing"), ("--vectors", str(folder.parent))):
        assert external(OURS, *arguments).returncode == 1
    (folder / "stream" / "1x1.inic").unlink()
    done = external("false", "--only", "invalid/empty", "--vectors", str(folder))
    assert done.returncode == 1
    assert "stream/1x1.inic: missing" in done.stderr


def test_the_external_runner_compares_the_index_both_ways(folder):
    """A file that is not listed, an id that is not there, an index that is none."""
    line = ("--only", "invalid/empty", "--vectors", str(folder))
    assert external(OURS, *line).returncode == 0
    (folder / "stream" / "new.inic").write_bytes(b"")
    edit(folder / "index.json", lambda d: d["classes"]["stream"].pop())
    done = external(OURS, *line)
    assert done.returncode == 1
    assert "stream/new.inic: not listed" in done.stderr
    assert "stream.json: ids are not those listed" in done.stderr
    (folder / "index.json").write_text("{")
    done = external(OURS, *line)
    assert (done.returncode, "JSONDecodeError" in done.stderr) == (1, True)


def test_a_vector_without_a_clause_is_an_error(folder):
    """A failure would have nothing to name."""
    edit(folder / "tables.json", lambda d: d["vectors"][0].update(clause=""))
    assert failures(folder) == {"tables/smallest": "error"}


def test_the_decoder_command_says_one_line(monkeypatch, capsysbinary):
    """Samples on stdout; or exit code 1, one line on stderr and nothing on stdout."""
    model = ["decode", "--backend", "numpy", "--model", str(VECTORS / "model" / "tiny.inm")]
    results = []
    for path in ("stream/1x1.inic", "invalid/quality-64.inic"):
        stream = io.TextIOWrapper(io.BytesIO((VECTORS / path).read_bytes()))
        monkeypatch.setattr(sys, "stdin", stream)
        code = main(model)
        out, err = capsysbinary.readouterr()
        results.append((code, len(out), err.count(b"\n")))
    assert results == [(0, 3, 0), (1, 0, 1)]


def test_conformance_imports_neither_package():
    """The arrow of the tree: conformance/ stands alone."""
    for path in (ROOT / "conformance").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imports = [n for n in ast.walk(tree) if isinstance(n, ast.Import)]
        named = {alias.name for node in imports for alias in node.names}
        named |= {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        allowed = {*sys.stdlib_module_names, "reference_decoder"}  # which stands beside its check
        assert {name.partition(".")[0] for name in named} <= allowed
