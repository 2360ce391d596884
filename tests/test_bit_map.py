"""`intnet map`: bits are those of the stream, and lie where they are spent."""

from __future__ import annotations

import doctest
import io
import json
import math

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import intnet
import rangecoder
from intnet import chunks, cli, codec, model_file, pictures, selftest
from intnet.errors import ModelError, StreamError
from intnet.limits import Limits
from intnet.look import bit_map, draw

SAMPLE = pictures.read(selftest.sample_path())
END = 32  # bits: what ends a payload, or what zeros at its end need not say


def call(*arguments, code=0, stdin=None):
    result = CliRunner().invoke(cli.app, ["map", *map(str, arguments)], input=stdin)
    assert result.exit_code == code, (result.stderr, result.exception)
    return result


def refused(*arguments, because, code=1):
    assert because in " ".join(call(*arguments, code=code).stderr.split())


def cost(symbol, table, tables):
    """Bits of one symbol, straight from a CDF: the escape's code has an Elias-gamma number."""
    cdf = tables.cdf[tables.start[table] : tables.start[table + 1]].tolist()
    entry, escape = symbol - int(tables.minimum[table]), len(cdf) - 2
    if 0 <= entry < escape:
        return -math.log2((cdf[entry + 1] - cdf[entry]) / 2**16)
    excess = -1 - entry if entry < 0 else entry - escape
    digits = 2 * (excess + 1).bit_length()  # with a bit for the sign
    return -math.log2((cdf[-1] - cdf[-2]) / 2**16) + digits


@pytest.mark.parametrize("quality", [8, 32, 63])
def test_the_sum_is_the_size_of_the_payloads(default_model, quality):
    data = codec.encode(SAMPLE, default_model, quality)
    found = bit_map.measure(data, [default_model])
    ((z, y),) = found.stream.tiles
    assert found.bits.sum() == pytest.approx(8 * (len(z) + len(y)), rel=0.01)
    assert found.y.sum() == pytest.approx(8 * len(y), rel=0.01)
    assert abs(8 * len(z) - found.z.sum()) <= END
    assert np.array_equal(found.pixels, codec.decode(data, [default_model]).pixels)


def test_every_tile_has_its_own(default_model):
    data = codec.encode(SAMPLE[:200, :330], default_model, tile=128)
    found = bit_map.measure(data, [default_model])
    tiles = found.tiles()
    assert [(tile["row"], tile["column"]) for tile in tiles] == [
        (r, c) for r in range(2) for c in range(3)
    ]
    for stage, bits in (("z", found.z), ("y", found.y)):
        assert sum(tile[f"{stage}_bits"] for tile in tiles) == pytest.approx(bits.sum())
        for tile in tiles:
            assert abs(8 * tile[f"{stage}_bytes"] - tile[f"{stage}_bits"]) <= END


