"""Many at once: threads, processes that were forked or spawned, executors of asyncio, one cache."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from conftest import BIN, anonymous
from PIL import Image

from intnet import codec, model_file, pictures, pillow_limit, selftest, shipped
from intnet.model_file import Model

CROWD = 8
SECONDS = int(os.environ.get("INTNET_CROWD_SECONDS", "60"))  # of the slow test, for each way
STARTS = [start for start in ("fork", "spawn") if start in multiprocessing.get_all_start_methods()]


class Task(NamedTuple):
    """What is encoded and decoded; model: a path."""

    model: str
    height: int
    width: int
    channels: int
    quality: int
    tile: int


@functools.cache
def loaded(path: str) -> Model:
    return model_file.load(Path(path))


def round_trip(task: Task) -> str:
    """One hash of stream and samples."""
    rng = np.random.default_rng(task.height * task.width)
    cells = rng.integers(0, 256, (-(-task.height // 9), -(-task.width // 9), task.channels))
    x = np.kron(cells, np.ones((9, 9, 1)))[: task.height, : task.width].astype(np.uint8)
    model = loaded(task.model)
    stream = codec.encode(x, model, task.quality, tile=task.tile, verify=True)
    pixels = codec.decode(stream, [model]).pixels
    np.testing.assert_array_equal(pixels[..., 3:], x[..., 3:])
    return hashlib.sha256(stream + pixels.tobytes()).hexdigest()


@pytest.fixture(scope="module")
def tasks(tiny_path: Path, other_path: Path, default_model: Model) -> list[Task]:
    """Of three models, unlike sizes, with tiles and without."""
    paths = [str(path) for path in (tiny_path, other_path, shipped.path_of())]
    sizes = [(1, 1, 1), (70, 90, 3), (130, 65, 4), (200, 300, 3)]
    return [
        Task(paths[(i + j) % 3], *size, quality=7 * i + j, tile=64 * (j % 2))
        for i, size in enumerate(sizes)
        for j in range(4)
    ]


@pytest.fixture(scope="module")
def wanted(tasks: list[Task]) -> list[str]:
    """What one thread alone makes of them; kernels have run in this process from here on."""
    return [round_trip(task) for task in tasks]


def test_threads(tasks: list[Task], wanted: list[str]) -> None:
    """Eight encode and decode at once, each beginning elsewhere."""
    barrier = threading.Barrier(CROWD)

    def some(first: int) -> list[str]:
        barrier.wait()
        order = [(first * 3 + i) % len(tasks) for i in range(len(tasks))]
        found = {i: round_trip(tasks[i]) for i in order}
        return [found[i] for i in range(len(tasks))]

    with ThreadPoolExecutor(CROWD) as pool:
        assert list(pool.map(some, range(CROWD))) == [wanted] * CROWD


@pytest.mark.parametrize("start", STARTS)
def test_processes(tasks: list[Task], wanted: list[str], start: str) -> None:
    """After kernels, and their threads, have run in the parent."""
    count = CROWD if start == "fork" else 3  # each imports and loads everything
    with multiprocessing.get_context(start).Pool(count) as pool:
        assert pool.map_async(round_trip, tasks, chunksize=1).get(300) == wanted


@pytest.mark.skipif("fork" not in STARTS, reason="this system cannot fork")
def test_forked_while_threads_are_busy(tasks: list[Task], wanted: list[str]) -> None:
    """A child has none of them, and waits for none."""
    stop = threading.Event()

    def busy() -> None:
        while not stop.is_set():
            round_trip(tasks[-1])

    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(busy) for _ in range(2)]
        try:
            with multiprocessing.get_context("fork").Pool(2) as processes:
                assert processes.map_async(round_trip, tasks[:6]).get(300) == wanted[:6]
        finally:
            stop.set()
        for each in running:
            each.result()


def limit_of_pillow() -> int | None:
    return Image.MAX_IMAGE_PIXELS


@pytest.mark.skipif("fork" not in STARTS, reason="this system cannot fork")
def test_a_fork_does_not_inherit_a_lifted_limit() -> None:
    """Nor a lock that some thread held."""
    limit = limit_of_pillow()
    with pillow_limit.lifted():
        pool = multiprocessing.get_context("fork").Pool(1)
        with pillow_limit._Lifted.lock, pool:
            assert pool.apply_async(limit_of_pillow).get(60) == limit
        with pillow_limit._Lifted.lock:
            late = multiprocessing.get_context("fork").Pool(1)
        with late:
            sample = str(selftest.sample_path())
            assert late.apply_async(pictures.read, (sample,)).get(60).shape == (384, 512, 3)


def executors() -> Iterator[tuple[str, Executor]]:
    yield "threads", ThreadPoolExecutor(CROWD)
    for start in STARTS:
        context = multiprocessing.get_context(start)
        yield start, ProcessPoolExecutor(2, mp_context=context)


@pytest.mark.parametrize("name", ["threads", *STARTS])
def test_asyncio(tasks: list[Task], wanted: list[str], name: str) -> None:
    """run_in_executor, with every kind."""
    executor = dict(executors())[name]

    async def all_of_them() -> list[str]:
        loop = asyncio.get_running_loop()
        return list(
            await asyncio.gather(*(loop.run_in_executor(executor, round_trip, t) for t in tasks))
        )

    with executor:
        assert asyncio.run(all_of_them()) == wanted


def go_on(tasks: list[Task], wanted: list[str], first: int, seconds: float) -> list[int]:
    """Round trips until the time is up; memory of this process, now and then."""
    until, memory = time.monotonic() + seconds, list[int]()
    while time.monotonic() < until:
        number = (first + len(memory)) % len(tasks)
        assert round_trip(tasks[number]) == wanted[number]
        memory.append(anonymous("self"))
    return memory


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize("name", ["threads", *STARTS])
def test_a_crowd_goes_on(tasks: list[Task], wanted: list[str], name: str) -> None:
    """All hashes right, and no memory that grows after the first fifth of the time.

    Medians of the second fifth and of the last: what one picture takes more than another is noise.
    """
    kinds = {"threads": ThreadPoolExecutor(CROWD)} | {
        start: ProcessPoolExecutor(CROWD, mp_context=multiprocessing.get_context(start))
        for start in STARTS
    }
    with kinds[name] as pool:
        running = [pool.submit(go_on, tasks, wanted, 2 * i, SECONDS) for i in range(CROWD)]
        for each in running:
            memory = each.result()
            fifth = len(memory) // 5
            assert fifth > 0
            growth = np.median(memory[-fifth:]) / np.median(memory[fifth : 2 * fifth])
            figures = f"{len(memory)} round trips, {max(memory) >> 20} MiB, growth {growth:.3f}"
            sys.stdout.write(f"{name}: {figures}\n")  # to be seen with -s
            assert growth < 1.03


@pytest.mark.slow
def test_two_processes_fill_one_cache(tmp_path: Path) -> None:
    """Both compile every kernel into a new folder at the same time, and give what is right."""
    sample = selftest.sample_path()
    want = codec.encode(pictures.read(sample), shipped.load(), 32, verify=True)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    for attempt in range(2):  # the second finds what the first compiled
        names = [tmp_path / f"{attempt}-{i}.inic" for i in range(2)]
        processes = [
            subprocess.Popen(
                [BIN / "intnet", "encode", sample, "-o", name, "--verify"],
                env=environment, stderr=subprocess.PIPE,
            )
            for name in names
        ]  # fmt: skip
        for process in processes:
            _, errors = process.communicate(timeout=600)
            assert process.returncode == 0, errors.decode()
        assert [name.read_bytes() for name in names] == [want, want]
        assert list((tmp_path / "cache").rglob("*.nbi"))
