"""The decoder's first guess: what entry begins the bucket that a quantile falls into.

A bucket holds the quantiles that agree in their leading bits. Most lie within one entry, so that
one read finds the symbol and its interval.
"""

import numpy as np
import numpy.typing as npt

# Leading bits: three more than the number of symbols has digits, so that few buckets hold a
# boundary (each costs a search, and a branch that no processor foresees). But small tables share
# the nearest cache with others, and large ones, rarely used, would not be in any. On Zen 3 the
# decoder takes 20.9 cycles a symbol of 64 Gaussian tables; 22.7 with 8 bits for all tables.
EXTRA_BITS, MIN_BITS, MAX_BITS = 3, 6, 10
MAX_BUCKETS = 1 << 22  # of all tables: 32 MiB; 65535 tables of MIN_BITS have fewer
PRECISION = 16  # of `tables`, which imports this file
HEAD_BITS = 5  # of a head, for its shift
WIDTH_SHIFT, SYMBOL_SHIFT = 16, 32  # in a record
FIELD_MASK = (1 << 16) - 1


def make(
    cdf: npt.NDArray[np.int32], start: npt.NDArray[np.int32], minimum: npt.NDArray[np.int32]
) -> npt.NDArray[np.int64]:
    """Heads of all tables, then the records of their buckets; int64, read-only.

    A head is `at << 5 | shift`: bucket quantile >> shift of the table is element at + bucket.
    A record is `symbol << 32 | width << 16 | cdf_low` of the entry that holds the first quantile of
    its bucket; symbol within [-32768, 32768], minimum + n for the escape; width <= 65535, as every
    table has two entries.
    """
    sizes = np.diff(start)
    digits = np.searchsorted(1 << np.arange(PRECISION + 1), sizes - 2, side="right")
    bits = np.clip(digits + EXTRA_BITS, MIN_BITS, MAX_BITS)
    while np.sum(1 << bits) > MAX_BUCKETS:
        bits = np.maximum(bits - 1, MIN_BITS)
    at = np.cumsum([sizes.size, *(1 << bits[:-1])])
    shift = np.repeat(PRECISION - bits, sizes)
    # Entry k begins the buckets from ceil(cdf[k] / 2**shift) on, below that of cdf[k + 1].
    first_bucket = (cdf.astype(np.int64) + (1 << shift) - 1) >> shift
    symbol = np.arange(cdf.size) - np.repeat(start[:-1] - minimum, sizes)
    records = symbol[:-1] << SYMBOL_SHIFT | np.diff(cdf).astype(np.int64) << WIDTH_SHIFT | cdf[:-1]
    counts = np.diff(first_bucket)
    counts[start[1:-1] - 1] = 0  # from the last value of a table to the first of the next
    made = np.concatenate([at << HEAD_BITS | (PRECISION - bits), np.repeat(records, counts)])
    made.flags.writeable = False
    return made
