"""Reports side by side: a fault planted in real code is found at its stage and operation."""

import json

import numpy as np
import pytest
from conform_parts import ROOT, VECTORS, code_copy, edit, intnet

from intnet import codec, model_file
from intnet.conform import comparing, tracing
from intnet.conform.folder import Setting
from intnet.errors import IntnetError

CHOSEN = "*/17x1"  # one stream
RUN = ("conform", "run", "--vectors", VECTORS, "--stages", "--json", "--only")
FAULTS = {
    ("synthesis", "ratio"): (  # a division that rounds down
        "backends/numpy_reference.py",
        "(2 * (a << op.left_shift) + b) // (2 * b)",
        "(a << op.left_shift) // b",
    ),
    ("prior", "root"): (  # a table read one entry too far
        "backends/numpy_reference.py",
        "op.table[x.astype(np.int64) - ",
        "op.table[(x.astype(np.int64) + 1) % 128 - ",
    ),
    ("y", "y_hat"): ("latents.py", "scaled = symbols.", "scaled = -symbols."),
    ("tables of quality 31", "tables"): ("latents.py", "tables - 1)", "tables - 1) ^ 1"),
    ("samples", "samples"): ("codec.py", "x_hat = x_hat[: self.l", "x_hat = 255 - x_hat[: self.l"),
}  # fmt: skip


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """Reports of this code: of each backend, of NumPy without stages, of other cases."""
    folder = tmp_path_factory.mktemp("reports")
    for name, line in {
        "numpy": (*RUN, CHOSEN), "numba": (*RUN, CHOSEN, "--backend", "numba"),
        "bare": (*(x for x in RUN if x != "--stages"), CHOSEN), "more": (*RUN, "stream/1[67]*"),
    }.items():  # fmt: skip
        (folder / f"{name}.json").write_text(intnet(ROOT, *line).stdout)
    return folder


