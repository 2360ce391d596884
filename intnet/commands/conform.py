"""`intnet conform`: this installation, or any decoder, against conformance vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from intnet import files
from intnet.commands import common

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    help="Check decoders and machines against the conformance vectors.",
)
SHOWN = 20  # differences that are printed


@app.command()
@common.verb
def run(
    vectors: Annotated[Path | None, typer.Option(help="Folder; default: those of intnet.")] = None,
    backend: Annotated[
        common.Backend | None,
        typer.Option(help="numba is fast, numpy the reference and the default."),
    ] = None,
    decoder: Annotated[
        str | None, typer.Option(help="Another decoder's command line; {model} is replaced.")
    ] = None,
    only: Annotated[str, typer.Option(help="Ids to run, for instance 'stream/*'.")] = "*",
    jobs: Annotated[int, typer.Option(min=1, help="Processes at a time.")] = 1,
    timeout: Annotated[float, typer.Option(help="Seconds per stream, with --decoder.")] = 60,
    junit: Annotated[Path | None, typer.Option(help="A file to write, for build servers.")] = None,
    *,
    stages: Annotated[
        bool, typer.Option("--stages", help="In --json: a digest of every tensor, for compare.")
    ] = False,
    allow_not_supported: Annotated[
        bool, typer.Option("--allow-not-supported", help="Such cases do not make the run fail.")
    ] = False,
    as_json: common.Json = False,
) -> None:
    """Run the vectors on a backend, or on any other decoder.

    A decoder reads a stream on stdin and writes samples to stdout. Exit code 1 where a vector
    fails, or where nothing passes.

    A class that this version does not know, or a backend that cannot be imported, is not
    supported: counted apart, never passed, and a reason to fail without --allow-not-supported.

    \b
    intnet conform run --backend numba
    intnet conform run --backend numba --stages --json > here.json
    intnet conform run --decoder 'mydecoder --model {model}' --jobs 4
    """
    from fnmatch import fnmatch

    from intnet.conform import external, running

    runner = external.load()
    if junit:
        files.check_target(junit)
    if decoder is not None:
        if backend or stages:
            common.misuse("--decoder goes with neither --backend nor --stages")
        line = [f"--decoder={decoder}", f"--only={only}", f"--jobs={jobs}", f"--timeout={timeout}"]
        line += [f"--vectors={vectors}"] if vectors else []
        line += [f"--junit={junit}"] if junit else []
        line += ["--allow-not-supported"] * allow_not_supported + ["--json"] * as_json
        raise typer.Exit(runner.main(line))
    report = running.run(
        (backend or common.Backend.numpy).value,
        vectors,
        lambda vector: fnmatch(str(vector["id"]), only),
        jobs=jobs,
        stages=stages,
    )
    if as_json:
        common.print_json(report)
    else:
        show(report)
    if junit:
        groups = external.classes(runner, report)
        files.write(junit, runner.junit(groups, allowed=allow_not_supported))
    counts = (report["passed"], report["failed"], report["not_supported"])
    if why := runner.verdict(*counts, allowed=allow_not_supported):
        common.say(why)
        raise typer.Exit(common.FAILED)


def show(report: dict[str, Any]) -> None:
    """What did not pass, and the counts."""
    for case in report["cases"]:
        if case["result"] != "pass":
            word = "NOT SUPPORTED" if case["result"] == "not-supported" else "FAILED"
            clause = f" [{case['clause']}]" if case["clause"] else ""
            print(f"{word} {case['id']}{clause}: {case['detail']}")
    apart = f", {report['not_supported']} not supported" if report["not_supported"] else ""
    print(f"{report['backend']}: {report['passed']} passed, {report['failed']} failed{apart}")


@app.command()
@common.verb
def compare(
    reports: Annotated[list[Path], typer.Argument(help="Files of `conform run --json`.")],
    *,
    as_json: common.Json = False,
) -> None:
    """Put reports of several machines side by side.

    Exit code 1 on any difference. With reports made with --stages it names the first stage and
    operation whose tensors differ.

    \b
    intnet conform compare here.json there.json
    """
    from intnet.conform import comparing

    if len(reports) < 2:
        common.misuse("compare takes two reports or more")
    read = comparing.read_all(reports)
    found = comparing.compare(read)
    if as_json:
        machines = [{"name": r.name, "path": r.path, "backend": r.content["backend"],
                     "machine": r.content["machine"]} for r in read]  # fmt: skip
        common.print_json({
            "ok": not found, "machines": machines, "differences": [d._asdict() for d in found],
        })  # fmt: skip
    else:
        common.print_table("reports", comparing.rows(read))
        for difference in found[:SHOWN]:
            print(difference.line())
        more = f", of which {SHOWN} are shown" if len(found) > SHOWN else ""
        print(f"{len(found)} differences{more}")
    if found:
        raise typer.Exit(common.FAILED)


@app.command()
@common.verb
def make(
    model: Annotated[Path, typer.Argument(help="A .inm file.")],
    pictures: Annotated[list[Path], typer.Argument(help="8-bit grey or RGB pictures; small ones.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    quality: Annotated[
        list[int] | None,
        typer.Option("--quality", "-q", min=0, max=63, help="May be given several times."),
    ] = None,
    *,
    as_json: common.Json = False,
) -> None:
    """Make vectors for a model of your own.

    They are valid streams, faulty ones, and priors. Results are those of the NumPy backend, and
    numba must give the same before anything is written. A folder that exists with other content is
    refused. Default: qualities 0, 32 and 63.

    \b
    intnet conform make my.inm photo.png -o my-vectors --quality 20
    intnet conform run --backend numba --vectors my-vectors
    python conformance/run.py --vectors my-vectors --decoder 'mydecoder --model {model}'
    """
    from intnet.conform import making

    if not output.resolve().parent.is_dir():
        raise FileNotFoundError(2, "No such folder", str(output.resolve().parent))
    wanted = making.read(model, pictures, quality or making.QUALITIES)
    counts = making.make(wanted, output)
    if as_json:
        common.print_json({"folder": str(output), "vectors": counts})
    else:
        print(f"{output}: {', '.join(f'{n} {kind}' for kind, n in counts.items())}")
