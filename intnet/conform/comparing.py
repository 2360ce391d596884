"""Reports of `intnet conform run --json` side by side: who saw what, and where they first part."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from intnet.conform.arrays import Json
from intnet.errors import IntnetError

SHOWN = 16  # hexadecimal digits of a hash
COUNTS = ("passed", "failed", "not_supported")
Key = tuple[str, str]  # class and id: what is wrong with a file may have the id of a vector


class Report(NamedTuple):
    """One machine's report. name: A, B, ... in the order given."""

    name: str
    path: str
    content: Json
    cases: dict[Key, Json]

    def who(self) -> str:
        """How a line names it."""
        return f"{self.name} {self.content['machine']['architecture']}"


class Difference(NamedTuple):
    """What reports do not have in common. stage, op: empty where no stage says it."""

    id: str
    text: str
    stage: str = ""
    op: str = ""

    def line(self) -> str:
        """For people."""
        return f"{self.id}: {self.text}"


def read(path: Path, name: str) -> Report:
    """A report. Raises OSError, or IntnetError where the file holds something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        cases = {(str(case["class"]), str(case["id"])): case for case in content["cases"]}
        _ = [content["backend"], content["vectors"], content["machine"]["architecture"],
             *(int(content[count]) for count in COUNTS)]  # fmt: skip
        for case in cases.values():
            _ = [case["result"], case["digest"], case["detail"], digests(case)]
    except (ValueError, KeyError, TypeError) as error:
        why = f"{type(error).__name__}: {error}"
        raise IntnetError(f"{path}: no report of `intnet conform run --json`: {why}") from None
    return Report(name, str(path), content, cases)


def read_all(paths: Sequence[Path]) -> list[Report]:
    """Reports A, B, ... Raises IntnetError for less than two and for more than letters."""
    if not 2 <= len(paths) <= 26:
        raise IntnetError(f"reports: {len(paths)}, must be 2..26")
    return [read(path, chr(ord("A") + i)) for i, path in enumerate(paths)]


def digests(case: Json) -> dict[tuple[str, str], str]:
    """Stage and operation -> hash, in the order they were made."""
    return {(str(s["stage"]), str(s["op"])): str(s["sha256"]) for s in case["stages"]}


def compare(reports: Sequence[Report]) -> list[Difference]:
    """Everything that is not equal. Each case is compared with the first report that has it."""
    found: list[Difference] = []
    if len({report.content["vectors"] for report in reports}) > 1:
        values = [(r, str(r.content["vectors"])[:SHOWN]) for r in reports]
        found.append(Difference("vectors", f"reports are of different vectors: {listed(values)}"))
    for key in dict.fromkeys(key for report in reports for key in report.cases):
        having = [report for report in reports if key in report.cases]
        if len(having) < len(reports):
            names = ", ".join(report.who() for report in having)
            found.append(Difference(key[1], f"only in {names}"))
        for other in having[1:]:
            found += differing(key, having[0], other)
    return found


def differing(key: Key, first: Report, other: Report) -> list[Difference]:
    """How two reports differ in a case, if they do."""
    a, b = first.cases[key], other.cases[key]
    if not (a["digest"] and b["digest"]):
        if a["result"] == b["result"]:
            return []
        values = [(r, f"{r.cases[key]['result']} {r.cases[key]['detail']:.60}".strip())
                  for r in (first, other)]  # fmt: skip
        return [Difference(key[1], listed(values))]
    ours, theirs = digests(a), digests(b)
    common = [name for name in ours if name in theirs]
    parted = next((name for name in common if ours[name] != theirs[name]), None)
    if parted:
        values = [(first, ours[parted][:SHOWN]), (other, theirs[parted][:SHOWN])]
        where = f"first difference at stage {parted[0]}, op {parted[1]}"
        return [Difference(key[1], f"{where}: {listed(values)}", *parted)]
    if a["digest"] == b["digest"]:
        return []
    why = "every common stage agrees" if common else "run with --stages to see where"
    values = [(first, a["digest"][:SHOWN]), (other, b["digest"][:SHOWN])]
    return [Difference(key[1], f"other results ({why}): {listed(values)}")]


def listed(values: Sequence[tuple[Report, str]]) -> str:
    """A value a report."""
    return ", ".join(f"{report.who()} {value}" for report, value in values)


def rows(reports: Sequence[Report]) -> list[dict[str, Any]]:
    """A table with a column a machine: its facts, then the counts."""
    facts: list[dict[str, Any]] = [
        {"report": Path(r.path).name, "backend": r.content["backend"], **r.content["machine"]}
        | {count: r.content[count] for count in COUNTS}
        for r in reports
    ]
    names = dict.fromkeys(name for fact in facts for name in fact)
    return [
        {"": name.replace("_", " "), **{r.name: str(fact.get(name, "")) for r, fact in
                                        zip(reports, facts, strict=True)}}
        for name in names
    ]  # fmt: skip
