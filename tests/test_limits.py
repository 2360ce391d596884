"""Limits: what a stream asks for is compared with them before anything is allocated."""

from __future__ import annotations

import struct
import subprocess
import sys
import time
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from model_parts import VECTORS

from intnet import (
    backends,
    codec,
    container,
    memory,
    model_file,
    region,
    salvage,
    strips,
)
from intnet.errors import IntnetError, StreamError
from intnet.limits import DEFAULT, Limits
from intnet.model_file import Model
from intnet.options import ENCODER
from intnet.windows import Area

GENEROUS = Limits(pixels_per_byte=2**40)
SIZES = [(2**14, 2**14), (2**24, 16), (16, 2**24), (2**24, 1), (1, 2**24), (2000, 2000)]
DECODERS: dict[str, Callable[..., object]] = {
    "whole": codec.decode, "salvage": salvage.decode,
    "region": lambda data, models, limits: region.decode(
        data, models, Area((0, 1), (0, 1)), limits=limits
    ),
}  # fmt: skip


def claiming(model: Model, width: int, height: int, minor: int = 1) -> bytes:
    """A stream of a few bytes: symbols may cost none."""
    tile = container.MAX_TILE if minor == container.MINOR_TILED else 0
    header = container.Header(model.model_id, 0, width, height, False, None, minor, tile)
    tiles = [container.Tile(b"", b"")] * header.grid.tiles
    return container.pack(container.Stream(header, tiles))


@pytest.mark.parametrize("minor", [0, 1, 2])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("decoder", list(DECODERS))
def test_few_bytes_cannot_ask_for_gigabytes_or_minutes(
    tiny: Model, size: tuple[int, int], minor: int, decoder: str
) -> None:
    """The defaults: refused at once, with nothing allocated."""
    data = claiming(tiny, *size, minor)
    if len(data) > 100:  # 2**24 pixels on a side are 5 tiles of the largest size
        pytest.skip("not a few bytes")
    tracemalloc.start()
    begin = time.perf_counter()
    said = (
        rf"{size[0]}x{size[1]} pixels in {len(data)} bytes, limit 16384 pixels a byte \(see --max"
    )
    with pytest.raises(StreamError, match=said):
        DECODERS[decoder](data, [tiny], limits=DEFAULT)
    seconds, (_, peak) = time.perf_counter() - begin, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 1
    assert peak < 2**20


@pytest.mark.parametrize("decoder", list(DECODERS))
@pytest.mark.parametrize("minor", [1, 2])
def test_memory_is_compared_before_any_is_taken(tiny: Model, minor: int, decoder: str) -> None:
    """The error says what is needed, what is allowed, and which option allows more."""
    data = claiming(tiny, 2**13, 2**13, minor)
    backends.load("numba")  # which takes memory once
    tracemalloc.start()
    with pytest.raises(IntnetError, match=r"needs about \d+\.\d MiB of memory, limit 8\.0 MiB "
                                          r"\(see --max-memory\)"):  # fmt: skip
        DECODERS[decoder](data, [tiny], limits=GENEROUS._replace(memory=2**23))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


def test_slivers_of_any_length_are_bounded_by_memory(tiny: Model) -> None:
    """A strip has at least 64 rows: a stream that is far wider than high is as large as it says."""
    wide, square = (memory.to_decode(tiny, size, 3, 60) for size in ((16, 2**22), (2**13, 2**13)))
    assert wide > square // 8
    with pytest.raises(IntnetError, match="--max-memory"):
        codec.decode(claiming(tiny, 2**24, 16), [tiny], limits=GENEROUS._replace(memory=2**28))


@pytest.mark.parametrize("width", [1, 16, 63, 64, 65, 1000, 2**14])
def test_a_strip_has_a_million_pixels_padding_included(width: int) -> None:
    """A column of one pixel passes through the networks as 64."""
    assert strips.strip_rows(width) * strips.cells(width, 64) * 64 <= strips.STRIP


