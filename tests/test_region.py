"""A region is what the whole has there; a damaged stream gives what it still determines."""

from __future__ import annotations

import numpy as np
import pytest
from test_tiles import blocks

from intnet import codec, container, region, salvage, windows
from intnet.errors import StreamError
from intnet.model_file import Model
from intnet.windows import Area

SIZE = 330, 200
TILE = 64
GRID = 6, 4


@pytest.fixture(scope="module")
def stream(tiny: Model) -> bytes:
    return codec.encode(blocks(*SIZE), tiny, 40, tile=TILE, verify=True)


@pytest.fixture(scope="module")
def whole(tiny: Model, stream: bytes) -> np.ndarray:
    return codec.decode(stream, [tiny]).pixels


def some_areas() -> list[Area]:
    """Corners, one sample, all, and thirty at random."""
    rng = np.random.default_rng(8)
    found = [Area((0, 1), (0, 1)), Area((329, 330), (199, 200)), Area((0, 330), (0, 200))]
    for _ in range(30):
        spans = (sorted(rng.choice(side + 1, 2, replace=False).tolist()) for side in SIZE)
        found.append(Area(*map(tuple, spans)))
    return found


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("grey", [False, True])
def test_regions_are_as_in_the_whole(tiny: Model, backend: str, grey: bool) -> None:
    """Anywhere in the picture, on every backend, and of streams of one tile."""
    x = blocks(*SIZE, 1 if grey else 3)
    for tile in (TILE, 192, 0):
        data = codec.encode(x, tiny, 40, tile=tile)
        full = codec.decode(data, [tiny]).pixels
        for area in some_areas():
            got = region.decode(data, [tiny], area, backend).pixels
            np.testing.assert_array_equal(got, full[area.slices])


def test_only_the_tiles_needed_are_read(tiny: Model, stream: bytes, whole: np.ndarray) -> None:
    """Garbage in tiles far from the region changes nothing; in a tile of it, it is named."""
    _, entries, _ = container.unpack_head(stream)
    area = Area((0, 20), (0, 20))
    far = stream[: entries[17].begin] + bytes(len(stream) - entries[17].begin)
    got = region.decode(far, [tiny], area).pixels
    np.testing.assert_array_equal(got, whole[area.slices])
    near = bytearray(stream)
    near[entries[0].middle] ^= 1
    with pytest.raises(StreamError, match=r"tile 0 \(row 0, column 0\), stage y: checksum"):
        region.decode(bytes(near), [tiny], area)


@pytest.mark.parametrize("rows, columns", [((0, 0), (0, 1)), ((-1, 5), (0, 1)), ((0, 331), (0, 9)),
                                           ((0, 1), (5, 5)), ((0, 1), (100, 201))])  # fmt: skip
def test_bad_regions(tiny: Model, stream: bytes, rows: windows.Span, columns: windows.Span) -> None:
    with pytest.raises(
        ValueError, match=r"region: (rows|columns) .* must be within 0 to (330|200)"
    ):
        region.decode(stream, [tiny], Area(rows, columns))


def damaged(stream: bytes, number: int, stage: str) -> bytes:
    """A flipped bit in a payload of a tile."""
    _, entries, _ = container.unpack_head(stream)
    at = entries[number].begin if stage == "z" else entries[number].end - 1
    return stream[:at] + bytes([stream[at] ^ 8]) + stream[at + 1 :]


@pytest.mark.parametrize("number", [0, 9, 23])
def test_salvage_of_y(tiny: Model, stream: bytes, whole: np.ndarray, number: int) -> None:
    """One tile is lost; what is called exact is, and most of the others are."""
    with pytest.raises(StreamError, match=f"tile {number} .*stage y: checksum"):
        codec.decode(damaged(stream, number, "y"), [tiny])
    found = salvage.decode(damaged(stream, number, "y"), [tiny])
    assert list(found.lost) == [number]
    assert "stage y: checksum" in found.lost[number]
    tile = salvage.areas(found.header, 1)[number]
    assert not found.exact[tile.slices].any()
    np.testing.assert_array_equal(found.pixels[found.exact], whole[found.exact])
    assert (found.pixels[~found.exact] == salvage.MARK).all()
    assert found.exact.mean() > 0.75


def test_salvage_of_z(tiny: Model, stream: bytes, whole: np.ndarray) -> None:
    """Neighbours need z too; each says whose."""
    found = salvage.decode(damaged(stream, 0, "z"), [tiny])
    assert 0 in found.lost
    assert "stage z: checksum" in found.lost[0]
    assert found.lost.keys() < set(range(24))
    assert all("needs z of tile 0" in why for number, why in found.lost.items() if number)
    np.testing.assert_array_equal(found.pixels[found.exact], whole[found.exact])
    assert found.exact.any()


def test_salvage_of_the_beginning(tiny: Model, stream: bytes, whole: np.ndarray) -> None:
    """A truncated stream: its first rows of tiles."""
    _, entries, _ = container.unpack_head(stream)
    found = salvage.decode(stream[: entries[16].begin + 1], [tiny])
    assert set(range(16, 24)) <= found.lost.keys() < set(range(4, 24))
    np.testing.assert_array_equal(found.pixels[found.exact], whole[found.exact])
    assert found.exact[:64].all()


def test_salvage_behind_right_checksums(tiny: Model, stream: bytes, whole: np.ndarray) -> None:
    """A payload that is malformed though its CRC fits is lost as well."""
    header, tiles = container.unpack(stream)
    tiles[5] = tiles[5]._replace(y=tiles[5].y + b"\0")
    found = salvage.decode(container.pack(container.Stream(header, tiles)), [tiny])
    assert list(found.lost) == [5]
    assert "left over" in found.lost[5] or "stage y" in found.lost[5]
    np.testing.assert_array_equal(found.pixels[found.exact], whole[found.exact])


def test_salvage_of_what_is_whole(tiny: Model, stream: bytes, whole: np.ndarray) -> None:
    """Nothing is lost of an intact stream; a damaged head, or the only tile, cannot be saved."""
    found = salvage.decode(stream, [tiny])
    assert (found.lost, found.exact.all()) == ({}, True)
    np.testing.assert_array_equal(found.pixels, whole)
    with pytest.raises(StreamError, match="header: checksum"):
        salvage.decode(stream[:40] + b"?" + stream[41:], [tiny])
    one = codec.encode(blocks(*SIZE), tiny, 40, tile=0)
    np.testing.assert_array_equal(salvage.decode(one, [tiny]).pixels, whole)
    with pytest.raises(StreamError, match="checksum"):
        salvage.decode(one[:-1], [tiny])


def test_exact_is_tight(tiny: Model, stream: bytes, whole: np.ndarray) -> None:
    """Samples that are not called exact do change, within a few of the border of what does."""
    header = container.unpack(stream).header
    found = salvage.decode(damaged(stream, 9, "y"), [tiny])
    other = codec.analyse(blocks(*SIZE), tiny)
    y = other.y.copy()
    rows, columns = list(header.grid.areas(16))[9]
    y[rows, columns] = -y[rows, columns] + 40
    changed = codec.decode(codec.code(other._replace(y=y), tiny, 40, tile=TILE), [tiny]).pixels
    differs = (changed != whole).any(-1)
    assert not (differs & found.exact).any()
    assert differs.sum() > 0.5 * (~found.exact).sum()
