"""The range coder beside constriction and torchac, all on one core.

Symbols are drawn from their own tables, so that the ideal length is what a perfect coder needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

import rangecoder
from intnet.bench import coder_peers, peers
from intnet.bench.coder_peers import Coder, Message
from intnet.bench.race import Settings, race
from intnet.bench.report import PRODUCT, Report, Value
from intnet.errors import IntnetError

SYMBOLS, QUICK_SYMBOLS = 10**6, 10**4
TABLES, SCALE_MIN, SCALE_MAX = 64, 0.11, 256.0  # zero-mean Gaussians, log-spaced
DECAY = 21  # table k is used exp(-k / DECAY) as often as table 0: 2.2 bits a symbol
ONE_TABLE = 18  # 2.1 bits a symbol
REACH = 4.5  # standard deviations that a table covers
SEED = 1
MEGA = 1e6
MANY, ONE, SHORT = "64 tables", "one table", "short message"
GAUSSIAN, FIXED, TORCHAC = "constriction Gaussian", "constriction categorical", "torchac"


class Part(NamedTuple):
    """Symbols that everybody codes, and who does beside the product."""

    message: Callable[[int], Message]
    rivals: dict[str, Callable[[], Callable[[Message], Coder]]]


def run(settings: Settings) -> Report:
    """Time encoding and decoding of every part.

    settings.only: parts, or peers, whose names contain it. Raises ValueError where none does,
    IntnetError for a coder that does not give the symbols back.
    """
    parts = {
        MANY: Part(many_tables, {GAUSSIAN: coder_peers.constriction_gaussian}),
        ONE: Part(one_table, {FIXED: coder_peers.constriction_categorical}),
        SHORT: Part(short, {TORCHAC: coder_peers.torchac}),
    }
    names = [name for part in parts.values() for name in part.rivals]
    wanted, rivals = peers.wanted(list(parts), names, settings.only)
    size = QUICK_SYMBOLS if settings.quick else SYMBOLS
    report = Report("coder", "Msymbols/s", {"symbols": size, "seed": SEED})
    for name in wanted:
        chosen = {rival: make for rival, make in parts[name].rivals.items() if rival in rivals}
        measure(name, parts[name].message(size), chosen, report, settings)
    report.summary = summary(report)
    report.notes = [
        "ratio: how many times faster intnet is, the median over rounds; one core each",
        f"{MANY}: a table per symbol; constriction computes its Gaussians as it codes",
        f"{SHORT}: what torchac has memory for; its table of each symbol is gathered untimed",
    ]
    return report


def measure(
    name: str, message: Message, rivals: dict[str, Any], report: Report, settings: Settings
) -> None:
    """Add the rows of a part."""
    makers, missing = peers.gather(rivals)
    report.missing |= missing
    coders = {PRODUCT: product(message)} | {n: make(message) for n, make in makers.items()}
    ideal = rangecoder.ideal_bits(message.symbols, message.indexes, message.tables)
    bits: dict[str, Value] = dict.fromkeys(coders, ideal / message.symbols.size)
    over = {n: overhead(n, coder, message, ideal) for n, coder in coders.items()}
    work = message.symbols.size / MEGA
    for verb in ("encode", "decode"):
        times = race(f"{verb}, {name}", {n: getattr(c, verb) for n, c in coders.items()}, settings)
        report.add(f"{verb}, {name}", times, work, bits_per_symbol=bits, overhead_percent=over)


def product(message: Message) -> Coder:
    """The range coder with as many lanes as the codec gives it."""
    symbols, indexes, tables = message.symbols, message.indexes, message.tables
    lanes = rangecoder.lanes_for(symbols.size)
    payload = rangecoder.encode(symbols, indexes, tables, lanes=lanes)
    return Coder(
        partial(rangecoder.encode, symbols, indexes, tables, lanes=lanes),
        partial(rangecoder.decode, payload, indexes, tables, lanes=lanes),
    )


def overhead(name: str, coder: Coder, message: Message, ideal: float) -> Value:
    """Percent over the ideal length. Raises IntnetError unless the symbols come back."""
    if not np.array_equal(np.asarray(coder.decode()), message.symbols):
        raise IntnetError(f"bench coder, {name}: decoded symbols differ from those encoded")
    return 100 * (8 * len(coder.encode()) / ideal - 1)


def gaussian_weights(scale: float, reach: int) -> list[int]:
    """Integer weights of -reach .. reach under N(0, scale), and of the escape."""
    edges = [math.erf((k + 0.5) / scale * 2**-0.5) for k in range(reach + 1)]
    side = [(b - a) / 2 for a, b in pairwise(edges)]
    pmf = [*side[::-1], edges[0], *side, 0.0]
    return [round(p * 2**32) for p in pmf]


def tables_of(scales: list[float], reaches: list[int]) -> rangecoder.Tables:
    """Gaussian tables."""
    weights = [gaussian_weights(s, r) for s, r in zip(scales, reaches, strict=True)]
    return rangecoder.build(weights, [-reach for reach in reaches])


def scales() -> list[float]:
    """Standard deviations of all tables."""
    step = math.log(SCALE_MAX / SCALE_MIN) / (TABLES - 1)
    return [SCALE_MIN * math.exp(k * step) for k in range(TABLES)]


def many_tables(size: int) -> Message:
    """Small scales more often than large ones."""
    frequency = np.exp(-np.arange(TABLES) / DECAY)
    rng = np.random.default_rng(SEED)
    indexes = rng.choice(TABLES, size, p=frequency / frequency.sum()).astype(np.uint8)
    reaches = [max(1, math.ceil(REACH * scale)) for scale in scales()]
    return drawn(indexes, tables_of(scales(), reaches), scales())


def one_table(size: int) -> Message:
    """One of them throughout."""
    scale = scales()[ONE_TABLE]
    tables = tables_of([scale], [math.ceil(REACH * scale)])
    return drawn(np.zeros(size, np.uint8), tables, [scale])


def short(size: int) -> Message:
    """As many_tables, but shorter, with small scales alone and equal supports."""
    small = [scale for scale in scales() if math.ceil(REACH * scale) <= coder_peers.TORCHAC_REACH]
    frequency = np.exp(-np.arange(len(small)) / DECAY)
    rng = np.random.default_rng(SEED)
    count = min(size, coder_peers.TORCHAC_SYMBOLS)
    indexes = rng.choice(len(small), count, p=frequency / frequency.sum()).astype(np.uint8)
    return drawn(indexes, tables_of(small, [coder_peers.TORCHAC_REACH] * len(small)), small)


def drawn(indexes: Any, tables: rangecoder.Tables, scales: list[float]) -> Message:
    """Symbols drawn from their tables; never an escape."""
    points = np.random.default_rng(SEED + 1).integers(0, 2**rangecoder.PRECISION, indexes.size)
    symbols = np.empty(indexes.size, np.int32)
    for t, minimum in enumerate(tables.minimum):
        cdf = tables.cdf[tables.start[t] : tables.start[t + 1]]
        mine = indexes == t
        entry = np.searchsorted(cdf, points[mine], side="right") - 1
        symbols[mine] = np.minimum(entry, len(cdf) - 3) + minimum
    return Message(symbols, indexes, tables, np.array(scales)[indexes])


def summary(report: Report) -> dict[str, Value]:
    """Rates, ratios, overhead."""
    row = report.find(f"encode, {MANY}")
    rates: dict[str, Value] = {
        f"{verb}_msymbols_per_s": report.rate(f"{verb}, {MANY}") for verb in ("encode", "decode")
    }
    ratios = {
        f"{key}_{verb}_ratio": report.ratio(f"{verb}, {part}", peer)
        for key, peer, part in (
            ("constriction_gaussian", GAUSSIAN, MANY), ("constriction_fixed", FIXED, ONE),
            ("torchac", TORCHAC, SHORT),
        ) for verb in ("encode", "decode")
    }  # fmt: skip
    return rates | ratios | {"overhead_percent": row["overhead_percent"] if row else None}
