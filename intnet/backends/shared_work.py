"""Panels of a layer, claimed one by one by every thread that is free: a barrier without a wait.

READ ME FIRST
1. One thread leads: it offers the panels of a layer (`offer`), works on them like everybody else,
   and goes on when all are done. Others help (`help_rows`) until it stops (`stop`).
2. Nobody is waited for who has not claimed a panel. So a helper that never starts, because the pool
   is busy with other pictures, costs time and nothing else.
3. NEXT, END and DONE only grow. A helper that read LAYER, FIRST and COUNT and then claims panel
   NEXT by compare-and-swap has read those of that panel: the leader changes them only when every
   panel has been claimed.
4. Words lie on cache lines of their own.
"""

from __future__ import annotations

import numpy as np

from intnet.backends.atomics import add, give_way, load, store, swap
from intnet.backends.simd.drivers import call
from intnet.backends.simd.job import JOB_WORDS, PARAMETERS, POSITIONS, TARGETS, WEIGHTS
from intnet.program import Array
from rangecoder.compile import inlined, jit

LINE = 8  # words of a cache line
NEXT, END, DONE, LAYER, FIRST, COUNT, STOP = range(0, 7 * LINE, LINE)
CONTROL_WORDS = 7 * LINE
PATIENCE = 200  # looks for work before the processor is offered to others

# A layer: its job, then the address of its tiles, how many panels, and bytes from one to the next.
TILES, PANELS, WEIGHTS_STEP, PARAMETERS_STEP, TARGETS_STEP = range(JOB_WORDS, JOB_WORDS + 5)
LAYER_WORDS = JOB_WORDS + 5


@inlined
def work(control: int, layers: Array, jobs: Array) -> int:
    """Do one panel; 1 if there was one to claim, 0 if not.

    control: address of the words. layers: int64 (n, LAYER_WORDS), trusted. jobs: this thread's
    copy of the layers.
    """
    panel: int = load(control + 8 * NEXT)
    if panel >= load(control + 8 * END):
        return 0
    layer = load(control + 8 * LAYER)
    first, count = load(control + 8 * FIRST), load(control + 8 * COUNT)
    if swap(control + 8 * NEXT, panel, panel + 1):
        job, shared, k = jobs[layer], layers[layer], panel - first
        job[POSITIONS] = count
        job[WEIGHTS] = shared[WEIGHTS] + k * shared[WEIGHTS_STEP]
        job[PARAMETERS] = shared[PARAMETERS] + k * shared[PARAMETERS_STEP]
        job[TARGETS] = shared[TARGETS] + k * shared[TARGETS_STEP]
        call(shared[TILES], job.ctypes.data)
        add(control + 8 * DONE, 1)
    return 1


@jit
def offer(control: int, layers: Array, jobs: Array, layer: int, count: int, rest: int) -> None:
    """Compute `count` positions of a layer, with whoever helps.

    rest: the function that `give_way` calls, 0 for none.
    """
    end: int = load(control + 8 * END)
    store(control + 8 * LAYER, layer)
    store(control + 8 * FIRST, end)
    store(control + 8 * COUNT, count)
    end += layers[layer, PANELS]
    store(control + 8 * END, end)
    while work(control, layers, jobs):
        pass
    looks = 0
    while load(control + 8 * DONE) != end:
        looks += 1
        if rest and looks % PATIENCE == 0:
            give_way(rest)


@jit
def help_rows(control: Array, layers: Array, jobs: Array, rest: int) -> None:
    """Work until the leader stops."""
    at, looks = control.ctypes.data, 0
    while load(at + 8 * STOP) == 0:
        if work(at, layers, jobs):
            looks = 0
        else:
            looks += 1
            if rest and looks % PATIENCE == 0:
                give_way(rest)


@jit
def stop(control: Array) -> None:
    """Send the helpers home."""
    store(control.ctypes.data + 8 * STOP, 1)


def control_words() -> Array:
    """Words of a new leader, on cache lines of their own."""
    words = np.zeros(CONTROL_WORDS + LINE, np.int64)
    start = -words.ctypes.data % (8 * LINE) // 8
    return words[start : start + CONTROL_WORDS]
