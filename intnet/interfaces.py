"""What the programs of a model take and make fits together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from intnet.ports import Ports, require
from intnet.program import Port, Program
from intnet.serial_context import FEATURES, Y_HAT

PIXEL_CHANNELS = 3
Programs = Mapping[str, Program]
AllPorts = Mapping[str, Ports]  # of every tensor of every program


def ends(programs: Programs, ports: AllPorts, name: str) -> tuple[list[Port], list[Port]]:
    """Inputs and outputs of a program, as many as it must have."""
    program = programs[name]
    inputs = 1 + (name == "context")
    chooses = name == "context" or (name == "prior" and "context" not in ports)
    allowed = [(inputs, n) for n in ((1, 2) if chooses else (1,))]
    counts = len(program.inputs), len(program.outputs)
    require(
        counts in allowed,
        f"model: {name} has {counts} inputs and outputs, must be {' or '.join(map(str, allowed))}",
    )
    return list(program.inputs), [ports[name][output] for output in program.outputs]


def check_interfaces(programs: Programs, ports: AllPorts, z_tables: int) -> Port:
    """What one program makes, the next one takes. z_tables: how many. Returns the port of y_hat.

    Raises ModelError naming got and allowed.
    """
    found = {name: ends(programs, ports, name) for name in ports}
    (pixels,), (y,) = found["analysis"]
    (y_hat,), (x_hat,) = found["synthesis"]
    for what, port in (("analysis input", pixels), ("synthesis output", x_hat)):
        got = (port.dtype, port.channels, port.lo, port.hi)
        require(
            got == ("u8", PIXEL_CHANNELS, 0, 255), f"model: {what} is {got}, must be u8, 3, 0..255"
        )
    chosen: list[Port] = []  # mean and index, or index
    if "prior" in found:
        (y_in,), (z,) = found["hyper_analysis"]
        (z_in,), chosen = found["prior"]
        check_link("y", y, y_in)
        check_link("z", z, z_in)
    channels = z.channels if "prior" in found else 0
    require(z_tables == channels, f"model: {z_tables} z tables, must be {channels}")
    if "context" in found:
        (seen, taken), outputs = found["context"]
        check_context_inputs(seen, taken, y_hat)
        require(y.dtype == y_hat.dtype, f"model: y is {y.dtype}, y_hat {y_hat.dtype}, with context")
        check_link(FEATURES, chosen[0], taken)
        chosen = outputs
    if len(chosen) == 2:
        check_link("mean", chosen[0], y_hat)
    require(
        all(port.channels == y.channels for port in (*chosen, y_hat)),
        "model: y, mean, index: unlike channels",
    )
    return y_hat


def check_link(what: str, made: Port, taken: Port) -> None:
    """What is made fits where it is taken."""
    require(
        made.channels == taken.channels and taken.lo <= made.lo and made.hi <= taken.hi
        and made.dtype == taken.dtype,
        f"model: {what} is made as {made} and taken as {taken}",
    )  # fmt: skip


def check_context_inputs(seen: Port, features: Port, y_hat: Port) -> None:
    """Their names; latents not decoded yet are 0, the others those that synthesis takes."""
    names = seen.name, features.name
    require(
        names == (Y_HAT, FEATURES),
        f"model: context has inputs {names}, must be {(Y_HAT, FEATURES)}",
    )
    require(
        replace(y_hat, name=seen.name) == seen,
        f"model: context takes {seen}, synthesis {y_hat}, must be the same latents",
    )
    require(seen.lo <= 0 <= seen.hi, f"model: context: y_hat is {seen}, 0 must be within")
