"""`intnet conform`: this installation against the frozen vectors."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated, Any

import typer

from intnet.commands import common
from intnet.errors import IntnetError

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Conformance vectors.")


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
    try:
        runner: Any = importlib.import_module("intnet.conform")
    except ModuleNotFoundError:
        raise IntnetError("conform: intnet.conform is not part of this installation") from None
    report: dict[str, Any] = runner.run(backend.value, vectors)
    passed, failed = int(report.get("passed", 0)), int(report.get("failed", 0))
    if as_json:
        common.print_json(report)
    else:
        print(f"conform: {passed} passed, {failed} failed")
    if failed or not passed:
        raise typer.Exit(common.FAILED)


@app.callback()
def group() -> None:
    """Keep `run` a verb of its own, beside those to come."""
