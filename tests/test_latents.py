"""Between networks and coder: the compiled form has the integers of the plain one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from intnet import latents
from intnet.backends import numba_latents, threads
from intnet.model_file import Model
from intnet.program import DTYPES, Port


@pytest.mark.parametrize("quality", [0, 31, 63])
@pytest.mark.parametrize("extreme", [False, True])
def test_both_forms_agree(
    tiny: Model, monkeypatch: pytest.MonkeyPatch, quality: int, extreme: bool
) -> None:
    """Random values and the ends of their ranges, gains up to 2**31 - 1."""
    monkeypatch.setattr(threads, "GRAIN", 1)
    monkeypatch.setenv("INTNET_THREADS", "3")
    rng, scaling, n = np.random.default_rng(quality), tiny.scaling, tiny.y_tables.n_tables
    m = scaling.gain.shape[1]
    if extreme:
        top = np.full((64, m), 2**31 - 1, np.int32)
        scaling = replace(scaling, gain=top, inverse_gain=-top, index_offset=top - 2**16)
    ends = np.array([-32768, -32767, -1, 0, 1, 32766, 32767])
    y, mean, index = (
        (rng.choice(ends, (5, 7, m)) if extreme else rng.integers(-900, 900, (5, 7, m)))
        .astype(np.int16) for _ in range(3)
    )  # fmt: skip
    port = Port("y_hat", "s16", m, -30000, 31000)
    tables = latents.table_indexes(index, scaling, quality, n)
    symbols = latents.quantise(y, mean, tables, scaling, quality)
    y_hat = latents.dequantise(symbols, mean, scaling, quality, port)
    assert y_hat.dtype == DTYPES[port.dtype]
    assert len(np.unique(tables)) > 1 or extreme
    fast = numba_latents
    np.testing.assert_array_equal(fast.table_indexes(index, scaling, quality, n), tables)
    np.testing.assert_array_equal(fast.quantise(y, mean, tables, scaling, quality), symbols)
    np.testing.assert_array_equal(
        fast.dequantise(symbols, mean, scaling, quality, port), y_hat, strict=True
    )
