"""`intnet pack`: a model file smaller, or plain again; the model stays the same."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from intnet import files
from intnet.commands import common


@common.verb
def pack(
    model: Annotated[str, typer.Argument(help="A .inm file or a shipped model's name.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .inm to write.")],
    *,
    plain: Annotated[
        bool, typer.Option("--plain", help="Unpack: for readers older than packed files.")
    ] = False,
    as_json: common.Json = False,
) -> None:
    """Pack the tensors of a model with the range coder, without loss.

    The identity stays, so that streams do not notice. The model is checked whole, as always when
    one is loaded. What `intnet convert` writes is packed already.

    \b
    intnet pack old.inm -o small.inm
    intnet pack small.inm -o old.inm --plain
    """
    from intnet import model_file, model_header, shipped

    files.check_target(output)
    path = shipped.path_of(model)
    loaded = model_file.load(path)
    before = path.stat().st_size
    model_file.save(loaded, output, plain=plain)
    header = model_header.read(output)
    report: dict[str, Any] = {
        "model": header.name,
        "sha256": header.sha256,
        "bytes_before": before,
        "bytes": output.stat().st_size,
        "packed": header.packed,
        "tensor_bytes": header.tensor_bytes,
        "stored_bytes": header.stored_bytes,
        "bits_per_weight": header.bits_per_weight,
    }
    if as_json:
        common.print_json(report)
    else:
        print(f"{output}: {report['bytes']} bytes, were {before}; "
              f"{header.bits_per_weight} bits per weight")  # fmt: skip
