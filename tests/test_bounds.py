"""The overflow proof accepts the limit less one and refuses the limit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sample_programs import port, single

from intnet import bounds
from intnet.bounds import Bound, prove
from intnet.errors import BoundError, ModelError
from intnet.program import Add, Conv, ConvTranspose, Div, Mul, Port, Program, Requantise

TOP = 2**31 - 1
ONES = np.ones(3, np.int32)
S32 = (-(2**31), TOP)


def linear(kind: Any, bias: int, weight: int) -> Program:
    """Channel 1 of 3 sums 2 * 3 * 2 products of `weight` with 255, and `bias`."""
    weights = np.zeros((3, 2, 3, 2), np.int16)
    weights[0], weights[1] = 1, weight
    weights[1, 0, 0, 0] = -weight
    biases = np.array([7, bias, -7], np.int32)
    op = kind("o", ("x",), "s32", *S32, 1, (0, 0, 0, 0), 1, weights, biases, ONES, ONES)
    return single(op, port("x", "u8", 2))


@pytest.mark.parametrize("kind", [Conv, ConvTranspose])
@pytest.mark.parametrize("sign", [1, -1])
def test_sums_of_convolutions_stay_below_their_limit(kind: Any, sign: int) -> None:
    """|bias| + sum |weight| * max |x| may be 2**31 - 1, not 2**31; the message says where."""
    rest = TOP - 12 * 255 * 30000
    assert prove(linear(kind, sign * rest, 30000))[0] == Bound("o", 1, "accumulator", TOP, 2**31)
    with pytest.raises(
        BoundError,
        match="program 'p', op 'o', channel 1: accumulator may reach 2147483648, "
        "must stay below 2147483648",
    ):
        prove(linear(kind, sign * (rest + 1), 30000))


def test_a_lowest_weight_and_a_lowest_sample_count_in_full() -> None:
    """|-32768| and |-128| are 32768 and 128, though their own types cannot hold them."""
    weights = np.full((1, 1, 1, 1), -32768, np.int16)
    for hi, most in ((5, 32768 * 32768), (32767, 32768 * 32768)):
        op = Conv("o", ("x",), "s32", *S32, 1, (0, 0, 0, 0), 1, weights, 0 * ONES[:1], ONES[:1],
                  ONES[:1])  # fmt: skip
        assert prove(single(op, Port("x", "s16", 1, -32768, hi)))[0].bound == most


def test_sums_of_two_tensors_stay_below_their_limit() -> None:
    """max |a| + max |b|."""
    op = Add("o", ("a", "b"), "s32", *S32)
    a, b = Port("a", "s32", 3, -(2**30), 0), Port("b", "s32", 3, 0, 2**30 - 1)
    assert prove(single(op, a, b))[0].bound == TOP
    with pytest.raises(BoundError, match="op 'o', channel 0: accumulator may reach 2147483648"):
        prove(single(op, a, Port("b", "s32", 3, 0, 2**30)))


def test_products_of_two_tensors_stay_below_their_limit() -> None:
    """max |a| * max |b|."""
    op = Mul("o", ("a", "b"), "s32", *S32, ONES, ONES)
    a, b = Port("a", "s32", 3, -TOP, 0), Port("b", "u8", 3, 0, 1)
    assert prove(single(op, a, b))[0] == Bound("o", 0, "accumulator", TOP, 2**31)
    with pytest.raises(BoundError, match="op 'o', channel 0: accumulator may reach 2147483648"):
        prove(single(op, Port("a", "s32", 3, -(2**31), 0), b))


def rescaling() -> dict[str, tuple[Program, int, int]]:
    """Programs, the largest 64-bit product of each by hand, and its channel."""
    x = Port("x", "s32", 3, *S32)
    multiplier, shift = np.array([5, TOP, TOP], np.int32), np.array([62, 1, 62], np.int32)
    unit = np.array([0, 1, -1], np.int16).reshape(3, 1, 1, 1).repeat(3, 3)
    small, b = Port("x", "s16", 3, -9, 9), Port("b", "s32", 3, 1, TOP)
    padding = (0, 0, 0, 0)
    return {
        "requantise": (single(Requantise("o", ("x",), "s8", 0, 9, multiplier, shift), x),
                       2**31 * TOP + 2**61, 2),
        "mul": (single(Mul("o", ("x", "x"), "s8", 0, 9, multiplier, shift), small),
                81 * TOP + 2**61, 2),
        "conv": (single(Conv("o", ("x",), "s8", 0, 9, 1, padding, 1, unit, ONES * 4, multiplier,
                             shift), small), 31 * TOP + 2**61, 2),
        "div": (single(Div("o", ("x", "b"), "s8", 0, 9, 30), x, b), 2**62 + TOP, 0),
    }  # fmt: skip


@pytest.mark.parametrize("case", ["requantise", "mul", "conv", "div"])
def test_products_in_64_bits_stay_below_their_limit(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound is exact, below 2**63 whatever a program holds, and refused at its limit."""
    program, most, channel = rescaling()[case]
    got = next(b for b in prove(program) if b.quantity == "product")
    assert got == Bound("o", channel, "product", most, 2**63)
    monkeypatch.setattr(bounds, "PRODUCT_LIMIT", most + 1)
    prove(program)
    monkeypatch.setattr(bounds, "PRODUCT_LIMIT", most)
    with pytest.raises(BoundError, match=f"op 'o', channel {channel}: product may reach {most}"):
        prove(program)


def test_headroom_is_in_bits() -> None:
    """A bound of a quarter of its limit leaves two bits; none at all leaves every bit."""
    assert Bound("o", 0, "accumulator", 2**29, 2**31).headroom == 2
    assert Bound("o", 0, "accumulator", 0, 2**31).headroom == 31


def test_the_proof_refuses_malformed_programs() -> None:
    """Types come before bounds."""
    with pytest.raises(ModelError, match="is not made before it"):
        prove(single(Add("o", ("x", "nothing"), "u8", 0, 9), port("x", "u8", 1)))
