"""Where tasks run: in this process, in others on this machine, or on a Dask cluster.

Each is a context that gives an executor of concurrent.futures. Left by an exception, it begins
nothing more.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING

import intnet
from intnet.errors import IntnetError

if TYPE_CHECKING:
    from distributed import Client

SECONDS = 60  # to wait for a scheduler, and for its first worker


@contextlib.contextmanager
def local(jobs: int) -> Iterator[Executor]:
    """So many processes, each with one thread for its kernels; 1: this one, with all threads."""
    if jobs > 1:
        with processes(jobs) as executor:
            yield executor
    else:
        with ending(ThreadPoolExecutor(1)) as executor:
            yield executor


@contextlib.contextmanager
def processes(jobs: int) -> Iterator[Executor]:
    """Apart from this one, so that what kills them does not kill it."""
    context = multiprocessing.get_context("spawn")  # a fork would copy threads that hold locks
    with ending(ProcessPoolExecutor(jobs, context, initializer=begin)) as executor:
        yield executor


@contextlib.contextmanager
def ending(executor: Executor) -> Iterator[Executor]:
    """What has begun is waited for, nothing else begins."""
    try:
        yield executor
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def begin() -> None:
    """In a new process: one thread unless the user says more; it ends with its parent alone."""
    os.environ.setdefault("INTNET_THREADS", "1")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal; the parent gets it too
    threading.Thread(target=end_with_parent, daemon=True).start()


def end_with_parent() -> None:
    """Killed, a parent says nothing to the processes that it began."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


@contextlib.contextmanager
def dask(address: str, source: Path) -> Iterator[Executor]:
    """The workers of a scheduler, which must have this version and see the folder source.

    Raises IntnetError, OSError where there is no scheduler.
    """
    try:
        from distributed import Client  # noqa: PLC0415  # an extra, and heavy
    except ImportError:
        raise IntnetError(
            "--scheduler needs dask.distributed: pip install 'intnet[dask]'"
        ) from None
    logging.disable()  # Dask logs a traceback for what is one line of ours
    try:
        with Client(address, timeout=SECONDS, set_as_default=False) as client:
            check_workers(client, address, source)
            yield client.get_executor(pure=False)  # closing the client cancels what has not ended
    finally:
        logging.disable(logging.NOTSET)


def check_workers(client: Client, address: str, source: Path) -> None:
    """Raise IntnetError for a cluster that could not do the work."""
    try:
        client.wait_for_workers(1, timeout=SECONDS)
    except TimeoutError:
        raise IntnetError(f"{address}: no worker within {SECONDS} s") from None
    try:
        found = client.run(state_of_worker, source)
    except ImportError as error:
        raise IntnetError(f"{address}: intnet is not installed on a worker ({error})") from None
    for worker, (version, sees) in found.items():
        if version != intnet.__version__:
            raise IntnetError(f"worker {worker}: intnet {version}, must be {intnet.__version__}")
        if not sees:
            raise IntnetError(f"worker {worker}: does not see {source}; folders must be shared")


def state_of_worker(source: Path) -> tuple[str, bool]:
    """Its version of intnet, and whether it sees the folder."""
    return intnet.__version__, source.is_dir()
