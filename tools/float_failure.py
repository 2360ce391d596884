"""Why integers: one trained prior, run as floats and as integers in unlike environments.

    python tools/float_failure.py ../shared/data/kodak                     on this machine
    python tools/float_failure.py ../shared/data/kodak --half              and bfloat16, float16
    python tools/float_failure.py ../shared/data/kodak --arm FOLDER        and an emulated Arm
    python tools/float_failure.py FOLDER --only 'torch' --only 'numba'     names that contain these

A encodes, B decodes. Both are given the same hyper-latents z and compute from them, each in its own
process, the mean and the table of every symbol; A codes the symbols with its tables, B decodes with
its own. Only the prior differs: transforms, tables and range coder are the same.

  fails to decode           a table differs, so B reads other symbols, or the coder refuses
  decodes to other latents  the symbols are right, but means differ in a bit, and so does y_hat

Prints Markdown tables with A as rows and B as columns. Exit 1 if the integers differ anywhere, or
if fewer than two environments of either prior could be measured.
What cannot be measured is named with the reason. --arm takes a folder with a Debian for arm64
(arm64/ or root-arm64/), with its NumPy or wheels beside it (arm64-site/), as made by
tools/emulate_simd.py (~/.cache/intnet-emulation) or shared/reference/arch/archci.sh.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from float_pairs import environments, inputs, pairs, report
from float_pairs.environments import Environment, NotMeasuredError, Subject
from PIL import Image
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TaskID, TimeElapsedColumn

from intnet import codec, model_file, shipped
from intnet.training.evaluate import load_model

ROOT = environments.ROOT


def parsed() -> argparse.Namespace:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("folder", type=Path, help="PNG pictures")
    p.add_argument("--quality", type=int, default=32, help="0..63, default 32")
    p.add_argument("--pictures", type=int, help="only the first so many")
    p.add_argument("--only", action="append", metavar="TEXT",
                   help="only environments whose name contains TEXT; may be repeated")  # fmt: skip
    p.add_argument("--half", action="store_true", help="also bfloat16 and float16")
    p.add_argument("--cuda", action="store_true", help="also torch on a GPU")
    p.add_argument("--arm", action="append", type=Path, default=[], metavar="FOLDER",
                   help="also an emulated Arm, minutes; may be repeated")  # fmt: skip
    p.add_argument("--checkpoint", type=Path, default=ROOT / "models/photo.safetensors",
                   help="float weights, default: those of the shipped model")  # fmt: skip
    p.add_argument("--model", type=Path, help="the integer form, default: the shipped model")
    p.add_argument("--json", type=Path, metavar="FILE", help="write all counts")
    p.add_argument("--plot", type=Path, metavar="FILE", help="draw the failures (matplotlib)")
    return p.parse_args()


def chosen(
    args: argparse.Namespace, subject: Subject, missing: dict[str, str]
) -> list[Environment]:
    """Environments asked for; those of an Arm folder that is not one go to `missing`."""
    found = [
        *environments.torch_environments(subject, half=args.half, cuda=args.cuda),
        *environments.numpy_environments(),
        *environments.integer_environments(subject),
    ]
    for folder in args.arm:
        try:
            found += environments.arm_environments(subject, folder.resolve())
        except NotMeasuredError as error:
            missing["Arm"] = str(error)
    if not args.arm:
        missing["Arm"] = "no --arm FOLDER"
    if not args.cuda:
        missing["torch, CUDA"] = "no --cuda"
    wanted = [e for e in found if not args.only or any(text in e.name for text in args.only)]
    if not wanted:
        sys.exit(f"--only: none of {', '.join(e.name for e in found)}")
    return wanted


def read(folder: Path, limit: int | None) -> Iterator[codec.Pixels]:
    """Pictures by name."""
    for path in sorted(folder.glob("*.png"))[:limit]:
        with Image.open(path) as image:
            yield np.asarray(image.convert("RGB"))


def finished(progress: Progress, task: TaskID, pictures: int) -> None:
    """Show how many pictures an environment has done."""
    progress.update(task, completed=pictures)


def family(
    wanted: list[Environment], given: list[pairs.Arithmetic], work: Path,
    model: model_file.Model, progress: Progress, missing: dict[str, str],
) -> report.Family:  # fmt: skip
    """Run environments of one prior, then every pair of those that gave something."""
    names, folders, about = [], [], []
    for number, environment in enumerate(wanted):
        task = progress.add_task(environment.name, total=len(given))
        folder = work / f"{environment.module}{number}"
        try:
            about.append(environments.measure(
                environment, work / "inputs.npz", folder,
                partial(finished, progress, task),
            ))  # fmt: skip
        except NotMeasuredError as error:
            missing[environment.name] = str(error)
            progress.update(task, description=f"{environment.name}: not measured: {error}")
            continue
        names.append(environment.name)
        folders.append(folder)
    task = progress.add_task("pairs", total=len(given))
    total = pairs.compare(folders, given, model.y_tables, lambda: progress.advance(task))
    return report.Family(names, total, about)


def measured(args: argparse.Namespace, work: Path, progress: Progress) -> report.Report:
    """Everything, with files between processes in `work`: 3 MB for each picture and environment."""
    subject = Subject(
        args.checkpoint.resolve(), shipped.path_of(args.model).resolve(), args.quality
    )
    model, floats = model_file.load(subject.model), load_model(subject.checkpoint)
    pictures = [inputs.picture(x, model, floats) for x in progress.track(
        list(read(args.folder, args.pictures)), description="z and y")]  # fmt: skip
    if not pictures:
        sys.exit(f"{args.folder}: no PNG pictures")
    gains = inputs.gains(floats, args.quality)
    inputs.write(work / "inputs.npz", pictures, floats, gains)
    missing: dict[str, str] = {}
    wanted = chosen(args, subject, missing)
    families = {}
    for name, of_family in (("float", gains), ("integer", None)):
        given = pairs.arithmetics(pictures, model, args.quality, of_family)
        those = [e for e in wanted if e.integer == (of_family is None)]
        families[name] = family(those, given, work, model, progress, missing)
    names = f"{model.name} {model.sha256[:16]}"
    return report.Report(len(pictures), args.quality, names, families, missing)


def main() -> int:
    """Measure, print, write."""
    args = parsed()
    if not 0 <= args.quality < model_file.QUALITIES:
        sys.exit(f"--quality {args.quality}: must be in 0..{model_file.QUALITIES - 1}")
    console = Console(stderr=True)
    shown = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeElapsedColumn())
    with (
        tempfile.TemporaryDirectory(prefix="float_failure-") as work,
        Progress(*shown, console=console, disable=not console.is_terminal) as progress,
    ):
        result = measured(args, Path(work), progress)
    print(result.text())
    if args.json:
        args.json.write_text(json.dumps(result.as_json(), indent=1) + "\n")
    if args.plot:
        report.draw(result, args.plot)
    return 0 if result.good() else 1


if __name__ == "__main__":
    sys.exit(main())
