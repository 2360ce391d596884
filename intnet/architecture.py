"""The family of models: which programs a model has says how its latents y are coded.

    factorized prior  analysis, synthesis                                   (Balle et al. 2017)
    hyperprior        analysis, hyper_analysis, prior, synthesis            (Balle et al. 2018)
    context           analysis, hyper_analysis, prior, context, synthesis   (Minnen et al. 2018)

A context is run on the latents that are decoded so far. Its order is SERIAL, one position after
the other as `intnet.serial_context` has it, or the steps of a pattern of 2 x 2 positions and G
groups of channels: the latent at (row, column, channel) of a tile is coded in step
order[row % 2][column % 2][channel * G // M]. A checkerboard (He et al. 2021) is [[[0], [1]],
[[1], [0]]]. Needs neither NumPy nor numba.
"""

from __future__ import annotations

from collections.abc import Collection
from reprlib import repr as brief  # short for any value, however deep or long
from typing import Any

from intnet.errors import ModelError

FACTORIZED = ("analysis", "synthesis")
HYPERPRIOR = ("analysis", "hyper_analysis", "prior", "synthesis")
CONTEXT = ("analysis", "hyper_analysis", "prior", "context", "synthesis")
FAMILIES = (FACTORIZED, HYPERPRIOR, CONTEXT)

SERIAL = "serial"
MAX_STEPS, MAX_GROUPS = 16, 16
Steps = tuple[tuple[tuple[int, ...], ...], ...]  # of row % 2, column % 2, group of channels
Order = str | Steps


def family_of(names: Collection[str]) -> tuple[str, ...]:
    """The names, in the order of the file. Raises ModelError for any other set of them."""
    for family in FAMILIES:
        if set(names) == set(family) and len(names) == len(family):
            return family
    allowed = ", or ".join(map(str, FAMILIES))
    raise ModelError(f"model: programs {brief(tuple(names))}, must be {allowed}")


def order_of(value: Any) -> Order:
    """The order that a document states. Raises ModelError naming got and allowed."""
    if value == SERIAL:
        return SERIAL
    if not is_pattern(value):
        raise ModelError(
            f"model: order is {brief(value)}, must be {SERIAL!r} or 2 x 2 lists of 1..{MAX_GROUPS} "
            f"steps, all as long, each step in 0..{MAX_STEPS - 1}"
        )
    steps = tuple(tuple(tuple(groups) for groups in row) for row in value)
    found = {step for row in steps for groups in row for step in groups}
    missing = sorted(set(range(max(found))) - found)
    if missing:
        raise ModelError(f"model: order has steps {sorted(found)}, lacks {missing[0]}")
    return steps


def is_pattern(value: Any) -> bool:
    """2 x 2 lists of as many steps each; True is no step."""
    if not is_pair(value) or not all(is_pair(row) for row in value):
        return False
    cells = [groups for row in value for groups in row]
    return all(
        isinstance(groups, list | tuple)
        and 1 <= len(groups) <= MAX_GROUPS
        and len(groups) == len(cells[0])
        and all(type(step) is int and 0 <= step < MAX_STEPS for step in groups)
        for groups in cells
    )


def is_pair(value: Any) -> bool:
    """A list of two."""
    return isinstance(value, list | tuple) and len(value) == 2


def step_count(order: Order) -> int:
    """Times that a context is run on all positions of a tile; once in all where it is serial."""
    if isinstance(order, str):
        return 1
    return 1 + max(step for row in order for groups in row for step in groups)


def title(names: Collection[str], outputs: int, order: Order | None) -> str:
    """For people. outputs: of the last program before the latents: mean and index, or index.

    >>> title(CONTEXT, 2, (((0,), (1,)), ((1,), (0,))))
    'mean-scale context in 2 steps'
    """
    if "prior" not in names:
        return "factorized prior"
    kind = "mean-scale" if outputs == 2 else "scale"
    if order is None:
        return f"{kind} hyperprior"
    return f"{kind} context, serial" if order == SERIAL else (
        f"{kind} context in {step_count(order)} steps"
    )  # fmt: skip
