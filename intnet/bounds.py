"""The overflow proof: no accumulator of a program can leave its integer type, in any order of sums.

For every output channel of a linear operation

    acc_bound = |bias| + sum |weight| * max |x|  <  2**31

bounds every partial sum of every subset of the terms, so vectorised, threaded or reordered sums
give the same bits (the argument of Ballé et al. 2019 made per channel). Products of requantisation
are bounded below 2**63. What `prove` accepts, backends compute without looking for overflow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from intnet.errors import BoundError
from intnet.ports import infer
from intnet.program import Add, Array, Conv, ConvTranspose, Div, Mul, Op, Port, Program, Requantise

ACC_LIMIT, PRODUCT_LIMIT = 2**31, 2**63


class Bound(NamedTuple):
    """A proved worst case: |value| <= bound < limit for this quantity of this channel."""

    op: str
    channel: int
    quantity: str
    bound: int
    limit: int

    @property
    def headroom(self) -> float:
        """Bits left below the limit (for reports)."""
        return float(np.log2(self.limit) - np.log2(max(1, self.bound)))


def prove(program: Program) -> list[Bound]:
    """The tightest channel of each quantity of each operation.

    Raises BoundError naming op, channel, bound and limit; ModelError if the program is malformed.
    """
    ports = infer(program)
    tightest: list[Bound] = []
    for op in program.ops:
        if type(op) not in RULES:
            continue
        for quantity, limit, bounds in RULES[type(op)](op, [ports[name] for name in op.inputs]):
            channel = max(range(len(bounds)), key=bounds.__getitem__)
            bound = Bound(op.name, channel, quantity, bounds[channel], limit)
            if bound.bound >= limit:
                raise BoundError(
                    f"program {program.name!r}, op {op.name!r}, channel {channel}: {quantity} may "
                    f"reach {bound.bound}, must stay below {limit}"
                )
            tightest.append(bound)
    return tightest


# Quantity, limit, a Python int per channel: those cannot overflow. `tolist` makes them at once.
Claims = Iterator[tuple[str, int, list[int]]]


def weight_sums(weight: Array) -> list[int]:
    """sum |weight| of every output channel."""
    sums: list[int] = np.abs(weight.astype(np.int64)).reshape(len(weight), -1).sum(1).tolist()
    return sums


def rescaled(accs: list[int], multiplier: Array, shift: Array) -> Claims:
    """|acc| * multiplier + half of each channel, in 64 bits."""
    products = [
        acc * m + (1 << (s - 1))
        for acc, m, s in zip(accs, multiplier.tolist(), shift.tolist(), strict=True)
    ]
    yield "product", PRODUCT_LIMIT, products


def linear(op: Conv | ConvTranspose, ports: list[Port]) -> Claims:
    """Accumulator and product of a convolution. A transposed one has no more taps per sum."""
    magnitude = ports[0].magnitude
    sums = zip(op.bias.tolist(), weight_sums(op.weight), strict=True)
    accs = [abs(bias) + total * magnitude for bias, total in sums]
    yield "accumulator", ACC_LIMIT, accs
    yield from rescaled(accs, op.multiplier, op.shift)


def requantise(op: Requantise, ports: list[Port]) -> Claims:
    """Product of a stand-alone requantisation."""
    return rescaled([ports[0].magnitude] * ports[0].channels, op.multiplier, op.shift)


def add(op: Add, ports: list[Port]) -> Claims:  # noqa: ARG001  # one signature for all rules
    """Sum of two tensors."""
    yield "accumulator", ACC_LIMIT, [ports[0].magnitude + ports[1].magnitude]


def mul(op: Mul, ports: list[Port]) -> Claims:
    """Product of two tensors, and its requantisation."""
    accs = [ports[0].magnitude * ports[1].magnitude] * ports[0].channels
    yield "accumulator", ACC_LIMIT, accs
    yield from rescaled(accs, op.multiplier, op.shift)


def div(op: Div, ports: list[Port]) -> Claims:
    """Numerator 2 * a * 2**left_shift + b."""
    numerator = 2 * (ports[0].magnitude << op.left_shift) + ports[1].magnitude
    yield "product", PRODUCT_LIMIT, [numerator]


RULES: dict[type[Op], Callable[..., Claims]] = {
    Conv: linear, ConvTranspose: linear, Requantise: requantise, Add: add, Mul: mul, Div: div,
}  # fmt: skip
