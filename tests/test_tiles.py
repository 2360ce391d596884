"""Tiles change how symbols are coded, and no sample."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rangecoder
from intnet import codec, container, strips, tile_coding, tiles
from intnet.errors import StreamError
from intnet.model_file import Model

BACKENDS = ("numpy", "numba")


def blocks(height: int, width: int, channels: int = 3) -> np.ndarray:
    """Seeded squares of 9 pixels."""
    rng = np.random.default_rng(height)
    small = rng.integers(0, 256, (-(-height // 9), -(-width // 9), channels))
    return np.kron(small, np.ones((9, 9, 1)))[:height, :width].astype(np.uint8)


@pytest.mark.parametrize("strip", [1, 2**40])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("height, width, channels, tile, shape", [
    (130, 70, 3, 64, (3, 2)),  # the last row of tiles has two rows of pixels
    (200, 129, 1, 128, (2, 2)),  # the last column has one
    (1, 300, 3, 64, (1, 5)),
    (300, 1, 3, 192, (2, 1)),
])  # fmt: skip
def test_tiles_change_no_sample(
    tiny: Model, monkeypatch: pytest.MonkeyPatch, strip: int, backend: str, height: int, width: int,
    channels: int, tile: int, shape: tuple[int, int],
) -> None:  # fmt: skip
    """Whatever the tiles, strips and backends, the samples are those of one tile."""
    monkeypatch.setattr(strips, "STRIP", strip)
    x = blocks(height, width, channels)
    whole = codec.encode(x, tiny, 40, backend, verify=True, tile=0)
    tiled = codec.encode(x, tiny, 40, backend, verify=True, tile=tile)
    assert container.unpack(whole).header.minor == 1
    header = container.unpack(tiled).header
    assert (header.minor, header.grid.shape) == (2, shape)
    other = BACKENDS[backend == BACKENDS[0]]
    assert codec.encode(x, tiny, 40, other, verify=True, tile=tile) == tiled
    pixels = [codec.decode(stream, [tiny], backend).pixels for stream in (whole, tiled)]
    np.testing.assert_array_equal(*pixels)
    assert pixels[0].std() > 1


def test_a_tile_is_coded_without_the_others(tiny: Model) -> None:
    """Where one tile of z and y is another, the payloads of the others stay."""
    a = codec.analyse(blocks(150, 150), tiny)
    other = a.y.copy()
    other[:4, 4:8] = np.roll(other[:4, 4:8], 1, 1)
    streams = [codec.code(a._replace(y=y), tiny, 50, tile=64) for y in (a.y, other)]
    before, after = (container.unpack(stream).tiles for stream in streams)
    assert [b == c for b, c in zip(before, after, strict=True)] == [n != 1 for n in range(9)]


def test_symbols_of_tiles(tiny: Model) -> None:
    """A tile's payload decodes alone to its symbols, whatever came before."""
    a = codec.analyse(blocks(150, 150), tiny)
    symbols, tables = codec.y_symbols(a, tiny, 50)
    stream = container.unpack(codec.code(a, tiny, 50, tile=64))
    for area, tile in zip(stream.header.grid.areas(16), stream.tiles, strict=True):
        got = rangecoder.decode(tile.y, tables[area].ravel(), tiny.y_tables)
        np.testing.assert_array_equal(got, symbols[area].ravel())


def test_errors_name_tile_and_stage(tiny: Model) -> None:
    """A malformed payload behind right checksums."""
    header, good = container.unpack(codec.encode(blocks(70, 130), tiny, 40, tile=64))
    bad = list(good)
    bad[4] = bad[4]._replace(y=bad[4].y + b"\0")
    with pytest.raises(StreamError, match=r"tile 4 \(row 1, column 1\), stage y"):
        codec.decode(container.pack(container.Stream(header, bad)), [tiny])
    bad[4] = good[4]._replace(z=good[4].z + b"\0")
    with pytest.raises(StreamError, match=r"tile 4 \(row 1, column 1\), stage z"):
        codec.decode(container.pack(container.Stream(header, bad)), [tiny])


@pytest.mark.parametrize("tile", [-64, 1, 63, 65, 64 * 65536])
def test_bad_tiles(tiny: Model, picture: codec.Pixels, tile: int) -> None:
    with pytest.raises(ValueError, match=f"tile: {tile} pixels, must be a multiple of 64"):
        codec.encode(picture, tiny, tile=tile)


def test_small_pictures_are_one_tile() -> None:
    """Version 1.1 is written where tiles would not divide the picture."""
    assert tiles.grid_of(1024, 1, 1024) == (1024, 1, 0)
    assert tiles.grid_of(1025, 1, 1024) == (1025, 1, 16)
    assert tiles.grid_of(9999, 9999, 0) == (9999, 9999, 0)


@given(st.integers(1, 2000), st.integers(1, 2000), st.integers(1, 40), st.sampled_from([64, 16, 1]))
def test_areas_cover_the_picture_once(height: int, width: int, side: int, stride: int) -> None:
    """In the order of rows, at each of the strides."""
    grid = tiles.Grid(height, width, side)
    covered = np.zeros((-(-height // stride), -(-width // stride)), int)
    areas = list(grid.areas(stride))
    for area in areas:
        assert covered[area].size > 0
        covered[area] += 1
    assert (covered == 1).all()
    assert len(areas) == grid.tiles
    assert areas == sorted(areas, key=lambda area: (area[0].start, area[1].start))


@given(st.lists(st.integers(1, 30), min_size=1), st.integers(1, 4))
def test_rows_are_cut_where_tiles_end(rows: list[int], side: int) -> None:
    """Every row is taken once; first and last say where a row of tiles begins and ends."""
    total = sum(rows)
    taken = tile_coding.Rows(tiles.Grid(16 * total, 16, side))
    begins, ends, at = [], [], 0
    for some in rows:
        for part, band, first, last in taken.take(some):
            assert first == ((at + part.start) % (4 * side) == 0)
            assert band == (at + part.start) // (4 * side)
            begins += [band] if first else []
            ends += [band] if last else []
        at += some
    assert begins == ends == list(range(-(-total // (4 * side))))
    with pytest.raises(ValueError, match="1 rows more than"):
        list(taken.take(1))
