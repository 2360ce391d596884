"""The conformance runner: this installation against the frozen vectors, in process.

A vector says what goes in and what must come out; `results` computes the same form anew, and equal
means pass. Nothing is skipped: a vector that cannot be read fails, and so does an empty folder.
`conformance/README.md` describes the files; `conformance/run.py` tests other people's decoders.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import rangecoder
from intnet import backends, codec, conform_arith, conform_coder, model_file, program_json
from intnet.bounds import prove
from intnet.conform_arrays import described, expand
from intnet.errors import IntnetError
from intnet.latents import table_indexes

DEFAULT = Path(__file__).resolve().parents[1] / "conformance" / "vectors" / "v1"
INDEX = "index.json"

Json = dict[str, Any]


class Case(NamedTuple):
    """One vector's outcome: result is pass, fail (other bytes) or error (no answer)."""

    id: str
    kind: str
    result: str
    detail: str = ""
    clause: str = ""  # of SPEC.md, that the vector tests

    def json(self) -> dict[str, str]:
        """As `run` reports it."""
        return {"id": self.id, "class": self.kind, "result": self.result, "detail": self.detail,
                "clause": self.clause}  # fmt: skip


class Setting(NamedTuple):
    """What a vector is run with: the folder it lies in and the backend."""

    folder: Path
    backend: str


def run(backend: str = "numba", vectors: Path | None = None) -> Json:
    """Every vector of a folder on a backend: counts, and a result per case.

    Raises FileNotFoundError where there is no such folder, ValueError for an unknown backend.
    """
    folder = DEFAULT if vectors is None else vectors
    if not folder.is_dir():
        raise FileNotFoundError(
            f"conformance vectors: no folder {folder}; run from a checkout, or name the folder"
        )
    backends.load(backend)
    cases = run_folder(Setting(folder, backend))
    passed = sum(case.result == "pass" for case in cases)
    return {
        "backend": backend,
        "passed": passed,
        "failed": len(cases) - passed,
        "cases": [case.json() for case in cases],
    }


