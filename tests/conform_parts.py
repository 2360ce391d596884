"""What tests of conformance share: a copy of the vectors to damage, a decoder of one line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
VECTORS = ROOT / "conformance" / "vectors" / "v1"
RUNNER = ROOT / "conformance" / "run.py"
OURS = f"{sys.executable} -m intnet.conform decode --backend numpy --model {{model}}"


def edit(path: Path, change: Callable[[Any], object]) -> None:
    """Apply a function to a JSON file."""
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")


def external(decoder: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """conformance/run.py in a process of its own."""
    command = [sys.executable, str(RUNNER), "--decoder", decoder, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def code_copy(folder: Path) -> Path:
    """The packages and the runner in another folder, to plant faults in."""
    for name in ("intnet", "rangecoder"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "conformance").mkdir()
    shutil.copy(RUNNER, folder / "conformance")
    return folder


def intnet(code: Path, *arguments: object, block: str = "") -> subprocess.CompletedProcess[str]:
    """`intnet arguments` of the packages in a folder; block: a module that cannot be imported."""
    line = f"import sys; sys.modules.update({dict.fromkeys(block.split())}); "
    line += "from intnet.cli import main; main()"
    command = [sys.executable, "-c", line, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(code)}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, env=environment, cwd=code
    )
