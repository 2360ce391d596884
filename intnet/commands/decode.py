"""`intnet decode`: a stream to a picture."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Annotated

import typer

from intnet import chunks, container, files
from intnet.commands import common
from intnet.commands.encode import described, summary
from intnet.errors import IntnetError
from intnet.limits import DEFAULT, MIB, Limits
from intnet.options import DecoderOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intnet.codec import Decoded
    from intnet.container import Header
    from intnet.model_file import Model
    from intnet.windows import Area

ICC_AND_EXIF = chunks.ICC, chunks.EXIF
CHUNKS = "chunks"  # the key of what is lost of them


@common.verb
def decode(
    stream: Annotated[str, typer.Argument(help="A .inic stream; - is stdin.")],
    output: Annotated[
        str, typer.Option("--output", "-o", help="PNG, PPM or PGM by suffix; - is stdout, PNG.")
    ],
    model: common.ModelOption = None,
    backend: common.BackendOption = common.Backend.numba,
    max_pixels: common.MaxPixels = DEFAULT.pixels,
    max_pixels_per_byte: common.MaxPixelsPerByte = DEFAULT.pixels_per_byte,
    max_memory: common.MaxMemory = common.MAX_MEMORY,
    region: Annotated[
        str | None,
        typer.Option(
            metavar=common.AREA, help="Only this part, from the tiles that it needs; pixels."
        ),
    ] = None,
    *,
    salvage: Annotated[
        bool,
        typer.Option("--salvage", help="Of a damaged stream, the tiles that are intact."),
    ] = False,
    as_json: common.Json = False,
) -> None:
    """Decode a stream to a picture.

    The model is the one that ships and has the id in the stream, or that of --model. What a stream
    may ask for is limited: pixels, pixels for each of its bytes, memory.

    A damaged stream is refused. With --salvage its intact tiles are written: what the others
    determine is mid-grey, they are listed, and the exit code is 1.

    \b
    intnet decode photo.inic -o photo.png
    intnet decode photo.inic -o - | display
    intnet decode photo.inic -o part.png --region 100,50,64,32
    """
    from intnet import pictures

    if region is not None and salvage:
        common.misuse("--region and --salvage exclude each other")
    area = None if region is None else common.parse_area("--region", region)
    if not pictures.writable(output):
        common.misuse(f"-o {output}: the suffix must be one of {', '.join(pictures.OUTPUTS)}")
    common.check_output(output, as_json=as_json)
    data = files.read(stream)
    limits = Limits(max_pixels, max_pixels_per_byte, max_memory * MIB)
    header = container.peek(data, limits)
    if area:
        check_area(area, header)

    from intnet import model_file, shipped

    path = shipped.path_of(model) if model else shipped.find(header.model_id)
    loaded = model_file.load(path)
    options = DecoderOptions(backend.value, limits)
    started = time.perf_counter()
    with common.busy(f"decoding {files.label(stream)}", header.width * header.height):
        lost: dict[str, str] = {}
        if pictures.in_rows(output) and not (area or salvage):
            header, digest = decoded_in_rows(data, loaded, options, output)
        else:
            found = decoded(data, loaded, options, area, salvage=salvage)
            (pixels, header), lost = found
            icc, exif = (chunks.of_type(header.chunks, kind) or b"" for kind in ICC_AND_EXIF)
            pictures.write(output, pixels, icc, exif)
            digest = hashlib.sha256(pixels.data).hexdigest()
    seconds = time.perf_counter() - started
    partial = lost.keys() - {CHUNKS} or (area and header.tile)  # whose CRC nobody can know
    report = described(header, len(data), loaded, seconds) | {
        "backend": backend.value,
        "verified": header.pixel_crc is not None and not partial,
        "pixel_sha256": digest,
    }
    if area:
        report["region"] = area
    if salvage:
        report["lost"] = lost
    if as_json:
        common.print_json(report)
    else:
        common.say(summary(files.label(stream), report))
        for why in lost.values():
            common.say(f"lost: {why}")
    if lost:
        raise typer.Exit(common.FAILED)


def decoded_in_rows(
    data: bytes, model: Model, options: DecoderOptions, output: str
) -> tuple[Header, str]:
    """Write a PPM or PGM without holding the picture; its header and the SHA-256 of its samples."""
    from intnet import codec, pictures

    header, strips = codec.decode_strips(data, [model], options)
    digest = hashlib.sha256()

    def hashed() -> Iterator[codec.Pixels]:
        for rows in strips:
            digest.update(rows.data)
            yield rows

    shape = header.height, header.width, header.channels
    pictures.write_rows(output, shape, hashed())
    return header, digest.hexdigest()


def area_of(region: common.Region) -> Area:
    """The same, as rows and columns."""
    from intnet.windows import Area

    x, y, w, h = region
    return Area((y, y + h), (x, x + w))


def check_area(region: common.Region, header: Header) -> None:
    """Raise IntnetError for a region that is empty or not within the picture."""
    from intnet import region as regions

    try:
        regions.check_area(area_of(region), header)
    except ValueError as error:
        raise IntnetError(f"--region {','.join(map(str, region))}: {error}") from None


def decoded(
    data: bytes,
    model: Model,
    options: DecoderOptions,
    region: common.Region | None,
    *,
    salvage: bool,
) -> tuple[Decoded, dict[str, str]]:
    """The picture, or a region of it, and what is wrong with each tile, or all chunks, lost."""
    from intnet import codec
    from intnet import region as regions
    from intnet import salvage as salvaging

    if salvage:
        found = salvaging.decode(data, [model], *options)
        lost = {f"tile {number}": why for number, why in found.lost.items()}
        lost |= {CHUNKS: found.chunks_lost} if found.chunks_lost else {}
        return codec.Decoded(found.pixels, found.header), lost
    if region is None:
        return codec.decode(data, [model], *options), {}
    return regions.decode(data, [model], area_of(region), *options), {}
