"""Write the conformance vectors; never alter one that exists.

    python tools/make_vectors.py            add vectors that are new
    python tools/make_vectors.py --check    compare only; exit code 1 on any difference
    python tools/make_vectors.py --kodak D  where streams of class `real` are missing: the pictures

Before the first release the format may still change: delete `conformance/vectors/v1` and run again.
From then on a new format means a new folder, v2.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from vectors import (
    arith,
    bad_models,
    bad_streams,
    coder,
    families,
    ops,
    real,
    signal_range,
    streams,
    stress,
    tiles,
)
from vectors.about import ABOUT

from intnet import model_file

Json = dict[str, Any]
FOLDER = Path(__file__).resolve().parents[1] / "conformance" / "vectors" / "v1"
INDEX = "index.json"
ARRAYS = (
    "Arrays are row-major. Recipes: values; fill v; ramp [lo, n]: lo + i % n; lcg [seed, lo, hi]: "
    "state = (1664525 * state + 1013904223) % 2**32, first from the seed, before each element, "
    "lo + (state * (hi - lo + 1) >> 32). The sha256 of an array is that of its elements alone, in "
    "that order, each little-endian, signed ones in two's complement. The sha256 of a stream is "
    "that of its samples, one byte each, in that order. The sha256 of a payload is that of its "
    "bytes. That of a model is SPEC.md, model.hash."
)


def make(kept: dict[str, bytes], kodak: Path | None) -> dict[str, bytes]:
    """Every file of the folder by its path. kept, kodak: see `real`."""
    classes: dict[str, list[Json]] = {
        "arith": arith.vectors(), "op": ops.vectors(), "signal_range": signal_range.vectors(),
        "stress": stress.vectors(), "tables": coder.tables(),
        "coder": [*coder.coder(), *coder.refused_payloads()], "model": [],
        "prior": streams.priors(), "stream": [], "real": [], "invalid_stream": [],
    }  # fmt: skip
    files: dict[str, bytes] = {}
    faults = {**bad_streams.faults(), **tiles.faults(), **tiles.chunk_faults()}
    faults |= families.stream_faults()
    bad = bad_models.faults(model_file.to_bytes(streams.model("minimal")))
    with_files = (
        streams.models(bad | families.model_faults()), streams.streams(), tiles.valid(),
        families.valid(), real.real(kodak, kept),
        bad_streams.invalid_streams(faults),
    )  # fmt: skip
    for made in with_files:
        for vector, path, data in made:
            classes[vector["class"]].append(vector)
            files[path] = data
    for name, vectors in classes.items():
        files[f"{name}.json"] = class_file(name, vectors)
    ids = {name: [v["id"] for v in vectors] for name, vectors in classes.items()}
    assert len({x for listed in ids.values() for x in listed}) == sum(map(len, ids.values()))
    index = {"format": 1, "classes": ids, "files": sorted(files)}
    return {**files, INDEX: (json.dumps(index, indent=1) + "\n").encode()}


def class_file(name: str, vectors: list[Json]) -> bytes:
    """One vector a line: a difference shows as a line."""
    lines = ",\n".join(json.dumps(vector, ensure_ascii=False) for vector in vectors)
    document = {"class": name, **ABOUT[name]._asdict(), "arrays": ARRAYS}
    head = json.dumps(document)[:-1]
    return f'{head}, "vectors": [\n{lines}\n]}}\n'.encode()


def by_id(files: dict[str, bytes]) -> dict[str, Any]:
    """Everything that is frozen: vectors by id, other files by path; not the index."""
    frozen: dict[str, Any] = {}
    for path, data in files.items():
        if path == INDEX:
            continue
        if path.endswith(".json"):
            for vector in json.loads(data)["vectors"]:
                frozen[vector["id"]] = vector
        else:
            frozen[path] = data
    return frozen


def read(folder: Path) -> dict[str, bytes]:
    """What is there now."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def changed(old: dict[str, bytes], new: dict[str, bytes]) -> list[str]:
    """Ids and paths that exist and would be altered or dropped."""
    before, after = by_id(old), by_id(new)
    return [name for name, content in before.items() if after.get(name) != content]


def main(arguments: list[str] | None = None) -> int:
    """Exit code 1 where a vector would change, or with --check where anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare only, write nothing")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--kodak", type=Path, help="folder of kodim01.png to kodim24.png")
    chosen = parser.parse_args(arguments)
    old = read(chosen.folder)
    try:
        new = make(old, chosen.kodak)
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 1
    altered = changed(old, new)
    for name in altered:
        print(f"{name}: exists and would change; vectors are frozen", file=sys.stderr)
    differing = sorted(path for path in old.keys() | new.keys() if old.get(path) != new.get(path))
    if chosen.check:
        for path in differing:
            print(f"{path}: differs from what tools/make_vectors.py makes", file=sys.stderr)
    if altered or (chosen.check and differing):
        return 1
    for path in differing:
        target = chosen.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(new[path])
    print(f"{len(by_id(new))} vectors and files, {len(differing)} files written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
