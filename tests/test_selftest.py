"""What `intnet selftest` says of an installation, and that each of its checks can fail."""

import json
import shutil

import pytest
from conform_parts import ROOT, VECTORS, edit, intnet
from typer.testing import CliRunner

from intnet import backends, cli, latents, selftest
from intnet.conform import folder as vectors

pytestmark = pytest.mark.usefixtures("default_model")
NAMES = ["proof", "range coder", "vectors, numpy", "vectors, numba", "backends", "pin", "hash"]


def said(*arguments, code=0):
    """The JSON of `intnet selftest`."""
    result = CliRunner().invoke(cli.app, ["selftest", "--json", *map(str, arguments)])
    assert result.exit_code == code, result.stdout + result.stderr
    return json.loads(result.stdout)


def failed(report):
    """Name -> detail of what is not as it must be."""
    return {check["name"]: check["detail"] for check in report["checks"] if not check["ok"]}


@pytest.fixture
def damaged(tmp_path, monkeypatch):
    """A copy of the vectors in place of those of this installation."""
    shutil.copytree(VECTORS, tmp_path / "v1")
    monkeypatch.setattr(vectors, "DEFAULT", tmp_path / "v1")
    return tmp_path / "v1"


def test_an_installation():
    """Another process: everything is named, and the hash is the pinned one."""
    done = intnet(ROOT, "selftest", "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["ok"], report["list"]) == (0, True, "quick")
    assert [check["name"] for check in report["checks"]] == NAMES
    assert report["sha256"] == json.loads(selftest.hash_path().read_text())["quick"]
    assert all(v["failed"] == v["not_supported"] == 0 for v in report["vectors"].values())
    assert {"architecture", "numba", "llvm", "kernels", "threads"} <= report["machine"].keys()


def test_the_full_list_is_every_vector():
    """Large ones too, which the other list leaves out, and another hash."""
    classes = json.loads((VECTORS / "index.json").read_text())["classes"]
    count = sum(map(len, classes.values()))
    report = said("--full")
    assert {v["passed"] for v in report["vectors"].values()} == {count}
    assert report["sha256"] == json.loads(selftest.hash_path().read_text())["full"]
    quick = [v for _, v in vectors.read(VECTORS)[0] if selftest.quick(v)]
    assert count / 2 < len(quick) < count
    assert {v["class"] for v in quick} == {v for v in classes if v not in ("stress", "real")}


def test_for_people():
    """Machine, versions, kernels, a line a check, the hash."""
    lines = CliRunner().invoke(cli.app, ["selftest"]).stdout.splitlines()
    heads = [line.partition(": ")[0] for line in lines]
    assert heads[:-1] == ["machine", "versions", "kernels", *(f"ok     {name}" for name in NAMES)]
    assert len(lines[-1].removeprefix("sha256 ")) == 64


def test_the_hash_knows_no_machine(tmp_path, monkeypatch):
    """Without the compiler it is the same; the missing backend fails unless it may be missing."""
    monkeypatch.setitem(backends.MODULES, "numba", "no_such_module")
    report = said(code=1)
    assert failed(report).keys() == {"numba"}
    assert report["sha256"] == json.loads(selftest.hash_path().read_text())["quick"]
    assert failed(said("--allow-not-supported")) == {}
    monkeypatch.setitem(backends.MODULES, "numpy", "no_such_module")
    assert failed(said("--allow-not-supported", code=1)).keys() == {"backends"}


def test_a_fault_in_a_backend_is_red(monkeypatch):
    """Vectors, photograph, pin and hash show it."""
    right = latents.dequantise
    monkeypatch.setattr(latents, "dequantise", lambda s, m, *more: right(-s, m, *more))
    report = said(code=1)
    assert failed(report).keys() == {"vectors, numpy", "backends", "pin", "hash"}
    assert "first arith/" in failed(report)["vectors, numpy"]
    assert report["vectors"]["numpy"]["failed"] > 10


def test_a_coder_that_drops_a_byte_is_red(monkeypatch):
    """The hash is of what the compiled coder gave, which is right."""
    monkeypatch.setattr("rangecoder.reference.encode", lambda *_: b"")
    assert failed(said(code=1)).keys() == {"range coder", "vectors, numpy", "hash"}


def test_damaged_vectors_are_red(damaged):
    """A wrong expectation is no other observation: the hash stays; a lost file, none at all."""
    edit(damaged / "stream.json", lambda d: d["vectors"][0]["expected"].update(sha256="0"))
    assert failed(said(code=1)).keys() == {"vectors, numpy", "vectors, numba"}
    (damaged / "op.json").unlink()
    assert failed(said(code=1)).keys() == {"vectors, numpy", "vectors, numba", "hash"}
    shutil.rmtree(damaged)
    result = CliRunner().invoke(cli.app, ["selftest"])
    assert (result.exit_code, "no folder" in result.stderr) == (1, True)


@pytest.mark.parametrize("name, check", [("pin_path", "pin"), ("hash_path", "hash")])
def test_pins_are_read(tmp_path, monkeypatch, name, check):
    """Another content, or none."""
    path = getattr(selftest, name)()
    changed = dict.fromkeys(json.loads(path.read_text()), "0")
    (tmp_path / "pin.json").write_text(json.dumps(changed))
    monkeypatch.setattr(selftest, name, lambda: tmp_path / "pin.json")
    assert "changed" in failed(said(code=1))[check]
    (tmp_path / "pin.json").unlink()
    assert "is missing" in failed(said(code=1))[check]


def test_another_model_has_no_pin(tiny_path):
    """But a hash."""
    report = said("--model", tiny_path)
    assert [check["name"] for check in report["checks"]] == NAMES[:-2]
    assert report["sha256"] not in json.loads(selftest.hash_path().read_text()).values()
