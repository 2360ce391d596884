"""Functions of a wide range of values, from operations that integers have.

A table has 256 entries, so a logarithm or a root is cut into tiers, each a factor of its range:

    f(n) = sum over tiers k of table_k[clip(n * 255 / top_k, 0, 255)],  top_k = top / factor**k

Table k holds f(n) - f(top_k / factor) where top_k / factor <= n <= top_k, and is constant outside.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from intnet.converting.builder import Builder
from intnet.converting.formats import S16_MAX, Format
from intnet.program import Lut

U8_MAX = 255
Function = Callable[[float], float]


def tier_count(span: float, factor: float) -> int:
    """Tiers that cover a ratio of greatest to least value.

    >>> tier_count(4096, 16)
    3
    """
    return max(1, math.ceil(math.log(max(span, 1.0)) / math.log(factor) - 1e-9))


def tiers(
    to: Builder, name: str, source: str, function: Function, top: float, factor: float, count: int,
    dtype: str,
) -> str:  # fmt: skip
    """round(function(n)) for n from top / factor**count to top, constant outside. n: one step.

    function: rising, in integers of the output; its values fit dtype.
    """
    parts, channels = [], len(to.formats[source].step)
    whole = torch.ones(channels, dtype=torch.float64)
    for k in range(count):
        upper = top / factor**k
        lower = upper / factor
        base = function(lower) if k + 1 < count else 0.0
        values = [function(min(max(upper * i / U8_MAX, lower), upper)) - base for i in range(256)]
        table = np.rint(values).astype(np.int32)
        byte = to.requantise(f"{name}.byte{k}", source, Format("u8", 0, U8_MAX, whole),
                             torch.full_like(whole, U8_MAX / upper))  # fmt: skip
        lo, hi = int(table.min()), int(table.max())
        out = Format(dtype, lo, hi, whole)
        parts.append(to.append(Lut(f"{name}.tier{k}", (byte,), dtype, lo, hi, table), out))
    total = parts[0]
    for k, part in enumerate(parts[1:], 1):
        a, b = to.formats[total], to.formats[part]
        sum_format = Format(dtype, a.lo + b.lo, a.hi + b.hi, whole)
        total = to.add(f"{name}.sum{k}", total, part, sum_format)
    return total


ROOT_TIER = 16.0  # the first guess is off by 1.6 % at most, one step of Newton leaves 1.2e-4
ROOT_BITS, ROOT_SHIFT = 30, 8


def root(to: Builder, name: str, source: str, span: float) -> str:
    """sqrt(n * 2**ROOT_SHIFT) for n up to 2**ROOT_BITS, s32: tiers and one step of Newton.

    span: ratio of the greatest to the least n. Never 0: it may divide.
    """
    count = tier_count(span, ROOT_TIER)
    scale = 2.0 ** (ROOT_SHIFT / 2)
    guess = tiers(to, name, source, lambda n: scale * math.sqrt(n), 2.0**ROOT_BITS, ROOT_TIER,
                  count, "s32")  # fmt: skip
    low, high = to.formats[guess].lo, to.formats[guess].hi
    whole = torch.ones_like(to.formats[source].step)
    other = to.div(f"{name}.quotient", source, guess, ROOT_SHIFT,
                   Format("s32", 0, 2 * high, whole))  # fmt: skip
    both = to.add(f"{name}.newton", guess, other, Format("s32", low, 3 * high, whole))
    return to.requantise(f"{name}.root", both, Format("s32", max(1, low // 2), 2 * high, whole),
                         whole / 2)  # fmt: skip


SCALE_TIER = 8.0  # half a step of a tier's table is 1.6 % at most: an eighth of a step of scales


def scale_index(
    to: Builder, name: str, source: str, low: float, high: float, unit: float,
    index: Callable[[float], float],
) -> str:  # fmt: skip
    """Indexes of scales x = unit * n, s16: rounded index(x), constant outside low..high."""
    count = tier_count(high / low, SCALE_TIER)
    return tiers(to, name, source, lambda n: index(min(max(n * unit, low), high)), high / unit,
                 SCALE_TIER, count, "s16")  # fmt: skip


def halves(to: Builder, name: str, source: str, out: Format, slope: float) -> str:
    """Leaky rectifier: (1 - slope) * max(x, 0) + slope * x."""
    ratio = to.formats[source].step / out.step
    wide = Format("s16", 0, S16_MAX, out.step)
    if slope == 0:
        return to.requantise(name, source, Format(out.dtype, 0, out.hi, out.step), ratio)
    if slope == 1:
        return to.requantise(name, source, out, ratio)
    positive = to.requantise(f"{name}.positive", source, wide, (1 - slope) * ratio)
    whole = to.requantise(f"{name}.whole", source, Format("s16", -S16_MAX, S16_MAX, out.step),
                          slope * ratio)  # fmt: skip
    return to.add(name, positive, whole, out)


def magnitude(to: Builder, name: str, source: str, out: Format) -> str:
    """|x| = max(x, 0) + max(-x, 0)."""
    ratio = to.formats[source].step / out.step
    part = Format("s16", 0, S16_MAX, out.step)
    positive = to.requantise(f"{name}.positive", source, part, ratio)
    negative = to.negated(f"{name}.negative", source, part, ratio)
    return to.add(name, positive, negative, out)
