"""Whatever is damaged in a stream or in a model file is found, and where it is, is said."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from random import Random

import pytest
from model_parts import MINIMAL, VECTORS

from intnet import codec, container, model_file
from intnet.errors import IntnetError, ModelError, StreamError
from intnet.model_file import Model

# Versions 1.0, 1.1 and 1.2, with tiles and with chunks. All bytes of a stream are protected.
STREAMS = ("16x16", "pixel-crc", "16x16 as 1.1", "tiles-slivers", "tiles-pixel-crc", "alpha-tiles",
           "chunks")  # fmt: skip


@pytest.fixture(scope="module")
def models() -> list[Model]:
    return [model_file.load(VECTORS / "model" / f"{name}.inm") for name in ("tiny", "wide")]


def stream(name: str) -> bytes:
    """A conformance vector; in one lane versions 1.0 and 1.1 differ by the number alone."""
    vector, _, version = name.partition(" as ")
    data = (VECTORS / "stream" / f"{vector}.inic").read_bytes()
    if version:
        header, tiles = container.unpack(data)
        data = container.pack(container.Stream(header._replace(minor=1), tiles))
    return data


def flips(data: bytes) -> Iterator[bytes]:
    """Every bit, one at a time."""
    for at in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[at // 8] ^= 1 << at % 8
        yield bytes(damaged)


def cuts(data: bytes) -> Iterator[bytes]:
    """Every truncation."""
    return (data[:size] for size in range(len(data)))


def insertions(data: bytes) -> Iterator[bytes]:
    """One byte more, or a copy of four, at every place."""
    for at in range(len(data) + 1):
        yield data[:at] + b"\0" + data[at:]
        yield data[:at] + data[at : at + 1] + b"\xff" + data[at + 1 :]
        yield data[:at] + data[at : at + 4] + data[at:]


def deletions(data: bytes) -> Iterator[bytes]:
    """One byte less, or eight, at every place."""
    for size in (1, 8):
        yield from (data[:at] + data[at + size :] for at in range(len(data) - size + 1))


def swaps(data: bytes) -> Iterator[bytes]:
    """Blocks of 4 or 16 bytes that change places."""
    rng = Random(1)
    for _ in range(1000):
        size = rng.choice((4, 16))
        a, b = sorted(rng.sample(range(len(data) - size), 2))
        if a + size <= b and data[a : a + size] != data[b : b + size]:
            block, other = data[a : a + size], data[b : b + size]
            yield data[:a] + other + data[a + size : b] + block + data[b + size :]


DAMAGES: dict[str, Callable[[bytes], Iterator[bytes]]] = {
    "flip": flips, "cut": cuts, "insertion": insertions, "deletion": deletions, "swap": swaps,
}  # fmt: skip


@pytest.mark.parametrize("damage", list(DAMAGES))
@pytest.mark.parametrize("name", STREAMS)
def test_all_damage_of_a_stream_is_found(name: str, damage: str, models: list[Model]) -> None:
    """Without exception; a bit that no checksum protects does not exist."""
    good = stream(name)
    assert codec.decode(good, models)
    for data in DAMAGES[damage](good):
        if data != good:
            with pytest.raises(IntnetError):
                codec.decode(data, models)


def test_damaged_tiles_are_named(models: list[Model]) -> None:
    """Every bit of a payload: the error names tile and stage."""
    good = stream("tiles-2x3")
    header, entries, _ = container.unpack_head(good)
    for number, entry in enumerate(entries):
        name = re.escape(header.grid.name(number))
        for at in range(entry.begin, entry.end):
            stage = "z" if at < entry.middle else "y"
            damaged = good[:at] + bytes([good[at] ^ 4]) + good[at + 1 :]
            with pytest.raises(StreamError, match=f"^stream, {name}, stage {stage}: checksum"):
                codec.decode(damaged, models)


def test_symbols_are_named_under_right_checksums(models: list[Model]) -> None:
    """Payloads that are no payloads, the checksums made anew."""
    header, tiles = container.unpack(stream("tiles-2x3"))
    for number, tile in enumerate(tiles):
        for stage in ("z", "y"):
            bad = tile._replace(**{stage: getattr(tile, stage) + b"\0"})
            data = container.pack(
                container.Stream(header, [*tiles[:number], bad, *tiles[number + 1 :]])
            )
            name = re.escape(header.grid.name(number))
            with pytest.raises(StreamError, match=f"^stream, {name}, stage {stage}: payload"):
                codec.decode(data, models)


def test_a_wrong_model_is_named(models: list[Model]) -> None:
    """The id that is wanted, and the ids and names at hand."""
    wanted = stream("16x16")[8:16].hex()
    with pytest.raises(ModelError, match=rf"model {wanted}; at hand: [0-9a-f]{{16}} \(.+\)$"):
        codec.decode(stream("16x16"), models[1:])
    with pytest.raises(ModelError, match=f"model {wanted}; at hand: none"):
        codec.decode(stream("16x16"), [])


def unlike(data: bytes) -> None:
    """A damaged model file is refused, or it is the same model in other white space."""
    try:
        found = model_file.from_bytes(data)
    except ModelError:
        return
    assert found.sha256 == model_file.from_bytes(MINIMAL).sha256


def header_end() -> int:
    """Where the tensors of the model begin."""
    return 8 + int.from_bytes(MINIMAL[:8], "little")


@pytest.mark.parametrize("part", ["header", "tensors"])
def test_flipped_bits_of_a_model_are_found(part: str) -> None:
    """Every seventh bit of the header, every 53rd of the tensors; `slow` has all of them."""
    bits = range(0, 8 * header_end(), 7)
    if part == "tensors":
        bits = range(8 * header_end(), 8 * len(MINIMAL), 53)
    refused(bits)


@pytest.mark.slow
def test_every_flipped_bit_of_a_model_is_found() -> None:
    refused(range(8 * len(MINIMAL)))


def refused(bits: range) -> None:
    """A model file with one of the bits flipped."""
    for at in bits:
        damaged = bytearray(MINIMAL)
        damaged[at // 8] ^= 1 << at % 8
        with pytest.raises(ModelError):
            model_file.from_bytes(bytes(damaged))


@pytest.mark.parametrize("damage", ["cut", "insertion", "deletion", "swap"])
def test_damage_of_a_model_is_found(damage: str) -> None:
    """A sample. White space of the header is all that may differ: it is in no model."""
    for n, data in enumerate(DAMAGES[damage](MINIMAL)):
        if n % 41 == 0 and data != MINIMAL:
            unlike(data)


def test_white_space_of_the_header_is_not_protected() -> None:
    """Nor is the order of its keys; the model is the same."""
    size = header_end() - 8
    header = MINIMAL[8 : 8 + size].rstrip(b" ")
    spaced = b"{ \n" + header[1:] + b"  "
    other = len(spaced).to_bytes(8, "little") + spaced + MINIMAL[8 + size :]
    assert other != MINIMAL
    assert model_file.from_bytes(other).sha256 == model_file.from_bytes(MINIMAL).sha256
