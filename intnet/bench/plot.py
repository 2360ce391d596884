"""Rates as bars, one group per case."""

from __future__ import annotations

from pathlib import Path

from intnet.bench.peers import need
from intnet.bench.report import Report

SPAN = 20.0  # rates further apart than this are drawn on a logarithmic axis


def check() -> None:
    """Raises NotInstalledError without matplotlib, before anything is measured."""
    need("matplotlib.figure")


def draw(report: Report, title: str, target: Path) -> None:
    """Write a picture of a report; the format is that of the suffix."""
    cases = report.cases()
    names = list(dict.fromkeys(row["contender"] for row in report.rows))
    figure = need("matplotlib.figure").Figure(
        figsize=(4 + 1.4 * len(cases), 5), layout="constrained"
    )
    axes = figure.subplots()
    width = 0.8 / len(names)
    for i, name in enumerate(names):
        rates = [report.rate(case, name) for case in cases]
        places = [at + (i - (len(names) - 1) / 2) * width for at in range(len(cases))]
        there = [(x, rate) for x, rate in zip(places, rates, strict=True) if rate is not None]
        bars = axes.bar(*zip(*there, strict=True), width, label=name)
        axes.bar_label(bars, fmt="{:.3g}", fontsize=6, rotation=90, padding=2)
    found = [row["rate"] for row in report.rows]
    if max(found) > SPAN * min(found):
        axes.set_yscale("log")
    axes.set_xticks(range(len(cases)), [case.replace(", ", ",\n") for case in cases], fontsize=8)
    axes.set_ylabel(report.unit)
    axes.set_title(title, fontsize=9)
    axes.margins(y=0.15)
    figure.legend(loc="outside right upper", fontsize=8)
    figure.savefig(target, dpi=120)
