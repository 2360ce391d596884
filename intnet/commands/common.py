"""What verbs share: option types, errors as one line, JSON, a spinner."""

from __future__ import annotations

import contextlib
import functools
import json
import re
import sys
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Annotated, Any, NoReturn, TypeVar

import typer

from intnet import container, files
from intnet.errors import IntnetError
from intnet.limits import MIB, Limits

FAILED, USAGE, INTERRUPTED = 1, 2, 130
LARGE = 2**20  # pixels from which a spinner is worth it

Region = tuple[int, int, int, int]  # left, top, width and height, pixels

Function = TypeVar("Function", bound=Callable[..., None])


class Backend(StrEnum):
    """Who executes integer programs; all give the same bytes."""

    numba = "numba"
    numpy = "numpy"


Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Output = Annotated[str, typer.Option("--output", "-o", help="File to write; - is stdout.")]
BackendOption = Annotated[
    Backend, typer.Option("--backend", help="numba is fast, numpy the reference; same bytes.")
]
MaxPixels = Annotated[
    int,
    typer.Option("--max-pixels", min=1, max=container.MAX_PIXELS, help="Refuse larger pictures."),
]
MaxPixelsPerByte = Annotated[
    int, typer.Option(min=1, help="Refuse more pixels than this for each byte of the stream.")
]
ModelOption = Annotated[
    str | None, typer.Option("--model", help="A .inm file, or a name that `intnet models` lists.")
]
MaxMemory = Annotated[
    int, typer.Option(min=1, help="MiB; refuse pictures that would take more memory.")
]
MAX_MEMORY = Limits().memory // MIB
AREA = "X,Y,W,H"


def verb(function: Function) -> Function:
    """Turn what a user can cause into one line on stderr and an exit code."""

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> None:
        as_json = bool(kwargs.get("as_json"))
        try:
            function(*args, **kwargs)
        except KeyboardInterrupt:
            print("intnet: interrupted", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            sys.stdout = None  # nobody reads it; nothing more may be flushed at exit
            raise typer.Exit(FAILED) from None
        except OSError as error:
            about = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            fail(about, as_json=as_json)
        except (IntnetError, MemoryError) as error:
            fail(str(error) or "out of memory", as_json=as_json)

    return guarded  # type: ignore[return-value]  # same parameters, by wraps


def fail(message: str, *, as_json: bool = False) -> NoReturn:
    """End with exit code 1 and one line that names the cause."""
    line = " ".join(message.split())
    print(f"intnet: error: {line}", file=sys.stderr)
    if as_json:
        print_json({"error": line})
    raise typer.Exit(FAILED) from None


def misuse(message: str) -> NoReturn:
    """End with exit code 2."""
    print(f"intnet: usage: {message}", file=sys.stderr)
    raise typer.Exit(USAGE)


def print_json(document: dict[str, Any]) -> None:
    """The one object on stdout."""
    print(json.dumps(document, ensure_ascii=False))


def say(message: str) -> None:
    """A diagnostic, on stderr."""
    print(message, file=sys.stderr)


def parse_area(option: str, text: str) -> Region:
    """X,Y,W,H."""
    found = re.fullmatch(r"(\d{1,9}),(\d{1,9}),(\d{1,9}),(\d{1,9})", text, re.ASCII)
    if not found:
        misuse(f"{option} {text:.80}: must be {AREA}, whole numbers of pixels")
    x, y, w, h = map(int, found.groups())
    return x, y, w, h


def check_output(output: str, *, as_json: bool) -> None:
    """Refuse early what could not be written in the end."""
    if output == files.PIPE and as_json:
        misuse("--json and -o - both want stdout")
    files.check_target(output)


@contextlib.contextmanager
def busy(text: str, pixels: int) -> Iterator[None]:
    """A spinner on a terminal, for pictures that take a moment."""
    if pixels < LARGE or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(text):
        yield


@contextlib.contextmanager
def progress(text: str, steps: int) -> Iterator[Callable[[], None]]:
    """A bar on a terminal; what it gives is called after each step."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    shown = console.is_terminal
    with Progress(console=console, disable=not shown, transient=True) as bar:
        task = bar.add_task(text, total=steps)
        yield lambda: bar.advance(task)


def print_table(title: str, rows: list[dict[str, Any]]) -> None:
    """Rows with equal keys as a table on stdout."""
    from rich.console import Console
    from rich.table import Table

    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = Table(title=title, title_justify="left")
    for column in columns:
        numbers = all(isinstance(row.get(column), int | float) for row in rows)
        table.add_column(column, justify="right" if numbers else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(shown(row.get(column)) for column in columns))
    # A pipe has no width to fit into; the default of 80 would cut names.
    console = Console() if sys.stdout.isatty() else Console(width=1000)
    console.print(table)


def shown(value: Any) -> str:
    """A cell: floats short, nothing for None."""
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
    return "" if value is None else str(value)
