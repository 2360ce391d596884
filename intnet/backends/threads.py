"""Rows of a kernel, shared out among threads of our own.

Not numba's threads: its layers may abort the process when several Python threads enter them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

GRAIN = 1 << 17  # multiply-accumulates that are worth waking a thread for: about 10 microseconds


def thread_count() -> int:
    """INTNET_THREADS, or every processor. Raises ValueError unless it is a whole number >= 1."""
    text = os.environ.get("INTNET_THREADS") or str(os.cpu_count() or 1)
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:5]) <= 1024):
        raise ValueError(f"INTNET_THREADS is {text!r:.40}, must be an integer in 1..1024")
    return int(text)


@cache
def pool(threads: int) -> ThreadPoolExecutor:
    """One pool per thread count for the life of the process; threads start when first needed."""
    return ThreadPoolExecutor(threads, thread_name_prefix="intnet")


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(after_in_child=pool.cache_clear)  # a fork inherits no threads


def spread(kernel: Callable[..., None], rows: int, work: int, *args: Any) -> None:
    """kernel(begin, end, *args) over disjoint ranges that cover [0, rows).

    work: multiply-accumulates in all. The calling thread takes the first range; a kernel never
    submits work itself, so callers in many threads cannot wait for one another in a circle.
    """
    threads = thread_count()
    parts = max(1, min(threads, rows, work // GRAIN))
    edges = [part * rows // parts for part in range(parts + 1)]
    futures = [
        pool(threads - 1).submit(kernel, edges[part], edges[part + 1], *args)
        for part in range(1, parts)
    ]
    try:
        kernel(0, edges[1], *args)
    finally:
        for future in futures:
            future.result()
