"""The command line: verbs, each in `intnet/commands`. Nothing heavy is imported here."""

from __future__ import annotations

import gc
import signal
import warnings
from importlib import import_module
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup


class Verb(NamedTuple):
    """Where a verb is: a module of `intnet.commands`, a function in it or a Typer of its own."""

    module: str
    attribute: str
    extra: bool = False  # whether it takes options that it does not name


VERBS = {
    "encode": Verb("encode", "encode"),
    "decode": Verb("decode", "decode"),
    "info": Verb("info", "info"),
    "models": Verb("info", "models"),
    "eval": Verb("eval", "evaluate"),
    "batch": Verb("batch", "app"),
    "compare": Verb("compare", "compare"),
    "map": Verb("map", "bit_map"),
    "train": Verb("train", "train", extra=True),
    "convert": Verb("convert", "convert"),
    "pack": Verb("pack", "pack"),
    "certify": Verb("certify", "certify"),
    "conform": Verb("conform", "app"),
    "bench": Verb("bench", "app"),
    "selftest": Verb("selftest", "selftest"),
    "warmup": Verb("warmup", "warmup"),
}
# An unknown option belongs to the trainer, which knows more of them.
PASS_THROUGH = {"allow_extra_args": True, "ignore_unknown_options": True}
# Objects between two searches for garbage; Python's default is 700 or 2000. Imports make 200 000
# that stay, and searching them again and again took a tenth of a short run.
COLLECT_AFTER = 200_000


class Verbs(TyperGroup):
    """A verb is imported when it is asked for: `decode` does not wait for what `bench` needs."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        names: dict[str, Any] = dict.fromkeys(VERBS)  # for the help and for suggestions
        self.commands = names

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002  # Typer's signature
        """The verb of this name, None for an unknown one."""
        return command(cmd_name, VERBS[cmd_name]) if cmd_name in VERBS else None


def command(name: str, verb: Verb) -> Any:
    """What Typer runs for a verb."""
    found = getattr(import_module(f"intnet.commands.{verb.module}"), verb.attribute)
    if not isinstance(found, typer.Typer):
        found, function = typer.Typer(rich_markup_mode=None, add_completion=False), found
        found.command(name, context_settings=PASS_THROUGH if verb.extra else None)(function)
    return typer.main.get_command(found)


app = typer.Typer(
    cls=Verbs,
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help, in milliseconds
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def show_version(value: bool) -> None:
    """Print the version and stop."""
    if value:
        from intnet import __version__  # noqa: PLC0415  # looked up, see there

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

    Pictures are PNG, JPEG, WebP, TIFF or PPM, streams .inic, models .inm; - is stdin or stdout.
    With --json a verb prints one object on stdout; what is for people goes to stderr.

    Exit codes: 0 done, 1 failed, and one line says why, 2 wrong usage, 130 interrupted.

    Environment, none of which changes a bit of what is written:

    \b
    INTNET_THREADS=N                            threads; default: all cores
    INTNET_SIMD=vnni512|vnni|avx2|neon|generic  instructions; default: the best
    """


def stop(number: int, _: object) -> None:
    """A signal ends the process as an exception does: temporary files are removed."""
    STOPPED.append(number)
    raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)


STOPPED: list[int] = []  # signals that came


def main() -> None:
    """Console script `intnet`."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    warnings.filterwarnings("ignore", module=r"PIL\.")  # errors are a line of ours
    gc.set_threshold(COLLECT_AFTER)
    try:
        app(prog_name="intnet")
    except BaseException:
        if STOPPED:  # Python makes a RuntimeError of what is raised while it builds a class
            raise SystemExit(128 + STOPPED[0]) from None
        raise
    finally:
        gc.freeze()  # or the interpreter's end takes apart what the system frees at once
