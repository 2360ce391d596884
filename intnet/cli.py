"""The command line: verbs, each in `intnet/commands`. Nothing heavy is imported here."""

from __future__ import annotations

from typing import Annotated

import typer

from intnet import __version__
from intnet.commands import bench, certify, conform, decode, encode, info, selftest, train, warmup

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help, in milliseconds
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# An unknown option belongs to the trainer, which knows more of them.
PASS_THROUGH = {"allow_extra_args": True, "ignore_unknown_options": True}

app.command()(encode.encode)
app.command()(decode.decode)
app.command()(info.info)
app.command()(info.models)
app.command(context_settings=PASS_THROUGH)(train.train)
app.command()(train.convert)
app.command()(certify.certify)
app.add_typer(conform.app, name="conform")
app.add_typer(bench.app, name="bench")
app.command()(selftest.selftest)
app.command()(warmup.warmup)


def show_version(value: bool) -> None:
    """Print the version and stop."""
    if value:
        print(f"intnet {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Version.")
    ] = False,
) -> None:
    """Learned image compression that decodes to the same bytes on every machine.

    \b
    intnet encode photo.png -o photo.inic
    intnet decode photo.inic -o decoded.png
    intnet selftest
    """


def main() -> None:
    """Console script `intnet`."""
    app(prog_name="intnet")
