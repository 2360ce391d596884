"""Vectors of the integer functions of SPEC.md: rows of arguments, and a result each.

Results are worked out here in exact fractions, in sorted lists and in counted ranges, so that no
formula of the codec is repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from itertools import groupby, product
from math import ceil, floor
from operator import itemgetter
from typing import Any

Json = dict[str, Any]
Rows = Iterable[tuple[Any, ...]]

S32 = (-(2**31), 2**31 - 1)
HALF = Fraction(1, 2)
SHIFTS = (1, 2, 15, 16, 31, 32, 61, 62)


def nearest(x: Fraction) -> int:
    """Ties toward plus infinity."""
    return floor(x + HALF)


def clip(a: int, lo: int, hi: int) -> int:
    """The middle one, lo <= hi."""
    return sorted((lo, a, hi))[1]


def round_shift(a: int, s: int) -> int:
    """A quotient."""
    return nearest(Fraction(a, 2**s))


def requantise(acc: int, multiplier: int, shift: int, lo: int, hi: int) -> int:
    """A fraction of acc."""
    return clip(nearest(Fraction(acc * multiplier, 2**shift)), lo, hi)


def divide(a: int, b: int, left_shift: int) -> int:
    """A quotient."""
    return nearest(Fraction(a * 2**left_shift, b))


def conv_size(h: int, top: int, bottom: int, kernel: int, stride: int) -> int:
    """Places where the kernel begins."""
    return len(range(0, h + top + bottom - kernel + 1, stride))


def conv_transpose_size(h: int, top: int, bottom: int, kernel: int, stride: int) -> int:
    """Rows that some kernel reaches or stands between, less those cut off."""
    return len(range(top, max(y * stride + kernel for y in range(h)) - bottom))


def table_index(index: int, index_offset: int, index_shift: int, t_y: int) -> int:
    """A quotient, within the tables."""
    return clip(round_shift(index + index_offset, index_shift), 0, t_y - 1)


def dequantise(
    symbol: int, mean: int, inverse_gain: int, inverse_shift: int, lo: int, hi: int
) -> int:
    """A quotient, moved by the mean."""
    return clip(mean + round_shift(symbol * inverse_gain, inverse_shift), lo, hi)


def luma(r: int, g: int, b: int) -> int:
    """A weighted mean."""
    return nearest(Fraction(r + 2 * g + b, 4))


def exp_golomb(excess: int) -> str:
    """The digits behind zeros, by counting them."""
    digits = bin(excess + 1).removeprefix("0b")
    return digits.rjust(2 * len(digits) - 1, "0")


def length(n: int) -> str:
    """Digits in base 128."""
    digits = [n % 128]
    while n := n // 128:
        digits.append(n % 128)
    return bytes([d + 128 for d in digits[:-1]] + digits[-1:]).hex(" ")


def crc32(text: str) -> str:
    """Bit by bit."""
    crc = 2**32 - 1
    for byte in text.encode():
        crc ^= byte
        for _ in range(8):
            crc = crc // 2 ^ (0xEDB88320 if crc % 2 else 0)
    return f"{crc ^ 2**32 - 1:08x}"


def vector(
    name: str, clause: str, comment: str, function: Callable[..., int | str], rows: Rows
) -> Json:
    """One function on rows that are all different."""
    listed = [list(row) for row in rows]
    assert len({str(row) for row in listed}) == len(listed) > 0, name
    return {
        "id": f"arith/{name}", "class": "arith", "clause": clause, "comment": comment,
        "function": function.__name__, "rows": listed, "result": "valid",
        "expected": {"results": [function(*row) for row in listed]},
    }  # fmt: skip


def vectors() -> list[Json]:
    """All of this class."""
    return [
        *of_operators(),
        *of_rounding(),
        *of_sizes(),
        *of_coding(),
        *of_orders(),
        *of_decoding(),
    ]


def floor_shift(a: int, b: int) -> int:
    """A floor."""
    return floor(Fraction(a, 2**b))


def floor_div(a: int, b: int) -> int:
    """A floor."""
    return floor(Fraction(a, b))


def ceil_div(a: int, b: int) -> int:
    """A ceiling."""
    return ceil(Fraction(a, b))


def of_operators() -> list[Json]:
    """Shifts and divisions, which languages do not agree on, and the clip."""
    ends = (-(2**63), -(2**62) - 1, 2**62, 2**63 - 1)
    small = range(-9, 10)
    edges = [(lo + d, lo, hi) for lo, hi in ((-128, 127), (0, 255), (-1, -1), (7, 9))
             for d in (-1, 0, 1, hi - lo - 1, hi - lo, hi - lo + 1)]  # fmt: skip
    return [
        vector("floor-shift", "arith.floor-shift", "Negative numbers, and the ends of 64 bits.",
               floor_shift, [*product(small, (1, 2, 3)), *product(ends, (1, 31, 62))]),
        vector("floor-div", "arith.floor-div", "Negative numbers, and the ends of 64 bits.",
               floor_div, [*product(small, (1, 2, 7)), *product(ends, (3, 2**31, 2**62 + 1))]),
        vector("ceil-div", "arith.floor-div", "Sides of pictures in cells of 16 and 64.",
               ceil_div, product((1, 15, 16, 17, 63, 64, 65, 2**24 - 1, 2**24), (16, 64))),
        vector("clip", "arith.clip", "At both ends and beside them; an interval of one value.",
               clip, dict.fromkeys([*edges, (S32[1], 0, 255), (S32[0] + 1, 0, 255),
                                    (S32[1], *S32), (S32[0] + 1, *S32)])),
    ]  # fmt: skip


def of_rounding() -> list[Json]:
    """The rounding shift, alone and in what is made of it; the rounded division."""
    ties = [(sign * k * 2 ** (s - 1) + d, s) for s in SHIFTS for k in (1, 3) for sign in (1, -1)
            for d in (-1, 0, 1) if abs(k * 2 ** (s - 1)) < 2**62]  # fmt: skip
    ends = [(sign * (2**63 - 1 - 2 ** (s - 1)), s) for s in SHIFTS for sign in (1, -1)]
    halves = [(acc, m, s, -128, 127) for acc in (*range(-7, 8), -254, -255, 253, 255)
              for m, s in ((1, 1), (2, 2), (3, 1))]  # fmt: skip
    most = [(acc, m, s, *S32) for acc in (*S32, -1, 1) for m in (1, 2**30 + 1, 2**31 - 1)
            for s in (1, 31, 32, 62)]  # fmt: skip
    quotients = [(a, b, k) for a in range(-7, 8) for b in (1, 2, 3, 6, 255) for k in (0, 1, 4)]
    large = [(a, b, k) for a in (S32[0] + 1, -1, 1, S32[1])
             for b, k in ((S32[1], 30), (S32[1], 0), (2**30, 29), (2**30 + 1, 29))]  # fmt: skip
    rounding, requantising, dividing = "arith.round-shift", "arith.requantise", "arith.divide"
    return [
        vector("round-shift-ties", rounding, "At ties and one beside them, both signs.",
               round_shift, dict.fromkeys(ties)),
        vector("round-shift-ends", rounding, "The greatest sums that fit 64 bits.",
               round_shift, ends),
        vector("requantise-ties", requantising, "Ties of both signs, and both ends of the clip.",
               requantise, halves),
        vector("requantise-ends", requantising, "Ends of 32 bits: products beyond 2**61.",
               requantise, most),
        vector("divide-ties", dividing, "Ties and others, both signs.", divide, quotients),
        vector("divide-ends", dividing, "Numerators of 61 bits, quotients at the ends of 32.",
               divide, large),
    ]  # fmt: skip


def of_sizes() -> list[Json]:
    """Sizes of convolutions."""
    wide = [(h, top, bottom, k, s) for h in (1, 2, 7, 8, 9) for top, bottom in ((0, 0), (1, 2))
            for k, s in ((1, 1), (3, 2), (5, 8))]  # fmt: skip
    return [
        vector("conv-size", "op.conv", "Strides that leave rows over.", conv_size,
               [row for row in wide if row[0] + row[1] + row[2] >= row[3]]),
        vector("conv-transpose-size", "op.conv_transpose", "Kernels below and above the stride.",
               conv_transpose_size, [row for row in wide if conv_transpose_size(*row) >= 1]),
    ]  # fmt: skip


def lanes_for(symbols: int) -> int:
    """Two of them from 2**16 symbols on."""
    return 1 + (symbols >= 2**16)


def lanes_of(minor: int, symbols: int) -> int:
    """By version."""
    return (1, lanes_for(symbols), lanes_for(symbols))[minor]


def tile(n: int, side: int, height: int, width: int) -> str:
    """Rows and columns of tile n, by counting."""
    corners = [(top, left) for top in range(0, height, 64 * side)
               for left in range(0, width, 64 * side)]  # fmt: skip
    top, left = corners[n]
    return str([top, min(top + 64 * side, height), left, min(left + 64 * side, width)])


def of_coding() -> list[Json]:
    """What the range coder and the stream count in."""
    counts = (0, 1, 65535, 65536, 65537, 2**28)
    around = sorted({2**k + d for k in range(17) for d in (-2, -1, 0) if 0 <= 2**k + d < 65535})
    texts = ("", "a", "123456789", "\0", "\0\0\0\0", "intnet " * 40)
    sizes = (0, 1, *(128**k + d for k in (1, 2, 3, 4) for d in (-1, 0, 1)), 2**32 - 1)
    return [
        vector("exp-golomb", "coder.escape", "Excesses around powers of two, and the greatest.",
               exp_golomb, [(n,) for n in around]),
        vector("lanes-for", "coder.lanes", "Around 65536.", lanes_for, [(n,) for n in counts]),
        vector("lanes-of", "stream.version", "By minor version.", lanes_of,
               product((0, 1, 2), counts)),
        vector("tile", "decode.tiles", "All tiles of grids that are cut at both ends.", tile,
               [*((n, 1, 129, 200) for n in range(12)), *((n, 3, 200, 577) for n in range(8)),
                (0, 65535, 1, 1), (8191, 1, 64, 2**19)]),
        vector("length", "coder.length", "One to five bytes.", length, [(n,) for n in sizes]),
        vector("crc32", "stream.crc", "No bytes, zero bytes, many.", crc32,
               [(text,) for text in texts]),
    ]  # fmt: skip


def step_of(
    order: list[list[list[int]]], row: int, column: int, channel: int, channels: int
) -> int:
    """Groups are of as many channels each."""
    steps = order[row & 1][column & 1]
    return steps[channel // (channels // len(steps))]


def serial_groups(height: int, width: int, slope: int) -> str:
    """By sorting."""
    places = [(column + slope * row, row, column) for row in range(height)
              for column in range(width)]  # fmt: skip
    groups = groupby(sorted(places), key=itemgetter(0))
    return str([[[row, column] for _, row, column in group] for _, group in groups])


def of_orders() -> list[Json]:
    """Which latents of a tile are coded when."""
    checkerboard, columns = [[[0], [1]], [[1], [0]]], [[[0], [1]], [[0], [1]]]
    quadtree = [[[0, 1, 2, 3], [2, 3, 0, 1]], [[3, 2, 1, 0], [1, 0, 3, 2]]]
    rows = [(order, *place) for order, channels in ((checkerboard, 3), (columns, 1), (quadtree, 8))
            for place in product((0, 1, 2, 5), (0, 1, 3), range(channels), [channels])]  # fmt: skip
    return [
        vector("step-of", "model.steps", "Rows are not columns; groups of channels.", step_of,
               rows),
        vector("serial-groups", "decode.serial", "Slopes of kernels 1, 3, 5 and 15 wide.",
               serial_groups, [(h, w, s) for h, w in ((1, 1), (1, 5), (5, 1), (3, 4), (7, 3))
                               for s in (1, 2, 3, 8)]),
    ]  # fmt: skip


def of_decoding() -> list[Json]:
    """From the prior and the symbols to samples."""
    indexes = [(i, o, s, t) for s in (1, 8, 15) for t in (1, 2, 64, 256)
               for i, o in ((0, 0), (2 ** (s - 1) - 1, 0), (2 ** (s - 1), 0), (-(2 ** (s - 1)), 0),
                            (2 ** (s - 1), -1), (-(2 ** (s - 1)) - 1, 2**s), (32767, 32767),
                            (S32[1], S32[1]), (S32[0], S32[0]), (S32[0], S32[1]))]  # fmt: skip
    port, gains = (-4095, 4095), (1, 2**15, 2**16, 98304, 2**31 - 1)
    latents = [(x, m, g, s, *port) for x in (-(2**15), -3, -1, 0, 1, 3, 2**15 - 1)
               for m in (-7, 4095) for g in gains for s in (1, 16, 30)]  # fmt: skip
    level = (0, 1, 2, 3, 127, 128, 254, 255)
    grey, dequantised = "decode.luma", "decode.dequantise"
    return [
        vector("table-index", "decode.table_index", "Ties, both clips, sums beyond 32 bits.",
               table_index, dict.fromkeys(indexes)),
        vector("dequantise", dequantised, "Ties, both clips, products beyond 32 bits.",
               dequantise, latents),
        vector("luma", grey, "All remainders by 4, and the ends.", luma, product(level, repeat=3)),
    ]  # fmt: skip
