"""The rows of `intnet batch eval`: a file, and means over pictures."""

from __future__ import annotations

import csv
import io
import json
from statistics import fmean
from typing import Any

COLUMNS = ("file", "width", "height", "channels", "quality", "bytes", "bpp", "psnr", "ms_ssim")
SUFFIXES = (".csv", ".json")

Row = dict[str, Any]  # its keys are COLUMNS


def to_bytes(rows: list[Row], suffix: str) -> bytes:
    """The file of that suffix: CSV, or a JSON array; a line for each row."""
    if suffix == ".json":
        lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        return f"[\n{lines}\n]\n".encode()
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def means(rows: list[Row]) -> list[dict[str, Any]]:
    """For each quality, means over pictures; MS-SSIM over those that have one.

    >>> row = {"quality": 8, "bytes": 99, "bpp": 0.5, "psnr": 30.0, "ms_ssim": None}
    >>> means([row, row | {"bpp": 1.5}])
    [{'quality': 8, 'pictures': 2, 'bytes': 198, 'bpp': 1.0, 'psnr': 30.0, 'ms_ssim': None}]
    """
    found = []
    for quality in sorted({row["quality"] for row in rows}):
        of_it = [row for row in rows if row["quality"] == quality]
        known = [row["ms_ssim"] for row in of_it if row["ms_ssim"] is not None]
        found.append(
            {
                "quality": quality,
                "pictures": len(of_it),
                "bytes": sum(row["bytes"] for row in of_it),
                "bpp": round(fmean(row["bpp"] for row in of_it), 6),
                "psnr": round(fmean(row["psnr"] for row in of_it), 4),
                "ms_ssim": round(fmean(known), 6) if known else None,
            }
        )
    return found
