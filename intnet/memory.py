"""How much memory coding a picture takes, from its size and the model, before any of it is taken.

Estimates are upper bounds for the numba backend. Less twice FIXED they are at most 3 times what is
measured, slivers of one row aside. They count what is allocated for this
picture, not the interpreter, compiled code and the model. The NumPy backend holds the wider tensors
of its definition and takes up to WIDER times the strips.
"""

from __future__ import annotations

import math

from intnet import backends
from intnet.backends.execute import Step
from intnet.container import Header
from intnet.errors import ModelError
from intnet.limits import MIB, Limits
from intnet.model_file import Y_STRIDE, Z_STRIDE, Model
from intnet.networks import outputs_of
from intnet.options import ENCODER, DecoderOptions, EncoderOptions
from intnet.ports import infer
from intnet.program import DTYPES, Program
from intnet.shapes import Size, shapes
from intnet.strips import cells, grid, input_sizes, strip_rows
from intnet.tiles import Grid, grid_of
from intnet.windows import Windows

FIXED = 8 * MIB  # threads' scratch, buffers of files
CODED = 6  # copies of a stream's bytes for a value of y: noise at the best quality has 1.5 of them
TILE = 2048  # bytes of a tile: its entry, its payloads as objects, its coder
ALPHA = 3  # bytes of a sample of alpha: as read, coded, and on its way between
OVERLAP = 8  # rows of a tensor that the next strip reads too
SYMBOL = 24  # bytes of a position of y in a strip: mean, index, table, symbol and copies
HYPER_SYMBOL = 16  # of z: symbol, table, copies
PAYLOAD = 4  # copies of a stream's bytes
BAND_FEATURE = 6  # of a feature in a row of tiles: as strips, as one array, what is left over
BAND_LATENT = 16  # of a latent in it: y_hat, symbol, table, y, and copies
TILE_LATENT = 32  # of a latent in a tile that a context codes
WORDS = 16  # bytes that the encoder keeps ready for a symbol of a strip
RGB, LUMA = 3, 24  # bytes of a pixel in a strip of samples; luma is computed in 32 bits
WIDER = 8


def to_decode(
    model: Model, size: Size, channels: int, stream_bytes: int, backend: str = "numba",
    tile: int = 0,
) -> int:  # fmt: skip
    """Bytes to decode a picture of (height, width) from a stream. channels: 1 to 4.

    tile: side of a tile in units of 64 pixels, 0: one tile.
    """
    (height, width), tiles = size, Grid(*size, tile)
    rows, inputs = min(strip_rows(width), height), input_sizes(size)
    names = [name for name in ("prior", "synthesis") if name in model.programs]
    strips = sum(of_strips(model, name, inputs[name], rows / height, backend) for name in names)
    strips += of_band(model, tiles, backend)
    strips += SYMBOL * strip_of_y(model, size, rows) + colours(channels) * width * rows
    strips *= WIDER if backend == "numpy" else 1
    z = HYPER_SYMBOL * math.prod(inputs["prior"]) * z_channels(model)
    samples = height * width * channels + alpha(size, channels)
    return FIXED + samples + z + strips + PAYLOAD * stream_bytes + TILE * tiles.tiles


def to_decode_region(
    model: Model, header: Header, area: Size, windows: Windows, stream_bytes: int,
    backend: str = "numba",
) -> int:  # fmt: skip
    """Bytes to decode an area of a picture; alpha is decoded whole.

    windows: what it is decoded from, which passes through each network at once.
    """
    y, y_tiles, z, z_tiles = (found.size for found in windows)
    strips = of_strips(model, "synthesis", y, 1, backend)
    if "prior" in model.programs:
        strips += of_strips(model, "prior", z, 1, backend)
    strips += of_tile(model, header.grid, backend)
    strips += SYMBOL * math.prod(y_tiles) * channels_of(model, "synthesis")
    strips += colours(header.channels) * math.prod(area)
    strips *= WIDER if backend == "numpy" else 1
    symbols = HYPER_SYMBOL * math.prod(z_tiles) * z_channels(model)
    samples = 2 * math.prod(area) * header.channels
    samples += alpha((header.height, header.width), header.channels)
    return FIXED + samples + symbols + strips + PAYLOAD * stream_bytes + TILE * header.grid.tiles


def to_encode(
    model: Model, size: Size, channels: int, options: EncoderOptions = ENCODER, *,
    searching: bool = False,
) -> int:  # fmt: skip
    """Bytes to encode a picture of (height, width), its samples, channels each, included.

    searching: by `rate_search`, which holds y.
    """
    (y_port,) = outputs_of(model, "analysis")
    y = math.prod(grid(size, Y_STRIDE)) * y_port.channels
    rows, inputs = min(size[0], strip_rows(size[1])), input_sizes(size)
    names = [name for name in model.family if name in inputs]
    part, tiles = rows / size[0], grid_of(*size, options.tile)
    strips = sum(of_strips(model, name, inputs[name], part, options.backend)
                 for name in names if options.verify or name != "synthesis")  # fmt: skip
    strips += of_band(model, tiles, options.backend)
    strips += (SYMBOL + WORDS) * strip_of_y(model, size, rows)
    padded = cells(rows, Z_STRIDE) * Z_STRIDE * cells(size[1], Z_STRIDE) * Z_STRIDE
    strips += 2 * RGB * padded  # with edges repeated, then as one array
    strips *= WIDER if options.backend == "numpy" else 1
    z = HYPER_SYMBOL * math.prod(inputs["prior"]) * z_channels(model)
    samples = size[0] * size[1] * channels + alpha(size, channels)
    held = y * DTYPES[y_port.dtype]().itemsize * searching
    return FIXED + samples + z + strips + held + CODED * y + TILE * tiles.tiles


