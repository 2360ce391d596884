"""Sizes and types of the compiled coder, and the number that ends a lane.

All numbers are int64, below 2**63 by proof. `value & TOP_MASK` and the like, in the kernels, change
nothing: they tell LLVM that a number is not negative, so that a division floors and an index counts
from the start without further instructions.
"""

import numpy as np
import numpy.typing as npt

from rangecoder.compile import jit
from rangecoder.tables import PRECISION

TOP = 62  # bits of the window on the code
WORD = 32  # bits written at a time
REST = TOP - WORD  # bits of low that stay when a word leaves
WORD_MASK = (1 << WORD) - 1
REST_MASK = (1 << REST) - 1
TOP_MASK = (1 << TOP) - 1
LANE_MASK = 15  # numbers of lanes, 0 .. 8
HALF = 1 << (PRECISION - 1)  # width of a bit of probability 1/2

Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]
UInt16Array = npt.NDArray[np.uint16]
UInt32Array = npt.NDArray[np.uint32]
Int = int | np.int64  # compiled, both are int64


@jit
def final_code(low: Int, range_: Int) -> Int:
    """Return the number in [low, low + range_) with the most trailing zero bits."""
    last = low + range_ - 1  # 0 <= last < 2**63
    t = TOP + 1
    while last >> t << t < low:
        t -= 1
    return last >> t << t
