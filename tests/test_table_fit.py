"""Tables fitted to what is coded: cheaper for it, and still tables."""

from __future__ import annotations

import numpy as np
import pytest

import rangecoder
from intnet import codec, table_fit, tile_coding


@pytest.fixture(scope="module")
def pictures(picture):
    """Four shifted copies of the test picture."""
    return [np.roll(picture, 5 * i, (0, 1)) for i in range(4)]


def bits(model, pictures):
    """Ideal bits of the symbols of all pictures at three qualities."""
    total = 0.0
    for x in pictures:
        a = codec.analyse(x, model)
        for q in (10, 32, 60):
            symbols, tables = codec.y_symbols(a, model, q)
            total += rangecoder.ideal_bits(symbols.ravel(), tables.ravel(), model.y_tables)
    return total


def test_fitting_lowers_the_rate(tiny, pictures):
    """The same symbols cost less with fitted tables, and the model still decodes."""
    fitted = table_fit.fit(tiny, pictures, 0.0)
    assert (fitted.scaling.dead_zone == 2**15).all()  # strength 0: nearest, the same symbols
    assert bits(fitted, pictures) < 0.995 * bits(tiny, pictures)
    decoded = codec.decode(codec.encode(pictures[0], fitted, 30), [fitted]).pixels
    assert decoded.shape == pictures[0].shape


def test_z_tables_follow_the_counts(tiny, pictures):
    """z costs less with fitted tables, and every value that could be coded still can."""
    analysed = [codec.analyse(x, tiny) for x in pictures]
    fitted = table_fit.fitted_z_tables(tiny.z_tables, analysed)
    np.testing.assert_array_equal(fitted.minimum, tiny.z_tables.minimum)
    z = np.concatenate([a.z.reshape(-1, 16) for a in analysed]).astype(np.int32)
    indexes = tile_coding.z_indexes(z[:, None].shape)
    before, after = (
        rangecoder.ideal_bits(z.ravel(), indexes, tables) for tables in (tiny.z_tables, fitted)
    )
    assert after < before


def test_mixture_recovers_its_own_table(tiny):
    """Counts drawn from one Gaussian table give that table back."""
    gaussians = table_fit.half_pmfs(tiny.y_tables)
    np.testing.assert_allclose(gaussians.sum(1), 1)
    p = table_fit.mixture(1e6 * gaussians[20], gaussians, 20)
    assert np.abs(p - gaussians[20]).max() < 2e-3


def test_dead_zone_grows_with_strength(tiny):
    """More strength, more zeros; wide tables keep nearest rounding."""
    mixtures = list(table_fit.half_pmfs(tiny.y_tables))
    weak, strong = (table_fit.dead_zone(mixtures, s) for s in (0.1, 0.5))
    assert (strong <= weak).all()
    assert strong[0] < weak[0] < 2**15
    assert strong[-1] > 2**15 - 50
