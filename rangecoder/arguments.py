"""Checks of what callers hand over, the same for every form of the coder."""

from typing import Any

import numpy as np
import numpy.typing as npt

from rangecoder.tables import SYMBOL_MAX, SYMBOL_MIN, Int32Array, Tables


def check_payload(data: bytes) -> bytes:
    """Raise ValueError for anything but bytes."""
    if not isinstance(data, bytes):
        msg = f"data: {type(data).__name__}, must be bytes"
        raise ValueError(msg)  # noqa: TRY004  # a bad argument is a ValueError throughout
    return data


def symbol_arrays(
    symbols: Int32Array, indexes: npt.NDArray[Any], tables: Tables
) -> tuple[Int32Array, npt.NDArray[np.uint16]]:
    """Check symbols and the index of each; both as read-only arrays (n,)."""
    if not isinstance(symbols, np.ndarray) or symbols.dtype != np.int32 or symbols.ndim != 1:
        msg = f"symbols: {_describe(symbols)}, must be a 1-D array of int32"
        raise ValueError(msg)
    index = index_array(indexes, tables)
    if symbols.size != index.size:
        msg = f"symbols: {symbols.size}, but {index.size} indexes; must be equal"
        raise ValueError(msg)
    if symbols.size and not (symbols.min() >= SYMBOL_MIN and symbols.max() <= SYMBOL_MAX):
        got = f"{symbols.min()} .. {symbols.max()}"
        msg = f"symbols: {got}, must be within [{SYMBOL_MIN}, {SYMBOL_MAX}]"
        raise ValueError(msg)
    return readonly(symbols), index


def index_array(indexes: npt.NDArray[Any], tables: Tables) -> npt.NDArray[np.uint16]:
    """Check table indexes; return them as read-only uint16 (n,); that dtype holds 65535 tables."""
    if not isinstance(indexes, np.ndarray) or indexes.dtype.kind not in "iu" or indexes.ndim != 1:
        msg = f"indexes: {_describe(indexes)}, must be a 1-D array of integers"
        raise ValueError(msg)
    if indexes.size and not (int(indexes.min()) >= 0 and int(indexes.max()) < tables.n_tables):
        got = f"{indexes.min()} .. {indexes.max()}"
        msg = f"indexes: {got}, must be within [0, {tables.n_tables})"
        raise ValueError(msg)
    return readonly(indexes.astype(np.uint16, copy=False))


def readonly(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Make a contiguous read-only view: one array type for numba, whatever the caller holds."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def _describe(got: object) -> str:
    if isinstance(got, np.ndarray):
        return f"array of {got.dtype} with shape {got.shape}"
    return type(got).__name__