def test_bits_are_those_of_the_tables(tiny, picture):
    """Position by position, from what an encoder codes."""
    a = codec.analyse(picture, tiny)
    symbols, tables = codec.y_symbols(a, tiny, 40)
    found = bit_map.measure(codec.code(a, tiny, 40), [tiny])
    assert found.y.shape == symbols.shape[:2] == (5, 6)
    for at in np.ndindex(5, 6):
        pairs = zip(symbols[at].tolist(), tables[at].tolist(), strict=True)
        assert found.y[at] == pytest.approx(sum(cost(*pair, tiny.y_tables) for pair in pairs))
    for row, column in np.ndindex(2, 2):
        z = a.z[row, column].tolist()
        expected = sum(cost(symbol, t, tiny.z_tables) for t, symbol in enumerate(z))
        part = found.z[4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        assert part.sum() == pytest.approx(expected)
        assert np.ptp(part) == 0


def test_escapes_cost_what_they_take():
    tables = rangecoder.build([[1, 2, 1, 1], [5, 1]], minimum=[-1, 3])
    symbols = np.array([[0, -1, 9], [-700, 3, 4]], np.int32)
    indexes = np.array([[0, 0, 0], [0, 1, 1]])
    bits = rangecoder.symbol_bits(symbols, indexes, tables)
    pairs = zip(symbols.ravel().tolist(), indexes.ravel().tolist(), strict=True)
    assert bits.ravel() == pytest.approx([cost(*pair, tables) for pair in pairs])
    assert bits.shape == symbols.shape
    many = (np.tile(x.ravel(), 2000) for x in (symbols, indexes))
    symbols, indexes = (np.ascontiguousarray(x, t) for x, t in zip(many, ("i4", "u1"), strict=True))
    payload = rangecoder.encode(symbols, indexes, tables)
    assert 8 * len(payload) == pytest.approx(2000 * bits.sum(), rel=0.001)


def test_detail_takes_the_bits(default_model):
    x = np.full((256, 256, 3), 90, np.uint8)
    x[64:128, 128:192] = np.random.default_rng(2).integers(0, 256, (64, 64, 3))
    found = bit_map.measure(codec.encode(x, default_model), [default_model])
    row, column = np.unravel_index(found.bits.argmax(), found.bits.shape)
    assert 4 <= row < 8 and 8 <= column < 12
    assert found.bits[4:8, 8:12].mean() > 20 * np.median(found.bits)


def test_backends_agree(tiny, picture):
    data = codec.encode(picture, tiny)
    numba, numpy = (bit_map.measure(data, [tiny], backend) for backend in ("numba", "numpy"))
    assert np.array_equal(numba.y, numpy.y) and np.array_equal(numba.z, numpy.z)


def test_cells_at_the_edges_have_fewer_pixels(tiny, picture):
    found = bit_map.measure(codec.encode(picture, tiny), [tiny])  # 70x90 of 80x96
    pixels = np.full((5, 6), 256.0)
    pixels[4] *= 6 / 16
    pixels[:, 5] *= 10 / 16
    assert found.bpp * pixels == pytest.approx(found.bits)
    assert doctest.testmod(bit_map).failed == 0


def test_errors_are_those_of_decoding(tiny, default_model, picture):
    data = codec.encode(picture, tiny, verify=True)
    with pytest.raises(ModelError, match="at hand"):
        bit_map.measure(data, [default_model])
    with pytest.raises(StreamError, match="checksum"):
        bit_map.measure(data[:-9] + b"\0" + data[-8:], [tiny])
    with pytest.raises(intnet.IntnetError, match="MiB"):
        bit_map.measure(data, [tiny], limits=Limits(memory=1000))
    wrong = bit_map.container.unpack(data)
    wrong = wrong._replace(header=wrong.header._replace(pixel_crc=1))
    with pytest.raises(StreamError, match="samples have CRC"):
        bit_map.measure(bit_map.container.pack(wrong), [tiny])


@pytest.mark.parametrize("shape", [(1, 1, 3), (40, 300, 1), (1500, 64, 3)])
def test_the_drawing_has_picture_map_and_bar(tiny, shape):
    """Whatever the size; the brightest colour is where most bits are."""
    x = np.random.default_rng(3).integers(0, 256, shape, np.uint8)
    found = bit_map.measure(codec.encode(x, tiny), [tiny])
    drawn = draw.map_of(found, "a title that is longer than a small picture is wide")
    height, width, _ = shape
    factor = min(1024 / max(height, width), max(1, math.ceil(256 / max(height, width))))
    wide, high = (max(1, round(side * factor)) for side in (width, height))
    image, top, left = np.asarray(drawn), 2 * draw.LINE, draw.MARGIN
    shown = image[top : top + high, left : left + wide]
    cells = image[top : top + high, left + wide + draw.MARGIN :][:, :wide]
    bar = image[top : top + max(high, 128), left + 2 * (wide + draw.MARGIN) + 5]
    assert abs(shown.mean() - found.pixels.mean()) < 6
    assert bar[0].tolist() == list(draw.INFERNO[-1]) and bar[-1].tolist() == list(draw.INFERNO[0])
    if factor >= 1:
        row, column = (
            16 * i * factor for i in np.unravel_index(found.bpp.argmax(), found.bpp.shape)
        )
        assert cells[int(row), int(column)].tolist() == list(draw.INFERNO[-1])
    assert drawn.width > 300


def test_heat_rises():
    colours = draw.heat(np.linspace(0, 1, 100)).astype(int)
    assert (np.diff(colours @ [299, 587, 114]) > 0).all()


@pytest.mark.parametrize("most", [0.003, 0.7, 1.0, 2.752, 13.0, 900.0])
def test_ticks_are_few_and_within(most):
    found = draw.ticks(most)
    assert 4 <= len(found) <= 9
    assert found[0] == 0 and found[-1] <= most < found[-1] + found[1]


@pytest.fixture
def stream(tmp_path, monkeypatch):
    """A picture with alpha and a profile in tiles, by the shipped model."""
    monkeypatch.chdir(tmp_path)
    x = np.concatenate([SAMPLE[:150, :200], SAMPLE[:150, :200, :1]], 2)
    (tmp_path / "photo.inic").write_bytes(intnet.encode(x, 30, tile=128, icc=b"a profile"))
    return tmp_path / "photo.inic"


def test_verb(stream):
    """What the JSON counts is the whole file; the array is what it sums."""
    document = json.loads(call("photo.inic", "--json", "-o", "bits.npy").stdout)
    parts = ("header_bytes", "chunk_bytes", "z_bytes", "y_bytes")
    assert sum(document[part] for part in parts) == stream.stat().st_size
    header = intnet.read_header(stream.read_bytes())
    assert document["chunk_bytes"] == len(chunks.pack(header.chunks)) > 9
    bits = np.load("bits.npy")
    assert bits.shape == (document["rows"], document["columns"]) == (10, 13)
    assert bits.dtype == np.float64
    assert bits.sum() == pytest.approx(document["z_bits"] + document["y_bits"])
    for stage in ("z", "y"):
        for unit, tolerance in (("bytes", 0), ("bits", 0.01)):
            total = sum(tile[f"{stage}_{unit}"] for tile in document["per_tile"])
            assert total == pytest.approx(document[f"{stage}_{unit}"], abs=tolerance)
    assert document["smallest_bpp"] < document["largest_bpp"]
    assert "quality 30" in call("photo.inic", "-o", "map.png").stderr
    with Image.open("map.png") as drawn:
        assert drawn.width > 2 * 200
    piped = call("-", "-o", "-", stdin=stream.read_bytes()).stdout_bytes
    with Image.open(io.BytesIO(piped)) as again:
        assert np.array_equal(np.asarray(again)[40:], np.asarray(Image.open("map.png"))[40:])


def test_what_is_refused(stream, tiny_path):
    refused("photo.inic", because="needs -o", code=2)
    refused("photo.inic", "-o", "x.jpg", because="must be one of .png, .npy", code=2)
    refused("photo.inic", "-o", "-", "--json", because="both want stdout", code=2)
    refused("none.inic", "--json", because="none.inic: No such file")
    refused("photo.inic", "-o", "none/map.png", because="No such folder")
    refused("photo.inic", "--json", "--model", tiny_path, because="made with model")
    refused("photo.inic", "-o", "map.png", "--max-pixels", 9, because="limit 9 (see --max-pixels)")
    other = model_file.load(tiny_path)
    stream.with_name("other.inic").write_bytes(codec.encode(SAMPLE[:64, :64], other))
    refused("other.inic", "--json", because="(see --model)")
    assert json.loads(call("other.inic", "--json", "--model", tiny_path).stdout)["rows"] == 4
    stream.write_bytes(stream.read_bytes()[:-5])
    refused("photo.inic", "-o", "map.png", because="stream")
    assert sorted(path.name for path in stream.parent.iterdir()) == ["other.inic", "photo.inic"]
