"""Bytes in and out of files and pipes: `-` is stdin or stdout, and a file appears whole or not.

A file is written under a temporary name in its own folder and renamed. What is no regular file (a
pipe, /dev/null) is written directly. A process that is killed leaves its temporary file; the next
one that writes the same target removes it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from intnet.errors import IntnetError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PIPE = "-"
SUFFIX = ".tmp"
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
    with writing(target) as file:
        file.write(data)


@contextlib.contextmanager
def writing(target: str | Path) -> Iterator[BinaryIO]:
    """A file to write to, or stdout for '-'; the target appears whole, at the end, or not at all.

    Raises OSError.
    """
    if str(target) == PIPE:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    check_target(target)
    path = Path(target).resolve()  # a link stays, what it points to changes
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    remove_abandoned(path)
    temporary = path.with_name(f"{prefix(path)}{secrets.token_hex(8)}{SUFFIX}")
    try:
        with create(temporary) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if path.exists():
                shutil.copymode(path, temporary)
            if fcntl is None:
                file.close()  # Windows renames no file that is open
            temporary.replace(path)
    except BaseException:  # an interrupt too must leave nothing behind
        temporary.unlink(missing_ok=True)
        raise


def prefix(path: Path) -> str:
    """How names of temporary files of a target begin."""
    return f".{path.name[:200]}."


def create(temporary: Path) -> BinaryIO:
    """A new file, locked until it is closed or the process ends, where its system has locks."""
    while True:
        file = temporary.open("xb")
        if fcntl is not None:
            with contextlib.suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
        if temporary.exists():  # nobody took it for an abandoned one before it was locked
            return file
        file.close()


def remove_abandoned(path: Path) -> None:
    """Temporary files of a target that no process holds a lock of: theirs was killed."""
    if fcntl is None:
        return
    for found in path.parent.iterdir():
        if found.name.startswith(prefix(path)) and found.name.endswith(SUFFIX):
            with contextlib.suppress(OSError), found.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                found.unlink()
