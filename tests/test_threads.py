"""Rows shared out among threads: each once, whoever comes late or fails."""

from __future__ import annotations

import threading

import pytest

from intnet.backends import threads


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("rows", [1, 2, 7, 64])
def test_every_row_is_computed_once(monkeypatch: pytest.MonkeyPatch, count: int, rows: int) -> None:
    """At works from nothing to many chunks for each thread."""
    monkeypatch.setenv("INTNET_THREADS", str(count))
    for work in (0, threads.GRAIN * 2, threads.CHUNK * 3, threads.CHUNK * 1000):
        done: list[int] = []
        threads.spread(lambda begin, end, to: to.extend(range(begin, end)), rows, work, done)
        assert sorted(done) == list(range(rows)), work


def test_a_caller_waits_for_no_thread_that_has_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """All threads of the pool are busy with something else: the caller computes everything."""
    monkeypatch.setenv("INTNET_THREADS", "2")
    free = threading.Event()
    busy = threads.pool(1).submit(free.wait, 60)
    try:
        done: list[int] = []
        threads.spread(lambda begin, end: done.extend(range(begin, end)), 9, threads.CHUNK * 99)
        assert sorted(done) == list(range(9))
        assert not busy.done()
    finally:
        free.set()


def test_what_a_kernel_raises_reaches_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """From its own thread or another; an IndexError is not taken for the end of the chunks."""
    monkeypatch.setenv("INTNET_THREADS", "2")

    def kernel(begin: int, end: int) -> None:
        raise IndexError(f"rows {begin}..{end}")

    with pytest.raises(IndexError, match="rows"):
        threads.spread(kernel, 64, threads.CHUNK * 99)
