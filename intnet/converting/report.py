"""The end of a conversion: measure, report, hold to a limit, write the model file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from intnet import files, model_file, model_header
from intnet.bench.peers import NotInstalledError, need
from intnet.converting import measure, report_text
from intnet.converting.measure import FloatCoder, Row
from intnet.errors import IntnetError
from intnet.model_file import Model
from intnet.training.data import Pictures

HTML, SUFFIXES = ".html", (".html", ".md", ".json")
TIGHTEST = 8  # bounds that a report lists
Report = dict[str, Any]
Say = Callable[[str], None]


class Wanted(NamedTuple):
    """Of the end of a conversion. report: file to write; max_bd_rate: percent."""

    report: Path | None = None
    max_bd_rate: float | None = None
    plain: bool = False


NOTHING = Wanted()


@dataclass(frozen=True, eq=False)
class Subject:
    """An integer model beside the float codec that it was.

    about: for the report, such as the architecture. pictures: to measure with; without any nothing
    is measured. own: see `measure.cost`. losses: rows of `losses.rows`, from a slope.
    """

    model: Model
    about: Report
    pictures: Pictures
    qualities: tuple[int, ...]
    own: int | None
    code: FloatCoder
    layers: Callable[[], list[Row]]
    losses: Callable[[float | None], list[Row]]


def check(wanted: Wanted, *, measured: bool) -> None:
    """Refuse before any work what could not be done. Raises IntnetError."""
    path = wanted.report
    if not measured and (path or wanted.max_bd_rate is not None):
        raise IntnetError("--report and --max-bd-rate need --calibration with a folder of pictures")
    if path is None:
        return
    if path.suffix not in SUFFIXES:
        raise IntnetError(f"--report {path}: the suffix must be one of {', '.join(SUFFIXES)}")
    files.check_target(path)
    if path.suffix == HTML:
        try:
            need("matplotlib")
        except NotInstalledError as error:
            raise IntnetError(
                f"--report {path}: plots need matplotlib, {error}; .md and .json do without"
            ) from None


def finish(subject: Subject, out: Path, wanted: Wanted, say: Say) -> Report:
    """Write the report, then the model, which is not written where it costs more than allowed.

    Raises IntnetError naming cost and limit.
    """
    data = model_file.to_bytes(subject.model, plain=wanted.plain)
    report = {"model": subject.model.sha256, "name": subject.model.name, **subject.about,
              **of_file(data), "layers": [], "curve": [], "cost": None}  # fmt: skip
    if subject.pictures:
        say("comparing layers and rate-distortion with the float model")
        report["layers"] = subject.layers()
        report["pictures"] = len(subject.pictures)
        report["curve"] = measure.curve(
            subject.code, subject.model, subject.pictures, subject.qualities
        )
        report["cost"] = measure.cost(report["curve"], subject.own)
    if wanted.report:
        say("leaving one layer at a time in float")
        report["bounds"] = bounds(subject.model)
        report["losses"] = subject.losses(measure.slope(report["curve"]))
        files.write(wanted.report, text(report, wanted.report.suffix).encode())
        say(f"wrote {wanted.report}")
    if wanted.max_bd_rate is not None:
        hold(report["cost"], wanted.max_bd_rate, out)
    files.write(out, data)
    say(f"wrote {out}, model {subject.model.sha256[:16]}")
    return report


def of_file(data: bytes) -> Report:
    """What the file alone says: size, bits per weight, multiply-accumulates."""
    header = model_header.parse(data)
    kmac = {p["name"]: p["kmac_per_pixel"] for p in model_header.programs(header)}
    return {"file_bytes": len(data), "bits_per_weight": header.bits_per_weight,
            "kmac_per_pixel": kmac}  # fmt: skip


def bounds(model: Model) -> list[Row]:
    """The tightest that were proved, one row for each operation's worst channel."""
    rows: list[Row] = [
        {"network": name, "op": b.op, "quantity": b.quantity, "channel": b.channel,
         "bound": b.bound, "limit": b.limit, "headroom_bits": round(b.headroom, 2)}
        for name, found in model_file.certify(model).items() for b in found
    ]  # fmt: skip
    return sorted(rows, key=lambda row: row["headroom_bits"])[:TIGHTEST]


def hold(cost: Row, most: float, out: Path) -> None:
    """Raise IntnetError where integers cost more percent of bits than allowed, or nobody can say.

    >>> hold({"measure": "BD-rate of PSNR", "percent": 0.5}, 1.0, Path("m.inm"))
    """
    if cost["percent"] is None:
        raise IntnetError(f"{out}: not written: float and integer curves share no PSNR, so their "
                          f"rates cannot be compared; --max-bd-rate is {most:g} %")  # fmt: skip
    if cost["percent"] > most:
        raise IntnetError(f"{out}: not written: integers cost {cost['percent']:.2f} % "
                          f"({cost['measure']}), --max-bd-rate is {most:g} %")  # fmt: skip


def text(report: Report, suffix: str) -> str:
    """In the form that a suffix says."""
    if suffix == ".json":
        return json.dumps(report, indent=1) + "\n"
    return report_text.html(report) if suffix == HTML else report_text.markdown(report)