def colours(channels: int) -> int:
    """Bytes of a pixel in a strip of samples."""
    return RGB if channels > 2 else LUMA


def alpha(size: Size, channels: int) -> int:
    """Bytes to code the alpha of a whole picture, if it has any."""
    return ALPHA * size[0] * size[1] * (channels in (2, 4))


def channels_of(model: Model, program: str) -> int:
    """Of the input of a program."""
    return model.programs[program].inputs[0].channels


def z_channels(model: Model) -> int:
    """Of the hyper-latents, if there are any."""
    return channels_of(model, "prior") if "prior" in model.programs else 0


def of_band(model: Model, tiles: Grid, backend: str) -> int:
    """Bytes of a row of tiles that a context codes: what the prior makes, latents, and a tile."""
    if "context" not in model.programs:
        return 0
    rows, (_, columns) = tile_size(tiles)[0], grid(tiles[:2], Y_STRIDE)
    m, features = (port.channels for port in model.programs["context"].inputs)
    band = rows * columns * (BAND_FEATURE * features + BAND_LATENT * m)
    return band + of_tile(model, tiles, backend)


def of_tile(model: Model, tiles: Grid, backend: str) -> int:
    """Bytes to run a context on a tile."""
    if "context" not in model.programs:
        return 0
    size, m = tile_size(tiles), channels_of(model, "context")
    return TILE_LATENT * math.prod(size) * m + of_context(model, size, backend)


def of_context(model: Model, size: Size, backend: str) -> int:
    """Bytes of the tensors of a context: of a front of a tile, or of the whole tile."""
    if model.serial is None:
        return of_strips(model, "context", size, 1, backend)
    program, front = model.serial.gathered, (min(size), 1)
    sizes = shapes(program, {port.name: front for port in program.inputs})
    return 2 * sum(tensor_bytes(program, sizes, 1).values())


def tile_size(tiles: Grid) -> Size:
    """Rows and columns of y in a tile, the largest."""
    (_, rows), (_, columns) = (tiles.spans(side, Y_STRIDE)[0] for side in tiles[:2])
    return rows, columns


def strip_of_y(model: Model, size: Size, rows: int) -> int:
    """Values of y in a strip of so many rows of the picture, and in those that wait."""
    height, columns = grid(size, Y_STRIDE)
    return min(height, rows // Y_STRIDE + OVERLAP) * columns * channels_of(model, "synthesis")


def of_strips(model: Model, name: str, size: Size, part: float, backend: str) -> int:
    """Bytes of the tensors of a program that exist at a time; part: of its rows, in a strip.

    size: of its input, cells.
    """
    program = model.programs[name]
    try:
        sizes = shapes(program, {port.name: size for port in program.inputs})
    except ValueError as error:
        raise ModelError(f"model: {name}: {error}") from None
    steps = backends.load(backend).BACKEND.steps(program)
    return most_at_a_time(program, steps, tensor_bytes(program, sizes, part))


def tensor_bytes(program: Program, sizes: dict[str, Size], part: float) -> dict[str, int]:
    """Of the rows of each tensor that a strip, a part of the picture, makes or still needs."""
    ports, found = infer(program), {}
    for name, (height, width) in sizes.items():
        rows = min(height, math.ceil(height * part) + OVERLAP)
        port = ports[name]
        found[name] = rows * width * port.channels * DTYPES[port.dtype]().itemsize
    return found


def most_at_a_time(program: Program, steps: tuple[Step, ...], size: dict[str, int]) -> int:
    """The most bytes that are held when steps run in order and forget what nobody reads."""
    last = {name: step.name for step in steps for name in step.inputs}
    live = sum(size[port.name] for port in program.inputs)
    most = live
    for step in steps:
        live += size[step.name]
        most = max(most, live)
        read = {n for n in step.inputs if last[n] == step.name and n not in program.outputs}
        live -= sum(size[name] for name in read)
    return most


def check_decoding(
    model: Model, header: Header, stream_bytes: int, options: DecoderOptions, more: int = 0
) -> None:
    """Raise IntnetError where decoding would take more memory than limits allow.

    more: bytes for each pixel beside.
    """
    size = header.height, header.width
    needed = to_decode(model, size, header.channels, stream_bytes, options.backend, header.tile)
    needed += more * math.prod(size)
    options.limits.check_memory(f"stream: {header.width}x{header.height} pixels", needed)


def check_salvage(model: Model, header: Header, stream_bytes: int, options: DecoderOptions) -> None:
    """As `check_decoding`, with the byte that says which samples are exact."""
    check_decoding(model, header, stream_bytes, options, more=1)


def check_region(
    model: Model, header: Header, area: Size, windows: Windows, stream_bytes: int,
    options: DecoderOptions,
) -> None:  # fmt: skip
    """Raise IntnetError where decoding an area would take more memory than limits allow."""
    needed = to_decode_region(model, header, area, windows, stream_bytes, options.backend)
    options.limits.check_memory(f"stream, region: {area[1]}x{area[0]} pixels", needed)


def check_encoding(
    model: Model, size: Size, channels: int, options: EncoderOptions, limits: Limits, *,
    searching: bool = False,
) -> None:  # fmt: skip
    """Raise IntnetError where encoding would take more memory than limits allow."""
    needed = to_encode(model, size, channels, options, searching=searching)
    limits.check_memory(f"picture: {size[1]}x{size[0]} pixels", needed)
