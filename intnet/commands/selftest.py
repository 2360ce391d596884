"""`intnet selftest`: whether this machine gives the bytes that it must."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from intnet.commands import common


@common.verb
def selftest(
    model: Annotated[
        str | None, typer.Option(help="Another model than the default; its bytes have no pin.")
    ] = None,
    *,
    full: Annotated[bool, typer.Option("--full", help="Large vectors too.")] = False,
    allow_not_supported: Annotated[
        bool, typer.Option("--allow-not-supported", help="A backend that is missing is no failure.")
    ] = False,
    as_json: common.Json = False,
) -> None:
    """Check that this installation gives the bytes that it must.

    The proof of the model, conformance vectors and a photograph, on every backend; no network is
    needed. Prints what this machine is and one hash of every observed result, which is the same on
    every machine with this version. Exit code 1 on any failure.

    \b
    intnet selftest
    intnet selftest --full --json
    """
    from intnet import selftest as checks

    report = checks.run(model, full=full, allow_not_supported=allow_not_supported)
    if as_json:
        common.print_json({
            "ok": report.ok, "list": "full" if full else "quick", "sha256": report.sha256,
            "machine": report.machine, "vectors": report.vectors,
            "checks": [check._asdict() for check in report.checks],
        })  # fmt: skip
    else:
        print("\n".join(described(report.machine)))
        for check in report.checks:
            print(f"{'ok    ' if check.ok else 'FAILED'} {check.name}: {check.detail}")
        print(f"sha256 {report.sha256}")
    if not report.ok:
        raise typer.Exit(common.FAILED)


def described(facts: dict[str, Any]) -> list[str]:
    """The machine in three lines."""
    words = {key: "none" if value is None else value for key, value in facts.items()}
    versions = ", ".join(f"{name} {words[name]}" for name in ("intnet", "numpy", "numba", "llvm"))
    return [
        "machine: {architecture}, {bits} bits, {byte_order}-endian, {cpu}, {cores} cores, "
        "{system}".format(**words),
        f"versions: {versions}, {words['python']}",
        "kernels: {kernels}, {threads} threads".format(**words),
    ]
