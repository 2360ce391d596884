"""`intnet map`: where the bits of a stream go."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intnet import chunks, container, files
from intnet.commands import common
from intnet.commands.info import of_stream
from intnet.limits import DEFAULT, MIB, Limits

if TYPE_CHECKING:
    from intnet.look.bit_map import BitMap

OUTPUTS = (".png", ".npy")


@common.verb
def bit_map(
    stream: Annotated[str, typer.Argument(help="A .inic stream; - is stdin.")],
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", help="A drawing (.png) or the bits as an array (.npy)."),
    ] = None,
    model: common.ModelOption = None,
    backend: common.BackendOption = common.Backend.numba,
    max_pixels: common.MaxPixels = DEFAULT.pixels,
    max_pixels_per_byte: common.MaxPixelsPerByte = DEFAULT.pixels_per_byte,
    max_memory: common.MaxMemory = common.MAX_MEMORY,
    *,
    as_json: common.Json = False,
) -> None:
    """Show where the bits of a stream go: bits per pixel over the picture, from black to yellow.

    A symbol costs what its probability says in the table that it is coded with. The map has a cell
    for each latent position, 16x16 pixels; hyper-latents are spread over the 64x64 that they
    belong to. Its sum is the size of the payloads, to the few bytes that end each. The array is
    float64 (rows, columns), bits.

    \b
    intnet map photo.inic -o map.png
    intnet map photo.inic -o map.npy
    intnet map photo.inic --json
    """
    if output is None and not as_json:
        common.misuse("needs -o FILE.png, -o FILE.npy or --json")
    if output is not None:
        if suffix_of(output) not in OUTPUTS:
            common.misuse(f"-o {output}: the suffix must be one of {', '.join(OUTPUTS)}")
        common.check_output(output, as_json=as_json)
    data = files.read(stream)
    limits = Limits(max_pixels, max_pixels_per_byte, max_memory * MIB)
    header = container.peek(data, limits)

    from intnet import api, shipped
    from intnet.look import bit_map as measuring

    loaded = api.open_model(model or shipped.find(header.model_id))
    with common.busy(f"measuring {files.label(stream)}", header.width * header.height):
        found = measuring.measure(data, [loaded], backend.value, limits)
    report = described(found, data)
    if output is not None:
        files.write(output, drawn(found, report, Path(files.label(stream)).name, output))
    if as_json:
        common.print_json(report)
    elif output != files.PIPE:
        common.say(summary(report))


def suffix_of(output: str) -> str:
    """Of a file; stdout gets a drawing."""
    return ".png" if output == files.PIPE else Path(output).suffix.lower()


def described(found: BitMap, data: bytes) -> dict[str, Any]:
    """As `intnet info` has it, and the bits."""
    report = of_stream(data)
    chunk_bytes = len(chunks.pack(found.stream.header.chunks))
    payloads = report["z_bytes"] + report["y_bytes"]
    return report | {
        "header_bytes": len(data) - chunk_bytes - payloads,
        "chunk_bytes": chunk_bytes,
        "z_bits": round(float(found.z.sum()), 3),
        "y_bits": round(float(found.y.sum()), 3),
        "rows": found.y.shape[0],
        "columns": found.y.shape[1],
        "largest_bpp": round(float(found.bpp.max()), 6),
        "smallest_bpp": round(float(found.bpp.min()), 6),
        "per_tile": found.tiles(),
    }


def summary(report: dict[str, Any]) -> str:
    """One line for people."""
    return (
        f"quality {report['quality']}, {report['bpp']:.3f} bpp; {report['stream_bytes']} bytes: "
        f"header {report['header_bytes']}, z {report['z_bytes']}, y {report['y_bytes']}, "
        f"chunks {report['chunk_bytes']}; "
        f"{report['smallest_bpp']:.3f} to {report['largest_bpp']:.3f} bpp"
    )


def drawn(found: BitMap, report: dict[str, Any], name: str, output: str) -> bytes:
    """The file."""
    if suffix_of(output) == ".png":
        from intnet.look import draw

        return draw.png(draw.map_of(found, f"{name}: {summary(report)}"))
    import numpy as np

    file = io.BytesIO()
    np.save(file, found.bits)
    return file.getvalue()