def run_folder(setting: Setting) -> list[Case]:
    """The index against the folder both ways, then every class."""
    try:
        index = json.loads((setting.folder / INDEX).read_text(encoding="utf-8"))
        listed, classes = set(index["files"]), dict(index["classes"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [Case(INDEX, "index", "error", describe(error))]
    cases = compare_sets("file", listed, files(setting.folder))
    tested = [case for kind, ids in classes.items() for case in run_class(kind, ids, setting)]
    if not tested:
        cases.append(Case(INDEX, "index", "fail", "no vectors: nothing was tested"))
    return cases + tested


def files(folder: Path) -> set[str]:
    """Every file but the index, by its path below the folder."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix() for path in found} - {INDEX}


def compare_sets(what: str, listed: set[str], found: set[str]) -> list[Case]:
    """A failing case for everything on one side only."""
    missing = [Case(x, "index", "fail", f"{what} is listed but missing") for x in listed - found]
    extra = [Case(x, "index", "fail", f"{what} is not listed in {INDEX}") for x in found - listed]
    return sorted(missing + extra)


def run_class(kind: str, ids: list[str], setting: Setting) -> list[Case]:
    """Every vector of `<kind>.json`."""
    try:
        document = json.loads((setting.folder / f"{kind}.json").read_text(encoding="utf-8"))
        vectors = [dict(vector) for vector in document["vectors"]]
        found = [str(vector["id"]) for vector in vectors]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [Case(f"{kind}.json", kind, "error", describe(error))]
    cases = compare_sets("vector", set(ids), set(found))
    for name in {name for name in found if found.count(name) > 1}:
        cases.append(Case(name, "index", "fail", "vector occurs twice"))
    if not vectors:
        cases.append(Case(f"{kind}.json", "index", "fail", "no vectors of this class"))
    return cases + [run_vector(kind, vector, setting) for vector in vectors]


def run_vector(kind: str, vector: Json, setting: Setting) -> Case:
    """One vector: what it gives against what it must give."""
    name, clause = str(vector["id"]), str(vector.get("clause", ""))
    try:
        must = vector["expected"]
        check_result(vector)
        got = results(kind, vector, setting)
    except Exception as error:  # noqa: BLE001  # whatever breaks, the other vectors still run
        return Case(name, kind, "error", describe(error), clause)
    found = difference(got, must)
    return Case(name, kind, "fail" if found else "pass", found, clause)


def check_result(vector: Json) -> None:
    """The word `result`, for decoders whose errors have no class, agrees with what is expected.

    And there is a clause to name.
    """
    if not vector["clause"]:
        raise ValueError("no clause")
    if vector["result"] != ("invalid" if "error" in vector["expected"] else "valid"):
        raise ValueError(f"result {vector['result']!r} contradicts what is expected")


def results(kind: str, vector: Json, setting: Setting) -> Json:
    """What a vector gives: its class's results, or the class of the error that refuses it."""
    try:
        return CLASSES[kind](vector, setting)
    except (IntnetError, rangecoder.RangeCoderError) as error:
        return {"error": type(error).__name__}


def describe(error: Exception) -> str:
    """Class and message of an exception."""
    return f"{type(error).__name__}: {error}"


def difference(got: Any, must: Any, where: str = "") -> str:
    """Where two JSON values first differ; empty where they are equal."""
    if isinstance(got, dict) and isinstance(must, dict):
        if set(got) != set(must):
            return f"{where or 'results'}: {sorted(got)}, must be {sorted(must)}"
        # the hash last: a differing element says more
        for key in sorted(must, key=lambda key: (key == "sha256", key)):
            if found := difference(got[key], must[key], f"{where}.{key}".lstrip(".")):
                return found
        return ""
    if isinstance(got, list) and isinstance(must, list) and len(got) == len(must):
        pairs = enumerate(zip(got, must, strict=True))
        return next((d for i, (g, m) in pairs if (d := difference(g, m, f"{where}[{i}]"))), "")
    same = type(got) is type(must) and got == must
    return "" if same else f"{where}: {got!r:.120}, must be {must!r:.120}"


def op_results(vector: Json, setting: Setting) -> Json:
    """A program (nearly always of one op) on its inputs."""
    tensors = {name: expand(spec) for name, spec in vector["tensors"].items()}
    program = program_json.from_json(vector["program"], tensors)
    bounds = prove(program)
    inputs = {name: expand(spec) for name, spec in vector["inputs"].items()}
    outputs = backends.load(setting.backend).run(program, inputs)
    return {
        "outputs": {name: described(x) for name, x in outputs.items()},
        "bounds": [[b.op, b.channel, b.quantity, b.bound] for b in bounds],
    }


def tables_results(vector: Json, setting: Setting) -> Json:  # noqa: ARG001  # one signature
    """Serialised CDF tables."""
    data = bytes.fromhex(vector["tables"])
    tables = rangecoder.from_bytes(data)
    if rangecoder.to_bytes(tables) != data:
        raise ValueError("tables are not written back as they were read")
    cdfs = np.split(tables.cdf, tables.start[1:-1])
    return {"minimum": tables.minimum.tolist(), "cdf": [cdf.tolist() for cdf in cdfs]}


def coder_results(vector: Json, setting: Setting) -> Json:
    """A payload."""
    return conform_coder.of_payload(vector, setting.backend)


def stress_results(vector: Json, setting: Setting) -> Json:
    """A long program, or many symbols."""
    if "program" in vector:
        return op_results(vector, setting)
    return conform_coder.of_symbols(vector, setting.backend)


def arith_results(vector: Json, setting: Setting) -> Json:
    """A function of SPEC.md on rows of arguments."""
    name, rows = vector["function"], vector["rows"]
    return {"results": [conform_arith.result(setting.backend, name, row) for row in rows]}


def model_results(vector: Json, setting: Setting) -> Json:
    """A model file: its identity and its proof."""
    model = model_file.load(setting.folder / vector["model"])
    bounds = [
        [name, b.op, b.channel, b.quantity, b.bound]
        for name, found in model_file.certify(model).items()
        for b in found
    ]
    return {"sha256": model.sha256, "bounds": bounds}


def prior_results(vector: Json, setting: Setting) -> Json:
    """Hyper-latents to mean and index, and to the table of every symbol at some qualities."""
    model = model_file.load(setting.folder / vector["model"])
    mean, index = codec.run(model, "prior", expand(vector["z"]), setting.backend)
    count = model.y_tables.n_tables
    tables = {
        str(q): described(table_indexes(index, model.scaling, q, count))
        for q in vector["qualities"]
    }
    return {"mean": described(mean), "index": described(index), "tables": tables}


def stream_results(vector: Json, setting: Setting) -> Json:
    """A whole stream. sha256: of the samples, 8 bits each, row-major, channel-last."""
    model = model_file.load(setting.folder / vector["model"])
    stream = (setting.folder / vector["stream"]).read_bytes()
    pixels = codec.decode(stream, [model], setting.backend).pixels
    height, width, channels = pixels.shape
    digest = hashlib.sha256(pixels.tobytes()).hexdigest()
    return {"width": width, "height": height, "channels": channels, "sha256": digest}


CLASSES: dict[str, Callable[[Json, Setting], Json]] = {
    "arith": arith_results, "op": op_results, "signal_range": op_results,
    "stress": stress_results, "tables": tables_results, "coder": coder_results,
    "model": model_results, "prior": prior_results, "stream": stream_results,
    "real": stream_results, "invalid_stream": stream_results,
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """`decode`: our decoder in the form that `conformance/run.py` asks for."""
    parser = argparse.ArgumentParser(prog="python -m intnet.conform", description=main.__doc__)
    parser.add_argument("verb", choices=["decode"])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--backend", choices=list(backends.MODULES), default="numba")
    chosen = parser.parse_args(arguments)
    try:
        models = [model_file.load(chosen.model)]
        pixels = codec.decode(sys.stdin.buffer.read(), models, chosen.backend).pixels
    except (IntnetError, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201  # diagnostics go to stderr
        return 1
    sys.stdout.buffer.write(pixels.tobytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
