"""How much memory coding a picture takes, from its size and the model, before any of it is taken.

Estimates are upper bounds for the numba backend. Less FIXED, they are at most 3 times too high to
decode and 6 times to encode, slivers of one row aside. They count what is allocated for this
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
from intnet.ports import infer
from intnet.program import DTYPES, Program
from intnet.shapes import Size, shapes
from intnet.strips import cells, grid, input_sizes, strip_rows

FIXED = 16 * MIB  # threads' scratch, buffers of files
MARGIN = 256  # pixels around an area that networks read
OVERLAP = 8  # rows of a tensor that the next strip reads too
SYMBOL = 24  # bytes of a position of y in a strip: mean, index, table, symbol and copies
HYPER_SYMBOL = 16  # of z: symbol, table, copies
PAYLOAD = 4  # copies of a stream's bytes
WORDS = 16  # bytes that the encoder keeps ready for a symbol of a strip
RGB, LUMA = 3, 24  # bytes of a pixel in a strip of samples; luma is computed in 32 bits
WIDER = 8


def to_decode(
    model: Model, size: Size, channels: int, stream_bytes: int, backend: str = "numba",
    rows: int = 0,
) -> int:  # fmt: skip
    """Bytes to decode a picture of (height, width) from a stream.

    channels: 1 to 4. rows: of a strip, if it is not what the codec chooses.
    """
    height, width = size
    rows = min(rows or strip_rows(width), height)
    colours = RGB if channels > 2 else LUMA
    alpha = 2 * height * width * (channels in (2, 4))
    strips = sum(of_strips(model, name, size, rows, backend) for name in ("prior", "synthesis"))
    strips += SYMBOL * strip_of_y(model, size, rows) + colours * width * rows
    strips *= WIDER if backend == "numpy" else 1
    z = HYPER_SYMBOL * math.prod(grid(size, Z_STRIDE)) * channels_of(model, "prior")
    return FIXED + height * width * channels + alpha + z + strips + PAYLOAD * stream_bytes


def to_encode(model: Model, size: Size, channels: int, backend: str = "numba") -> int:
    """Bytes to encode a picture of (height, width), its samples, channels each, included."""
    y_port = model.programs["hyper_analysis"].inputs[0]
    y = math.prod(grid(size, Y_STRIDE)) * y_port.channels
    rows = min(size[0], strip_rows(size[1]))
    strips = sum(of_strips(model, name, size, rows, backend) for name in model.programs)
    strips += (SYMBOL + WORDS) * strip_of_y(model, size, rows)
    padded = cells(rows, Z_STRIDE) * Z_STRIDE * cells(size[1], Z_STRIDE) * Z_STRIDE
    strips += 2 * RGB * padded  # with edges repeated, then as one array
    strips *= WIDER if backend == "numpy" else 1
    z = HYPER_SYMBOL * math.prod(grid(size, Z_STRIDE)) * channels_of(model, "prior")
    samples = 2 * size[0] * size[1] * channels
    return FIXED + samples + z + strips + PAYLOAD * y // 2


def channels_of(model: Model, program: str) -> int:
    """Of the input of a program."""
    return model.programs[program].inputs[0].channels


def strip_of_y(model: Model, size: Size, rows: int) -> int:
    """Values of y in a strip of so many rows of the picture, and in those that wait."""
    height, columns = grid(size, Y_STRIDE)
    return min(height, rows // Y_STRIDE + OVERLAP) * columns * channels_of(model, "synthesis")


def of_strips(model: Model, name: str, size: Size, rows: int, backend: str) -> int:
    """Bytes of the tensors of a program that exist at a time, fed strips of `rows` of a picture."""
    program, whole = model.programs[name], input_sizes(size)[name]
    try:
        sizes = shapes(program, {program.inputs[0].name: whole})
    except ValueError as error:
        raise ModelError(f"model: {name}: {error}") from None
    steps = backends.load(backend).BACKEND.steps(program)
    return most_at_a_time(program, steps, tensor_bytes(program, sizes, rows / size[0]))


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
    model: Model, header: Header, stream_bytes: int, backend: str, limits: Limits
) -> None:
    """Raise IntnetError where decoding would take more memory than limits allow."""
    size = header.height, header.width
    needed = to_decode(model, size, header.channels, stream_bytes, backend)
    limits.check_memory(f"stream: {header.width}x{header.height} pixels", needed)


def check_region(
    model: Model, header: Header, area: Size, stream_bytes: int, backend: str, limits: Limits
) -> None:
    """Raise IntnetError where decoding an area would take more memory than limits allow.

    Its tiles pass through the networks at once; alpha is decoded whole.
    """
    tile = header.tile * Z_STRIDE
    height, width = (
        min(side + 2 * (tile + MARGIN), whole)
        for side, whole in zip(area, (header.height, header.width), strict=True)
    )
    needed = to_decode(
        model, (height, width), header.channels, stream_bytes, backend, height
    ) + 2 * header.height * header.width * (header.channels in (2, 4))  # fmt: skip
    limits.check_memory(f"stream, region: {area[1]}x{area[0]} pixels", needed)


def check_encoding(model: Model, size: Size, channels: int, backend: str, limits: Limits) -> None:
    """Raise IntnetError where encoding would take more memory than limits allow."""
    needed = to_encode(model, size, channels, backend)
    limits.check_memory(f"picture: {size[1]}x{size[0]} pixels", needed)
