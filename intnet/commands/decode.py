"""`intnet decode`: a stream to a picture."""

from __future__ import annotations

import hashlib
import time
from typing import Annotated

import typer

from intnet import container, files
from intnet.commands import common
from intnet.commands.encode import described, summary


@common.verb
def decode(
    stream: Annotated[str, typer.Argument(help="A .inic stream; - is stdin.")],
    output: Annotated[
        str, typer.Option("--output", "-o", help="PNG, PPM or PGM by suffix; - is stdout, PNG.")
    ],
    model: common.ModelOption = None,
    backend: common.BackendOption = common.Backend.numba,
    max_pixels: Annotated[
        int, typer.Option(min=1, max=container.MAX_PIXELS, help="Refuse larger pictures.")
    ] = container.MAX_PIXELS,
    *,
    as_json: common.Json = False,
) -> None:
    """Decode a stream. The model is found by the id in the stream, or given.

    \b
    intnet decode photo.inic -o photo.png
    intnet decode photo.inic -o - | display
    """
    from intnet import pictures

    if not pictures.writable(output):
        common.misuse(f"-o {output}: the suffix must be one of {', '.join(pictures.OUTPUTS)}")
    common.check_output(output, as_json=as_json)
    data = files.read(stream)
    header = container.unpack(data, max_pixels).header

    from intnet import codec, model_file, shipped

    path = shipped.path_of(model) if model else shipped.find(header.model_id)
    loaded = model_file.load(path)
    started = time.perf_counter()
    with common.busy(f"decoding {files.label(stream)}", header.width * header.height):
        pixels = codec.decode(data, [loaded], backend.value, max_pixels).pixels
    seconds = time.perf_counter() - started
    pictures.write(output, pixels)
    report = described(data, loaded, seconds) | {
        "backend": backend.value,
        "verified": header.pixel_crc is not None,
        "pixel_sha256": hashlib.sha256(pixels.data).hexdigest(),
    }
    if as_json:
        common.print_json(report)
    else:
        common.say(summary(files.label(stream), report))
