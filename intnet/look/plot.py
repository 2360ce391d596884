"""Curves of rate and distortion, drawn."""

from __future__ import annotations

import io
from collections.abc import Iterator

from intnet.bench.peers import need
from intnet.look.rate_distortion import Curve, decibels

SIZE = (13, 5.5)  # inches
FURTHEST = 1.3  # times the largest rate that was measured


def png(measured: dict[str, Curve], published: dict[str, Curve]) -> bytes:
    """PSNR and MS-SSIM over bits per pixel: solid what was measured, dashed what others published.

    Raises NotInstalledError where matplotlib is missing.
    """
    figure = need("matplotlib.figure").Figure(figsize=SIZE, layout="constrained")
    for axes, (label, index) in zip(
        figure.subplots(1, 2), (("PSNR (dB)", 1), ("MS-SSIM (dB)", 2)), strict=True
    ):
        for name, curve, style in styled(measured, published):
            xy = [
                (m.bpp, m.psnr if index == 1 else decibels(m.ms_ssim or 0.0))
                for m in curve
                if m[index] is not None
            ]
            if xy:
                axes.plot(*zip(*xy, strict=True), label=name, **style)
        furthest = max(m.bpp for curve in measured.values() for m in curve)
        axes.set(xlabel="bits per pixel", ylabel=label, xlim=(0, FURTHEST * furthest))
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=110)
    return target.getvalue()


def styled(
    measured: dict[str, Curve], published: dict[str, Curve]
) -> Iterator[tuple[str, Curve, dict[str, object]]]:
    """Curves and how their lines look."""
    for name, curve in measured.items():
        yield name, curve, {"marker": "."}
    for name, curve in published.items():
        yield f"{name} (published)", curve, {"linestyle": "--", "linewidth": 1}
