"""A region is what the whole has there; a damaged stream gives what it still determines."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from test_tiles import blocks

from intnet import codec, container, region, salvage, windows
from intnet.errors import StreamError
from intnet.model_file import Model
from intnet.shapes import shapes
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
    tile = list(found.header.grid.areas(1))[number]
    assert not found.exact[tile].any()
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


def test_a_region_needs_the_whole_length(tiny: Model) -> None:
    """Without its end a stream might lack alpha, and nobody would notice."""
    area, rgba = Area((0, 9), (0, 9)), blocks(130, 130, 4)
    data = codec.encode(rgba, tiny, 30, tile=TILE)
    end = container.unpack_head(data)[1][-1].end
    for bad in (data[:end], data[:-1], data + b"x"):
        with pytest.raises(StreamError, match="its tiles say"):
            region.decode(bad, [tiny], area)


def test_damaged_chunks_are_found_before_the_model_is(tiny: Model, other: Model) -> None:
    """SPEC's stream.order: a fault of checksums is no ModelError."""
    data = codec.encode(blocks(70, 70, 4), tiny, 30)
    bad = data[:-1] + bytes([data[-1] ^ 1])
    for decoder in (codec.decode, lambda *a: region.decode(*a, Area((0, 1), (0, 1)))):
        with pytest.raises(StreamError, match="chunk ALPH: checksum"):
            decoder(bad, [other])


def test_an_area_outside_is_refused_before_anything_is_decoded(tiny: Model) -> None:
    """Of one tile too: here its payload is malformed, which is not even seen."""
    header, _ = container.unpack(codec.encode(blocks(70, 70), tiny, 30, tile=0))
    data = container.pack(container.Stream(header, [container.Tile(b"\0", b"\0")]))
    with pytest.raises(ValueError, match="region: rows 0 to 71, must be within 0 to 70"):
        region.decode(data, [tiny], Area((0, 71), (0, 1)))


def test_salvage_compares_the_crc_of_all_samples(tiny: Model, stream: bytes) -> None:
    """Where no tile is lost: then another decoder or model wrote the stream."""
    header, tiles = container.unpack(stream)
    wrong = header._replace(pixel_crc=header.pixel_crc ^ 1)
    data = container.pack(container.Stream(wrong, tiles))
    for decoder in (codec.decode, salvage.decode):
        with pytest.raises(StreamError, match="decoded samples have CRC"):
            decoder(data, [tiny])
    lost = container.pack(container.Stream(wrong, [*tiles[:-1], container.Tile(b"\0", b"\0")]))
    assert 23 in salvage.decode(lost, [tiny]).lost


@pytest.mark.parametrize("program", ["prior", "synthesis"])
@pytest.mark.parametrize("axis", [0, 1])
def test_reached_is_what_reads(tiny: Model, program: str, axis: int) -> None:
    """Against one cell at a time: the first and the last one that reads some of a span."""
    times, length = {"prior": 4, "synthesis": 16}[program], 7
    size = (length, 5) if axis == 0 else (5, length)
    p = tiny.programs[program]
    lengths = shapes(p, {p.inputs[0].name: size})
    read = []
    for cell in range(length * times):
        begin, end = windows.backward(p, np.array(cell), np.array(cell + 1), lengths, axis)
        read.append((int(begin), int(end)))
    spans = [(b, e) for b in range(length) for e in range(b + 1, length + 1)]
    for (begin, end), found in zip(
        spans, windows.reached(p, spans, size, axis, times), strict=True
    ):
        cells = [n for n, (first, last) in enumerate(read) if first < end and last > begin]
        assert found == (cells[0], cells[-1] + 1)


def test_salvage_takes_time_in_proportion(tiny: Model) -> None:
    """Many tiles, all lost: what they reach is searched for all at once."""
    height = 64 * 2**14
    header = container.Header(tiny.model_id, 0, 1, height, True, None, container.MINOR_TILED, 1)
    begin = time.process_time()
    for program, stride in (("prior", 64), ("synthesis", 16)):
        assert len(salvage.affected(tiny, program, header, stride)) == 2**14
    assert time.process_time() - begin < 5


def test_verbs_say_what_was_verified(
    script: Callable[..., subprocess.CompletedProcess[bytes]],
    tmp_path: Path,
    tiny_path: Path,
    stream: bytes,
) -> None:
    """A part of the samples, or damaged ones, cannot be: their CRC is that of all."""
    bad, good = tmp_path / "bad.inic", tmp_path / "good.inic"
    good.write_bytes(stream)
    bad.write_bytes(damaged(stream, 9, "y"))
    for source, option, verified in (
        (good, (), True), (good, ("--salvage",), True), (bad, ("--salvage",), False),
        (good, ("--region", "0,0,9,9"), False),
    ):  # fmt: skip
        line = source, "-o", tmp_path / "x.png", "--model", tiny_path, "--json", *option
        assert json.loads(script("decode", *line).stdout)["verified"] is verified, option


@pytest.mark.parametrize(
    ("region", "code", "said"),
    [
        ("", 2, "must be X,Y,W,H"),
        ("1" * 5000 + ",0,1,1", 2, "must be X,Y,W,H"),
        ("0,0,201,1", 1, "columns 0 to 201, must be within 0 to 200"),
    ],
)
def test_regions_that_a_verb_refuses(
    script: Callable[..., subprocess.CompletedProcess[bytes]],
    tmp_path: Path,
    tiny_path: Path,
    stream: bytes,
    region: str,
    code: int,
    said: str,
) -> None:
    """One line, and an object where one was asked for."""
    (tmp_path / "x.inic").write_bytes(stream)
    line = tmp_path / "x.inic", "-o", tmp_path / "x.png", "--model", tiny_path, "--json"
    done = script("decode", *line, "--region", region)
    assert (done.returncode, done.stderr.count(b"\n")) == (code, 1)
    assert said in done.stderr.decode()
    if code == 1:
        assert said in json.loads(done.stdout)["error"]
