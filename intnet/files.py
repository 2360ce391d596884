"""Bytes in and out of files and pipes: `-` is stdin or stdout, and a file appears whole or not.

A file is written under a temporary name in its own folder and renamed. What is no regular file (a
pipe, /dev/null) is written directly.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from intnet.errors import IntnetError

PIPE = "-"
MAX_INPUT = 2**30


def read(source: str | Path) -> bytes:
    """All bytes of a file or, for '-', of stdin. Raises OSError, or IntnetError where too many."""
    if str(source) == PIPE:
        data = sys.stdin.buffer.read(MAX_INPUT + 1)
    else:
        with Path(source).open("rb") as file:
            data = file.read(MAX_INPUT + 1)
    if len(data) > MAX_INPUT:
        raise IntnetError(f"{label(source)}: more than {MAX_INPUT} bytes")
    return data


def label(source: str | Path) -> str:
    """What messages call it."""
    return "stdin" if str(source) == PIPE else str(source)


def check_target(target: str | Path) -> None:
    """Raise OSError where `write` could not succeed, before any work is done for it."""
    if str(target) == PIPE:
        return
    path = Path(target)
    if path.is_dir():
        raise IsADirectoryError(21, "Is a directory", str(target))
    if not path.parent.exists():
        raise FileNotFoundError(2, "No such folder", str(path.parent))
    if not path.parent.is_dir():
        raise NotADirectoryError(20, "Not a folder", str(path.parent))
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(13, "Permission denied", str(target))


def write(target: str | Path, data: bytes) -> None:
    """All of data or nothing, to a file or, for '-', to stdout. Raises OSError."""
    if str(target) == PIPE:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    check_target(target)
    path = Path(target).resolve()  # a link stays, what it points to changes
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    temporary = path.with_name(f".{path.name[:200]}.{os.getpid()}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, temporary)
        temporary.replace(path)
    except BaseException:  # an interrupt too must leave nothing behind
        temporary.unlink(missing_ok=True)
        raise
