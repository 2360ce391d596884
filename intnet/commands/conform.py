"""`intnet conform`: this installation against the frozen vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from intnet.commands import common

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, add_completion=False, help="Conformance vectors."
)


@app.command()
@common.verb
def run(
    vectors: Annotated[Path | None, typer.Option(help="Folder of vectors; default: v1.")] = None,
    backend: common.BackendOption = common.Backend.numpy,
    *,
    as_json: common.Json = False,
) -> None:
    """Check every conformance vector. Exit code 1 where one fails, or where there are none.

    \b
    intnet conform run --backend numba
    """
    from intnet import conform

    report = conform.run(backend.value, vectors)
    passed, failed = int(report["passed"]), int(report["failed"])
    if as_json:
        common.print_json(report)
    else:
        for case in report["cases"]:
            if case["result"] != "pass":
                clause = f" [{case['clause']}]" if case["clause"] else ""
                print(f"FAILED {case['id']}{clause}: {case['detail']}")
        print(f"{backend.value}: {passed} passed, {failed} failed")
    if failed or not passed:
        raise typer.Exit(common.FAILED)


@app.callback()
def group() -> None:
    """Keep `run` a verb of its own, beside those to come."""