def test_whoever_allows_it_decodes_it(tiny: Model, picture: np.ndarray) -> None:
    """Each limit is the last value that is allowed."""
    data = codec.encode(picture, tiny, 32)
    height, width, _ = picture.shape
    needed = memory.to_decode(tiny, (height, width), 3, len(data))
    allowed = Limits(height * width, -(-height * width // len(data)), needed)
    assert codec.decode(data, [tiny], limits=allowed).pixels.shape == picture.shape
    for field, limit in allowed._asdict().items():
        with pytest.raises(IntnetError, match="--max-"):
            codec.decode(data, [tiny], limits=allowed._replace(**{field: limit - 1}))


def test_encoding_is_limited_too(tiny: Model) -> None:
    with pytest.raises(IntnetError, match=r"picture: 300x200 pixels: needs .* --max-memory"):
        memory.check_encoding(tiny, (200, 300), 3, ENCODER, Limits(memory=2**20))
    memory.check_encoding(tiny, (200, 300), 3, ENCODER, DEFAULT)


def test_salvage_counts_alpha_and_what_is_exact(tiny: Model, picture: np.ndarray) -> None:
    """As decoding does, whose estimate it is but for a byte a pixel."""
    height, width, _ = picture.shape
    data = codec.encode(np.dstack([picture, picture[..., 0]]), tiny, 32)
    needed = memory.to_decode(tiny, (height, width), 4, len(data)) + height * width
    assert salvage.decode(data, [tiny], limits=Limits(memory=needed)).exact.all()
    with pytest.raises(IntnetError, match="--max-memory"):
        salvage.decode(data, [tiny], limits=Limits(memory=needed - 1))


@pytest.mark.parametrize("damage", ["none", "all"])
def test_many_tiles_take_time_in_proportion(tiny: Model, damage: str) -> None:
    """A row of 16384 tiles; the name of each, or what each takes with it, costs no look at all."""
    width = 2**20
    header = container.Header(tiny.model_id, 0, width, 1, True, None, container.MINOR_TILED, 1)
    tiles = [container.Tile(b"\0" * 8, b"")] * header.grid.tiles
    data = container.pack(container.Stream(header, tiles))
    begin = time.perf_counter()
    if damage == "all":
        data = data[: -8 * len(tiles)]
        with pytest.raises(StreamError, match="its tiles say"):
            codec.decode(data, [tiny])
    else:
        with pytest.raises(StreamError, match=r"tile 0 .*stage z"):
            codec.decode(data, [tiny])
    assert time.perf_counter() - begin < 5


MEASURE = """
import sys
from pathlib import Path
import numpy as np
from intnet import codec, memory, model_file, rate_search
from intnet.options import EncoderOptions
from intnet.tiles import grid_of

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

def added(call):
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = peak()
    made = call()
    return made, peak() - before

path, *numbers = sys.argv[1:]
height, width, channels, quality, tile = map(int, numbers)
size, options = (height, width), EncoderOptions(tile=tile)
model = model_file.load(Path(path))
times = 1 if quality == 63 else 12  # noise
cell = np.random.default_rng(1).integers(0, 256, (96 // times, 96 // times, channels))
small = cell.repeat(times, 0).repeat(times, 1).astype(np.uint8)
codec.decode(codec.encode(small, model, verify=True), [model])  # compile, start threads
picture = np.tile(small, (-(-height // 96), -(-width // 96), 1))[:height, :width].copy()
stream, encoding = added(lambda: codec.encode(picture, model, quality, tile=tile))
pixels, decoding = added(lambda: codec.decode(stream, [model]).pixels)
_, searching = added(lambda: rate_search.encode_to_size(picture, model, len(stream), options))
held, side = picture.nbytes, grid_of(height, width, tile).side
print(held + encoding, memory.to_encode(model, size, channels, options),
      held + searching, memory.to_encode(model, size, channels, options, searching=True),
      decoding, memory.to_decode(model, size, channels, len(stream), tile=side))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are those that Linux keeps")
@pytest.mark.parametrize(
    "size", [(2000, 1500, 3), (1, 10**6, 3), (10**6, 1, 1), (900, 2500, 4), (6000, 500, 1)]
)
@pytest.mark.parametrize(("quality", "tile"), [(32, 1024), (63, 64)])
def test_estimates_are_bounds(
    size: tuple[int, int, int], quality: int, tile: int, tiny_path: Path
) -> None:
    """Of what a process measures, of its picture too, and not far above it, small buffers aside."""
    command = [sys.executable, "-c", MEASURE, tiny_path, *size, quality, tile]
    done = subprocess.run(
        list(map(str, command)), cwd=ROOT, capture_output=True, text=True, check=True
    )
    encoding, to_encode, searching, to_search, decoding, to_decode = map(int, done.stdout.split())
    assert decoding <= to_decode
    assert encoding <= to_encode
    assert searching <= to_search
    if min(size[:2]) > 1:  # of slivers they are bounds and no more
        assert to_decode <= 3 * decoding + 2 * memory.FIXED
        assert to_encode <= 3 * encoding + 2 * memory.FIXED


def test_options(
    script: Callable[..., subprocess.CompletedProcess[bytes]], tmp_path: Path, tiny_path: Path,
    tiny: Model, picture: np.ndarray,
) -> None:  # fmt: skip
    """The verbs have them; one line says which."""
    source, output = tmp_path / "x.inic", tmp_path / "x.ppm"
    source.write_bytes(codec.encode(picture, tiny, 32))
    model = "--model", tiny_path
    for option in ("--max-pixels=100", "--max-pixels-per-byte=1", "--max-memory=1"):
        done = script("decode", source, "-o", output, *model, option)
        assert done.returncode == 1, done.stderr
        assert option.split("=")[0].encode() + b")" in done.stderr
        assert not output.exists()
    assert script("decode", source, "-o", output, *model).returncode == 0
    done = script("encode", output, "-o", tmp_path / "y.inic", *model, "--max-memory=1")
    assert (done.returncode, b"--max-memory)" in done.stderr) == (1, True)


def test_the_checksum_does_not_matter_first(tiny: Model) -> None:
    """A damaged stream is damaged, whatever it claims."""
    data = claiming(tiny, 2**14, 2**14)
    damaged = data[:-1] + bytes([data[-1] ^ 1])
    assert zlib.crc32(data[:-4]) == struct.unpack("<I", data[-4:])[0]
    with pytest.raises(StreamError, match="damaged or truncated"):
        codec.decode(damaged, [tiny])


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are those that Linux keeps")
@pytest.mark.parametrize("name", ["factorized", "serial", "quadtree"])
@pytest.mark.parametrize("tile", [0, 256])
def test_estimates_of_other_families_are_bounds(name: str, tile: int) -> None:
    """Bands of tiles take more than strips do."""
    path = VECTORS / "model" / f"{name}.inm"
    command = [sys.executable, "-c", MEASURE, path, 1200, 2000, 3, 32, tile]
    done = subprocess.run(
        list(map(str, command)), cwd=ROOT, capture_output=True, text=True, check=True
    )
    encoding, to_encode, searching, to_search, decoding, to_decode = map(int, done.stdout.split())
    assert decoding <= to_decode
    assert encoding <= to_encode
    assert searching <= to_search


@pytest.mark.parametrize("name", ["serial", "quadtree"])
def test_a_larger_tile_of_a_context_needs_more(name: str) -> None:
    """So that one tile of a large picture is refused where small ones are not."""
    model = model_file.load(VECTORS / "model" / f"{name}.inm")
    size = 2**13, 2**13
    small, whole = (memory.to_decode(model, size, 3, 60, tile=tile) for tile in (4, 0))
    assert whole > small + 8 * 2**18 * 8  # a band is 2**18 positions of 8 latents and more
    limits = GENEROUS._replace(memory=(small + whole) // 2)
    with pytest.raises(IntnetError, match="--max-memory"):
        codec.decode(claiming(model, *size), [model], limits=limits)
