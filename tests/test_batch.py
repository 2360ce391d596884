"""`intnet batch` on this machine: what is finished is skipped, what fails is listed."""

from __future__ import annotations

import csv
import doctest
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from cli_parts import call, only_json
from conftest import BIN
from PIL import Image

import intnet
from intnet import pictures
from intnet.batch import executors, folders, journal, plans, run, table
from intnet.distortion import psnr


def drawn(number, shape=(32, 48, 3)):
    """Samples that no other number has."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    waves = [np.sin(x / (3 + number)) + np.cos(y / (2 + c)) for c in range(shape[2])]
    return (127 + 50 * np.stack(waves, -1)).astype(np.uint8)


def files_of(folder):
    """Bytes by relative name, without the journal."""
    paths = [p for p in folder.rglob("*") if p.is_file() and p.name != journal.NAME]
    return {str(p.relative_to(folder)): p.read_bytes() for p in paths}


def records_of(path):
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder with five pictures, and what is passed over; the working directory holds it."""
    monkeypatch.chdir(tmp_path)
    folder = Path("photos")
    (folder / "below" / "it").mkdir(parents=True)
    for number, name in enumerate(["a.png", "B.PNG", "below/a.ppm", "below/it/c.d.png"]):
        pictures.write(folder / name, drawn(number))
    Image.fromarray(drawn(9)).save(folder / "below" / "photo.jpg")
    (folder / "notes.txt").write_text("none of ours")
    (folder / ".hidden.png").write_text("none of ours")
    os.mkfifo(folder / "pipe.png")
    return folder


@pytest.fixture
def encode(photos, tiny_path):
    """Calls `intnet batch encode photos streams`; the report."""

    def encoded(*options, code=0, model=tiny_path):
        line = ["batch", "encode", photos, "streams", "--model", model, "-j", 1, "--json"]
        result = call(*line, *options, code=code)
        return only_json(result) | {"lines": result.stderr.splitlines()}

    return encoded


def counts(report):
    return tuple(report[name] for name in ("made", "skipped", "failed"))


def test_streams_are_those_of_encode(encode, photos, tiny):
    report = encode("-q", 40)
    assert (*counts(report), report["passed_over"]) == (5, 0, 0, 1)
    assert report["lines"] == []  # no bar, which is for terminals
    made = files_of(Path("streams"))
    assert set(made) == {
        "a.inic", "B.inic", "below/a.inic", "below/it/c.d.inic", "below/photo.inic",
    }  # fmt: skip
    assert made["below/it/c.d.inic"] == intnet.encode(drawn(3), 40, tiny)
    assert report["output_bytes"] == sum(map(len, made.values()))


def test_pictures_are_those_of_decode(encode, tiny, tiny_path):
    encode("--strip", "--verify")
    result = call("batch", "decode", "streams", "decoded", "--model", tiny_path, "-j", 1)
    assert "5 files: 5 decoded, 0 finished before, 0 failed" in result.stderr
    streams, decoded = Path("streams"), Path("decoded")
    assert set(files_of(decoded)) == {name[:-4] + "png" for name in files_of(streams)}
    for name, stream in files_of(streams).items():
        pixels = pictures.read((decoded / name).with_suffix(".png"))
        assert (pixels == intnet.decode(stream, tiny)).all()


def test_what_is_finished_is_skipped(encode):
    encode()
    before = {path: path.stat().st_mtime_ns for path in Path("streams").rglob("*")}
    assert counts(encode("-q", 32)) == (0, 5, 0)  # which is the default
    assert before == {path: path.stat().st_mtime_ns for path in Path("streams").rglob("*")}


def test_what_is_damaged_or_missing_is_made_again(encode):
    encode()
    want = files_of(Path("streams"))
    damaged = Path("streams/a.inic")
    damaged.write_bytes(want["a.inic"][:-1] + bytes([want["a.inic"][-1] ^ 1]))
    Path("streams/below/a.inic").unlink()
    assert counts(encode()) == (2, 3, 0)
    assert files_of(Path("streams")) == want


