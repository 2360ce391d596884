"""What was measured, as Markdown tables, JSON and a plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from float_pairs.pairs import Outcome
from intnet.program import Array

FIELDS = {name: i for i, name in enumerate(Outcome._fields)}
FLOAT_TABLES = {
    "fails": "pictures that fail to decode",
    "tables": "table indexes that differ, ppm",
    "means": "means that round to another step, ppm",
    "drifts": "pictures that decode, but to other latents",
}


@dataclass
class Family:
    """Environments of one prior, all pairs. total: as `pairs.compare` gives it."""

    names: list[str]
    total: Array
    about: list[dict[str, Any]]

    def counts(self, field_name: str) -> Array:
        """(encoder, decoder) of a field of Outcome; tables and means in ppm of all symbols."""
        counts: Array = self.total[..., FIELDS[field_name]]
        ppm = field_name in ("tables", "means")
        return 1e6 * counts / self.total[..., FIELDS["symbols"]] if ppm else counts

    def clean(self) -> bool:
        """Whether nothing whatever differs between any two."""
        return not self.total[..., : FIELDS["symbols"]].any()

    def pairs_with(self, field_name: str) -> int:
        """How many ordered pairs of different environments have any of it."""
        return int(np.count_nonzero(self.total[..., FIELDS[field_name]]))

    def as_json(self) -> dict[str, Any]:
        """Names, what each says of itself, and a matrix of counts per field."""
        counts = {name: self.total[..., i].tolist() for name, i in FIELDS.items()}
        about = dict(zip(self.names, self.about, strict=True))
        return {"environments": about, "order": self.names, "encoder_by_decoder": counts}


@dataclass
class Report:
    """The whole measurement."""

    pictures: int
    quality: int
    model: str
    families: dict[str, Family]
    not_measured: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Counts, not shares."""
        families = {name: family.as_json() for name, family in self.families.items()}
        return {"pictures": self.pictures, "quality": self.quality, "model": self.model,
                "not_measured": self.not_measured} | families  # fmt: skip

    def good(self) -> bool:
        """Each prior was measured in two environments or more, and the integer one is clean."""
        enough = all(len(family.names) > 1 for family in self.families.values())
        return enough and self.families["integer"].clean()

    def text(self) -> str:
        """Markdown: summary, tables, what was not measured."""
        floats, integers = self.families["float"], self.families["integer"]
        parts = [self.summary()]
        for name, title in FLOAT_TABLES.items():
            shown = matrix(floats, name) if floats.pairs_with(name) else "0 in every pair"
            parts.append(f"Float prior: {title}\n\n{shown}")
        parts.append(
            f"Integer prior: {FLOAT_TABLES['fails']}, or to other latents\n\n"
            + matrix(integers, "fails", "drifts")
        )
        if self.not_measured:
            lines = (f"- not measured: {name}: {why}" for name, why in self.not_measured.items())
            parts.append("\n".join(lines))
        return "\n\n".join(parts)

    def summary(self) -> str:
        """Both priors in a few words each."""
        lines = [f"{self.pictures} pictures, quality {self.quality}, model {self.model}."]
        for name, family in self.families.items():
            n, fails = len(family.names), family.total[..., FIELDS["fails"]]
            noticed = family.total[..., FIELDS["refused"]].sum()
            worst = f"the worst on {fails.max(initial=0)} pictures"
            lines += [
                f"- {name}: {n} environments, {n * (n - 1)} pairs",
                f"  - fail on some picture: {family.pairs_with('fails')} pairs, {worst}",
                f"  - failures: {fails.sum()}, of which the coder noticed {noticed}",
                f"  - decode some picture to other latents: {family.pairs_with('drifts')} pairs",
            ]
        return "\n".join(lines)


def matrix(family: Family, *fields: str) -> str:
    """Markdown, encoders as rows and decoders as columns; fields are added."""
    if not family.names:
        return "none measured"
    values = sum((family.counts(name) for name in fields), np.zeros(()))
    numbers = [str(i + 1) for i in range(len(family.names))]
    rows = [["encodes \\ decodes", *numbers], ["---", *["---:"] * len(numbers)]]
    for number, name, row in zip(numbers, family.names, values, strict=True):
        rows.append([f"{number} {name}", *map(cell, row)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(line(row, widths) for row in rows)


def line(row: Sequence[str], widths: Sequence[int]) -> str:
    """One row: names to the left, numbers to the right."""
    cells = [row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]
    return f"| {' | '.join(cells)} |"


def cell(value: float) -> str:
    """Counts are whole; small ppm have two figures."""
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"


def draw(report: Report, target: Path) -> None:
    """Both priors' failures as squares of pairs, share of pictures written in them."""
    from matplotlib.figure import Figure  # noqa: PLC0415  # optional, slow to load

    families = {name: family for name, family in report.families.items() if family.names}
    if not families:
        return  # all is named as not measured
    sizes = [len(family.names) for family in families.values()]
    height = 2.2 + 0.3 * max(sizes)
    figure = Figure(figsize=(5 + 0.42 * sum(sizes), height), layout="constrained")
    row = figure.subplots(1, len(sizes), width_ratios=sizes, squeeze=False)[0]
    for axes, (name, family) in zip(row, families.items(), strict=True):
        share = 100 * family.counts("fails") / report.pictures
        axes.imshow(share, cmap="Reds", vmin=0, vmax=100)
        for (i, j), value in np.ndenumerate(share):
            colour = "white" if value > 60 else "black"
            axes.text(j, i, f"{value:.0f}", ha="center", va="center", fontsize=7, color=colour)
        numbers = range(len(family.names))
        labels = [f"{n} {i + 1}" for i, n in enumerate(family.names)]
        axes.set_yticks(numbers, labels, fontsize=8)
        axes.set_xticks(numbers, [str(i + 1) for i in numbers], fontsize=8)
        axes.set(xlabel="decodes", ylabel="encodes", title=f"{name} prior")
    figure.suptitle(f"% of {report.pictures} pictures that fail to decode", fontsize=11)
    figure.savefig(target, dpi=90)
