"""`intnet certify`: the overflow proof, derived anew from the file alone."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from intnet.commands import common


@common.verb
def certify(
    model: Annotated[str, typer.Argument(help="A .inm file or a shipped model's name.")],
    *,
    as_json: common.Json = False,
) -> None:
    """Prove that no accumulator of a model can overflow.

    Derived anew from the weights: per operation the tightest channel, its worst case over all
    inputs, the limit and the bits left below it. Exit code 1 where the proof fails.

    \b
    intnet certify photo.inm
    """
    from intnet import model_file, shipped

    loaded = model_file.load(shipped.path_of(model))
    rows: list[dict[str, Any]] = [
        {
            "program": program,
            "op": bound.op,
            "quantity": bound.quantity,
            "channel": bound.channel,
            "bound": bound.bound,
            "limit": bound.limit,
            "headroom_bits": round(bound.headroom, 2),
        }
        for program, bounds in model_file.certify(loaded).items()
        for bound in bounds
    ]
    if as_json:
        proof = {"ok": True, "model": loaded.name, "sha256": loaded.sha256, "bounds": rows}
        common.print_json(proof)
        return
    short = [row | {"limit": f"2**{row['limit'].bit_length() - 1}"} for row in rows]
    common.print_table(f"{loaded.name} {loaded.sha256}", short)
    least = min(rows, key=lambda row: float(row["headroom_bits"]))
    print(
        f"proved: {len(rows)} bounds hold, the tightest is {least['program']} {least['op']} "
        f"{least['quantity']} with {least['headroom_bits']} bits of headroom"
    )
