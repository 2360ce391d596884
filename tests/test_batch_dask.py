"""`intnet batch --scheduler` on a real cluster of two worker processes, one of them killed."""

from __future__ import annotations

import os
import signal
import sys
import time
from functools import partial

import numpy as np
import pytest
from cli_parts import call, only_json
from test_batch import counts, drawn, files_of, records_of

from intnet import model_file, pictures
from intnet.batch import executors, folders, journal, plans, run

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs="CRITICAL"
    ) as found:
        yield found


class Killer:
    """Stops a worker once so many tasks have ended, and kills it while it holds others."""

    def __init__(self, cluster, client, after):
        self.nanny, self.client, self.after = cluster.workers[0], client, after
        self.ended, self.lost = 0, ()

    def see(self, _):
        """An outcome."""
        self.ended += 1
        if self.ended == self.after:
            os.kill(self.nanny.pid, signal.SIGSTOP)
        elif self.ended > self.after + 1 and not self.lost:
            self.lost = self.client.processing()[self.nanny.worker_address]
            if self.lost:
                os.kill(self.nanny.pid, signal.SIGKILL)


@pytest.mark.parametrize("count", [24, pytest.param(2000, marks=pytest.mark.slow)])
def test_a_worker_that_is_killed(cluster, count, tmp_path, tiny_path):
    """Half-way, with tasks in its hands: nothing lost, nothing doubled, the serial run's bytes."""
    photos, serial, target = (tmp_path / name for name in ("photos", "serial", "target"))
    photos.mkdir()
    for number in range(count):
        pictures.write(photos / f"{number:04}.png", drawn(number))
    begun = time.monotonic()
    call("batch", "encode", photos, serial, "--model", tiny_path, "-j", 1)
    between = time.monotonic()
    target.mkdir()
    names = folders.renamed(folders.find(photos, folders.PICTURES).names, ".inic")
    tasks = [plans.Task(str(n), photos / name, target / n) for name, n in names.items()]
    plan = plans.Encode(model_file.load(tiny_path).model_id.hex(), 32)
    means = plans.Means(str(tiny_path))
    pool = partial(executors.dask, cluster.scheduler_address, photos)
    with distributed.Client(cluster, set_as_default=False) as client:
        killer = Killer(cluster, client, count // 2 - 4)
        found = run.run(plan, means, tasks, pool, target / journal.NAME, killer.see)
    seconds = time.monotonic() - between
    assert killer.lost
    assert [outcome.state for outcome in found.values()] == [plans.State.made] * count
    assert files_of(target) == files_of(serial)
    records, alone = records_of(target / journal.NAME), records_of(serial / journal.NAME)
    assert sorted(record["file"] for record in records) == [task.key for task in tasks]
    assert sorted(records, key=str) == sorted(alone, key=str)
    line = f"{count} pictures: serial {between - begun:.1f} s, Dask {seconds:.1f} s, "
    sys.stdout.write(f"{line}{len(killer.lost)} tasks in hand of the killed worker\n")


@pytest.mark.slow
def test_a_worker_that_is_killed_over_zarr(cluster, tmp_path, default_model):
    """The same of the chunks of an array, some of them shards."""
    arrays = pytest.importorskip("intnet.batch.arrays")
    zarr = pytest.importorskip("zarr")
    scan, serial, target = (tmp_path / name for name in ("scan", "serial", "target"))
    count = 60
    group = zarr.create_group(scan)
    volume = np.stack([drawn(number, (64, 64, 1))[..., 0] for number in range(count)])
    for name, shards in (("plain", None), ("sharded", (1, 64, 64))):
        array = group.create_array(
            name, shape=volume.shape, chunks=(1, 32, 64), shards=shards, dtype="uint8"
        )
        array[:] = volume
    call("batch", "encode", scan, serial, "-j", 1)
    plan = arrays.EncodeStore(default_model.model_id.hex(), 32)
    store, _ = arrays.survey(plan, scan)
    names = [name for chunks in store.chunks.values() for name in chunks]
    tasks = [plans.Task(name, scan / name, target / name) for name in names]
    pool = partial(executors.dask, cluster.scheduler_address, scan)
    with distributed.Client(cluster, set_as_default=False) as client:
        killer = Killer(cluster, client, len(names) // 2)
        found = run.run(plan, plans.Means(), tasks, pool, tmp_path / "records", killer.see)
    assert killer.lost
    assert len(names) == 3 * count
    assert [outcome.state for outcome in found.values()] == [plans.State.made] * len(names)
    records, alone = (records_of(tmp_path / name) for name in ("records", f".serial{journal.NAME}"))
    assert sorted(record["file"] for record in records) == sorted(names)
    metadata = [record for record in alone if record["file"] not in names]
    assert sorted(records + metadata, key=str) == sorted(alone, key=str)
    made = {name: data for name, data in files_of(serial).items() if name in names}
    assert files_of(target) == made
    line = ["batch", "encode", scan, tmp_path / "there", "--json"]
    report = only_json(call(*line, "--scheduler", cluster.scheduler_address))
    assert counts(report) == (len(names), 0, 0)
    assert files_of(tmp_path / "there") == files_of(serial)


def test_command_line(cluster, tmp_path, tiny_path):
    """Encode, decode and evaluate there as here; then all is finished, wherever it is asked."""
    (tmp_path / "photos").mkdir()
    for number in range(3):
        pictures.write(tmp_path / "photos" / f"{number}.png", drawn(number))
    (tmp_path / "photos" / "empty.png").touch()
    ways = {"there": ["--scheduler", cluster.scheduler_address], "here": ["-j", 1]}
    reports = {}
    for place, way in ways.items():
        folder = tmp_path / place
        folder.mkdir()
        options = ["--model", tiny_path, "--json", *way]
        for verb, source, target, code in [
            ("encode", tmp_path / "photos", folder / "streams", 1),
            ("decode", folder / "streams", folder / "decoded", 0),
            ("eval", tmp_path / "photos", folder / "rates.csv", 1),
        ]:
            report = only_json(call("batch", verb, source, target, *options, code=code))
            assert counts(report) == (3, 0, code)
            reports[place, verb] = report | {"seconds": 0}
    for verb in ("encode", "decode", "eval"):
        assert reports["there", verb] == reports["here", verb]
    left, right = (files_of(tmp_path / place) for place in ways)
    assert {k: v for k, v in left.items() if "jsonl" not in k} == {
        k: v for k, v in right.items() if "jsonl" not in k
    }
    again = ["batch", "encode", tmp_path / "photos", tmp_path / "there" / "streams", "-j", 1]
    assert counts(only_json(call(*again, "--model", tiny_path, "--json", code=1))) == (0, 3, 1)


def test_no_scheduler(tmp_path, tiny_path, monkeypatch):
    monkeypatch.setattr(executors, "SECONDS", 1)
    pictures.write(tmp_path / "a.png", drawn(1))
    line = ["batch", "encode", tmp_path, tmp_path / "x", "--model", tiny_path]
    result = call(*line, "--scheduler", "tcp://127.0.0.1:9", code=1)
    assert "intnet: error: " in result.stderr and "127.0.0.1:9" in result.stderr


def test_workers_are_checked(cluster, tmp_path, monkeypatch):
    """Of another version, or without the folder: an error before anything is handed out."""
    monkeypatch.setattr("intnet.__version__", "9.9", raising=False)
    with (
        pytest.raises(executors.IntnetError, match=r"intnet .*, must be 9\.9"),
        executors.dask(cluster.scheduler_address, tmp_path),
    ):
        pass
    monkeypatch.undo()
    with (
        pytest.raises(executors.IntnetError, match="does not see"),
        executors.dask(cluster.scheduler_address, tmp_path / "elsewhere"),
    ):
        pass
