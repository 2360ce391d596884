"""The conformance runner: this installation against the frozen vectors, in process.

A vector says what goes in and what must come out; `results` computes the same form anew, and equal
means pass. Nothing is skipped: a vector that cannot be read fails, and so does an empty folder. A
class that is not known here, or a backend that cannot be imported, is not supported: no pass.
`conformance/README.md` describes the files; `conformance/run.py` tests other people's decoders.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

from intnet import backends, machine
from intnet.conform import folder, tracing
from intnet.conform.arrays import Json
from intnet.conform.classes import CLASSES, results
from intnet.conform.folder import Case, Setting, describe, difference, digest_of

COMPILER = ("numba", "llvmlite")  # without them a backend is not supported


def run(
    backend: str = "numba",
    vectors: Path | None = None,
    wanted: Callable[[Json], bool] = bool,
    *,
    jobs: int = 1,
    stages: bool = False,
) -> Json:
    """The vectors of a folder that are `wanted` on a backend: counts, and a result per case.

    jobs: processes at a time. stages: also a digest of every tensor, see `tracing`.
    Raises FileNotFoundError where there is no such folder, ValueError for an unknown backend.
    """
    if vectors is None:
        vectors = folder.DEFAULT
    if not vectors.is_dir():
        raise FileNotFoundError(f"conformance vectors: no folder {vectors}")
    unsupported("op", backend)  # ValueError now, not in every case
    setting = Setting(vectors, backend, stages)
    work, faults = folder.read(vectors)
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
        "vectors": folder.digest(vectors),
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
        stages = tracing.trace(vector, got, setting) if setting.stages else []
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