def compared(*paths, code):
    """What `intnet conform compare` says as JSON."""
    done = intnet(ROOT, "conform", "compare", *paths, "--json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def test_equal_reports_are_equal(here):
    """Of the backends, of the same one; the table has a column a machine."""
    paths = [here / "numpy.json", here / "numba.json", here / "numpy.json"]
    assert compared(*paths, code=0)["differences"] == []
    done = intnet(ROOT, "conform", "compare", *paths)
    assert "0 differences" in done.stdout
    assert all(f" {name} " in done.stdout for name in "ABC")
    assert all(word in done.stdout for word in ("architecture", "kernels", "threads", "numba"))


@pytest.mark.parametrize("place", FAULTS)
def test_a_planted_difference_is_found_where_it_is(tmp_path, here, place):
    """Code that differs in one line, run as another process, against both backends."""
    code, (name, right, wrong) = code_copy(tmp_path), FAULTS[place]
    text = (code / "intnet" / name).read_text(encoding="utf-8")
    assert text.count(right) == 1
    (code / "intnet" / name).write_text(text.replace(right, wrong), encoding="utf-8")
    done = intnet(code, *RUN, CHOSEN)
    (tmp_path / "there.json").write_text(done.stdout)
    assert done.returncode == 1
    for other in ("numpy", "numba"):
        found = compared(tmp_path / "there.json", here / f"{other}.json", code=1)["differences"]
        assert [(d["id"], d["stage"], d["op"]) for d in found] == [("stream/17x1", *place)]
    done = intnet(ROOT, "conform", "compare", tmp_path / "there.json", here / "numpy.json")
    line = f"stream/17x1: first difference at stage {place[0]}, op {place[1]}: A "
    assert line in done.stdout
    assert ", B " in done.stdout


def test_reports_without_stages_say_so(tmp_path, here):
    """The digest alone shows that something differs."""
    (tmp_path / "b.json").write_bytes((here / "bare.json").read_bytes())
    edit(tmp_path / "b.json", lambda d: d["cases"][0].update(digest="0" * 64))
    assert compared(here / "bare.json", here / "numpy.json", code=0)["ok"]
    (found,) = compared(here / "bare.json", tmp_path / "b.json", code=1)["differences"]
    assert "run with --stages" in found["text"]
    (found,) = compared(here / "numpy.json", tmp_path / "b.json", code=1)["differences"]
    assert "run with --stages" in found["text"]


@pytest.mark.parametrize("result", ["error", "not-supported"])
def test_a_case_without_an_answer_differs(tmp_path, here, result):
    """One machine decodes, the other cannot."""
    (tmp_path / "b.json").write_bytes((here / "numpy.json").read_bytes())
    edit(tmp_path / "b.json", lambda d: d["cases"][0].update(digest="", result=result))
    (found,) = compared(here / "numpy.json", tmp_path / "b.json", code=1)["differences"]
    assert result in found["text"] and " pass, B " in found["text"]


def test_reports_of_other_vectors_differ(tmp_path, here):
    """Cases that only one has are named; so is another folder with the same ids."""
    found = compared(here / "numpy.json", here / "more.json", code=1)["differences"]
    assert [d["id"] for d in found] == ["stream/16x16"]
    assert found[0]["text"].startswith("only in B ")
    (tmp_path / "b.json").write_bytes((here / "numpy.json").read_bytes())
    edit(tmp_path / "b.json", lambda d: d.update(vectors="0" * 64))
    (found,) = compared(here / "numpy.json", tmp_path / "b.json", code=1)["differences"]
    assert found["id"] == "vectors"


def broken(document, key):
    """A report without something."""
    del document[key]


@pytest.mark.parametrize("key", ["machine", "cases", "vectors", "backend", "passed"])
def test_what_is_no_report_is_refused(tmp_path, here, key):
    """One line that names the file."""
    path = tmp_path / "b.json"
    path.write_bytes((here / "numpy.json").read_bytes())
    edit(path, lambda d: broken(d, key))
    texts = [path.read_text(), "", "[]", '{"cases": [1]}', '{"cases": [{"id": "a", "class": "b"}]}']
    for text in texts if key == "machine" else texts[:1]:
        path.write_text(text)
        done = intnet(ROOT, "conform", "compare", here / "numpy.json", path)
        (line,) = done.stderr.splitlines()
        assert (done.returncode, str(path) in line) == (1, True)
    assert intnet(ROOT, "conform", "compare", path).returncode == 2
    assert intnet(ROOT, "conform", "compare", path, tmp_path / "none").returncode == 1


def test_the_last_traced_tensor_is_what_is_decoded():
    """Whole tensors, run again, end in the samples that strips gave; no backend leaves a gap."""
    model = model_file.load(VECTORS / "model" / "tiny.inm")
    vector = {"model": "model/tiny.inm", "stream": "stream/67x45.inic"}
    pixels = codec.decode((VECTORS / vector["stream"]).read_bytes(), [model], "numpy").pixels
    for backend in ("numpy", "numba"):
        trace = tracing.Trace(backend)
        outputs = tracing.of_stream(trace, vector, VECTORS)
        x_hat = outputs[model.programs["synthesis"].outputs[0]]
        np.testing.assert_array_equal(x_hat[:45, :67], pixels)
        assert trace.stages[-1].op == model.programs["synthesis"].outputs[0]
        assert {s.stage for s in trace.stages} >= {"z", "prior", "y", "synthesis"}


def test_invalid_vectors_have_no_stages():
    """And a digest of the refusal."""
    vector = {"id": "x", "class": "op", "clause": "x", "result": "invalid", "program": {},
              "expected": {"error": "ModelError"}}  # fmt: skip
    assert tracing.trace(vector, vector["expected"], Setting(VECTORS, "numpy")) == []


def test_twenty_six_reports_are_the_most(tmp_path):
    """They are named by letters."""
    with pytest.raises(IntnetError, match=r"27, must be 2\.\.26"):
        comparing.read_all([tmp_path / "a"] * 27)