def test_a_changed_input_is_encoded_again(encode, photos, tiny):
    encode()
    stamp = (photos / "a.png").stat()
    pictures.write(photos / "a.png", drawn(77))
    os.utime(photos / "a.png", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # content counts
    assert counts(encode()) == (1, 4, 0)
    assert files_of(Path("streams"))["a.inic"] == intnet.encode(drawn(77), 32, tiny)


@pytest.mark.parametrize(
    "setting", [("-q", 33), ("--max-bytes", 300), ("--target-bpp", 1.5), ("--verify",),
                ("--tile", 64), ("--strip",)],
)  # fmt: skip
def test_another_setting_makes_all_again(encode, setting):
    encode()
    assert counts(encode(*setting)) == (5, 0, 0)
    assert counts(encode(*setting)) == (0, 5, 0)


def test_another_model_makes_all_again(encode, other_path, other):
    encode()
    assert counts(encode(model=other_path)) == (5, 0, 0)
    assert files_of(Path("streams"))["a.inic"] == intnet.encode(drawn(0), 32, other)


def test_a_journal_that_was_cut(encode):
    """At any byte of its last line, which is then no record; the next line is one."""
    encode()
    path = Path("streams") / journal.NAME
    whole = path.read_bytes()
    last = len(whole.splitlines(keepends=True)[-1])
    for cut in (1, last // 2, last - 1):
        path.write_bytes(whole[:-cut])
        expected = (0, 5, 0) if cut == 1 else (1, 4, 0)  # a newline alone is missing
        assert counts(encode()) == expected
        assert counts(encode()) == (0, 5, 0)


def test_what_fails_is_listed_and_the_others_are_made(encode, photos):
    (photos / "empty.png").touch()
    (photos / "text.jpg").write_text("no picture")
    (photos / "gone.png").symlink_to("nowhere")
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(photos / "deep.png")
    report = encode(code=1)
    assert counts(report) == (5, 0, 4)
    causes = {failure["file"]: failure["cause"] for failure in report["failures"]}
    assert list(causes) == ["deep.png", "empty.png", "gone.png", "text.jpg"]
    for name, said in zip(
        causes, ("16", "empty file", "No such file", "not a picture"), strict=True
    ):
        assert said in causes[name]
        assert name not in causes[name]
    assert report["lines"] == [f"intnet: failed: {n}: {cause}" for n, cause in causes.items()]
    assert counts(encode(code=1)) == (0, 5, 4)


def test_a_setting_that_a_picture_cannot_meet(encode):
    report = encode("--max-bytes", 20, code=1)
    assert counts(report) == (0, 0, 5)
    assert "max_bytes: 20, quality 0 needs" in report["failures"][0]["cause"]
    assert list(files_of(Path("streams"))) == []


def test_what_is_wrong_for_all_is_one_line(encode, monkeypatch):
    monkeypatch.setenv("INTNET_THREADS", "many")
    (line,) = encode(code=1)["lines"]
    assert line.startswith("intnet: error: INTNET_THREADS is 'many'")


@pytest.mark.parametrize("name", ["a.jpg", "A.tif"])
def test_a_collision_is_refused_first(encode, photos, name):
    Image.fromarray(drawn(1)).save(photos / name)
    (line,) = encode(code=1)["lines"]
    assert "a.png" in line and name in line and "would both become" in line
    assert not Path("streams").exists()


def test_originals_are_not_replaced(photos, encode, tiny_path, tiny):
    """Decoded beside them; --overwrite says that it may be."""
    original = (photos / "a.png").read_bytes()
    streams = ["batch", "encode", photos, photos, "--model", tiny_path, "-j", 1]
    call(*streams)
    line = ["batch", "decode", photos, photos, "--model", tiny_path, "-j", 1, "--json"]
    report = only_json(call(*line, code=1))
    assert counts(report) == (3, 0, 2)  # a.png and c.d.png; B.PNG is another name
    assert "not of this batch; --overwrite replaces it" in report["failures"][0]["cause"]
    assert (photos / "a.png").read_bytes() == original
    assert counts(only_json(call(*line, "--overwrite"))) == (2, 3, 0)
    stream = (photos / "a.inic").read_bytes()
    assert (pictures.read(photos / "a.png") == intnet.decode(stream, tiny)).all()


def test_a_file_of_a_batch_that_was_killed_is_taken_over(encode):
    """Written, but not yet in the journal: its bytes are those that would be made."""
    encode()
    path = Path("streams") / journal.NAME
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-2]))
    assert counts(encode()) == (2, 3, 0)
    assert path.read_bytes() == b"".join(lines)


def test_refusals(photos, tiny_path):
    for line, because, code in [
        (("encode", "nowhere", "streams"), "nowhere: not a folder", 1),
        (("decode", photos, "decoded"), "no file with a suffix of .inic", 1),
        (("encode", photos, photos / "a.png"), "File exists", 1),
        (("encode", photos, "x", "-q", 3, "--max-bytes", 9), "exclude each other", 2),
        (("encode", photos, "x", "-j", 3, "--scheduler", "tcp://x:1"), "exclude each other", 2),
        (("encode", photos, "x", "--model", "none"), "no such shipped model", 1),
        (("eval", photos, "x.txt"), "must be one of .csv, .json", 2),
        (("eval", photos, "no/x.csv"), "No such folder", 1),
    ]:
        assert because in call("batch", *line, code=code).stderr


