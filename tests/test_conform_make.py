"""Vectors for a model of one's own: both runners take them, and nothing half-made is left."""

import json
import shutil
import sys

import pytest
from conform_parts import ROOT, VECTORS, edit, external
from typer.testing import CliRunner

from intnet import cli, latents, pictures
from intnet.conform import making, running
from intnet.errors import IntnetError

MODEL = VECTORS / "model" / "tiny.inm"
REFERENCE = f"{sys.executable} {ROOT}/conformance/reference_decoder.py --model {{model}}"


@pytest.fixture(scope="module")
def work(tmp_path_factory, picture):
    """Two pictures, and vectors made of them by the command."""
    folder = tmp_path_factory.mktemp("work")
    pictures.write(folder / "photo.png", picture[:40, :24])
    pictures.write(folder / "grey.pgm", picture[:17, :9, :1])
    names = [str(folder / name) for name in ("photo.png", "grey.pgm")]
    line = ["conform", "make", str(MODEL), *names, "-o", str(folder / "v"), "-q", "50", "-q", "9"]
    result = CliRunner().invoke(cli.app, [*line, "--json"])
    assert result.exit_code == 0, result.stderr
    counts = {"model": 1, "prior": 3, "stream": 4, "invalid_stream": 11}
    assert json.loads(result.stdout)["vectors"] == counts
    return folder, line


@pytest.fixture
def made(work, tmp_path):
    """A copy of them to damage, and the command that makes them."""
    shutil.copytree(work[0], tmp_path / "work")
    return tmp_path / "work", [x.replace(str(work[0]), str(tmp_path / "work")) for x in work[1]]


def wanted(folder):
    """What the command makes them of."""
    names = [folder / "photo.png", folder / "grey.pgm"]
    return making.read(MODEL, names, (50, 9))


def refused(line, because):
    """One line that names the cause."""
    result = CliRunner().invoke(cli.app, line)
    assert result.exit_code == 1
    assert because in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_both_backends_pass_them(made, backend):
    """Every one is run; a flipped expectation, in each class, fails."""
    report = running.run(backend, made[0] / "v")
    assert (report["passed"], report["failed"], report["not_supported"]) == (19, 0, 0)
    changes = {
        "model": {"sha256": "0"}, "prior": {"mean": {}}, "stream": {"sha256": "0"},
        "invalid_stream": {"error": "BoundError"},
    }  # fmt: skip
    for kind, change in changes.items():
        path = made[0] / "v" / f"{kind}.json"
        edit(path, lambda d, change=change: d["vectors"][0]["expected"].update(change))
    assert running.run(backend, made[0] / "v")["failed"] == 4


def test_a_decoder_written_from_the_text_passes_them(work):
    """Nothing in them is ours alone; each fault is a fault."""
    done = external(REFERENCE, "--vectors", str(work[0] / "v"), "--json", "--jobs", "2")
    report = json.loads(done.stdout)
    assert (done.returncode, report["passed"], report["failed"]) == (0, 15, 0), done.stderr


def test_a_folder_of_the_same_content_stays(made):
    """Made anew, it is the same to the byte; another one is refused and left."""
    folder, line = made
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert CliRunner().invoke(cli.app, line).exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    for change in (
        lambda: (folder / "v" / "mine.txt").write_text("kept"),
        lambda: (folder / "v" / "model.json").write_text("{}"),
        lambda: shutil.rmtree(folder / "v") or (folder / "v").mkdir(),
        lambda: (folder / "v").rmdir() or (folder / "v").write_text("a file"),
    ):
        change()
        before = sorted(folder.rglob("*"))
        refused(line, "exists with other content")
        assert sorted(folder.rglob("*")) == before


def test_backends_that_differ_write_nothing(made, monkeypatch):
    """One of them has a fault, and the vector where it shows is named."""
    folder, line = made
    shutil.rmtree(folder / "v")
    right = latents.dequantise
    monkeypatch.setattr(latents, "dequantise", lambda s, m, *more: right(-s, m, *more))
    refused(line, "vector stream/photo-q9, backend numba: ")
    assert sorted(path.name for path in folder.iterdir()) == ["grey.pgm", "photo.png"]


def test_an_interrupt_leaves_nothing(made, monkeypatch):
    """Whenever it comes."""
    folder, line = made
    shutil.rmtree(folder / "v")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(making, "check", interrupted)
    assert CliRunner().invoke(cli.app, line).exit_code == 130
    assert sorted(path.name for path in folder.iterdir()) == ["grey.pgm", "photo.png"]


def test_a_fault_that_is_none_is_found(made, monkeypatch):
    """An "invalid" stream that decodes is not written as one."""
    monkeypatch.setattr(making, "faults", lambda good: {
        "nothing": ("stream.layout", "No fault.", good, "StreamError")
    })  # fmt: skip
    with pytest.raises(IntnetError, match=r"invalid/nothing, backend numpy: fail"):
        making.make(wanted(made[0]), made[0] / "other")
    assert not (made[0] / "other").exists()


def test_what_cannot_be_made_is_refused(made):
    """Files that are missing or no models, two pictures of one name, no such quality."""
    folder, line = made
    shutil.copy(folder / "photo.png", folder / "grey.png")
    other = [x.replace("/v", "/new") for x in line]
    refused([*other[:3], str(folder / "grey.png"), *other[3:]], "2 are called 'grey'")
    refused([*other[:2], other[3], *other[3:]], "photo.png: ")
    refused([*other[:3], str(folder / "none.png"), *other[5:]], "none.png")
    refused([x.replace("/new", "/no/such/new") for x in other], "no/such")
    assert CliRunner().invoke(cli.app, [*other, "-q", "64"]).exit_code == 2
    assert not (folder / "new").exists()
