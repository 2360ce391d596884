"""`intnet encode`: a picture to a stream."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intnet import chunks, container, files, tiles
from intnet.commands import common
from intnet.errors import IntnetError
from intnet.limits import DEFAULT, MIB, Limits
from intnet.options import EncoderOptions

if TYPE_CHECKING:
    from intnet.container import Header
    from intnet.model_file import Model
    from intnet.pictures import Pixels

DEFAULT_QUALITY = 32

Quality = Annotated[
    int | None,
    typer.Option("--quality", "-q", min=0, max=63, help="0 smallest, 63 best; default 32."),
]
TargetBpp = Annotated[
    float | None, typer.Option(help="The quality nearest to this many bits per pixel.")
]
MaxBytes = Annotated[
    int | None, typer.Option(min=1, help="The best quality that fits this many bytes.")
]
Verify = Annotated[
    bool, typer.Option("--verify", help="Decode too; store the CRC-32 of the pixels for decoders.")
]
Tile = Annotated[
    int,
    typer.Option(
        min=0, help="Side of tiles that are coded on their own, a multiple of 64; 0: no tiles."
    ),
]
Strip = Annotated[bool, typer.Option("--strip", help="Leave out ICC profile and EXIF.")]


@common.verb
def encode(
    picture: Annotated[str, typer.Argument(help="PNG, JPEG, WebP, TIFF or PPM; - is stdin.")],
    output: common.Output,
    quality: Quality = None,
    target_bpp: TargetBpp = None,
    max_bytes: MaxBytes = None,
    model: common.ModelOption = None,
    backend: common.BackendOption = common.Backend.numba,
    max_memory: common.MaxMemory = common.MAX_MEMORY,
    *,
    verify: Verify = False,
    tile: Tile = tiles.DEFAULT,
    max_pixels: common.MaxPixels = DEFAULT.pixels,
    strip: Strip = False,
    as_json: common.Json = False,
) -> None:
    """Encode a picture to a stream.

    It takes 8-bit grey or RGB, 1x1 to 268 megapixels, with --max-pixels to 1073. Alpha is kept
    without loss. ICC profile and EXIF are kept; orientation is applied. Large PPM and PGM files
    are read strip by strip; others are held in memory.

    One of -q, --target-bpp and --max-bytes says how small or how good; the latter two encode
    several times to find the quality. The model is `photo` unless --model names another.

    \b
    intnet encode photo.png -o photo.inic -q 40
    intnet encode photo.jpg -o photo.inic --max-bytes 20000
    """
    check_settings(quality, target_bpp, max_bytes, tile)
    common.check_output(output, as_json=as_json)

    from intnet import memory, pictures, shipped

    found = pictures.load(picture, max_pixels)
    pixels = found.pixels
    ancillary = () if strip else pictures.ancillary(found, files.label(picture))
    options = EncoderOptions(backend.value, verify, tile, ancillary)
    loaded, (*size, channels) = shipped.load(model), pixels.shape
    memory.check_encoding(
        loaded, (size[0], size[1]), channels, options, Limits(memory=max_memory * MIB),
        searching=target_bpp is not None or max_bytes is not None,
    )  # fmt: skip
    started = time.perf_counter()
    with common.busy(f"encoding {files.label(picture)}", pixels.shape[0] * pixels.shape[1]):
        stream = coded(pixels, loaded, options, quality, target_bpp, max_bytes)
    seconds = time.perf_counter() - started
    files.write(output, stream)
    header = container.unpack(stream).header
    report = described(header, len(stream), loaded, seconds) | {
        "backend": backend.value,
        "verified": verify,
    }
    if as_json:
        common.print_json(report)
    else:
        common.say(summary(files.label(picture), report))


def check_settings(
    quality: int | None, target_bpp: float | None, max_bytes: int | None, tile: int
) -> None:
    """End with exit code 2 for options that exclude each other or are out of range."""
    if sum(option is not None for option in (quality, target_bpp, max_bytes)) > 1:
        common.misuse("-q, --target-bpp and --max-bytes exclude each other")
    if target_bpp is not None and not 0 < target_bpp < float("inf"):
        common.misuse(f"--target-bpp {target_bpp}: must be above 0")
    if tile % tiles.UNIT or tile > tiles.MAX_SIDE * tiles.UNIT:
        most = tiles.MAX_SIDE * tiles.UNIT
        common.misuse(f"--tile {tile}: must be a multiple of {tiles.UNIT}, at most {most}")


def coded(
    pixels: Pixels, model: Model, options: EncoderOptions, quality: int | None,
    target_bpp: float | None, max_bytes: int | None,
) -> bytes:  # fmt: skip
    """The stream by whichever of the three is given. Raises IntnetError where that cannot be."""
    from intnet import codec, rate_search

    if target_bpp is not None:
        return rate_search.encode_to_bpp(pixels, model, target_bpp, options)
    if max_bytes is None:
        chosen = DEFAULT_QUALITY if quality is None else quality
        return codec.encode(pixels, model, chosen, **options._asdict())
    try:
        return rate_search.encode_to_size(pixels, model, max_bytes, options)
    except ValueError as error:
        raise IntnetError(str(error)) from None


def described(header: Header, size: int, model: Model, seconds: float) -> dict[str, Any]:
    """What the JSON of encode and decode has in common; size: bytes of the stream."""
    return {
        "width": header.width,
        "height": header.height,
        "channels": header.channels,
        "chunks": chunks.sizes(header.chunks),
        "quality": header.quality,
        "model": model.name,
        "model_id": header.model_id.hex(),
        "stream_bytes": size,
        "bpp": round(8 * size / (header.width * header.height), 6),
        "seconds": round(seconds, 4),
    }


def summary(name: str, report: dict[str, Any]) -> str:
    """One line for people."""
    return (
        f"{name}: {report['width']}x{report['height']}, quality {report['quality']}, "
        f"{report['stream_bytes']} bytes, {report['bpp']:.3f} bpp, model {report['model']}, "
        f"{report['seconds']:.2f} s"
    )
