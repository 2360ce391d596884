"""The most dot products a core can do: a loop that touches registers alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types

from intnet.backends.simd import choose, values
from intnet.backends.simd.emit import GROUP_BYTES
from intnet.backends.simd.isa import Isa
from intnet.backends.simd.values import I32, I64
from intnet.bench.race import Call
from rangecoder.compile import intrinsic

COUNT = 2_000_000  # rounds of all registers: milliseconds
REGISTER = 64  # bytes of the largest
VALUE_BYTES = {"u8": 1, "s16": 2}


def loop(isa: Isa, kind: str) -> Any:
    """The numba intrinsic `loop(job)`: job[0] rounds, each a dot product in each register of sums.

    A sum is its own weight, so that no round can be computed before the one before it is.
    """

    @intrinsic
    def registers(_context: Any, job: Any) -> Any:  # noqa: ARG001  # numba reads its name
        def codegen(ctx: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
            rounds = values.load(builder, args[0], I64)
            a = values.splat(builder, builder.trunc(rounds, I32), isa.lanes)
            sums = [cgutils.alloca_once_value(builder, values.constant(isa.vector, k + 1))
                    for k in range(isa.rows * isa.vectors)]  # fmt: skip
            with cgutils.for_range(builder, rounds):
                for total in sums:
                    acc = builder.load(total)
                    builder.store(isa.dots[kind](builder, acc, a, acc), total)
            for k, total in enumerate(sums):  # each to its own place, or LLVM drops the others
                at = builder.add(args[0], I64(REGISTER * (k + 1)))
                values.store(builder, builder.load(total), at)
            return ctx.get_dummy_value()

        return types.void(types.int64), codegen

    return registers


class Loop(NamedTuple):
    """A call that keeps all threads at it, and its multiply-accumulates in 10**9."""

    call: Call
    gmacs: float


def register_loop(threads: int, kind: str) -> Loop | None:
    """The loop on so many threads; None for plain loops, which have no such limit.

    kind: "u8" (times s8) or "s16". An instruction set without products of u8 widens them to s16.
    """
    module = choose.load()
    if module is None:
        return None
    isa: Isa = module.ISA
    kind = kind if kind in isa.dots else "s16"
    run = loop(isa, kind)

    @numba.njit("void(int64)", nogil=True)
    def timed(job: int) -> None:
        run(job)

    jobs = [
        np.zeros(REGISTER * (isa.rows * isa.vectors + 1) // 8, np.int64) for _ in range(threads)
    ]
    for job in jobs:
        job[0] = COUNT
    macs = threads * COUNT * isa.rows * isa.columns * GROUP_BYTES // VALUE_BYTES[kind]
    pool = ThreadPoolExecutor(threads)
    return Loop(lambda: list(pool.map(timed, [job.ctypes.data for job in jobs])), macs / 1e9)
