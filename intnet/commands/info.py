"""`intnet info` and `intnet models`: what a file is; what is at hand. No network runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from intnet import chunks, container, files, model_header, shipped, tiles
from intnet.commands import common
from intnet.errors import IntnetError, ModelError


@common.verb
def info(
    file: Annotated[
        str, typer.Argument(help="A stream, a model, or a shipped model's name; - is stdin.")
    ],
    *,
    as_json: common.Json = False,
) -> None:
    """Say what a stream or a model is; nothing is decoded or proved.

    Of a stream: size, quality, model, bits per pixel, tiles, bytes of alpha, ICC profile and EXIF.
    Of a model: identity, family, programs with their operations and kMAC per pixel, metadata.

    \b
    intnet info photo.inic
    intnet info photo --json
    """
    data = files.read(located(file))
    name = files.label(file)
    if not data:
        raise IntnetError(f"{name}: empty file")
    if data[:3] == container.MAGIC[:3]:
        report = of_stream(data)
    else:
        try:
            report = of_model(data, name)
        except ModelError:
            raise IntnetError(f"{name}: neither an intnet stream nor an intnet model") from None
    if as_json:
        common.print_json(report)
    else:
        show(report)


def located(file: str) -> str:
    """The file; where there is none, that of a shipped model of this name."""
    names = [] if file == files.PIPE or Path(file).exists() else shipped.at_hand()
    return next((str(entry.path) for entry in names if entry.name == file), file)


def of_stream(data: bytes) -> dict[str, Any]:
    """A stream's header and sizes."""
    stream = container.unpack(data)
    header = stream.header
    names = [e.name for e in shipped.at_hand() if e.header.model_id == header.model_id]
    crc = None if header.pixel_crc is None else f"{header.pixel_crc:08x}"
    return {
        "kind": "stream",
        "width": header.width,
        "height": header.height,
        "channels": header.channels,
        "quality": header.quality,
        "model": names[0] if names else None,
        "model_id": header.model_id.hex(),
        "stream_bytes": len(data),
        "bpp": round(8 * len(data) / (header.width * header.height), 6),
        "format": f"{container.MAJOR}.{header.minor}",
        "tiles": tiles_of(header),
        "chunks": chunks.sizes(header.chunks),
        "z_bytes": sum(len(tile.z) for tile in stream.tiles),
        "y_bytes": sum(len(tile.y) for tile in stream.tiles),
        "pixel_crc": crc,
    }


def tiles_of(header: container.Header) -> dict[str, int] | None:
    """Rows and columns of tiles, and their side in pixels; None for one tile."""
    if not header.tile:
        return None
    rows, columns = header.grid.shape
    return {"rows": rows, "columns": columns, "side": header.tile * tiles.UNIT}


def of_model(data: bytes, name: str) -> dict[str, Any]:
    """A model's stated identity, programs and metadata."""
    header = model_header.parse(data, name)
    return {
        "kind": "model",
        "model": header.name,
        "model_id": header.model_id.hex(),
        "sha256": header.sha256,
        "bytes": len(data),
        "family": model_header.title(header),
        "programs": model_header.programs(header),
        "metadata": dict(header.metadata),
    }


def show(report: dict[str, Any]) -> None:
    """Text: one field a line, programs as lines of their own."""
    for key, value in report.items():
        if key == "programs":
            for program in value:
                ops = ", ".join(f"{count} {kind}" for kind, count in program["ops"].items())
                cost = f"{program['kmac_per_pixel']} kMAC/pixel"
                print(f"program       {program['name']}: {cost}, {ops}")
        elif key == "metadata":
            for name, entry in value.items():
                print(f"  {name}: {entry}")
        elif key == "tiles" and value:
            print(f"{key:13} {value['rows']} x {value['columns']} of {value['side']} pixels")
        elif key == "chunks":
            sizes = ", ".join(f"{kind} {size} bytes" for kind, size in value.items())
            print(f"{key:13} {sizes or 'none'}")
        else:
            absent = {"model": "not at hand", "tiles": "one"}.get(key, "none")
            print(f"{key:13} {absent if value is None else value}")


@common.verb
def models(*, as_json: common.Json = False) -> None:
    """List the models that ship with intnet.

    Name, id, size and place of each. A stream has the id of its model, the first 8 bytes of its
    SHA-256.

    \b
    intnet models
    """
    rows = [
        {
            "name": entry.name,
            "default": entry.name == shipped.DEFAULT,
            "model_id": entry.header.model_id.hex(),
            "sha256": entry.header.sha256,
            "bytes": entry.path.stat().st_size,
            "path": str(entry.path),
        }
        for entry in shipped.at_hand()
    ]
    if as_json:
        common.print_json({"models": rows})
        return
    for row in rows:
        default = " (default)" if row["default"] else ""
        print(f"{row['name']}{default}  {row['model_id']}  {row['bytes']} bytes  {row['path']}")
    if not rows:
        common.say("no model ships with this installation")
