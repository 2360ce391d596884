"""Code in documents: what a reader would run, block after block, in one folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from conftest import BIN

from intnet import selftest

MARKER = r"(?:<!-- not run by the tests: ([^\n]+) -->\n)?"
BLOCK = re.compile(rf"^{MARKER}```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PRINTED = re.compile(r"print\(.*\)  # (.*)")


class Block(NamedTuple):
    """reason: why it is not run, empty where it is."""

    reason: str
    language: str
    text: str


def blocks(document: str) -> list[Block]:
    """Those of a document, in order; every fence must be one of theirs."""
    found = [Block(*match) for match in BLOCK.findall(document)]
    assert document.count("```") == 2 * len(found), "a fence that is no block"
    return found


def run(document: str, folder: Path, environment: dict[str, str]) -> None:
    """Run bash and python blocks as one program, beside a picture called photo.png.

    What comments of print and blocks of text say is printed, `...` for anything.
    """
    shutil.copy(selftest.sample_path(), folder / "photo.png")
    parts, said = ["import subprocess"], list[str]()
    for reason, language, text in blocks(document):
        if reason:
            continue
        if language == "python":
            parts.append(text)
            said += PRINTED.findall(text)
        elif language == "bash":
            command = ["bash", "-euo", "pipefail", "-c", text]
            parts.append(f"subprocess.run({command!r}, check=True)")
        else:
            said += text.splitlines()
    done = subprocess.run(
        [sys.executable, "-u", "-c", "\n".join(parts)], cwd=folder, text=True, check=False,
        env=environment | {"PATH": f"{BIN}{os.pathsep}{environment['PATH']}"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    for line in said:
        assert re.search(".*".join(map(re.escape, line.split("..."))), done.stdout), (line, done)
