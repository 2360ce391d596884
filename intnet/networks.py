"""The programs of a model on a picture, whole or in strips of rows from top to bottom."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt

from intnet import backends, planes
from intnet.backends.execute import Stream
from intnet.container import Header
from intnet.model_file import Y_STRIDE, Z_STRIDE, Model, check_size
from intnet.ports import infer
from intnet.program import DTYPES, Array, Port
from intnet.shapes import Size
from intnet.strips import aligned, cells, input_sizes, rows_of, strip_rows
from intnet.tiles import Grid

DECODING = ("prior", "synthesis")  # programs of a decoder that see the whole picture


def run(model: Model, program: str, x: Array, backend: str) -> list[Array]:
    """Outputs, in order, of a program with one input, checked and run as a whole."""
    p = model.programs[program]
    outputs = backends.load(backend).run(p, {p.inputs[0].name: x})
    return [outputs[name] for name in p.outputs]


def check_sizes(model: Model, size: Size, programs: Iterable[str]) -> None:
    """Raise ModelError where one of the programs does not fit a picture of `size`."""
    inputs = input_sizes(size)
    for name in programs:
        if name in inputs:
            check_size(model.programs[name], name, inputs[name])


def check_tiles(model: Model, grid: Grid) -> None:
    """Raise ModelError where a context does not fit a tile of the picture."""
    if "context" in model.programs:
        rows, columns = ({end - begin for begin, end in grid.spans(side, Y_STRIDE)}
                         for side in (grid.height, grid.width))  # fmt: skip
        for size in itertools.product(sorted(rows), sorted(columns)):
            check_size(model.programs["context"], "context", size)


def check_decoder_sizes(model: Model, header: Header) -> None:
    """Raise ModelError where a program that decodes does not fit the picture."""
    size = header.height, header.width
    check_sizes(model, size, [name for name in model.family if name in DECODING])
    check_tiles(model, header.grid)


def stream_of(model: Model, program: str, size: Size, backend: str) -> Stream:
    """A program with one input of `size`, to be fed strips."""
    p = model.programs[program]
    return Stream(p, {p.inputs[0].name: size}, backends.load(backend).BACKEND)


def push(stream: Stream, x: Array) -> list[Array]:
    """Feed a program with one input; its outputs in order."""
    outputs = stream.push({stream.program.inputs[0].name: x})
    return [outputs[name] for name in stream.program.outputs]


def prior_outputs(model: Model, z: Array, backend: str) -> list[Array]:
    """Of the prior, for all of z, not cut. Without a prior index alone, which is 0."""
    return run(model, "prior", z, backend) if "prior" in model.programs else [no_index(model, z)]


def no_index(model: Model, z: Array) -> Array:
    """Index where no program makes it."""
    rows, columns = (n * Z_STRIDE // Y_STRIDE for n in z.shape[:2])
    return np.zeros((rows, columns, port(model, "synthesis").channels), np.int8)


def prior_strips(
    model: Model, z: Iterable[Array], height: int, width: int, backend: str
) -> Iterator[list[Array]]:
    """Rows of each output of the prior on the grid of y, from top to bottom: some for each of z.

    As in `prior_outputs`. One output may be made from fewer rows of z than another, and so be ahead
    of it; its rows wait.
    """
    left, columns = cells(height, Y_STRIDE), cells(width, Y_STRIDE)
    made: Iterator[list[Array]]
    if "prior" in model.programs:
        size = cells(height, Z_STRIDE), cells(width, Z_STRIDE)
        stream = stream_of(model, "prior", size, backend)
        made = (push(stream, rows) for rows in z)
    else:
        made = ([no_index(model, rows)] for rows in z)
    for outputs in aligned([t[:, :columns] for t in tensors] for tensors in made):
        yield [rows[:left] for rows in outputs]
        left -= min(left, len(outputs[0]))


def prior(model: Model, z: Array, height: int, width: int, backend: str) -> list[Array]:
    """Outputs of the prior, for most models mean and index, of a picture on the grid of y."""
    parts = prior_strips(model, rows_of(z, width), height, width, backend)
    return [np.concatenate(rows) for rows in zip(*parts, strict=True)]


def blank_z(model: Model, size: Size) -> Array:
    """z (rows, columns, Z), as near to 0 as may be; without a prior it has no channels."""
    if "prior" not in model.programs:
        return np.zeros((*size, 0), np.int8)
    z_port = port(model, "prior")
    shape = *size, z_port.channels
    return np.full(shape, min(max(0, z_port.lo), z_port.hi), DTYPES[z_port.dtype])


def analysis_strips(
    pixels: npt.NDArray[np.uint8], model: Model, backend: str
) -> Iterator[tuple[Array, Array]]:
    """Rows of y and z of uint8 samples (h, w, 1 or 3), from top to bottom; z comes later."""
    height, width, _ = pixels.shape
    rows, columns = (Z_STRIDE * cells(side, Z_STRIDE) for side in (height, width))
    analysis = stream_of(model, "analysis", (rows, columns), backend)
    hyper = hyper_latents(model, (rows // Y_STRIDE, columns // Y_STRIDE), backend)
    left = cells(height, Y_STRIDE)
    for begin in range(0, rows, strip_rows(width)):
        end = min(rows, begin + strip_rows(width))
        (y,) = push(analysis, planes.padded(pixels, begin, end))
        z = hyper(y)
        yield np.ascontiguousarray(y[:left, : cells(width, Y_STRIDE)]), z
        left -= min(left, len(y))


def hyper_latents(model: Model, size: Size, backend: str) -> Callable[[Array], Array]:
    """What takes rows of y, of `size` in all, to rows of z."""
    if "hyper_analysis" not in model.programs:
        return without_channels(model)
    stream = stream_of(model, "hyper_analysis", size, backend)
    return lambda y: push(stream, y)[0]


def without_channels(model: Model) -> Callable[[Array], Array]:
    """The same where z has no channels: as many rows as those of y so far complete."""
    ratio, done = Z_STRIDE // Y_STRIDE, 0

    def rows(y: Array) -> Array:
        nonlocal done
        before, done = done, done + len(y)
        return blank_z(model, (done // ratio - before // ratio, y.shape[1] // ratio))

    return rows


def port(model: Model, program: str) -> Port:
    """The first input port of a program; most have no other."""
    return model.programs[program].inputs[0]


def outputs_of(model: Model, program: str) -> list[Port]:
    """The ports of what a program makes."""
    found = model.programs[program]
    return [infer(found)[name] for name in found.outputs]
