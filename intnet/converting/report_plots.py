"""Plots of a report as SVG, in the colour of the text around them, light or dark."""

from __future__ import annotations

import io
from typing import Any

from intnet.bench.peers import need

SIZE = (7.5, 3.2)  # inches
INK = "#010203"  # stands for the colour of the text
SHADES = {"float": "#888888", "integer": "#2f81d0"}
MOST = 12  # bars
Report = dict[str, Any]


def plots(report: Report) -> dict[str, str]:
    """By the title of a section. Raises NotInstalledError without matplotlib."""
    return {
        "Rate and distortion": svg(curve, report),
        "Where the loss comes from": svg(losses, report),
        "Layers": svg(layers, report),
    }


def svg(draw: Any, report: Report) -> str:
    """One figure."""
    need("matplotlib.figure")
    matplotlib = need("matplotlib")
    ink = dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK
    )
    style = {"svg.fonttype": "none", "svg.hashsalt": "intnet", "font.size": 9, **ink}
    with matplotlib.rc_context(style):
        figure = matplotlib.figure.Figure(figsize=SIZE, layout="constrained")
        axes = figure.subplots()
        axes.set_facecolor("none")
        draw(axes, report)
        axes.grid(alpha=0.3)
        target = io.StringIO()
        figure.savefig(target, format="svg", transparent=True, metadata={"Date": None})
    text = target.getvalue()
    return text[text.index("<svg") :].replace(INK, "currentColor")


def curve(axes: Any, report: Report) -> None:
    """Both curves."""
    for side, colour in SHADES.items():
        xy = [(row[f"{side}_bpp"], row[f"{side}_psnr"]) for row in report["curve"]]
        axes.plot(*zip(*xy, strict=True), "o-", label=side, color=colour)
    axes.set(xlabel="bits per pixel", ylabel="PSNR, dB")
    axes.legend(framealpha=0)


def losses(axes: Any, report: Report) -> None:
    """Bars, the costliest on top."""
    key, label = "percent", "percent of bits at equal PSNR"
    if any(row[key] is None for row in report["losses"]):
        key, label = "psnr_db", "PSNR lost, dB"
    rows = report["losses"][MOST - 1 :: -1]
    names = [f"{row['network']} {row['layer']}" for row in rows]
    axes.barh(names, [row[key] for row in rows], xerr=[row["error"] for row in rows],
              color=SHADES["integer"], ecolor=INK)  # fmt: skip
    axes.set_xlabel(label)


def layers(axes: Any, report: Report) -> None:
    """Signal-to-noise in order of the networks."""
    rows = report["layers"]
    axes.bar(range(len(rows)), [row["snr_db"] for row in rows], color=SHADES["integer"])
    axes.set_ylabel("signal-to-noise, dB")
    first = {row["network"]: k for k, row in reversed(list(enumerate(rows)))}
    axes.set_xticks(list(first.values()), list(first), ha="left")
