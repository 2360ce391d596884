"""A report as one page: Markdown, or HTML that loads nothing and has its plots in it."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from importlib import resources
from string import Template
from typing import Any, NamedTuple

Report = dict[str, Any]
Row = dict[str, Any]
LOSSES = 12  # rows of the table; the plot has as many
LEGENDS = {
    "Rate and distortion": "Means over the pictures: the float model's bits by its own "
    "probabilities, the integer model's in bytes of real streams.",
    "Where the loss comes from": "All in integers but one layer, which has its float weights and "
    "arithmetic. percent: bits at equal PSNR that the layer's integers cost; error: its standard "
    "error over the pictures: losses within twice that, of either sign, are chance.",
    "Layers": "Signal-to-noise of each layer's integers, all before it in its network in integers "
    "too; saturated: the share of values at the end of their range; headroom: of the accumulator.",
    "Tightest bounds": "The worst case over all inputs, proved from the weights.",
}


class Table(NamedTuple):
    """Rows with equal keys."""

    title: str
    rows: list[Row]


def summary(report: Report) -> list[tuple[str, str]]:
    """The figures that come first."""
    kmac = report["kmac_per_pixel"]
    decoding = sum(v for k, v in kmac.items() if k not in ("analysis", "hyper_analysis"))
    cost = report["cost"]
    found = [(cost["measure"], percent(cost["percent"]))]
    if "quality" in cost:
        found += [
            (f"bits per pixel, quality {cost['quality']}", percent(cost["bpp_percent"])),
            (f"PSNR, quality {cost['quality']}", f"{cost['psnr_db']:+.3f} dB"),
            ("BD-rate of PSNR over scaled steps", percent(cost["bd_rate_psnr"])),
        ]
    return [
        *found, ("BD-rate of MS-SSIM", percent(cost["bd_rate_ms_ssim"])),
        ("model file", f"{report['file_bytes']} bytes"),
        ("bits per weight", str(report["bits_per_weight"])),
        ("to encode, decode", f"{sum(kmac.values()):.1f}, {decoding:.1f} kMAC/pixel"),
        ("pictures", str(report["pictures"])),
    ]  # fmt: skip


def tables(report: Report) -> list[Table]:
    """In order of the page."""
    return [
        Table("Rate and distortion", report["curve"]),
        Table("Where the loss comes from", report["losses"][:LOSSES]),
        Table("Layers", report["layers"]),
        Table("Tightest bounds", report["bounds"]),
    ]


def title(report: Report) -> str:
    """Name, architecture, recipe."""
    about = ", ".join(str(report[key]) for key in ("architecture", "recipe") if key in report)
    return f"{report['name']}: {about} in integers"


def percent(value: float | None) -> str:
    """With its sign; curves that do not overlap have none."""
    return "not comparable" if value is None else f"{value:+.2f} %"


def cell(value: Any) -> str:
    """Floats short, nothing for None."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)


def markdown(report: Report) -> str:
    """The page without plots."""
    parts = [f"# {title(report)}", "", f"Model `{report['model']}`.", ""]
    parts += [f"- {name}: {value}" for name, value in summary(report)]
    for table in tables(report):
        parts += ["", f"## {table.title}", "", LEGENDS[table.title], "", *table_rows(table)]
    return "\n".join(parts) + "\n"


def table_rows(table: Table) -> Iterator[str]:
    """Of a table in Markdown."""
    columns = list(table.rows[0])
    yield f"| {' | '.join(columns)} |"
    yield f"|{' --- |' * len(columns)}"
    for row in table.rows:
        yield f"| {' | '.join(cell(row[column]) for column in columns)} |"


def html(report: Report) -> str:
    """The page with plots. Raises NotInstalledError without matplotlib."""
    from intnet.converting import report_plots  # noqa: PLC0415  # Markdown does without

    plots = report_plots.plots(report)
    page = Template((resources.files("intnet.converting") / "report.html").read_text("utf-8"))
    return page.substitute(
        title=escape(title(report)), model=report["model"],
        summary="\n".join(f"<dt>{escape(n)}</dt><dd>{escape(v)}</dd>" for n, v in summary(report)),
        sections="\n".join(section(table, plots.get(table.title, "")) for table in tables(report)),
    )  # fmt: skip


def section(table: Table, plot: str) -> str:
    """A heading, what it means, a plot, and a table."""
    columns = list(table.rows[0])
    head = "".join(f"<th>{escape(c)}</th>" for c in columns)
    body = "\n".join(
        "<tr>" + "".join(f"<td>{escape(cell(row[c]))}</td>" for c in columns) + "</tr>"
        for row in table.rows
    )
    return (f"<section><h2>{table.title}</h2><p>{LEGENDS[table.title]}</p>{plot}"
            f'<div class="wide"><table><tr>{head}</tr>{body}</table></div></section>')  # fmt: skip
