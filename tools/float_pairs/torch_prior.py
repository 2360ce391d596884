"""The float prior as trained, in torch. Run by `environments.py`."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from float_pairs import exchange
from float_pairs.exchange import Array
from intnet.training.evaluate import load_model


def nearest_table(log_scale: Tensor, limits: Array) -> Tensor:
    """Index of the nearest scale in the log; ties to even. The same float32 steps as in NumPy."""
    low, step, last = (torch.tensor(value) for value in limits)
    index: Tensor = ((log_scale - low) / step).round().clamp(torch.tensor(0.0), last)
    return index.byte()


def main() -> None:
    """Every picture of INPUTS."""
    p = exchange.parser(__doc__)
    p.add_argument("--checkpoint", type=Path, required=True)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--no-onednn", action="store_true")
    p.add_argument("--channels-last", action="store_true")
    p.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    p.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    p.add_argument("--no-tf32", action="store_true", help="torch allows it in convolutions")
    args = p.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        sys.exit("torch finds no CUDA device")
    torch.set_num_threads(args.threads)
    torch.backends.cudnn.allow_tf32 = not args.no_tf32
    layout = torch.channels_last if args.channels_last else torch.contiguous_format
    dtype = getattr(torch, args.dtype)
    net = load_model(args.checkpoint).prior.to(args.device, dtype)
    for weight in net.parameters():
        if weight.ndim == 4:
            weight.data = weight.data.contiguous(memory_format=layout)
    with np.load(args.inputs) as file:
        inputs = dict(file)
    log_gain = torch.from_numpy(inputs["log_gain"])

    @torch.inference_mode()
    def prior(z: Array, grid: tuple[int, int]) -> tuple[Array, Array]:
        x = torch.from_numpy(z).movedim(-1, 0)[None].to(args.device, dtype)
        both = net(x.contiguous(memory_format=layout)).float().cpu()[0].movedim(0, -1)
        mean, log_scale = both[: grid[0], : grid[1]].chunk(2, -1)
        return mean.numpy(), nearest_table(log_scale + log_gain, inputs["limits"]).numpy()

    about = {"torch": torch.__version__, "kernels": torch.backends.cpu.get_cpu_capability()}
    if args.device == "cuda":
        about["kernels"] = torch.cuda.get_device_name()
    off = torch.backends.mkldnn.flags(enabled=False)
    with off if args.no_onednn else contextlib.nullcontext():
        exchange.run(inputs, args.output, prior, about)


if __name__ == "__main__":
    main()
