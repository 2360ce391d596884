"""One convolution at a time: the product's kernels beside torch and onnxruntime.

Inputs u8 and s16, weights s8, requantised in the same pass. torch computes the convolution and its
bias alone, onnxruntime requantises too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from intnet import backends
from intnet.backends.execute import Rows
from intnet.backends.simd import choose
from intnet.bench import peers
from intnet.bench.kernel_peers import Maker, onnxruntime_int8, torch_convolution
from intnet.bench.layers import CASES, Case
from intnet.bench.peak import Loop, register_loop
from intnet.bench.race import Call, Settings, geomean, race
from intnet.bench.report import PRODUCT, Report, Value
from intnet.program import DTYPES, Array

WIDE = "intnet s16"
POINT = "1x1"
FLOAT, HALF, QUANTISED = "torch float32", "torch bfloat16", "onnxruntime int8"
SMALL = 8, 12  # outputs of the layers that are compared with exact ones; of all with quick


def run(settings: Settings) -> Report:
    """Time every layer; count the outputs that are not exact.

    settings.only: cases, or peers, whose names contain it. Raises ValueError where none does.
    """
    makers = {
        FLOAT: lambda: torch_convolution("float32", settings.threads),
        HALF: lambda: torch_convolution("bfloat16", settings.threads),
        QUANTISED: lambda: onnxruntime_int8(settings.threads),
    }
    cases = {case.name: small(case) if settings.quick else case for case in CASES}
    wanted, rivals = peers.wanted(list(cases), list(makers), settings.only)
    report = Report("kernels", "GMAC/s", {"cases": wanted})
    there, report.missing = peers.gather({name: makers[name] for name in rivals})
    loops = {PRODUCT: register_loop(settings.threads, "u8"),
             WIDE: register_loop(settings.threads, "s16")}  # fmt: skip
    for case in (cases[name] for name in wanted):
        measure(case, there, loops, report, settings)
    report.summary = summary(report)
    report.notes = notes(report)
    return report


def measure(
    case: Case, there: Mapping[str, Maker], loops: Mapping[str, Loop | None], report: Report,
    settings: Settings,
) -> None:  # fmt: skip
    """Add the rows of a case. The loops of the peak take their turns in the same race."""
    limits = {f"{name}, peak": loop.call for name, loop in loops.items() if loop}
    times = race(case.name, contenders(case, there) | limits, settings)
    peaks: dict[str, float | None] = dict.fromkeys(loops)
    reached: dict[str, float | None] = dict.fromkeys(loops)
    for name, loop in loops.items():
        if loop:
            limit = times.pop(f"{name}, peak")
            peaks[name] = loop.gmacs / min(limit)
            reached[name] = part(case.gmacs, times[name], loop.gmacs, limit)
    inexact = differing(small(case), there)
    report.add(case.name, times, case.gmacs, peak=peaks, part_of_peak=reached,
               inexact_percent=inexact)  # fmt: skip


def part(
    work: float, seconds: Sequence[float], limit_work: float, limit_seconds: Sequence[float]
) -> float:
    """Rate over the limit's rate, each in its best round: a limit is the most that is ever seen.

    Other processes can only slow either down, so medians may put the product above its limit.

    >>> part(3.0, [2.0, 1.0, 1.0], 10.0, [2.0, 4.0, 3.0])
    0.6
    """
    return work / min(seconds) * min(limit_seconds) / limit_work


def small(case: Case) -> Case:
    """The same layer on a small picture."""
    return dataclasses.replace(case, output=SMALL)


def contenders(case: Case, there: Mapping[str, Maker]) -> dict[str, Call]:
    """A call for everyone who has such a layer, the product first."""
    calls = {PRODUCT: product(case, "u8"), WIDE: product(case, "s16")}
    made = ((name, make(case)) for name, make in there.items())
    return calls | {name: call for name, call in made if call}


def product(case: Case, dtype: str) -> Call:
    """Run a layer as the codec does, inputs unchecked. Calls give the same array every time."""
    backend, program, x = backends.load("numba").BACKEND, case.program(dtype), case.x(dtype)
    (step,) = backend.steps(program)
    out = np.empty((*case.output, case.channels), DTYPES[dtype])
    inputs, rows = [Rows(x, 0, len(x))], Rows(out, 0, len(out))

    def call() -> Array:
        backend.compute(step, inputs, rows)
        return out

    return call


def differing(case: Case, there: Mapping[str, Maker]) -> dict[str, Value]:
    """Percent of outputs that are not what the reference computes, for those who are integer."""
    found: dict[str, Value] = {
        PRODUCT: percent(product(case, "u8")(), reference(case, "u8")),
        WIDE: percent(product(case, "s16")(), reference(case, "s16")),
    }
    call = there[QUANTISED](case) if QUANTISED in there else None
    if call:
        sums = reference(case, "u8", sums=True)
        exact = np.clip(np.rint(sums / 2**case.shift), 0, 255)  # ties to even, as it is specified
        found[QUANTISED] = percent(call(), exact)
    return found


def reference(case: Case, dtype: str, *, sums: bool = False) -> Array:
    """Outputs by NumPy, exact."""
    inputs = {"x": case.x(dtype)}
    exact: Array = backends.load("numpy").run(case.program(dtype, sums=sums), inputs)["y"]
    return exact


def percent(got: object, exact: Array) -> float:
    """Percent of the elements that differ."""
    return float(100 * np.mean(got != exact))


def summary(report: Report) -> dict[str, Value]:
    """Geometric means over cases; the least part of the peak, 1x1 apart; the highest peak seen."""
    cases = report.cases()
    found: dict[str, Value] = {
        f"{name}_ratio_geomean": geomean(report.ratio(case, peer) for case in cases)
        for name, peer in (
            ("torch_float32", FLOAT), ("torch_bfloat16", HALF), ("onnxruntime_int8", QUANTISED),
        )
    }  # fmt: skip
    found["s16_torch_float32_ratio_geomean"] = geomean(
        report.ratio(case, FLOAT, WIDE) for case in cases
    )
    own = {row["case"]: row for row in report.rows if row["contender"] == PRODUCT}
    reached = {case: row["part_of_peak"] for case, row in own.items() if row["peak"]}
    point = reached.pop(POINT, None)
    return found | {
        "peak_fraction_min": min(reached.values(), default=None),
        "peak_fraction_1x1": point,
        "peak_gmacs": max((row["peak"] for row in own.values() if row["peak"]), default=None),
        "isa": choose.chosen(),
    }


def notes(report: Report) -> list[str]:
    """What the figures do not say themselves."""
    inexact = [row["inexact_percent"] for row in report.rows if row["contender"] == QUANTISED]
    found = [
        "ratio: how many times faster intnet (u8) is, the median over rounds",
        "peak: a loop of dot products on registers alone, in the same turns; best round over best",
    ]
    if inexact and max(inexact) > 0:
        found.append(
            f"onnxruntime int8: up to {max(inexact):.2g} % of outputs are not exact "
            "(pairs of products saturate at 16 bits without VNNI)"
        )
    return found
