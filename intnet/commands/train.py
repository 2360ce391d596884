"""`intnet train` and `intnet convert`: the float side, which needs the extra `train`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from intnet import files
from intnet.commands import common
from intnet.errors import IntnetError

INSTALL = "needs the training extra: pip install 'intnet[train]' (in a clone: '.[train]')"


def needing_torch(module: str, what: str) -> Any:
    """Import a module of the float side, or say how to install what it needs."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "intnet":
            raise
        raise IntnetError(f"{what} {INSTALL}; missing: {error.name}") from None


@common.verb
def train(context: typer.Context, *, as_json: common.Json = False) -> None:
    """Train a float model, or fine-tune it with integer forward.

    Needs the extra `train` (PyTorch). A folder of pictures is the data; all arguments go to the
    trainer. `intnet convert` makes a model of what it writes.

    \b
    intnet train pictures/ --out out/float.safetensors --minutes 60
    intnet train pictures/ --stage integer --init out/float.safetensors --out out/int.safetensors
    intnet train -- --help        all options of the trainer
    """
    trainer = needing_torch("intnet.training.train", "train")
    arguments = trainer.parser().parse_args(context.args)
    trainer.main(context.args)
    if as_json:
        log = arguments.out.with_suffix(".jsonl")
        common.print_json({"checkpoint": str(arguments.out), "log": str(log)})


@common.verb
def convert(
    checkpoint: Annotated[Path, typer.Argument(help="What the trainer wrote (.safetensors).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .inm to write.")],
    calibration: Annotated[
        Path | None, typer.Option(help="Folder of pictures like those that will be coded.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name in the metadata; default: the output's.")] = "",
    licence: Annotated[str, typer.Option(help="Licence of the weights, in the metadata.")] = "",
    dead_zone: Annotated[
        float | None, typer.Option(min=0, max=1, help="Strength, 0 for none; default: as trained.")
    ] = None,
    *,
    gaussian_tables: Annotated[
        bool, typer.Option("--gaussian-tables", help="Do not fit the tables to the pictures.")
    ] = False,
    plain: Annotated[
        bool, typer.Option("--plain", help="Do not pack the weights: twice the size.")
    ] = False,
    as_json: common.Json = False,
) -> None:
    """Convert a checkpoint of `intnet train` to an integer model.

    Needs the extra `train` (PyTorch). Every accumulator is proved not to overflow, or nothing is
    written. A float checkpoint needs --calibration; one of `--stage integer` does without. With
    pictures the tables of the range coder are fitted to them, and integers are set beside floats:
    signal-to-noise per layer, rate and PSNR. Tensors are packed, see `intnet pack`.

    \b
    intnet convert out/int.safetensors -o photo.inm --calibration pictures/
    """
    files.check_target(output)
    reporter = needing_torch("intnet.convert_report", "convert")
    call: Callable[..., dict[str, Any]] = reporter.convert_file
    label = name or output.stem
    report = call(
        checkpoint, output, calibration, label, common.say, licence, dead_zone,
        gaussian_tables=gaussian_tables, plain=plain,
    )  # fmt: skip
    if as_json:
        common.print_json(report)
        return
    for key, title in (("layers", "Integer against float, per layer"), ("curve", "Rate and PSNR")):
        if report.get(key):
            common.print_table(title, report[key])
    common.say(f"{output}: {output.stat().st_size} bytes")
