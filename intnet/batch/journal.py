"""What a batch has finished: one JSON object a line, appended as each file is done.

A record says the SHA-256 of the input, the settings, and what came of it. Of several records of a
file the last counts. A process that is killed leaves at worst a last line in part, which is no
record: that file is done again. Only the client writes; workers give it their records.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Record = dict[str, Any]  # keys as below

NAME = ".intnet-batch.jsonl"
KEYS = {"file", "input", "settings", "result"}


def read(path: Path) -> dict[str, Record]:
    """The last record of each file; none where there is no journal. Raises OSError."""
    if not path.exists():
        return {}
    found = map(parsed, path.read_bytes().splitlines())
    return {record["file"]: record for record in found if record is not None}


def parsed(line: bytes) -> Record | None:
    """A record, or None for what is not a whole one."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    whole = isinstance(record, dict) and record.keys() == KEYS and isinstance(record["file"], str)
    return record if whole else None


@contextlib.contextmanager
def appending(path: Path) -> Iterator[Callable[[Record], None]]:
    """What appends a record, as a line of its own whatever the file ends with. Raises OSError."""
    with path.open("a+b", buffering=0) as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
        yield lambda record: write_line(file.fileno(), record)


def write_line(descriptor: int, record: Record) -> None:
    """The line at once: nobody sees a part of it, unless the disk is full."""
    line = json.dumps(record, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"
    if os.write(descriptor, line) != len(line):
        raise OSError(f"{NAME}: a line was written in part; is the disk full?")
