"""The one place where what a driver is handed is compared with what its tiles touch.

Tiles trust addresses, steps and counts. All of these come from a layer, its grid and its panels,
so that a look at their corners before a driver starts covers every address that it makes. The
fronts of a serial context model are such a driver with many layers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from intnet.backends.serial_kernels import Coded, Front, Latents, Networks
from intnet.backends.serial_kernels import Grid as Fronts
from intnet.backends.shared_work import (
    LAYER_WORDS,
    PANELS,
    PARAMETERS_STEP,
    TARGETS_STEP,
    WEIGHTS_STEP,
)
from intnet.backends.simd.drivers import SLACK, Grid, Layer, Panels
from intnet.backends.simd.job import (
    GROUPS,
    N_RUNS,
    OUT,
    OUT_BYTES,
    OUT_STEP,
    PARAMETERS,
    RUNS,
    STEP,
    TARGETS,
    WEIGHTS,
)
from intnet.program import Array

GROUP = 4  # bytes
SAMPLE = 2  # bytes of a latent


def check(
    layer: Layer, grid: Grid, rows: int, samples: Array, scratch: Array, side: Panels, out: Array,
    addend: Array, *, flat: bool,
) -> None:  # fmt: skip
    """Raise ValueError unless tiles stay within the arrays, for output rows [0, rows).

    Arguments as the drivers take them; flat: for `point_rows`, which reads samples where they are.
    """
    weights, parameters, targets = side
    panels, _, groups, columns = weights.shape[:4]
    need("parameters of each panel", len(parameters) == panels, len(parameters))
    need("targets of each panel", len(targets) == panels, len(targets))
    first, last = written(layer, grid, rows, targets)
    need(f"output bytes {first}..{last} within {out.nbytes}", first >= 0 and last <= out.nbytes,
         (first, last))  # fmt: skip
    wanted = rows * grid.width * layer.channels * 2
    need(f"{wanted} bytes to add, or none", addend.nbytes in (0, wanted), addend.nbytes)
    if flat:
        begin = -grid.top * grid.width * grid.inputs
        end = begin + rows * grid.width * grid.inputs
        need(f"samples within {samples.size}", 0 <= begin <= end <= samples.size, (begin, end))
    width = grid.inputs * scratch.itemsize
    if layer.depthwise:
        beyond = panels * columns - grid.inputs
    else:
        beyond = (groups * GROUP - (1 if flat else grid.kernel_x) * width) // scratch.itemsize
    need(f"at most {SLACK} samples after the last channel", beyond <= SLACK, beyond)


def written(layer: Layer, grid: Grid, rows: int, targets: Array) -> tuple[int, int]:
    """First and one after the last of the output bytes that are written."""
    first, last = of_position(targets, layer.out_bytes)
    steps = (rows - 1) * grid.row_step + (grid.width - 1) * grid.column_step
    return grid.origin + first, grid.origin + steps + last


def of_position(targets: Array, out_bytes: int) -> tuple[int, int]:
    """First and one after the last byte of one position's outputs."""
    registers = (targets.shape[1] - 1) // 2
    places, counts = targets[:, 1 : 1 + registers], targets[:, 1 + registers :]
    ends = np.where(counts > 0, places + counts * out_bytes, 0)
    return int(places.min()), int(ends.max())


