"""The float prior in NumPy float32: im2col, then a matrix product by BLAS or by einsum's own loop.

Run by `environments.py`; imports NumPy and the standard library only.
"""

from __future__ import annotations

import ctypes
import itertools
from pathlib import Path

import numpy as np

from float_pairs import exchange
from float_pairs.exchange import Array


def columns(x: Array, kernel: int) -> Array:
    """im2col of (h, w, c) with 'same' padding: (h * w, kernel * kernel * c)."""
    h, w, _ = x.shape
    side = kernel // 2
    padded = np.pad(x, ((side, side), (side, side), (0, 0)))
    shifts = itertools.product(range(kernel), repeat=2)
    return np.concatenate([padded[i : i + h, j : j + w] for i, j in shifts], 2).reshape(h * w, -1)


def convolve(x: Array, weight: Array, bias: Array, form: str) -> Array:
    """(h, w, inputs) to (h, w, outputs). weight: (outputs, inputs, k, k)."""
    left = columns(x, weight.shape[2])
    right = np.ascontiguousarray(weight.transpose(2, 3, 1, 0).reshape(-1, len(weight)))
    acc = np.einsum("pk,ko->po", left, right, optimize=False) if form == "einsum" else left @ right
    return (acc + bias).reshape(*x.shape[:2], -1)


def shuffle(x: Array) -> Array:
    """Pixel shuffle by 2 in torch's order of channels: (h, w, 4 c) to (2 h, 2 w, c)."""
    h, w, c = x.shape
    split = x.reshape(h, w, c // 4, 2, 2).transpose(0, 3, 1, 4, 2)
    return np.ascontiguousarray(split).reshape(2 * h, 2 * w, c // 4)


def network(inputs: Array, z: Array, form: str) -> Array:
    """The prior's layers, ReLU and shuffle after all but the last: (4 h, 4 w, 2 M)."""
    x, layers = z.astype(np.float32), sum(name.startswith("weight") for name in inputs)
    for i in range(layers):
        x = convolve(x, inputs[f"weight{i}"], inputs[f"bias{i}"], form)
        if i < layers - 1:
            x = shuffle(np.maximum(x, 0))
    return x


def nearest_table(log_scale: Array, limits: Array) -> Array:
    """Index of the nearest scale in the log; ties to even, as torch and NumPy round."""
    low, step, last = limits
    return np.clip(np.rint((log_scale - low) / step), 0, last).astype(np.uint8)


def prior(inputs: Array, z: Array, grid: tuple[int, int], form: str) -> tuple[Array, Array]:
    """(mean, table) of each symbol on the grid of y."""
    both = network(inputs, z, form)[: grid[0], : grid[1]]
    m = both.shape[2] // 2
    return both[..., :m], nearest_table(both[..., m:] + inputs["log_gain"], inputs["limits"])


def blas_core() -> str:
    """The kernels OpenBLAS really uses, or why they cannot be told."""
    maps = Path("/proc/self/maps")
    lines = maps.read_text().splitlines() if maps.is_file() else []
    paths = sorted({line.split()[-1] for line in lines if "blas" in line.rsplit("/", 1)[-1]})
    for path in paths:
        for name in ("scipy_openblas_get_corename64_", "openblas_get_corename"):
            function = getattr(ctypes.CDLL(path), name, None)
            if function:
                function.restype = ctypes.c_char_p
                return str(function().decode())
    return "not OpenBLAS: " + (Path(paths[0]).name if paths else "unknown")


def main() -> None:
    """Every picture of INPUTS."""
    p = exchange.parser(__doc__)
    p.add_argument("--form", choices=("blas", "einsum"), default="blas")
    args = p.parse_args()
    with np.load(args.inputs) as file:
        inputs = dict(file)

    about = {"kernels": blas_core() if args.form == "blas" else "einsum"}
    exchange.run(inputs, args.output, lambda z, grid: prior(inputs, z, grid, args.form), about)


if __name__ == "__main__":
    main()