def test_rows_of_eval(photos, tiny, tiny_path):
    """A line for each picture and quality; CSV and JSON say the same; means are of the rows."""
    (photos / "empty.png").touch()
    pictures.write(photos / "large.png", drawn(5, (170, 180, 1)))
    options = ["-q", 40, "-q", 20, "--model", tiny_path, "-j", 1, "--json"]
    report = only_json(call("batch", "eval", photos, "rates.json", *options, code=1))
    rows = json.loads(Path("rates.json").read_text(encoding="utf-8"))
    assert len(Path("rates.json").read_text(encoding="utf-8").splitlines()) == 2 + len(rows) == 14
    assert [(row["file"], row["quality"]) for row in rows[2:4]] == [("a.png", 20), ("a.png", 40)]
    stream = intnet.encode(drawn(0), 20, tiny)
    assert rows[2] == {
        "file": "a.png", "width": 48, "height": 32, "channels": 3, "quality": 20,
        "bytes": len(stream), "bpp": round(len(stream) / 192, 6),
        "psnr": round(psnr(drawn(0), intnet.decode(stream, tiny)), 4), "ms_ssim": None,
    }  # fmt: skip
    assert [0 < row["ms_ssim"] < 1 for row in rows if row["file"] == "large.png"] == [True, True]
    assert report["qualities"] == table.means(rows)
    call("batch", "eval", photos, "rates.csv", *options, code=1)
    with Path("rates.csv").open(encoding="utf-8", newline="") as file:
        told = list(csv.DictReader(file))
    assert told == [{k: "" if v is None else str(v) for k, v in row.items()} for row in rows]


def test_eval_goes_on(photos, tiny_path):
    """Rows of unchanged pictures come from the journal; the table is written anew."""
    line = ["batch", "eval", photos, "rates.csv", "--model", tiny_path, "-j", 1, "--json"]
    assert counts(only_json(call(*line))) == (5, 0, 0)
    want = Path("rates.csv").read_bytes()
    Path("rates.csv").unlink()
    assert counts(only_json(call(*line))) == (0, 5, 0)
    assert Path("rates.csv").read_bytes() == want
    pictures.write(photos / "a.png", drawn(77))
    assert counts(only_json(call(*line))) == (1, 4, 0)
    assert counts(only_json(call(*line, "-q", 32, "-q", 40))) == (5, 0, 0)


@pytest.fixture
def many(tmp_path):
    """24 small pictures, between them one that takes a moment."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(24):
        pictures.write(folder / f"{number:02}.png", drawn(number))
    pictures.write(folder / "11-large.ppm", np.tile(drawn(3), (60, 60, 1)))
    return folder


def children(pid):
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text(encoding="ascii").split()]


def alive(pid):
    """Whether there is a process that is more than its exit code."""
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0]
            != "Z"
        )
    except FileNotFoundError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
@pytest.mark.parametrize(
    ("number", "jobs"), [(signal.SIGINT, 1), (signal.SIGKILL, 2)], ids=["interrupt", "kill"]
)
def test_a_client_that_is_stopped(number, jobs, many, tmp_path, tiny_path):
    """No process stays; the same command goes on; the end is that of an undisturbed run."""

    def line(target, jobs):
        return ["batch", "encode", many, target, "--model", tiny_path, "-j", jobs]

    call(*line(tmp_path / "serial", 1))
    target = tmp_path / "stopped"
    command = [str(BIN / "intnet"), *map(str, line(target, jobs))]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as client:
        while client.poll() is None and len(journal.read(target / journal.NAME)) < 11:
            time.sleep(0.002)
        begun = children(client.pid)
        client.send_signal(number)
        client.wait(60)
    assert client.returncode == (130 if number == signal.SIGINT else -number)
    until = time.monotonic() + 20
    while any(map(alive, begun)):
        assert time.monotonic() < until
        time.sleep(0.01)
    finished = len(journal.read(target / journal.NAME))
    assert 11 <= finished < 25
    report = only_json(call(*line(target, 1), "--json"))
    assert counts(report) == (25 - finished, finished, 0)
    assert files_of(target) == files_of(tmp_path / "serial")


def dies_first(folder, task):
    """For processes of its own: "0" kills its one while "1" is in the hands of another."""
    begun = folder / "begun"
    if task.key == "0":
        while not begun.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)
    if task.key == "1" and not begun.exists():
        begun.touch()
        time.sleep(60)  # the pool ends it with the other
    return plans.Outcome(task.key, plans.State.made)


def test_a_file_that_kills_its_process_fails_alone(tmp_path):
    """What was handed out at that moment is done again; the one that kills again is named."""
    tasks = [plans.Task(str(number), Path("x"), Path("y")) for number in range(8)]
    pool = partial(executors.local, 2)
    found = list(run.outcomes(partial(dies_first, tmp_path), tasks, pool, ahead=4))
    assert sorted(outcome.key for outcome in found) == [task.key for task in tasks]
    (failed,) = [outcome for outcome in found if outcome.state is plans.State.failed]
    assert (failed.key, failed.cause) == ("0", "the process that worked on it died")


def test_a_cluster_that_is_gone():
    """Its client cancels all futures: one error for the run, not one for each file."""
    future = Future()
    future.cancel()
    with pytest.raises(intnet.IntnetError, match="the scheduler is gone"):
        run.outcome_of(future, plans.Task("x", Path("x"), Path("y")))


def test_examples():
    for module in (folders, table):
        assert doctest.testmod(module).attempted > 0
        assert doctest.testmod(module).failed == 0
