"""The conformance runner: this installation against the frozen vectors, in process.

A vector says what goes in and what must come out; `results` computes the same form anew, and equal
means pass. Nothing is skipped: a vector that cannot be read fails, and so does an empty folder.
`conformance/README.md` describes the files; `conformance/run.py` tests other people's decoders.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

import rangecoder
import rangecoder.reference
from intnet import backends, codec, conform_folder, model_file, program_json
from intnet.bounds import prove
from intnet.conform_arrays import described, expand
from intnet.conform_folder import Case, Json, describe, difference
from intnet.errors import IntnetError
from intnet.latents import table_indexes

DEFAULT = Path(__file__).resolve().parents[1] / "conformance" / "vectors" / "v1"


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
    """What is wrong with the folder, then every vector."""
    work, faults = conform_folder.read(setting.folder)
    tested = [run_vector(kind, vector, setting) for kind, vector in work]
    return faults + tested


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
    """A payload; with the NumPy backend by the coder in Python ints, else by the compiled one."""
    tables = rangecoder.from_bytes(bytes.fromhex(vector["tables"]))
    indexes, payload = expand(vector["indexes"]), bytes.fromhex(vector["payload"])
    lanes = int(vector["lanes"])
    if setting.backend == "numpy":
        listed = [int(index) for index in indexes]
        values = rangecoder.reference.decode(payload, listed, tables, lanes)
        again = rangecoder.reference.encode(values, listed, tables, lanes)
        symbols = np.array(values, np.int32)
    else:
        symbols = rangecoder.decode(payload, indexes, tables, lanes)
        again = rangecoder.encode(symbols, indexes, tables, lanes)
    if again != payload:
        raise ValueError(f"symbols encode to {again.hex():.60}, not to the payload")
    return {"symbols": described(symbols)}


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
    "op": op_results, "tables": tables_results, "coder": coder_results, "model": model_results,
    "prior": prior_results, "stream": stream_results, "invalid_stream": stream_results,
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
