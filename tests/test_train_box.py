"""A box of time on a lent machine: what `models/README.md` says to type, on this one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from intnet.training import checkpoint

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "tools" / "train_box.sh"
pytestmark = pytest.mark.skipif(os.name != "posix", reason="a script of bash")


def run(*line: object, **more: object) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, **{k: str(v) for k, v in more.items()}}
    command = ["bash", str(SCRIPT), *map(str, line)]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_weights_come_home(corpus: Path, tmp_path: Path) -> None:
    """Every picture travels once, in parts of the size allowed; the trainer outlives its call."""
    names = sorted(path.name for path in corpus.iterdir())
    largest = max(path.stat().st_size for path in corpus.iterdir())
    parts, box, out = (tmp_path / name for name in ("parts", "box", "out"))
    out.mkdir()
    assert run("pack", corpus, parts, largest).returncode == 0
    assert sorted(path.name for path in parts.glob("*/*")) == names
    sizes = [sum(p.stat().st_size for p in part.iterdir()) for part in parts.iterdir()]
    assert len(sizes) > 1
    assert max(sizes) <= largest
    small = ["--steps", 3, "--crop", 64, "--batch", 1, "--threads", 1, "--log-every", 1, "--half",
             "--c", 8, "--m", 16, "--m-hidden", 8, "--z", 8, "--blocks", 1]  # fmt: skip
    assert run("start", corpus, *small, BOX=box).returncode == 0
    followed = run("wait", 120, BOX=box, OUT=out)
    assert followed.returncode == 0
    assert "step 3 loss" in followed.stdout
    assert sorted(path.name for path in out.iterdir()) == ["model.jsonl", "model.safetensors"]
    with safe_open(out / "model.safetensors", framework="pt") as file:
        assert file.get_tensor("log_gain").dtype == torch.float16
    weights, meta = checkpoint.load_weights(out / "model.safetensors")
    assert weights["log_gain"].dtype == torch.float32
    assert meta["step"] == 3


def test_it_says_what_it_takes() -> None:
    said = run()
    assert said.returncode == 2
    assert said.stderr.startswith("A box of time") and "start CORPUS OPTION..." in said.stderr
