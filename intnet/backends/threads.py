"""Rows of a kernel, shared out among threads of our own.

Not numba's threads: its layers may abort the process when several Python threads enter them.
"""

from __future__ import annotations

import ctypes
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from intnet.errors import SettingError

GRAIN = 1 << 17  # multiply-accumulates that are worth waking a thread for: about 10 microseconds
CHUNK = 1 << 22  # those that are worth a call of a kernel from Python
SHARES = 4  # chunks for each thread: one that was woken late, or is slowed down, takes fewer


processors = cache(os.cpu_count)  # asks the kernel, which takes as long as a small convolution


def thread_count() -> int:
    """INTNET_THREADS, or every processor. Raises SettingError unless it is a whole number >= 1."""
    text = os.environ.get("INTNET_THREADS") or str(processors() or 1)
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:5]) <= 1024):
        raise SettingError(f"INTNET_THREADS is {text!r:.40}, must be an integer in 1..1024")
    return int(text)


@cache
def pool(threads: int) -> ThreadPoolExecutor:
    """One pool per thread count for the life of the process; threads start when first needed."""
    return ThreadPoolExecutor(threads, thread_name_prefix="intnet")


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(after_in_child=pool.cache_clear)  # a fork inherits no threads


def spread(kernel: Callable[..., None], rows: int, work: int, *args: Any) -> None:
    """kernel(begin, end, *args) over disjoint ranges that cover [0, rows).

    work: multiply-accumulates in all. The calling thread takes ranges too and waits for none that
    has not begun; a kernel never submits work itself, so callers in many threads cannot wait for
    one another in a circle.
    """
    threads = min(thread_count(), rows, work // GRAIN)
    if threads <= 1:
        kernel(0, rows, *args)
        return
    chunks = max(threads, min(rows, threads * SHARES, work // CHUNK))
    left = deque(range(chunks))

    def take() -> None:
        while True:
            try:
                chunk = left.popleft()
            except IndexError:
                return
            kernel(chunk * rows // chunks, (chunk + 1) * rows // chunks, *args)

    futures = [pool(threads - 1).submit(take) for _ in range(threads - 1)]
    try:
        take()
    finally:
        left.clear()  # of what failed, no more
        for future in futures:
            if not future.cancel():
                future.result()


@cache
def give_way_address() -> int:
    """The C function that offers the processor to other threads; 0 where it has another name."""
    try:
        function = ctypes.CDLL(None).sched_yield
    except (AttributeError, OSError, TypeError):  # TypeError: Windows wants a name
        return 0
    return ctypes.cast(function, ctypes.c_void_p).value or 0
