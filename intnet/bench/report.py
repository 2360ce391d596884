"""What a benchmark found: one JSON object, or ratios, tables and the machine as text."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from intnet.bench.race import Times, ratio

PRODUCT = "intnet"

Value = float | int | str | None
Row = dict[str, Any]


@dataclass
class Report:
    """One benchmark.

    unit: of rates. settings: what was asked for. summary: figures by name, None for what was not
    measured. rows: one per case and contender, see `add`. missing: contender to why it did not
    run. notes: sentences.
    """

    benchmark: str
    unit: str
    settings: dict[str, Any]
    summary: dict[str, Value] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, case: str, times: Times, work: float, **more: Mapping[str, Value]) -> None:
        """A row for each contender of a case.

        times: must hold PRODUCT. work: units of one call, so that rate = work / median seconds.
        more: further columns, contender to value.
        """
        for name, samples in times.items():
            median = statistics.median(samples)
            row: Row = {
                "case": case, "contender": name,
                "ratio": None if name == PRODUCT else ratio(times, PRODUCT, name),
                "rate": work / median, "seconds": median, "samples": list(samples),
            }  # fmt: skip
            self.rows.append(row | {column: values.get(name) for column, values in more.items()})

    def find(self, case: str, contender: str = PRODUCT) -> Row | None:
        """The row of a contender in a case, None where it did not run."""
        found = (r for r in self.rows if (r["case"], r["contender"]) == (case, contender))
        return next(found, None)

    def rate(self, case: str, contender: str = PRODUCT) -> float | None:
        """Units per second, None where the contender did not run."""
        row = self.find(case, contender)
        return row["rate"] if row else None

    def ratio(self, case: str, contender: str, product: str = PRODUCT) -> float | None:
        """How many times faster `product` is, None where either did not run."""
        rows = self.find(case, product), self.find(case, contender)
        if rows[0] is None or rows[1] is None:
            return None
        return ratio({row["contender"]: row["samples"] for row in rows if row}, product, contender)

    def cases(self) -> list[str]:
        """Names of cases in order."""
        return list(dict.fromkeys(row["case"] for row in self.rows))

    def document(self, machine: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON object."""
        return {
            "benchmark": self.benchmark, "summary": self.summary, "unit": self.unit,
            "machine": dict(machine), "settings": self.settings, "results": self.rows,
            "not_measured": self.missing, "notes": self.notes,
        }  # fmt: skip

    def table(self) -> list[Row]:
        """Rows for people: ratio before rate, no samples, no column that is empty throughout."""
        rows = [{(self.unit if k == "rate" else k): v for k, v in row.items() if k != "samples"}
                for row in self.rows]  # fmt: skip
        full = {key for row in rows for key, value in row.items() if value is not None}
        return [{key: value for key, value in row.items() if key in full} for row in rows]
