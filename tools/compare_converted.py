"""What integers cost float codecs of one architecture: BD-rates over several checkpoints.

    python tools/compare_converted.py ../shared/data/kodak out/family/mean-scale-*.safetensors \
        --calibration ../shared/data/train --recipes w8a16,w8a8

Each checkpoint is a codec of one rate, its lambda; together they make a curve. Each is converted
with every recipe and measured at its own step (quality 32): float bits by the model's own
probabilities, integer bits in bytes of real streams. Prints a table (--json: a document). Exit code
1 where a recipe costs more than --max-bd-rate allows: `w8a16=1,w8a8=5` are percent.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from pathlib import Path
from typing import Any

from intnet import convert_report
from intnet.commands import common
from intnet.converting import convert_file, measure, recipe
from intnet.converting.calibrate import SMALLEST
from intnet.converting.convert_file import Labels
from intnet.converting.float_codec import OWN_QUALITY
from intnet.errors import IntnetError
from intnet.look.rate_distortion import gain
from intnet.pictures import Pixels
from intnet.training.data import Pictures, load_pictures

Row = dict[str, Any]


def limits(text: str) -> dict[str, float]:
    """For argparse: percent by recipe, as `w8a16=1,w8a8=5`."""
    found = {}
    for part in text.split(","):
        name, _, percent = part.partition("=")
        try:
            found[name] = float(percent)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{part!r}, must be like w8a16=1") from None
    return found


def parser() -> argparse.ArgumentParser:
    """Options."""
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("pictures", type=Path, help="folder of pictures to measure")
    p.add_argument("checkpoints", type=Path, nargs="+", help="of one architecture, two or more")
    p.add_argument("--calibration", type=Path, required=True, help="folder of pictures")
    p.add_argument("--recipes", type=lambda text: text.split(","), default=["w8a16", "w8a8"])
    p.add_argument("--limit", type=int, help="at most so many pictures to measure")
    p.add_argument("--max-bd-rate", type=limits, default={}, help="percent, as w8a16=1,w8a8=5")
    p.add_argument("--json", action="store_true", help="print a document instead of a table")
    return p


def compare(args: argparse.Namespace) -> list[Row]:
    """A row per recipe: its BD-rates, and a point per checkpoint, float and integer."""
    recipes = [recipe.load(text) for text in args.recipes]
    pictures = load_pictures(args.pictures, SMALLEST, args.limit)
    calibration = convert_report.calibration_pictures(args.calibration)
    points: dict[str, list[Row]] = {chosen.name: [] for chosen in recipes}
    for path in args.checkpoints:
        for name, row in measured(path, recipes, calibration, pictures).items():
            points[name].append({"checkpoint": path.name, **row})
    return [{"recipe": name, "pictures": len(pictures), **bd_rates(rows), "points": rows}
            for name, rows in points.items()]  # fmt: skip


def measured(
    path: Path, recipes: list[recipe.Recipe], calibration: Pictures, pictures: Pictures
) -> dict[str, Row]:
    """By recipe, floats and integers at the checkpoint's own rate."""
    codec = convert_file.load(path)
    if convert_file.several_rates(codec):
        raise IntnetError(f"{path}: {codec.name} has several rates; `intnet convert --report` "
                          "states its BD-rate")  # fmt: skip

    def code(picture: Pixels, _quality: int) -> tuple[float, Pixels]:
        return convert_file.float_coded(codec, picture, 1.0)

    floats, rows = measure.side("float", code, pictures, OWN_QUALITY), {}
    for chosen in recipes:
        common.say(f"{path.name}: {chosen.name}")
        labels = Labels(path.stem)
        made = convert_file.converted(codec, calibration, chosen, labels, common.progress)
        coder = measure.integer_coder(made.model)
        rows[chosen.name] = floats | measure.side("integer", coder, pictures, OWN_QUALITY)
    return rows


def bd_rates(rows: list[Row]) -> Row:
    """Of integers against floats, over the checkpoints.

    None where more bits of floats are not more PSNR: that is no curve to integrate over, and a
    checkpoint whose training was cut short makes one.
    """
    ordered = sorted(rows, key=lambda row: row["float_bpp"])
    psnrs = [row["float_psnr"] for row in ordered]
    if any(a >= b for a, b in itertools.pairwise(psnrs)):
        return {"bd_rate_psnr": None, "bd_rate_ms_ssim": None}
    found = gain("float", measure.of_side(rows, "float"), measure.of_side(rows, "integer"))
    return {key: value for key, value in found._asdict().items() if key != "against"}


def print_table(rows: list[Row]) -> None:
    """For people."""
    for row in rows:
        rates = ["none" if row[key] is None else f"{row[key]:+.2f} %"
                 for key in ("bd_rate_psnr", "bd_rate_ms_ssim")]  # fmt: skip
        print(f"{row['recipe']}: BD-rate {rates[0]} by PSNR, {rates[1]} by MS-SSIM, "
              f"{row['pictures']} pictures")  # fmt: skip
        for p in row["points"]:
            print(f"  {p['checkpoint']:40}float {p['float_bpp']:.4f} bpp {p['float_psnr']:.3f} dB"
                  f"  integer {p['integer_bpp']:.4f} bpp {p['integer_psnr']:.3f} dB")  # fmt: skip


def past(rows: list[Row], most: dict[str, float]) -> list[str]:
    """A line for each recipe that costs more than it may, or is not comparable."""
    found = []
    for row in rows:
        cost, limit = row["bd_rate_psnr"], most.get(row["recipe"])
        if limit is not None and (cost is None or cost > limit):
            said = "not comparable" if cost is None else f"{cost:.2f} %"
            found.append(f"{row['recipe']}: BD-rate {said}, --max-bd-rate is {limit:g} %")
    return found


def main(argv: list[str] | None = None) -> int:
    """Command line entry."""
    args = parser().parse_args(argv)
    try:
        rows = compare(args)
    except (IntnetError, OSError) as error:
        sys.exit(f"compare_converted.py: {error}")
    if args.json:
        print(json.dumps(rows))
    else:
        print_table(rows)
    lines = past(rows, args.max_bd_rate)
    print(*lines, sep="\n", end="\n" if lines else "", file=sys.stderr)
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main())