def check_fronts(
    grid: Fronts, nets: Networks, latents: Latents, front: Front, coded: Coded, y: Array,
    sides: Sequence[Panels],
) -> None:  # fmt: skip
    """Raise ValueError unless every front stays within the arrays; arguments as `front_rows`.

    sides: the panels of each layer.
    """
    most = min(grid.height, -(-grid.width // grid.slope))  # positions of the longest front
    check_shapes(grid, nets, latents, front, coded, most)
    shape = grid.height, grid.width, grid.padded.shape[2]
    need(f"y of shape {shape}, or none", y.shape == shape or not y.size, y.shape)
    check_places(nets, most, grid.padded.shape[2])
    for k, side in enumerate(sides):
        words = nets.layers[k].tolist()
        check_panels(words, nets.runs[k], side)
        check_outputs(nets, words, side.targets, most)
        if k == nets.masked:
            check_taps(grid, words)
        else:
            check_inputs(nets, words, int(nets.runs[k, 0]), most)


def check_shapes(
    grid: Fronts, nets: Networks, latents: Latents, front: Front, coded: Coded, most: int
) -> None:
    """Arrays that the loops index."""
    m, cells, layers = grid.padded.shape[2], grid.height * grid.width, len(nets.layers)
    padded = grid.height + grid.top, grid.width + 2 * grid.side, m
    want = {
        "padded": (grid.padded, padded),
        "features": (nets.features, (grid.height, grid.width, nets.features.shape[2])),
        "layers": (nets.layers, (layers, LAYER_WORDS)), "jobs": (nets.jobs, nets.layers.shape),
        "runs": (nets.runs, (layers, len(grid.taps))), "places": (nets.places, (3, 2)),
        **{name: (array, (most, 1, m)) for name, array in front._asdict().items()},
        "symbols": (coded.symbols, (cells, 1, m)), "tables": (coded.tables, (cells, 1, m)),
        "flat symbols": (coded.flat_symbols, (cells * m,)),
        "flat tables": (coded.flat_tables, (cells * m,)),
        "index offset": (latents.index_offset, (m,)), "gain": (latents.gain, (m,)),
        "inverse gain": (latents.inverse_gain, (m,)),
        "gain offset": (latents.gain_offset, (latents.last_table + 1,)),
    }  # fmt: skip
    for name, (array, shape) in want.items():
        need(f"{name} of shape {shape}", array.shape == shape, array.shape)


def check_places(nets: Networks, most: int, m: int) -> None:
    """Samples that enter and leave the scratch."""
    widths = nets.features.shape[2], m, m
    for (first, step), width in zip(nets.places.tolist(), widths, strict=True):
        within("samples", first, first + (most - 1) * step + width, nets.scratch.size)


def check_panels(words: list[int], runs: Array, side: Panels) -> None:
    """A layer's words are those of its panels and runs."""
    weights, parameters, targets = side
    panels, n_runs, groups = weights.shape[:3]
    need("parameters of each panel", len(parameters) == panels, len(parameters))
    need("targets of each panel", len(targets) == panels, len(targets))
    need(f"runs within {len(runs)}", n_runs <= len(runs), n_runs)
    own = {
        RUNS: runs.ctypes.data, N_RUNS: n_runs, GROUPS: groups, PANELS: panels,
        WEIGHTS: weights.ctypes.data, WEIGHTS_STEP: weights[0].nbytes,
        PARAMETERS: parameters.ctypes.data, PARAMETERS_STEP: parameters[0].nbytes,
        TARGETS: targets.ctypes.data, TARGETS_STEP: targets[0].nbytes,
    }  # fmt: skip
    for word, value in own.items():
        need(f"{value} in word {word} of a layer", words[word] == value, words[word])


def check_outputs(nets: Networks, words: list[int], targets: Array, most: int) -> None:
    """A layer writes into the scratch."""
    first, last = of_position(targets, words[OUT_BYTES])
    begin = words[OUT] - nets.scratch.ctypes.data
    end = begin + (most - 1) * words[OUT_STEP] + last
    within("output bytes", begin + first, end, nets.scratch.nbytes)


def check_inputs(nets: Networks, words: list[int], run: int, most: int) -> None:
    """A layer that does not read the latents reads the scratch, from one run."""
    need("one run", words[N_RUNS] == 1, words[N_RUNS])
    begin = run - nets.scratch.ctypes.data
    end = begin + (most - 1) * words[STEP] + words[GROUPS] * GROUP
    within("input bytes", begin, end, nets.scratch.nbytes)


def check_taps(grid: Fronts, words: list[int]) -> None:
    """Neighbours of the first and the last latent lie in the padded ones."""
    _, stride, m = grid.padded.shape
    step = (stride - grid.slope) * m * SAMPLE
    need(f"{step} bytes from a latent of a front to the next", words[STEP] == step, words[STEP])
    rows, columns = grid.taps.T + np.array([[grid.top], [grid.side]])
    first = (rows * stride + columns) * m * SAMPLE
    last = first + ((grid.height - 1) * stride + grid.width - 1) * m * SAMPLE
    end = int(last.max()) + words[GROUPS] * GROUP
    within("bytes of latents", int(first.min()), end, grid.padded.nbytes)


def within(what: str, begin: int, end: int, size: int) -> None:
    """Raise ValueError unless 0 <= begin <= end <= size."""
    need(f"{what} within {size}", 0 <= begin <= end <= size, (begin, end))


def need(what: str, holds: object, got: object) -> None:
    """Raise ValueError unless it holds."""
    if not holds:
        raise ValueError(f"tiles: got {got}, must be {what}")
