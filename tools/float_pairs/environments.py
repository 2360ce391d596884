"""The environments: what each runs, under which variables, and what it needs to be measured."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from float_pairs import exchange

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "tools"
SEARCH = f"{TOOLS}{os.pathsep}{ROOT}"
POLL = 0.2  # seconds between two looks at how far an environment is
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "INTNET_THREADS")
# What would change an environment without its name saying so.
FOREIGN = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "INTNET_SIMD",
           "MKL_ENABLE_INSTRUCTIONS", "OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES")  # fmt: skip
# OpenBLAS names a core by the first type that shares its kernels.
SAME_KERNELS = {"katmai": "prescott"}
# OpenBLAS core types of x86-64 and the flag of /proc/cpuinfo that each needs.
CORES = {"Prescott": "pni", "Nehalem": "sse4_2", "Sandybridge": "avx", "Haswell": "avx2",
         "Zen": "avx2", "SkylakeX": "avx512f"}  # fmt: skip
SSE = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41",
       "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"}  # fmt: skip
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
ARM_CPU, ARM_CORE = "cortex-a76", "NEOVERSEN1"


class NotMeasuredError(Exception):
    """Why an environment gave nothing."""


@dataclass(frozen=True)
class Environment:
    """One process. `needs`: flags of the processor; `core`: what OpenBLAS must then say it uses."""

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    core: str = ""
    launcher: tuple[str, ...] = (sys.executable,)

    @property
    def integer(self) -> bool:
        """Whether it runs the integer prior."""
        return self.module == "integer_prior"


@dataclass(frozen=True)
class Subject:
    """What is run: the same trained prior as floats and as integers."""

    checkpoint: Path
    model: Path
    quality: int


def torch_environments(subject: Subject, *, half: bool, cuda: bool) -> Iterator[Environment]:
    """The float prior in torch."""

    def env(name: str, *arguments: str, needs: str = "", **variables: str) -> Environment:
        given = ("--checkpoint", str(subject.checkpoint), *arguments)
        return Environment(name, "torch_prior", given, variables, (needs,) if needs else ())

    yield env("torch")
    yield env("torch, 2 threads", "--threads", "2")
    yield env("torch, channels last", "--channels-last")
    yield env("torch, oneDNN off", "--no-onednn")
    yield env("torch, SSE4 only", needs="sse4_2", **SSE)
    yield env("torch, AVX2 only", needs="avx2", **AVX2)
    if half:
        for dtype in ("bfloat16", "float16"):
            yield env(f"torch, {dtype}", "--dtype", dtype)
    if cuda:
        yield env("torch, CUDA", "--device", "cuda")
        yield env("torch, CUDA without TF32", "--device", "cuda", "--no-tf32")


def numpy_environments() -> Iterator[Environment]:
    """The float prior in NumPy."""
    for core, flag in CORES.items():
        yield Environment(
            f"NumPy, OpenBLAS {core}", "numpy_prior", variables={"OPENBLAS_CORETYPE": core},
            needs=(flag,), core=core,
        )  # fmt: skip
    yield Environment("NumPy, einsum", "numpy_prior", ("--form", "einsum"))


def integer_environments(subject: Subject) -> Iterator[Environment]:
    """The integer prior."""
    given = ("--model", str(subject.model), "--quality", str(subject.quality))
    yield Environment("NumPy", "integer_prior", (*given, "--backend", "numpy"))
    for simd in ("generic", "avx2"):
        for threads in ("1", "2"):
            yield Environment(
                f"numba {simd}, {threads} thread{'s' * (threads > '1')}", "integer_prior",
                (*given, "--backend", "numba"), {"INTNET_SIMD": simd, "INTNET_THREADS": threads},
                needs=(simd,) if simd != "generic" else (),
            )  # fmt: skip


def arm_environments(subject: Subject, folder: Path) -> Iterator[Environment]:
    """On an emulated 64-bit Arm. Raises NotMeasuredError naming what the folder lacks."""
    root = first(folder, "arm64", "root-arm64")
    python = next(iter(sorted((root / "usr/bin").glob("python3.[0-9]*"))), None)
    programs = (folder / "qemu/usr/bin/qemu-aarch64", folder / "bin/qemu-aarch64-static")
    there = [str(path) for path in programs if path.is_file()]
    qemu = (there or [shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64") or ""])[0]
    if not qemu or not python:
        raise NotMeasuredError(f"{folder}: no {'Python in ' + root.name if qemu else 'qemu'}")
    site = folder / "arm64-site"
    packages = f"{site}{os.pathsep}" if site.is_dir() else ""
    launcher = (qemu, "-cpu", ARM_CPU, "-L", str(root), str(python))
    variables = {"PYTHONHOME": str(root / "usr"), "PYTHONPATH": packages + SEARCH,
                 "PYTHONNOUSERSITE": "1", "PYTHONDONTWRITEBYTECODE": "",
                 "PYTHONPYCACHEPREFIX": str(folder / "arm64-pyc")}  # fmt: skip
    if not packages:
        yield Environment("Arm, Debian's NumPy", "numpy_prior", (), variables, launcher=launcher)
        return
    blas = variables | {"OPENBLAS_CORETYPE": ARM_CORE}
    yield Environment(f"Arm, OpenBLAS {ARM_CORE}", "numpy_prior", (), blas, core=ARM_CORE,
                      launcher=launcher)  # fmt: skip
    given = ("--model", str(subject.model), "--quality", str(subject.quality), "--backend")
    for backend in ("NumPy", "numba"):
        yield Environment(f"Arm, {backend}", "integer_prior", (*given, backend.lower()), variables,
                          launcher=launcher)  # fmt: skip


def first(folder: Path, *names: str) -> Path:
    """The first of these that is there. Raises NotMeasuredError."""
    for name in names:
        if (folder / name).is_dir():
            return folder / name
    raise NotMeasuredError(f"{folder}: holds none of {', '.join(names)}")


@cache
def processor_flags() -> frozenset[str]:
    """Flags of /proc/cpuinfo; empty where there is no such file or it is not an x86."""
    path = Path("/proc/cpuinfo")
    if platform.machine() not in ("x86_64", "AMD64") or not path.is_file():
        return frozenset()
    lines = [line for line in path.read_text().splitlines() if line.startswith("flags")]
    return frozenset(lines[0].partition(":")[2].split()) if lines else frozenset()


def measure(
    environment: Environment, inputs: Path, output: Path, progress: Callable[[int], None]
) -> dict[str, Any]:
    """Run an environment on all pictures; what it says about itself.

    progress is told how many pictures are done. Raises NotMeasuredError.
    """
    missing = [flag for flag in environment.needs if flag not in processor_flags()]
    if missing:
        raise NotMeasuredError(f"this processor lacks {', '.join(missing)}")
    output.mkdir(parents=True)
    module = f"float_pairs.{environment.module}"
    # numba tells caches apart by one file of each kernel: ours of another machine starts empty
    native = environment.launcher == (sys.executable,)
    cache = {} if native else {"NUMBA_CACHE_DIR": str(output / "numba")}
    command = [*environment.launcher, "-m", module, str(inputs), str(output)]
    with (output / "log").open("w+") as log:
        process = subprocess.Popen(
            [*command, *environment.arguments], cwd=ROOT, env=variables(environment) | cache,
            stdout=log, stderr=log,
        )  # fmt: skip
        try:
            for _ in waiting(process):
                progress(exchange.done(output))
        finally:
            process.kill()
        log.seek(0)
        last = (log.read().strip().splitlines() or ["said nothing"])[-1]
    if process.returncode:
        raise NotMeasuredError(f"exit {process.returncode}: {last}")
    about: dict[str, Any] = json.loads((output / "environment.json").read_text())
    took = str(about["kernels"]).lower()
    if environment.core and SAME_KERNELS.get(took, took) != environment.core.lower():
        raise NotMeasuredError(f"OpenBLAS took {about['kernels']} instead")
    return about


def waiting(process: subprocess.Popen[Any]) -> Iterator[None]:
    """Now and then until the process ends, and once after."""
    while process.poll() is None:
        yield
        try:
            process.wait(POLL)
        except subprocess.TimeoutExpired:
            continue
    yield


def variables(environment: Environment) -> dict[str, str]:
    """The process's variables: ours, without what would change it unnamed; one thread."""
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    one = dict.fromkeys(THREADS, "1")
    return kept | one | {"PYTHONPATH": SEARCH} | environment.variables
