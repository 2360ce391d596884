"""Pin what a file decodes to, forever: adds a line to tests/golden.jsonl, and changes none.

    python tools/pin_golden.py conformance/vectors/v1/stream/alpha.inic --model tiny
    python tools/pin_golden.py conformance/vectors/v1/model/packed.inm
    python tools/pin_golden.py conformance/vectors/v1/model/tiny.inm --tables

To be run for every new version of streams, models or tables, with files that a release wrote. Both
backends must agree. `tests/test_long_life.py` decodes every line, and fails for a version that is
read and has none.
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import rangecoder
from intnet import codec, container, model_file, model_frame
from intnet.limits import NO_LIMITS
from rangecoder.tables import VERSION

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests" / "golden.jsonl"
BACKENDS = ("numpy", "numba")
PACKED = "model 1, packed 1"


def lines(path: Path = GOLDEN) -> list[Json]:
    """Every pin: version, since (date), file and its sha256, what it decodes to and its sha256."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def versions_read() -> set[str]:
    """What this version of intnet reads."""
    minors = range(container.MINOR_TILED + 1)
    streams = {f"stream {container.MAJOR}.{minor}" for minor in minors}
    models = {*(f"model {version + 1}" for version in range(model_file.FORMAT)), PACKED}
    return {*streams, "stream 1.2 with chunks", *models, f"tables {VERSION}"}


def result(line: Json, backend: str) -> str:
    """The SHA-256 of what a file decodes to now: of samples, of a model's content, of tables."""
    model = model_file.load(ROOT / line.get("model", line["file"]))
    if line["version"].startswith("model"):
        return model.sha256
    if line["version"].startswith("tables"):
        both = [tables for tables in (model.y_tables, model.z_tables) if tables is not None]
        return hashlib.sha256(b"".join(map(numbers, both))).hexdigest()
    data = (ROOT / line["file"]).read_bytes()
    return hashlib.sha256(codec.decode(data, [model], backend, NO_LIMITS).pixels.data).hexdigest()


def numbers(tables: rangecoder.Tables) -> bytes:
    """Minima, where each table begins, all cdf values: 4 bytes each, little-endian."""
    return b"".join(x.astype("<i4").tobytes() for x in (tables.minimum, tables.start, tables.cdf))


def version_of(data: bytes, *, tables: bool) -> str:
    """Of a stream or a model by its bytes."""
    if data[:6] != container.MAGIC:
        packed = model_frame.read(data).packed
        whole = PACKED if packed else f"model {model_file.from_bytes(data).format}"
        return f"tables {VERSION}" if tables else whole
    header = container.unpack(data).header
    return f"stream {container.MAJOR}.{header.minor}{' with chunks' if header.chunks else ''}"


def main(arguments: list[str] | None = None) -> int:
    """Append a line. Exit code 1 where the file has one, or where backends disagree."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument(
        "--model", help="of a stream: a name in conformance/vectors/v1/model, or a path"
    )
    parser.add_argument("--tables", action="store_true", help="the tables of a model, not itself")
    parser.add_argument("--golden", type=Path, default=GOLDEN, help="the file of lines")
    chosen = parser.parse_args(arguments)
    data = chosen.file.read_bytes()
    line = {
        "version": version_of(data, tables=chosen.tables),
        "since": dt.datetime.now(dt.UTC).date().isoformat(),
        "file": chosen.file.resolve().relative_to(ROOT).as_posix(),
        "file_sha256": hashlib.sha256(data).hexdigest(),
    }
    if chosen.model:
        path = chosen.model.endswith(".inm")
        line["model"] = chosen.model if path else f"conformance/vectors/v1/model/{chosen.model}.inm"
    had = lines(chosen.golden) if chosen.golden.exists() else []
    if any((pin["file"], pin["version"]) == (line["file"], line["version"]) for pin in had):
        print(f"{line['file']}: is pinned; a pin never changes", file=sys.stderr)
        return 1
    results = {result(line, backend) for backend in BACKENDS}
    if len(results) != 1:
        print(f"{line['file']}: backends disagree", file=sys.stderr)
        return 1
    line["result_sha256"] = results.pop()
    with chosen.golden.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    print(json.dumps(line))
    return 0


if __name__ == "__main__":
    sys.exit(main())
