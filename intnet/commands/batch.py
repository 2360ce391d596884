"""`intnet batch`: a folder of pictures, by processes of this machine or by a Dask cluster."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intnet import files, tiles
from intnet.commands import common
from intnet.commands import encode as encoding
from intnet.limits import DEFAULT, MIB, Limits

if TYPE_CHECKING:
    from intnet.batch.folders import Found
    from intnet.batch.plans import Means, Outcome, Plan, Task
    from intnet.batch.run import Pool

Source = Annotated[Path, typer.Argument(metavar="SRC", help="A folder; those below it, too.")]
Target = Annotated[
    Path, typer.Argument(metavar="DST", help="A folder, made where it is missing; may be SRC.")
]
Table = Annotated[Path, typer.Argument(metavar="DST", help="A .csv or .json file.")]
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs", "-j", min=1, max=1024,
        help="Processes, each with one thread unless INTNET_THREADS says more; default: one for "
        "each processor. 1: this process, with a thread for each processor.",
    ),
]  # fmt: skip
Scheduler = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Of a Dask cluster that shares SRC and DST: its workers."),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace files in DST that no batch has made.")
]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    help="""Encode, decode or evaluate folders of pictures.

    A run that was stopped goes on where it was: the same command again skips each file that is
    finished, that is: DST/.intnet-batch.jsonl says that the output was made from an input with this
    SHA-256 and with these settings, and the output still has the SHA-256 that it had. All else is
    made again: what is damaged, and what has another input or setting.

    Files appear whole or not at all. What fails is listed at the end, a line for each file with the
    cause, and the exit code is 1; the others are not kept waiting.

    \b
    intnet batch encode photos streams -q 40
    intnet batch decode streams decoded
    intnet batch eval photos rates.csv -q 20 -q 40
    intnet batch encode photos streams --scheduler tcp://10.0.0.1:8786
    """,
)


@app.command()
@common.verb
def encode(
    source: Source,
    target: Target,
    quality: encoding.Quality = None,
    target_bpp: encoding.TargetBpp = None,
    max_bytes: encoding.MaxBytes = None,
    jobs: Jobs = None,
    scheduler: Scheduler = None,
    model: common.ModelOption = None,
    backend: common.BackendOption = common.Backend.numba,
    max_memory: common.MaxMemory = common.MAX_MEMORY,
    max_pixels: common.MaxPixels = DEFAULT.pixels,
    *,
    verify: encoding.Verify = False,
    tile: encoding.Tile = tiles.DEFAULT,
    strip: encoding.Strip = False,
    overwrite: Overwrite = False,
    as_json: common.Json = False,
) -> None:
    """Encode the pictures of a folder.

    Every PNG, JPEG, WebP, TIFF and PPM below SRC is encoded, SRC/a/b.png to DST/a/b.inic.
    Files are chosen by suffix; others, and names that begin with a dot, are passed over.
    Two that would become one, a.png and a.jpg, are an error before anything is done.
    Rates are those of `intnet encode`, for each picture. --max-memory holds for each process.

    \b
    intnet batch encode photos streams -q 40
    intnet batch encode photos streams --max-bytes 20000 --jobs 4
    """
    encoding.check_settings(quality, target_bpp, max_bytes, tile)
    if quality is None and target_bpp is None and max_bytes is None:
        quality = encoding.DEFAULT_QUALITY
    from intnet.batch import folders, plans

    name, model_id = identified(model)
    plan = plans.Encode(model_id, quality, target_bpp, max_bytes, tile, verify, strip)
    limits = Limits(max_pixels, memory=max_memory * MIB)
    means = plans.Means(name, backend.value, limits, overwrite)
    found = folders.find(source, folders.PICTURES)
    convert(plan, means, found, source, target, ".inic", jobs, scheduler, as_json=as_json)


@app.command()
@common.verb
def decode(
    source: Source,
    target: Target,
    jobs: Jobs = None,
    scheduler: Scheduler = None,
    model: common.ModelOption = None,
    backend: common.BackendOption = common.Backend.numba,
    max_memory: common.MaxMemory = common.MAX_MEMORY,
    max_pixels: common.MaxPixels = DEFAULT.pixels,
    max_pixels_per_byte: common.MaxPixelsPerByte = DEFAULT.pixels_per_byte,
    *,
    overwrite: Overwrite = False,
    as_json: common.Json = False,
) -> None:
    """Decode the streams of a folder.

    Every .inic stream below SRC is decoded to a PNG, SRC/a/b.inic to DST/a/b.png.
    Originals are safe: a file in DST that no batch has made is a failure, not replaced, unless it
    holds the same bytes.

    \b
    intnet batch decode streams decoded
    """
    from intnet.batch import folders, plans

    name = None if model is None else identified(model)[0]
    limits = Limits(max_pixels, max_pixels_per_byte, max_memory * MIB)
    means = plans.Means(name, backend.value, limits, overwrite)
    found = folders.find(source, folders.STREAMS)
    convert(plans.Decode(), means, found, source, target, ".png", jobs, scheduler, as_json=as_json)


@app.command(name="eval")
@common.verb
def evaluate(
    source: Source,
    target: Table,
    quality: Annotated[
        list[int] | None,
        typer.Option("--quality", "-q", min=0, max=63, help="Once or more; default 32."),
    ] = None,
    jobs: Jobs = None,
    scheduler: Scheduler = None,
    model: common.ModelOption = None,
    backend: common.BackendOption = common.Backend.numba,
    max_memory: common.MaxMemory = common.MAX_MEMORY,
    max_pixels: common.MaxPixels = DEFAULT.pixels,
    *,
    tile: encoding.Tile = tiles.DEFAULT,
    as_json: common.Json = False,
) -> None:
    """Measure rates and distortions of a folder.

    Every picture below SRC is encoded and decoded in memory; DST gets a line for each
    picture and quality, CSV or JSON by its suffix. bytes: of streams without
    ICC profile and EXIF. bpp: bits per pixel. psnr: dB over all samples. ms_ssim: the mean over
    channels, empty below 161 pixels a side. The summary has means over pictures.
    Beside DST, .DST.intnet-batch.jsonl holds what is finished.

    \b
    intnet batch eval photos rates.csv -q 20 -q 40
    """
    encoding.check_settings(None, None, None, tile)
    from intnet.batch import folders, journal, plans, table

    if target.suffix.lower() not in table.SUFFIXES:
        common.misuse(f"DST {target}: the suffix must be one of {', '.join(table.SUFFIXES)}")
    files.check_target(target)
    name, model_id = identified(model)
    qualities = tuple(sorted(set(quality or [encoding.DEFAULT_QUALITY])))
    plan = plans.Evaluate(model_id, qualities, tile)
    means = plans.Means(name, backend.value, Limits(max_pixels, memory=max_memory * MIB))
    found = folders.find(source, folders.PICTURES)
    journal_path = target.with_name(f".{target.name}{journal.NAME}")
    known = journal.read(journal_path)
    tasks = [
        plans.Task(str(n), (source / n).absolute(), target, known.get(str(n))) for n in found.names
    ]
    started = time.perf_counter()
    outcomes = worked(plan, means, tasks, source, journal_path, jobs, scheduler)
    rows = [row for o in outcomes.values() if o.record for row in o.record["result"]]
    files.write(target, table.to_bytes(rows, target.suffix.lower()))
    causes = {key: outcome.cause for key, outcome in outcomes.items() if outcome.cause}
    report = counted(outcomes, found.others, started) | {"qualities": table.means(rows)}
    show("evaluated", report, causes, as_json=as_json)


def identified(model: str | None) -> tuple[str, str]:
    """What workers find the model by, a shipped name or an absolute path; and its id, in hex."""
    from intnet import model_header, shipped

    path = shipped.path_of(model)
    name = path.stem if path.parent == shipped.folder() else str(path.absolute())
    return name, model_header.read(path).model_id.hex()


def convert(
    plan: Plan, means: Means, found: Found, source: Path, target: Path, suffix: str,
    jobs: int | None, scheduler: str | None, *, as_json: bool,
) -> None:  # fmt: skip
    """A file for each file of a folder."""
    from intnet.batch import folders, journal, plans

    outputs = folders.renamed(found.names, suffix)
    target.mkdir(parents=True, exist_ok=True)
    known = journal.read(target / journal.NAME)
    tasks, inputs = [], dict[str, PurePosixPath]()
    for name, output in outputs.items():
        key = str(output)
        inputs[key] = name
        paths = (source / name).absolute(), (target / output).absolute()
        tasks.append(plans.Task(key, *paths, known.get(key)))
    started = time.perf_counter()
    outcomes = worked(plan, means, tasks, source, target / journal.NAME, jobs, scheduler)
    causes = {str(inputs[key]): outcome.cause for key, outcome in outcomes.items() if outcome.cause}
    done = [task for task in tasks if not outcomes[task.key].cause]
    report = counted(outcomes, found.others, started) | {
        "input_bytes": sum(task.source.stat().st_size for task in done),
        "output_bytes": sum(task.target.stat().st_size for task in done),
    }
    show(f"{plan.settings()['verb']}d", report, causes, as_json=as_json)


def worked(
    plan: Plan, means: Means, tasks: list[Task], source: Path, journal_path: Path,
    jobs: int | None, scheduler: str | None,
) -> dict[str, Outcome]:  # fmt: skip
    """Outcomes of all tasks, with a progress bar."""
    from intnet.batch import executors, run

    if jobs is not None and scheduler is not None:
        common.misuse("--jobs and --scheduler exclude each other")
    wanted = min(jobs or os.cpu_count() or 1, len(tasks))
    pool: Pool = partial(executors.local, wanted)
    if scheduler is not None:
        pool = partial(executors.dask, scheduler, source.absolute())
    with common.progress(f"{plan.settings()['verb']} {source}", len(tasks)) as advance:
        return run.run(plan, means, tasks, pool, journal_path, lambda _: advance())


def counted(outcomes: dict[str, Outcome], others: int, started: float) -> dict[str, Any]:
    """What the reports of all three have in common. others: files that are passed over."""
    states = [outcome.state.value for outcome in outcomes.values()]
    return {
        "files": len(states),
        "made": states.count("made"),
        "skipped": states.count("skipped"),
        "failed": states.count("failed"),
        "passed_over": others,
        "seconds": round(time.perf_counter() - started, 3),
    }


def show(done: str, report: dict[str, Any], causes: dict[str, str], *, as_json: bool) -> None:
    """Failures, then one line. Ends with exit code 1 where there are any."""
    for name, cause in causes.items():
        common.say(f"intnet: failed: {name}: {cause}")
    if as_json:
        failures = [{"file": name, "cause": cause} for name, cause in causes.items()]
        common.print_json(report | {"failures": failures})
    else:
        for row in report.get("qualities", []):
            common.say(", ".join(f"{name} {common.shown(value)}" for name, value in row.items()))
        common.say(
            f"{report['files']} files: {report['made']} {done}, {report['skipped']} finished "
            f"before, {report['failed']} failed; {report['seconds']:.1f} s"
        )
    if causes:
        raise typer.Exit(common.FAILED)
