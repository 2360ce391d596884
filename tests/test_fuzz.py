"""`tools/fuzz.py`: it reaches deep stages, counts right, and finds bugs that are planted."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pytest
from conftest import ROOT
from model_parts import VECTORS

from intnet import container, model_file
from intnet.errors import IntnetError

PLANTS = ("lane-length", "payload-end", "table-order", "table-index", "tile-checksum", "head-room",
          "size-of-alpha", "scaling-shift", "salvage-exact")  # fmt: skip


@pytest.fixture(scope="module")
def fuzzing() -> Any:
    """The parts of the tool."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tools"))
        import fuzzing  # noqa: PLC0415
        import fuzzing.models  # noqa: PLC0415
        import fuzzing.planted  # noqa: PLC0415
        import fuzzing.streams  # noqa: PLC0415
        import fuzzing.supervisor  # noqa: PLC0415

        yield fuzzing


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The tool in a process of its own."""
    command = [sys.executable, str(ROOT / "tools" / "fuzz.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)


def test_checksums_made_anew_are_right(fuzzing: Any) -> None:
    """A good stream stays as it is; a damaged one is refused for something else, or decodes."""
    for name in ("16x16", "pixel-crc", "tiles-slivers", "tiles-pixel-crc", "alpha-tiles", "chunks"):
        good = (VECTORS / "stream" / f"{name}.inic").read_bytes()
        assert fuzzing.streams.sealed(good) == good
        damaged = bytearray(good)
        damaged[-1 if good[7] == container.MINOR_TILED else -5] ^= 1
        with pytest.raises(IntnetError, match="checksum"):
            container.unpack(bytes(damaged))
        container.unpack(fuzzing.streams.sealed(bytes(damaged)))


def test_mutations_reach_what_lies_behind_checksums(fuzzing: Any) -> None:
    """Of models too: most hashes that are made anew fit, and some of the models load."""
    data, rng, found = (VECTORS / "model" / "minimal.inm").read_bytes(), Random(1), Counter[str]()
    for _ in range(300):
        mutated, remade = fuzzing.models.mutated(rng, data)
        try:
            model_file.from_bytes(mutated)
            found["loads"] += remade
        except IntnetError as error:
            found["hash" if "hash" in str(error) else "deeper"] += remade
    assert found["loads"] > 20 and found["deeper"] > 100 and found["hash"] < 20, found


def test_counts_and_goes_on(tmp_path: Path) -> None:
    """No finding in what is; a second run adds to the log."""
    log = tmp_path / "log.json"
    before = 0
    for _ in range(2):
        done = run("chunks", "coder", "--minutes", 0.05, "--seed", 3, "--log", log, "--json",
                   "--crashes", tmp_path / "found")  # fmt: skip
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert report["findings"] == []
        for target in report["targets"].values():
            assert target["executions"] == sum(target["outcomes"].values()) > 0
        now = sum(target["executions"] for target in report["targets"].values())
        assert now > before
        before = now
    assert json.loads(log.read_text())["targets"] == report["targets"]


def fake(tmp_path: Path, fuzzing: Any, body: str, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is found of a worker that begins an input and then does something."""
    script = tmp_path / "worker.py"
    script.write_text(
        "import os, struct, sys, time\n"
        "head = struct.pack('<QQ?', 1, 5, True)\n"
        "open(sys.argv[4] + '/current', 'wb').write(head + b'input')\n" + body
    )
    supervisor: ModuleType = fuzzing.supervisor
    monkeypatch.setattr(supervisor, "WORKER", script)
    monkeypatch.setattr(supervisor, "HANG", 1.0)
    log = supervisor.Log(None, tmp_path / "found")
    supervisor.watch(log, "chunks", 1, 60, 100, lambda: False)
    return log.findings


@pytest.mark.parametrize(
    ("body", "why"),
    [("time.sleep(60)", "hangs for 1 s"), ("os.abort()", "process ends with -6"),
     ("sys.exit(3)", "process ends with 3")],
)  # fmt: skip
def test_hangs_and_crashes_are_found(
    tmp_path: Path, fuzzing: Any, monkeypatch: pytest.MonkeyPatch, body: str, why: str
) -> None:
    """With the input that the process began last."""
    (finding,) = fake(tmp_path, fuzzing, body, monkeypatch)
    assert finding["why"] == why
    assert Path(finding["input"]).read_bytes() == b"input"
    assert Path(finding["input"]).name.startswith("chunks-remade-")
    assert threading.active_count() < 50


LIMITED = """
import sys
sys.path[:0] = ["tools"]
from fuzzing import worker

class Hungry:
    def run(self, data, **_kinds):
        return str(len(bytes(len(data) * 2**20)))

worker.limit_memory(64)
for size in (8, 256):
    print(worker.call(Hungry(), bytes(size), remade=False, compare=False)[0])
"""


def test_memory_is_limited() -> None:
    """What allocates more than it may is a finding."""
    command = [sys.executable, "-c", LIMITED]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    fits, fails = done.stdout.splitlines()
    assert fits == str(8 * 2**20)
    assert fails.startswith("FINDING MemoryError at ")


def test_a_planted_bug_is_found() -> None:
    """In a copy of the tree; the tree itself stays as it is."""
    done = run("--plant", "size-of-alpha", "--json", "--seed", 1)
    assert done.returncode == 0, done.stdout
    assert "FINDING" in json.loads(done.stdout)["size-of-alpha"]["why"]


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANTS)
def test_every_planted_bug_is_found_within_a_minute(name: str) -> None:
    """Reads beyond tables, which end the process, among them."""
    done = run("--plant", name, "--json", "--seed", 1)
    report = json.loads(done.stdout)[name]
    assert report["why"], done.stdout
    assert report["seconds"] < 75  # a process that starts, included


def test_the_list_of_plants_is_whole(fuzzing: Any) -> None:
    """Each text is in its file once."""
    assert set(fuzzing.planted.PLANTS) == set(PLANTS)
    for planted in fuzzing.planted.PLANTS.values():
        text = (ROOT / planted.change.path).read_text(encoding="utf-8")
        assert text.count(planted.change.right) == 1, planted.change.name
