"""Pillow's limit of pixels: one for the whole process, and lower than ours."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

from PIL import Image


class _Lifted:
    """How many threads have lifted it, and what it was before the first did."""

    lock = threading.Lock()
    users = 0
    limit: int | None = None


@contextlib.contextmanager
def lifted() -> Iterator[None]:
    """Pillow refuses nothing for its size, in any thread, until the last one leaves."""
    with _Lifted.lock:
        if not _Lifted.users:
            _Lifted.limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        _Lifted.users += 1
    try:
        yield
    finally:
        with _Lifted.lock:
            _Lifted.users -= 1
            if not _Lifted.users:
                Image.MAX_IMAGE_PIXELS = _Lifted.limit


def _restore() -> None:
    """A fork inherits no threads, and neither their locks nor what they lifted."""
    _Lifted.lock = threading.Lock()
    if _Lifted.users:
        _Lifted.users, Image.MAX_IMAGE_PIXELS = 0, _Lifted.limit


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(after_in_child=_restore)
