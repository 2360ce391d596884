"""`intnet batch`: a folder or a Zarr store, by processes of this machine or by a Dask cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from intnet import files, tiles
from intnet.commands import batch_work as work
from intnet.commands import common
from intnet.commands import encode as encoding
from intnet.limits import DEFAULT, MIB, Limits

Source = Annotated[
    Path, typer.Argument(metavar="SRC", help="A folder, with those below it, or a Zarr store.")
]
Target = Annotated[
    Path,
    typer.Argument(
        metavar="DST", help="A folder, made where it is missing; may be SRC, unless that is Zarr."
    ),
]
Table = Annotated[Path, typer.Argument(metavar="DST", help="A .csv or .json file.")]
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs", "-j", min=1, max=1024,
        help="Processes, each with one thread unless INTNET_THREADS says more; default: one for "
        "each processor. 1: this process, with a thread for each processor.",
    ),
]  # fmt: skip
Scheduler = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Of a Dask cluster that shares SRC and DST: its workers."),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace files in DST that no batch has made.")
]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    help="""Encode, decode or evaluate folders of pictures, or Zarr stores.

    A run that was stopped goes on where it was: the same command again skips each file that is
    finished, that is: DST/.intnet-batch.jsonl says that the output was made from an input with this
    SHA-256 and with these settings, and the output still has the SHA-256 that it had. All else is
    made again: what is damaged, and what has another input or setting.

    Files appear whole or not at all. What fails is listed at the end, a line for each file with the
    cause, and the exit code is 1; the others are not kept waiting.

    SRC may be a Zarr group or array, format 2 or 3, in a folder; DST is one then. A file is a chunk
    of it, or a shard. The journal is beside DST, as .DST.intnet-batch.jsonl.

    \b
    intnet batch encode photos streams -q 40
    intnet batch decode streams decoded
    intnet batch eval photos rates.csv -q 20 -q 40
    intnet batch encode photos streams --scheduler tcp://10.0.0.1:8786
    intnet batch encode scan.zarr small.zarr -q 40
    """,
)


@app.command()
@common.verb
def encode(
    source: Source,
    target: Target,
    quality: encoding.Quality = None,
    target_bpp: encoding.TargetBpp = None,
    max_bytes: encoding.MaxBytes = None,
    jobs: Jobs = None,
    scheduler: Scheduler = None,
    model: common.ModelOption = None,
    backend: common.BackendOption = common.Backend.numba,
    max_memory: common.MaxMemory = common.MAX_MEMORY,
    max_pixels: common.MaxPixels = DEFAULT.pixels,
    *,
    verify: encoding.Verify = False,
    tile: encoding.Tile = tiles.DEFAULT,
    strip: encoding.Strip = False,
    overwrite: Overwrite = False,
    as_json: common.Json = False,
) -> None:
    """Encode the pictures of a folder.

    Every PNG, JPEG, WebP, TIFF and PPM below SRC is encoded, SRC/a/b.png to DST/a/b.inic.
    Files are chosen by suffix; others, and names that begin with a dot, are passed over.
    Two that would become one, a.png and a.jpg, are an error before anything is done.
    Rates are those of `intnet encode`, for each picture. --max-memory holds for each process.

    Of a Zarr store, uint8 arrays whose chunks are pictures, (..., y, x) with y, x, 3 or 4 as in
    `docs/zarr.md`, get the codec intnet; path, attributes, shape and all else stay. Other arrays
    are copied, and listed with the reason. This is lossy for labels too: keep uint8 masks apart.
    Of the settings there are --quality and --model, which must be one that ships.

    \b
    intnet batch encode photos streams -q 40
    intnet batch encode photos streams --max-bytes 20000 --jobs 4
    """
    encoding.check_settings(quality, target_bpp, max_bytes, tile)
    from intnet.batch import folders, plans, stores

    if stores.is_store(source):
        work.refuse(
            target_bpp=target_bpp, max_bytes=max_bytes, verify=verify, strip=strip,
            tile=tile != tiles.DEFAULT, backend=backend is not common.Backend.numba,
            max_memory=max_memory != common.MAX_MEMORY, max_pixels=max_pixels != DEFAULT.pixels,
        )  # fmt: skip
        chosen = encoding.DEFAULT_QUALITY if quality is None else quality
        coded = work.arrays().EncodeStore(work.shipped_id(model), chosen)
        ways = {"overwrite": overwrite, "as_json": as_json}
        work.convert_store(coded, source, target, jobs, scheduler, **ways)
        return
    if quality is None and target_bpp is None and max_bytes is None:
        quality = encoding.DEFAULT_QUALITY
    name, model_id = work.identified(model)
    plan = plans.Encode(model_id, quality, target_bpp, max_bytes, tile, verify, strip)
    limits = Limits(max_pixels, memory=max_memory * MIB)
    means = plans.Means(name, backend.value, limits, overwrite)
    found = folders.find(source, folders.PICTURES)
    work.convert(plan, means, found, source, target, ".inic", jobs, scheduler, as_json=as_json)


@app.command()
@common.verb
def decode(
    source: Source,
    target: Target,
    jobs: Jobs = None,
    scheduler: Scheduler = None,
    model: common.ModelOption = None,
    backend: common.BackendOption = common.Backend.numba,
    max_memory: common.MaxMemory = common.MAX_MEMORY,
    max_pixels: common.MaxPixels = DEFAULT.pixels,
    max_pixels_per_byte: common.MaxPixelsPerByte = DEFAULT.pixels_per_byte,
    *,
    overwrite: Overwrite = False,
    as_json: common.Json = False,
) -> None:
    """Decode the streams of a folder.

    Every .inic stream below SRC is decoded to a PNG, SRC/a/b.inic to DST/a/b.png.
    Originals are safe: a file in DST that no batch has made is a failure, not replaced, unless it
    holds the same bytes.

    Of a Zarr store, arrays of the codec intnet get the compression that Zarr takes by default, in
    the same place; others are copied, and listed. It needs no setting.

    \b
    intnet batch decode streams decoded
    """
    from intnet.batch import folders, plans, stores

    if stores.is_store(source):
        work.refuse(
            model=model, backend=backend is not common.Backend.numba,
            max_memory=max_memory != common.MAX_MEMORY, max_pixels=max_pixels != DEFAULT.pixels,
            max_pixels_per_byte=max_pixels_per_byte != DEFAULT.pixels_per_byte,
        )  # fmt: skip
        plain = work.arrays().DecodeStore()
        ways = {"overwrite": overwrite, "as_json": as_json}
        work.convert_store(plain, source, target, jobs, scheduler, **ways)
        return
    name = None if model is None else work.identified(model)[0]
    limits = Limits(max_pixels, max_pixels_per_byte, max_memory * MIB)
    means = plans.Means(name, backend.value, limits, overwrite)
    found = folders.find(source, folders.STREAMS)
    work.convert(
        plans.Decode(), means, found, source, target, ".png", jobs, scheduler, as_json=as_json
    )


@app.command(name="eval")
@common.verb
def evaluate(
    source: Source,
    target: Table,
    quality: Annotated[
        list[int] | None,
        typer.Option("--quality", "-q", min=0, max=63, help="Once or more; default 32."),
    ] = None,
    jobs: Jobs = None,
    scheduler: Scheduler = None,
    model: common.ModelOption = None,
    backend: common.BackendOption = common.Backend.numba,
    max_memory: common.MaxMemory = common.MAX_MEMORY,
    max_pixels: common.MaxPixels = DEFAULT.pixels,
    *,
    tile: encoding.Tile = tiles.DEFAULT,
    as_json: common.Json = False,
) -> None:
    """Measure rates and distortions of a folder.

    Every picture below SRC is encoded and decoded in memory; DST gets a line for each
    picture and quality, CSV or JSON by its suffix. bytes: of streams without
    ICC profile and EXIF. bpp: bits per pixel. psnr: dB over all samples. ms_ssim: the mean over
    channels, empty below 161 pixels a side. The summary has means over pictures.
    Beside DST, .DST.intnet-batch.jsonl holds what is finished.

    Of a Zarr store there is a line for each chunk, as a/c/0/0; of the third in a shard's first
    column, a/c/0/0:2.0. Rates are of whole chunks, distortions of what the array has of them.

    \b
    intnet batch eval photos rates.csv -q 20 -q 40
    """
    encoding.check_settings(None, None, None, tile)
    from intnet.batch import plans, stores, table

    if target.suffix.lower() not in table.SUFFIXES:
        common.misuse(f"DST {target}: the suffix must be one of {', '.join(table.SUFFIXES)}")
    files.check_target(target)
    name, model_id = work.identified(model)
    settings = model_id, tuple(sorted(set(quality or [encoding.DEFAULT_QUALITY]))), tile
    means = plans.Means(name, backend.value, Limits(max_pixels, memory=max_memory * MIB))
    if stores.is_store(source):
        chunks = work.arrays().EvaluateStore(*settings)
        work.tabulate_store(chunks, means, source, target, jobs, scheduler, as_json=as_json)
    else:
        pictures = plans.Evaluate(*settings)
        work.tabulate_files(pictures, means, source, target, jobs, scheduler, as_json=as_json)
