"""The conformance runner: this installation against the frozen vectors, in process.

A vector says what goes in and what must come out; `results` computes the same form anew, and equal
means pass. Nothing is skipped: a vector that cannot be read fails, and so does an empty folder. A
class that is not known here, or a backend that cannot be imported, is not supported: no pass.
`conformance/README.md` describes the files; `conformance/run.py` tests other people's decoders.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

import numpy as np

import rangecoder
from intnet import (
    backends,
    codec,
    conform_arith,
    conform_coder,
    conform_folder,
    conform_trace,
    machine,
    model_file,
    program_json,
)
from intnet.bounds import prove
from intnet.conform_arrays import described, expand
from intnet.conform_folder import (
    Case,
    Json,
    Setting,
    describe,
    difference,
    digest_of,
    model_of,
)
from intnet.errors import IntnetError
from intnet.latents import table_indexes
from intnet.limits import NO_LIMITS

COMPILER = ("numba", "llvmlite")  # without them a backend is not supported
NOT_SUPPORTED = 69  # exit code, see conformance/README.md


def run(
    backend: str = "numba",
    vectors: Path | None = None,
    wanted: Callable[[Json], bool] = bool,
    *,
    jobs: int = 1,
    stages: bool = False,
) -> Json:
    """The vectors of a folder that are `wanted` on a backend: counts, and a result per case.

    jobs: processes at a time. stages: also a digest of every tensor, see `conform_trace`.
    Raises FileNotFoundError where there is no such folder, ValueError for an unknown backend.
    """
    folder = conform_folder.DEFAULT if vectors is None else vectors
    if not folder.is_dir():
        raise FileNotFoundError(f"conformance vectors: no folder {folder}")
    unsupported("op", backend)  # ValueError now, not in every case
    setting = Setting(folder, backend, stages)
    work, faults = conform_folder.read(folder)
    chosen = [(kind, vector) for kind, vector in work if wanted(vector)]
    if work and not chosen:
        faults.append(Case("index.json", "index", "fail", "no vector is chosen"))
    cases = faults + (parallel(chosen, setting, jobs) if jobs > 1 else
                      [run_vector(kind, vector, setting) for kind, vector in chosen])  # fmt: skip
    counts = Counter(case.result for case in cases)
    passed, apart = counts["pass"], counts["not-supported"]
    return {
        "backend": backend,
        "passed": passed,
        "failed": len(cases) - passed - apart,
        "not_supported": apart,
        "machine": machine.facts(),
        "vectors": conform_folder.digest(folder),
        "cases": [case.json() for case in cases],
    }


def parallel(work: list[tuple[str, Json]], setting: Setting, jobs: int) -> list[Case]:
    """Every vector, in other processes; those that a process takes with it are errors."""
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        started = [(*one, pool.submit(run_vector, *one, setting)) for one in work]
        return [ended(kind, vector, future) for kind, vector, future in started]


def ended(kind: str, vector: Json, future: Future[Case]) -> Case:
    """What another process found."""
    try:
        return future.result()
    except BrokenProcessPool as error:
        return Case(str(vector["id"]), kind, "error", describe(error), str(vector.get("clause")))


def run_vector(kind: str, vector: Json, setting: Setting) -> Case:
    """One vector: what it gives against what it must give."""
    case = Case(str(vector["id"]), kind, "error", clause=str(vector.get("clause", "")))
    if why := unsupported(kind, setting.backend):
        return case._replace(result="not-supported", detail=why)
    try:
        must = vector["expected"]
        check_result(vector)
        got = results(kind, vector, setting)
        found = difference(got, must)
        stages = conform_trace.trace(vector, got, setting) if setting.stages else []
    except Exception as error:  # noqa: BLE001  # whatever breaks, the other vectors still run
        missing = isinstance(error, ModuleNotFoundError) and error.name in COMPILER
        return case._replace(result="not-supported" if missing else "error", detail=describe(error))
    return case._replace(
        result="fail" if found else "pass", detail=found, digest=digest_of(got), stages=stages
    )


def unsupported(kind: str, backend: str) -> str:
    """Why no vector of a class can be run here; empty where they can."""
    if kind not in CLASSES:
        return f"class {kind!r:.40} is not known to this build"
    try:
        backends.load(backend)
    except ImportError as error:
        return f"backend {backend}: {error}"
    return ""


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
    model = model_of(vector, setting.folder)
    mean, index = codec.run(model, "prior", expand(vector["z"]), setting.backend)
    count = model.y_tables.n_tables
    tables = {
        str(q): described(table_indexes(index, model.scaling, q, count))
        for q in vector["qualities"]
    }
    return {"mean": described(mean), "index": described(index), "tables": tables}


def stream_results(vector: Json, setting: Setting) -> Json:
    """A whole stream. sha256: of the samples, 8 bits each, row-major, channel-last."""
    model = model_of(vector, setting.folder)
    stream = (setting.folder / vector["stream"]).read_bytes()
    pixels = codec.decode(stream, [model], setting.backend, NO_LIMITS).pixels
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
    """`decode`: our decoder in the form that `conformance/run.py` asks for.

    Exit code 69 where the backend cannot be imported.
    """
    parser = argparse.ArgumentParser(prog="python -m intnet.conform", description=main.__doc__)
    parser.add_argument("verb", choices=["decode"])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--backend", choices=list(backends.MODULES), default="numba")
    chosen = parser.parse_args(arguments)
    try:
        backends.load(chosen.backend)
    except ImportError as error:
        print(f"backend {chosen.backend}: {error}", file=sys.stderr)  # noqa: T201  # diagnostics
        return NOT_SUPPORTED
    try:
        models = [model_file.load(chosen.model)]
        data = sys.stdin.buffer.read()
        pixels = codec.decode(data, models, chosen.backend, NO_LIMITS).pixels
    except (IntnetError, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201  # diagnostics go to stderr
        return 1
    sys.stdout.buffer.write(pixels.tobytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
