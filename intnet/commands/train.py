"""`intnet train`: the float side, which needs the extra `train`."""

from __future__ import annotations

import importlib
from typing import Any

import typer

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
