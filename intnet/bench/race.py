"""Contenders take turns, so that whatever slows the machine down for a while hits all alike.

READ ME FIRST
1. A round is one turn of each contender. A ratio is the median over rounds of the two times of a
   round: drift from round to round cancels.
2. A turn begins when the process is idle: threads of the contender before may spin on and take a
   core from the next one (onnxruntime's do for 40 ms). If calls are short, an untimed call follows,
   which brings data back to near caches.
"""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

Call = Callable[[], object]
Times = dict[str, list[float]]  # contender to seconds per call, one for each round
Watch = Callable[[str, int], Call]  # what begins and its number of turns, to what each turn calls

WINDOW = 0.02  # seconds over which the process must be idle
IDLE = 0.1  # of a core, at most
PATIENCE = 100  # windows
TURN = 0.05  # seconds that a turn should take at least


def unwatched(_label: str, _turns: int) -> Call:
    """No progress to show."""
    return lambda: None


@dataclass(frozen=True)
class Settings:
    """What every benchmark is asked for.

    only: cases or contenders whose names contain it. quick: sizes that show that it works, and
    whose times mean nothing.
    """

    threads: int
    rounds: int
    only: str | None = None
    quick: bool = False
    watch: Watch = unwatched


def race(
    label: str, contenders: Mapping[str, Call], settings: Settings, *, warm: bool = True
) -> Times:
    """Seconds per call of every contender in every round.

    warm: after two calls that load and compile, and tell how many fill a turn.
    """
    tick = settings.watch(label, settings.rounds * len(contenders))
    repeats = {name: calls_for(call, TURN) if warm else 1 for name, call in contenders.items()}
    times: Times = {name: [] for name in contenders}
    gc.collect()
    for _ in range(settings.rounds):
        for name, call in contenders.items():
            settle()
            if repeats[name] > 1:
                call()
            times[name].append(seconds(call, repeats[name]))
            tick()
    return times


def settle() -> None:
    """Wait until all threads of the process rest, for two seconds at most."""
    for _ in range(PATIENCE):
        began, used = time.perf_counter(), time.process_time()
        time.sleep(WINDOW)
        if time.process_time() - used < IDLE * (time.perf_counter() - began):
            return


def calls_for(call: Call, turn: float) -> int:
    """How many calls fill so many seconds, by the second call."""
    call()
    return max(1, math.ceil(turn / max(seconds(call, 1), 1e-9)))


def seconds(call: Call, calls: int) -> float:
    """Mean over calls in a row."""
    started = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - started) / calls


def ratio(times: Mapping[str, Sequence[float]], product: str, peer: str) -> float:
    """How many times faster the product is: the median over rounds.

    >>> ratio({"ours": [1.0, 2.0, 1.0], "theirs": [3.0, 8.0, 2.0]}, "ours", "theirs")
    3.0
    """
    rounds = zip(times[product], times[peer], strict=True)
    return statistics.median(theirs / ours for ours, theirs in rounds)


def geomean(ratios: Iterable[float | None]) -> float | None:
    """Geometric mean of those that are known; None where none is.

    >>> geomean([2.0, None, 8.0])
    4.0
    """
    logs = [math.log2(ratio) for ratio in ratios if ratio is not None]
    return 2 ** (sum(logs) / len(logs)) if logs else None
