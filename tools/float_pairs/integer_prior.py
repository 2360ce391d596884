"""The integer prior of the shipped model on a backend of intnet. Run by `environments.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from float_pairs import exchange
from float_pairs.exchange import Array
from intnet import backends, model_file, networks
from intnet.backends.simd import choose
from intnet.model_file import Y_STRIDE


def main() -> None:
    """Every picture of INPUTS."""
    p = exchange.parser(__doc__)
    p.add_argument("--model", type=Path, required=True)
    p.add_argument("--quality", type=int, required=True)
    p.add_argument("--backend", choices=tuple(backends.MODULES), required=True)
    args = p.parse_args()
    model, latents = model_file.load(args.model), backends.load(args.backend).latents
    with np.load(args.inputs) as file:
        inputs = dict(file)

    def prior(z: Array, grid: tuple[int, int]) -> tuple[Array, Array]:
        height, width = (side * Y_STRIDE for side in grid)
        mean, index = networks.prior(model, z, height, width, args.backend)
        tables = latents.table_indexes(index, model.scaling, args.quality, model.y_tables.n_tables)
        return mean, tables

    kernels = choose.chosen() if args.backend == "numba" else "numpy"
    exchange.run(inputs, args.output, prior, {"kernels": kernels})


if __name__ == "__main__":
    main()
