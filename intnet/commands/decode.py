"""`intnet decode`: a stream to a picture."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Annotated

import typer

from intnet import chunks, container, files
from intnet.commands import common
from intnet.commands.encode import described, summary
from intnet.limits import DEFAULT, MIB, Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intnet.codec import Decoded
    from intnet.container import Header
    from intnet.model_file import Model

ICC_AND_EXIF = chunks.ICC, chunks.EXIF


@common.verb
def decode(
    stream: Annotated[str, typer.Argument(help="A .inic stream; - is stdin.")],
    output: Annotated[
        str, typer.Option("--output", "-o", help="PNG, PPM or PGM by suffix; - is stdout, PNG.")
    ],
    model: common.ModelOption = None,
    backend: common.BackendOption = common.Backend.numba,
    max_pixels: common.MaxPixels = DEFAULT.pixels,
    max_pixels_per_byte: Annotated[
        int, typer.Option(min=1, help="Refuse pictures that are larger for their stream's bytes.")
    ] = DEFAULT.pixels_per_byte,
    max_memory: common.MaxMemory = common.MAX_MEMORY,
    region: Annotated[
        str | None,
        typer.Option(metavar="X,Y,W,H", help="This part of the picture, from the tiles it needs."),
    ] = None,
    *,
    salvage: Annotated[
        bool,
        typer.Option("--salvage", help="Of a damaged stream, the tiles that are intact; 1 if not."),
    ] = False,
    as_json: common.Json = False,
) -> None:
    """Decode a stream. The model is found by the id in the stream, or given.

    What a stream may ask for is limited: pixels, pixels for each of its bytes, memory.
    With --salvage, what a damaged tile determines is mid-grey, the tiles that are lost are listed,
    and the exit code is 1 where there are any.

    \b
    intnet decode photo.inic -o photo.png
    intnet decode photo.inic -o - | display
    intnet decode photo.inic -o part.png --region 100,50,64,32
    """
    from intnet import pictures

    if region and salvage:
        common.misuse("--region and --salvage exclude each other")
    area = parse_region(region) if region else None
    if not pictures.writable(output):
        common.misuse(f"-o {output}: the suffix must be one of {', '.join(pictures.OUTPUTS)}")
    common.check_output(output, as_json=as_json)
    data = files.read(stream)
    limits = Limits(max_pixels, max_pixels_per_byte, max_memory * MIB)
    header = container.peek(data, limits)

    from intnet import model_file, shipped

    path = shipped.path_of(model) if model else shipped.find(header.model_id)
    loaded = model_file.load(path)
    started = time.perf_counter()
    with common.busy(f"decoding {files.label(stream)}", header.width * header.height):
        lost: dict[str, str] = {}
        if pictures.in_rows(output) and not (region or salvage):
            header, digest = decoded_in_rows(data, loaded, backend.value, limits, output)
        else:
            found = decoded(data, loaded, backend.value, limits, area, salvage=salvage)
            (pixels, header), lost = found
            icc, exif = (chunks.of_type(header.chunks, kind) or b"" for kind in ICC_AND_EXIF)
            pictures.write(output, pixels, icc, exif)
            digest = hashlib.sha256(pixels.data).hexdigest()
    seconds = time.perf_counter() - started
    report = described(header, len(data), loaded, seconds) | {
        "backend": backend.value,
        "verified": header.pixel_crc is not None,
        "pixel_sha256": digest,
    }
    if region:
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
    data: bytes, model: Model, backend: str, limits: Limits, output: str
) -> tuple[Header, str]:
    """Write a PPM or PGM without holding the picture; its header and the SHA-256 of its samples."""
    from intnet import codec, pictures

    header, strips = codec.decode_strips(data, [model], backend, limits)
    digest = hashlib.sha256()

    def hashed() -> Iterator[codec.Pixels]:
        for rows in strips:
            digest.update(rows.data)
            yield rows

    shape = header.height, header.width, header.channels
    pictures.write_rows(output, shape, hashed())
    return header, digest.hexdigest()


def parse_region(text: str) -> tuple[int, int, int, int]:
    """X,Y,W,H: left, top, width and height, pixels."""
    parts = text.split(",")
    if len(parts) != 4 or not all(part.isascii() and part.isdigit() for part in parts):
        common.misuse(f"--region {text}: must be X,Y,W,H, whole numbers of pixels")
    x, y, w, h = map(int, parts)
    return x, y, w, h


def decoded(
    data: bytes,
    model: Model,
    backend: str,
    limits: Limits,
    region: tuple[int, int, int, int] | None,
    *,
    salvage: bool,
) -> tuple[Decoded, dict[str, str]]:
    """The picture, or a region of it, and what is wrong with each tile, or all chunks, lost."""
    from intnet import codec

    if salvage:
        from intnet import salvage as salvaging

        found = salvaging.decode(data, [model], backend, limits)
        lost = {f"tile {number}": why for number, why in found.lost.items()}
        lost |= {"chunks": found.chunks_lost} if found.chunks_lost else {}
        return codec.Decoded(found.pixels, found.header), lost
    if region is None:
        return codec.decode(data, [model], backend, limits), {}
    from intnet import region as regions
    from intnet.windows import Area

    x, y, w, h = region
    try:
        area = Area((y, y + h), (x, x + w))
        return regions.decode(data, [model], area, backend, limits), {}
    except ValueError as error:
        common.fail(f"--region {x},{y},{w},{h}: {error}")
