"""`intnet selftest`: whether this machine gives the bytes that it must."""

from __future__ import annotations

from typing import Annotated

import typer

from intnet.commands import common


@common.verb
def selftest(
    model: Annotated[
        str | None, typer.Option(help="Another model than the default; its bytes have no pin.")
    ] = None,
    *,
    as_json: common.Json = False,
) -> None:
    """Encode and decode the bundled photograph on every backend and compare with pinned hashes.

    \b
    intnet selftest
    """
    from intnet import selftest as checks

    results = checks.run(model)
    ok = bool(results) and all(check.ok for check in results)
    if as_json:
        common.print_json({"ok": ok, "checks": [check._asdict() for check in results]})
    else:
        for check in results:
            print(f"{'ok    ' if check.ok else 'FAILED'} {check.name}: {check.detail}")
    if not ok:
        raise typer.Exit(common.FAILED)
