"""`intnet bench`: speed beside what a user would take instead, on this machine."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intnet import files
from intnet.commands import common
from intnet.errors import IntnetError

if TYPE_CHECKING:
    from intnet.bench.race import Settings, Watch
    from intnet.bench.report import Report


class Isa(StrEnum):
    """Instruction sets that the product and torch can be held to."""

    avx2 = "avx2"


# Read when the libraries load.
CAPS = {
    Isa.avx2: {
        "INTNET_SIMD": "avx2", "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2",
    },
}  # fmt: skip

Threads = Annotated[
    int | None, typer.Option("--threads", min=1, max=1024, help="Threads; default: all cores.")
]
Rounds = Annotated[int, typer.Option("--rounds", min=1, help="Turns of each contender.")]
Only = Annotated[str | None, typer.Option("--only", help="A case or a peer, or part of names.")]
Quick = Annotated[
    bool, typer.Option("--quick", help="Tiny sizes: shows that it works, times mean nothing.")
]
Plot = Annotated[Path | None, typer.Option("--plot", help="Draw the rates into this file.")]
Picture = Annotated[
    Path | None,
    typer.Option("--picture", help="Default: ../shared/data/kodak if there, else the bundled one."),
]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    help="Measure speed beside others, in turns.",
)


@app.command()
@common.verb
def kernels(
    threads: Threads = None,
    rounds: Rounds = 7,
    only: Only = None,
    isa: Annotated[
        Isa | None, typer.Option("--isa", help="Hold intnet and torch to this; not onnxruntime.")
    ] = None,
    plot: Plot = None,
    *,
    quick: Quick = False,
    as_json: common.Json = False,
) -> None:
    """Convolutions, beside torch and onnxruntime.

    GMAC/s of our integers, torch's float32 and bfloat16, onnxruntime's int8. Peers that are not
    installed are named: pip install 'intnet[bench]'.

    \b
    intnet bench kernels --threads 2
    intnet bench kernels --only 3x3 --isa avx2 --json
    """
    if isa:
        if "torch" in sys.modules:
            common.misuse("--isa: torch is loaded already")
        os.environ.update(CAPS[isa])
    from intnet.bench import kernels as benchmark

    with measuring(threads, rounds, only, plot, quick=quick) as settings:
        report = benchmark.run(settings)
    if isa:
        report.settings["isa"] = isa.value
        report.notes.append(f"onnxruntime cannot be held to {isa.value}")
    show(report, settings, plot, as_json=as_json)


@app.command()
@common.verb
def coder(
    rounds: Rounds = 7,
    only: Only = None,
    plot: Plot = None,
    *,
    quick: Quick = False,
    as_json: common.Json = False,
) -> None:
    """The range coder on one core, beside constriction and torchac.

    Millions of symbols per second. Peers that are not installed are named.

    \b
    intnet bench coder
    """
    from intnet.bench import coder as benchmark

    with measuring(1, rounds, only, plot, quick=quick) as settings:
        report = benchmark.run(settings)
    show(report, settings, plot, as_json=as_json)


@app.command()
@common.verb
def codec(
    threads: Threads = None,
    rounds: Rounds = 5,
    only: Only = None,
    picture: Picture = None,
    plot: Plot = None,
    *,
    slow: Annotated[
        bool, typer.Option("--slow", help="Also serial priors; CompressAI's takes a minute.")
    ] = False,
    sizes: Annotated[
        bool, typer.Option("--sizes", help="Instead: intnet alone, 0.4 to 24 megapixels.")
    ] = False,
    startup: Annotated[
        bool, typer.Option("--startup", help="Instead: whole processes, also the first ever.")
    ] = False,
    quick: Quick = False,
    as_json: common.Json = False,
) -> None:
    """A whole picture, beside a float twin and other codecs.

    Megapixels per second of intnet, its float twin, CompressAI, JPEG, WebP, AVIF and JPEG XL. Peers
    that are not installed are named.

    \b
    intnet bench codec --picture photo.png
    intnet bench codec --sizes --json
    """
    if slow + sizes + startup > 1:
        common.misuse("--slow, --sizes and --startup exclude each other")
    from intnet.bench import codec as benchmark
    from intnet.bench import sizes as alone

    with measuring(threads, rounds, only, plot, quick=quick) as settings:
        if sizes or startup:
            report = (alone.run if sizes else alone.startup)(settings, picture)
        else:
            report = benchmark.run(settings, picture, slow=slow)
    show(report, settings, plot, as_json=as_json)


@contextlib.contextmanager
def measuring(
    threads: int | None, rounds: int, only: str | None, plot: Path | None, *, quick: bool
) -> Iterator[Settings]:
    """Settings for a benchmark, with a progress bar on stderr while it runs."""
    from rich.console import Console
    from rich.progress import Progress

    from intnet.backends.threads import thread_count
    from intnet.bench import peers
    from intnet.bench import plot as plotter
    from intnet.bench.race import Settings

    if threads:
        os.environ["INTNET_THREADS"] = str(threads)
    try:
        if plot:
            files.check_target(plot)
            plotter.check()
        console = Console(stderr=True)
        shown = console.is_terminal
        with Progress(
            console=console, disable=not shown, transient=True, auto_refresh=False
        ) as bar:
            yield Settings(thread_count(), rounds, only, quick, watching(bar))
    except peers.NotInstalledError as error:
        raise IntnetError(f"--plot needs matplotlib: {error}") from None
    except ValueError as error:
        common.misuse(str(error))


def watching(bar: Any) -> Watch:
    """A line of the progress bar for each race, drawn between turns alone."""

    def begin(label: str, turns: int) -> Any:
        task = bar.add_task(label, total=turns)
        return lambda: (bar.advance(task), bar.refresh())

    return begin


def show(report: Report, settings: Settings, plot: Path | None, *, as_json: bool) -> None:
    """Ratios first, then times, then what they belong to."""
    from intnet.bench import plot as plotter
    from intnet.bench.machine import lines, machine

    facts = machine(settings.threads)
    report.settings |= {"rounds": settings.rounds, "quick": settings.quick}
    if settings.quick:
        report.notes.insert(0, "--quick: these times mean nothing")
    if plot:
        title = f"{report.benchmark}: {facts['cpu']}, {facts['isa']}, {settings.threads} threads"
        plotter.draw(report, title, plot)
    if as_json:
        common.print_json(report.document(facts))
        return
    for name, value in report.summary.items():
        print(f"{name:45} {common.shown(value) or 'not measured'}")
    common.print_table(f"bench {report.benchmark}", report.table())
    for name, why in report.missing.items():
        print(f"{name}: {why}")
    print(*report.notes, *lines(facts), sep="\n")
