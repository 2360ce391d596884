"""The shipped architecture in torch float32, around the same range coder.

Weights are random, which changes no time. So that both code the same, the range coder is given the
symbols and tables of the integer codec; what the twin computes itself is computed and dropped.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import rangecoder
from intnet import codec, container, planes, tile_coding
from intnet.bench.peers import NotInstalledError, need
from intnet.bench.verbs import Verbs
from intnet.model_file import Z_STRIDE, Model
from intnet.program import Array

ARCHITECTURE = "mean-scale-hyperprior"
SEED = 1


def verbs(pixels: codec.Pixels, model: Model, quality: int, threads: int) -> Verbs:
    """Encode and decode one picture. pixels: uint8 (h, w, 3)."""
    torch = need("torch")
    if model.metadata.get("architecture") != ARCHITECTURE:
        raise NotInstalledError(f"there is none of {model.metadata.get('architecture')}")
    torch.set_num_threads(threads)
    twin = Twin(torch, model, quality)
    coded = Coded(pixels, model, quality)
    return Verbs(
        lambda: twin.encode(pixels, coded), lambda: twin.decode(coded, *pixels.shape[:2]),
        len(coded.z_payload) + len(coded.y_payload),
    )  # fmt: skip


class Coded:
    """What the range coder is given: symbols (int32, flat), tables of each, and their payloads."""

    def __init__(self, pixels: codec.Pixels, model: Model, quality: int) -> None:
        analysed = codec.analyse(pixels, model)
        symbols, tables = codec.y_symbols(analysed, model, quality)
        self.symbols, self.tables, self.y_shape = symbols.ravel(), tables.ravel(), symbols.shape
        self.z, self.z_shape = analysed.z.astype(np.int32).ravel(), analysed.z.shape
        self.z_indexes = tile_coding.z_indexes(self.z_shape)
        stream = container.unpack(codec.code(analysed, model, quality, tile=0))
        ((self.z_payload, self.y_payload),) = stream.tiles


class Twin:
    """Networks and what lies between them and the coder, in float32."""

    def __init__(self, torch: Any, model: Model, quality: int) -> None:
        models = need("intnet.training.models")
        torch.manual_seed(SEED)
        config = models.Config(**model.metadata["configuration"])
        net = models.MeanScaleHyperprior(config).eval()
        self.net = net.to(memory_format=torch.channels_last)
        assert model.z_tables is not None, f"a {ARCHITECTURE} has them"
        self.torch, self.model, self.z_tables = torch, model, model.z_tables
        at = torch.tensor([float(quality)])
        with torch.inference_mode():
            self.gain, self.inverse_gain = (
                net.at_quality(table, at).exp() for table in (net.log_gain, net.log_inverse_gain)
            )
        self.dead_zone = torch.from_numpy(model.scaling.dead_zone / np.float32(2**16))

    def encode(self, pixels: codec.Pixels, coded: Coded) -> int:
        """Samples to two payloads; their length."""
        torch, net = self.torch, self.net
        with torch.inference_mode():
            x = torch.from_numpy(np.array(planes.padded(pixels, 0, Z_STRIDE * coded.z_shape[0])))
            y = net.analysis(x[None].movedim(-1, 1).float() / 255 - net.pixel_offset)
            z = net.hyper_analysis(y).round()
            mean, tables = self.prior(z, coded)
            residual = (y[:, :, : coded.y_shape[0], : coded.y_shape[1]] - mean) * self.gain
            magnitude = torch.floor(residual.abs() + self.dead_zone[tables])
            plain(torch.copysign(magnitude, residual).int())
        z_payload = rangecoder.encode(
            coded.z, coded.z_indexes, self.z_tables,
            lanes=rangecoder.lanes_for(coded.z.size),
        )  # fmt: skip
        y_payload = rangecoder.encode(
            coded.symbols, coded.tables, self.model.y_tables,
            lanes=rangecoder.lanes_for(coded.symbols.size),
        )  # fmt: skip
        return len(z_payload) + len(y_payload)

    def prior(self, z: Any, coded: Coded) -> tuple[Any, Any]:
        """Mean and table of every symbol, (1, M, h, w); tables int32."""
        h, w, _ = coded.y_shape
        mean, index = self.net.prior(z)[:, :, :h, :w].chunk(2, 1)
        last = self.model.y_tables.n_tables - 1
        return mean, (index + self.gain.log()).round().clamp(0, last).int()

    def decode(self, coded: Coded, height: int, width: int) -> Array:
        """Payloads to uint8 samples (h, w, 3)."""
        torch, net = self.torch, self.net
        z = rangecoder.decode(
            coded.z_payload, coded.z_indexes, self.z_tables,
            lanes=rangecoder.lanes_for(coded.z.size),
        )  # fmt: skip
        with torch.inference_mode():
            mean, tables = self.prior(latents(torch, z, coded.z_shape), coded)
            plain(tables.byte())
            symbols = rangecoder.decode(
                coded.y_payload, coded.tables, self.model.y_tables,
                lanes=rangecoder.lanes_for(coded.tables.size),
            )  # fmt: skip
            y_hat = mean + latents(torch, symbols, coded.y_shape) * self.inverse_gain
            x_hat = (net.synthesis(y_hat) + net.pixel_offset) * 255
            return plain(x_hat.round().clamp(0, 255).byte())[0, :height, :width]


def latents(torch: Any, values: Array, shape: tuple[int, ...]) -> Any:
    """Flat integers as float32 (1, c, h, w), channels last in memory."""
    return torch.from_numpy(values).view(1, *shape).movedim(-1, 1).float()


def plain(tensor: Any) -> Array:
    """(1, c, h, w) as an array (1, h, w, c), contiguous."""
    return np.ascontiguousarray(tensor.movedim(1, -1).numpy())
