"""The one place where what a driver is handed is compared with what its tiles touch.

Tiles trust addresses, steps and counts. All of these come from a layer, its grid and its panels,
so that a look at their corners before a driver starts covers every address that it makes.
"""

from __future__ import annotations

import numpy as np

from intnet.backends.simd.drivers import SLACK, Grid, Layer, Panels
from intnet.program import Array

GROUP = 4  # bytes


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
    registers = (targets.shape[1] - 1) // 2
    places, counts = targets[:, 1 : 1 + registers], targets[:, 1 + registers :]
    used = counts > 0
    ends = np.where(used, places + counts * layer.out_bytes, 0)
    steps = (rows - 1) * grid.row_step + (grid.width - 1) * grid.column_step
    return grid.origin + int(places.min()), grid.origin + steps + int(ends.max())


def need(what: str, holds: object, got: object) -> None:
    """Raise ValueError unless it holds."""
    if not holds:
        raise ValueError(f"tiles: got {got}, must be {what}")
