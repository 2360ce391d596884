"""`intnet eval`: rate and distortion of folders of pictures, beside other codecs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from intnet import files
from intnet.commands import common
from intnet.commands.compare import CODECS, chosen, listed
from intnet.errors import IntnetError
from intnet.limits import DEFAULT, MIB, Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from intnet.look.rate_distortion import Curve, Gain, Point
    from intnet.model_file import Model

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
OUTPUTS = (".csv", ".json", ".png")
OURS, THEIRS = "0,7,14,21,28,35,42,49,56,63", "5,15,25,35,45,55,65,75,85,95"


@common.verb
def evaluate(
    sources: Annotated[
        list[Path], typer.Argument(metavar="FOLDER...", help="Folders of pictures, or pictures.")
    ],
    outputs: Annotated[
        list[str] | None,
        typer.Option("--output", "-o", help="Points .csv, all .json, plot .png; may be repeated."),
    ] = None,
    codecs: Annotated[
        str, typer.Option("--codecs", help="Those that are not installed are listed.")
    ] = CODECS,
    qualities: Annotated[str, typer.Option(help="Of intnet, 0 to 63.")] = OURS,
    peer_qualities: Annotated[str, typer.Option(help="Of the others, 0 to 100.")] = THEIRS,
    published: Annotated[
        Path | None,
        typer.Option(help="Curves of others on the same pictures: a JSON file, see below."),
    ] = None,
    curves: Annotated[
        str | None, typer.Option(help="Names in that file, with commas; default: all.")
    ] = None,
    jobs: Annotated[
        int, typer.Option(min=1, help="Pictures at a time.", show_default="processors")
    ] = os.cpu_count() or 1,
    model: common.ModelOption = None,
    against: Annotated[
        list[str] | None,
        typer.Option(help="Another model, as --model, to measure beside; may be repeated."),
    ] = None,
    max_pixels: common.MaxPixels = DEFAULT.pixels,
    max_memory: common.MaxMemory = common.MAX_MEMORY,
    *,
    as_json: common.Json = False,
) -> None:
    """Measure rate and distortion: curves of PSNR and MS-SSIM, and BD-rates.

    Real files are written and decoded, at every quality asked for, and averaged over the pictures:
    bits per pixel, PSNR, MS-SSIM. BD-rate is the mean difference of rates at equal distortion;
    below 0: intnet needs fewer bits. A picture that cannot be read counts for no codec, is listed,
    and makes the exit code 1.

    --published FILE: {"name": [{"bpp": 0.1, "psnr": 28.0, "ms_ssim": 0.93}, ...], ...}.

    \b
    intnet eval photos/ -o curves.png -o points.csv
    intnet eval photos/ --codecs intnet,avif --qualities 10,30,50 --json
    intnet eval kodak/ --published kodak_rd.json --curves bpg,webp
    intnet eval photos/ --codecs intnet --model new.inm --against fast
    """
    keys, wanted = chosen(codecs), outputs or []
    if keys[0] != "intnet":
        keys = ["intnet", *(key for key in keys if key != "intnet")]
    asked = {key: parse_qualities("--peer-qualities", peer_qualities, 100) for key in keys}
    asked["intnet"] = parse_qualities("--qualities", qualities, 63)
    for output in wanted:
        if Path(output).suffix.lower() not in OUTPUTS:
            common.misuse(f"-o {output}: the suffix must be one of {', '.join(OUTPUTS)}")
        files.check_target(output)
    if curves is not None and published is None:
        common.misuse("--curves needs --published")
    paths = found(sources)

    from intnet import api
    from intnet.look import coders, rate_distortion

    there, missing = coders.at_hand(keys)
    if any(output.lower().endswith(".png") for output in wanted):
        need_matplotlib()  # now, not after an hour
    others = known(rate_distortion.published(published), curves) if published else {}
    limits = Limits(max_pixels, memory=max_memory * MIB)
    models = {"intnet": api.open_model(model)}
    models |= {f"intnet {name}": api.open_model(name) for name in against or []}
    there = [*models, *(key for key in there if key not in models)]
    qualities_of = {key: asked["intnet" if key in models else key] for key in there}
    steps = len(paths) * sum(map(len, qualities_of.values()))
    with common.progress("measuring", steps) as advance:
        run = Run(qualities_of, models, limits, advance)
        points, failed = run.all(paths, jobs)
    if not points:
        raise IntnetError(f"none of {len(paths)} pictures could be measured; {failed[0]}")
    measured = {
        coders.NAMES.get(key, key): rate_distortion.curve(p for p in points if p.codec == key)
        for key in there
    }
    ours = measured["intnet"]
    gains = [
        rate_distortion.gain(name, curve, ours)
        for name, curve in (measured | others).items()
        if curve is not ours
    ]
    report = Report(points, measured, others, gains, failed, missing)
    for output in wanted:
        files.write(output, report.file(Path(output).suffix.lower()))
    if as_json:
        common.print_json(report.document)
    else:
        report.show(len(paths) - len(failed))
    if failed:
        raise typer.Exit(common.FAILED)


def need_matplotlib() -> None:
    """Raises IntnetError saying how to get it."""
    from intnet.bench import peers

    try:
        peers.need("matplotlib")
    except peers.NotInstalledError as error:
        raise IntnetError(f"-o FILE.png: matplotlib is {error}") from None


def parse_qualities(option: str, text: str, most: int) -> list[int]:
    """Whole numbers in 0..most, in order, each once."""
    parts = text.split(",")
    if not all(part.isascii() and part.isdigit() and int(part[:4]) <= most for part in parts):
        common.misuse(f"{option} {text:.80}: must be numbers in 0..{most}, with commas")
    return sorted({int(part) for part in parts})


def found(sources: list[Path]) -> list[Path]:
    """Pictures, and those of folders by their suffix. Raises IntnetError where there are none."""
    paths: list[Path] = []
    for source in sources:
        if source.is_dir():
            inside = [p for p in sorted(source.iterdir()) if p.suffix.lower() in PICTURES]
            if not inside:
                raise IntnetError(f"{source}: no pictures ({', '.join(PICTURES)})")
            paths += inside
        elif source.exists():
            paths.append(source)
        else:
            raise IntnetError(f"{source}: no such file or folder")
    return paths


def known(others: dict[str, Curve], names: str | None) -> dict[str, Curve]:
    """Those of some names; all for None."""
    if names is None:
        return others
    unknown = set(names.split(",")) - set(others)
    if unknown:
        have = ", ".join(others)
        common.misuse(f"--curves: no {', '.join(sorted(unknown))} in that file, which has {have}")
    return {name: others[name] for name in names.split(",")}


class Run(NamedTuple):
    """What all pictures are measured with; advance: called after each quality.

    models: those of the keys of `qualities` that are ours.
    """

    qualities: dict[str, list[int]]
    models: dict[str, Model]
    limits: Limits
    advance: Callable[[], None]

    def all(self, paths: list[Path], jobs: int) -> tuple[list[Point], list[str]]:
        """Points of every picture, and a line for each that failed."""
        from concurrent.futures import ThreadPoolExecutor

        points: list[Point] = []
        failed: list[str] = []
        with ThreadPoolExecutor(jobs) as pool:
            running = [pool.submit(self.picture, path) for path in paths]
            try:
                for each in running:
                    try:
                        points += each.result()
                    except (IntnetError, OSError) as error:
                        failed.append(str(error))
            except BaseException:  # Ctrl-C: what waits need not begin
                pool.shutdown(cancel_futures=True)
                raise
        return points, failed

    def picture(self, path: Path) -> list[Point]:
        """Points of one picture, by every codec."""
        from intnet import pictures
        from intnet.look import coders, rate_distortion

        picture, points = pictures.load(path, self.limits.pixels), []
        coders.check(picture, str(path))
        for key, qualities in self.qualities.items():
            model = self.models.get(key)
            coder = coders.coder(key, picture.pixels, model, self.limits)
            for point in rate_distortion.points(str(path), key, picture.pixels, qualities, coder):
                points.append(point)
                self.advance()
        return points


class Report(NamedTuple):
    """All that was found."""

    points: list[Point]
    measured: dict[str, Curve]
    published: dict[str, Curve]
    gains: list[Gain]
    failed: list[str]
    missing: dict[str, str]

    @property
    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "curves": {name: [m._asdict() for m in c] for name, c in self.measured.items()},
            "bd_rate": [gain._asdict() for gain in self.gains],
            "points": [point._asdict() for point in self.points],
            "failed": self.failed, "not_at_hand": self.missing,
        }  # fmt: skip

    def file(self, suffix: str) -> bytes:
        """Of one of OUTPUTS."""
        if suffix == ".png":
            from intnet.look import plot

            return plot.png(self.measured, self.published)
        if suffix == ".json":
            import json

            return json.dumps(self.document, ensure_ascii=False, indent=1).encode()
        import csv
        import io

        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.points[0]._fields)
        writer.writerows(self.points)
        return text.getvalue().encode()

    def show(self, pictures: int) -> None:
        """For people."""
        rows = [
            {"codec": name, **mean._asdict()} for name, curve in self.measured.items()
            for mean in curve
        ]  # fmt: skip
        common.print_table(f"means of {pictures} pictures", rows)
        common.print_table("BD-rate of intnet, percent", [gain._asdict() for gain in self.gains])
        for line in [*listed(self.missing), *self.failed]:
            print(line, file=sys.stderr)
