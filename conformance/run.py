"""Any decoder against the conformance streams; needs only Python and a command line.

    python conformance/run.py --decoder 'mydecoder --model {model}'

The command reads a stream on stdin and writes the raw samples on stdout (8 bits each, row-major,
channel-last). Exit code 0: decoded; any other: rejected; ended by a signal: crashed. `{model}` is
the path of the stream's model file. Runs the classes `stream` and `invalid_stream`, prints a line
per class, and exits 1 on any failure, on a missing or unlisted file, and on zero cases.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).resolve().parent / "vectors" / "v1"
CLASSES = ("stream", "invalid_stream")
Json = dict[str, Any]


def decode(command: str, vector: Json, folder: Path, timeout: float) -> tuple[int, bytes]:
    """Exit code and standard output of the decoder."""
    model = str(folder / vector["model"])
    arguments = [part.replace("{model}", model) for part in shlex.split(command)]
    stream = (folder / vector["stream"]).read_bytes()
    done = subprocess.run(
        arguments, input=stream, capture_output=True, timeout=timeout, check=False
    )
    return done.returncode, done.stdout


def fault(command: str, vector: Json, folder: Path, timeout: float) -> str:
    """What is wrong with the decoder's answer; empty where nothing is."""
    try:
        code, samples = decode(command, vector, folder, timeout)
    except subprocess.TimeoutExpired:
        return f"no answer in {timeout:g} s"
    except OSError as error:
        return str(error)
    if code < 0:
        return f"ended by signal {-code}"
    if vector["result"] == "invalid":
        return "" if code else "decoded, must be rejected"
    if code:
        return f"rejected with exit code {code}, must be decoded"
    must = vector["expected"]
    size = must["width"] * must["height"] * must["channels"]
    if len(samples) != size:
        return f"{len(samples)} bytes, must be {size}"
    got = hashlib.sha256(samples).hexdigest()
    return "" if got == must["sha256"] else f"sha256 {got}, must be {must['sha256']}"


def label(vector: Json) -> str:
    """A vector and the clause of SPEC.md that it tests."""
    return f"{vector['id']} [{vector['clause']}]"


def read_index(folder: Path) -> tuple[Json, list[str]]:
    """Ids by class, and what is wrong with the files of the folder."""
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    listed = {*index["files"], "index.json"}
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    faults = [f"{path}: missing" for path in sorted(listed - found)]
    return index["classes"], faults + [f"{path}: not listed" for path in sorted(found - listed)]


def read_class(kind: str, ids: list[str], folder: Path) -> tuple[list[Json], list[str]]:
    """Vectors of a class, and what is wrong with their ids."""
    document = json.loads((folder / f"{kind}.json").read_text(encoding="utf-8"))
    vectors = document["vectors"]
    found = sorted(vector["id"] for vector in vectors)
    return vectors, [] if found == sorted(ids) else [f"{kind}.json: ids are not those listed"]


def run(command: str, folder: Path, only: str, timeout: float) -> Json:
    """Counts and faults per class."""
    try:
        classes, faults = read_index(folder)
        chosen = {kind: read_class(kind, classes[kind], folder) for kind in CLASSES}
    except (OSError, ValueError, KeyError, TypeError) as error:
        return {"files": {"passed": 0, "failed": 1, "faults": [f"{folder}: {error!r}"]}}
    faults += [found for _, wrong in chosen.values() for found in wrong]
    report: Json = {"files": {"passed": 0, "failed": len(faults), "faults": faults}}
    for kind, (vectors, _) in chosen.items():
        tested = [vector for vector in vectors if fnmatch(vector["id"], only)]
        answers = [(label(vector), fault(command, vector, folder, timeout)) for vector in tested]
        wrong = [f"{name}: {found}" for name, found in answers if found]
        report[kind] = {"passed": len(tested) - len(wrong), "failed": len(wrong), "faults": wrong}
    return report


def main() -> int:
    """Run, print, and judge."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--decoder", required=True, help="command line, {model} is replaced")
    parser.add_argument("--vectors", type=Path, default=VECTORS)
    parser.add_argument("--only", default="*", help="ids to run, for instance 'invalid/*'")
    parser.add_argument("--timeout", type=float, default=60, help="seconds per stream")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    chosen = parser.parse_args()
    report = run(chosen.decoder, chosen.vectors, chosen.only, chosen.timeout)
    passed = sum(group["passed"] for group in report.values())
    failed = sum(group["failed"] for group in report.values())
    if chosen.json:
        print(json.dumps({"passed": passed, "failed": failed, "classes": report}))
    else:
        for kind, group in report.items():
            print(f"{kind}: {group['passed']} passed, {group['failed']} failed")
    for group in report.values():
        for line in group["faults"]:
            print(f"  {line}", file=sys.stderr)
    if not passed + failed:
        print("no cases", file=sys.stderr)
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
