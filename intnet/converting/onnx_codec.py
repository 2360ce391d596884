"""A codec whose networks are ONNX files.

A folder has

    analysis.onnx, synthesis.onnx        pixels to latents y, latents to pixels
    hyper_analysis.onnx, prior.onnx      y to z, z to scales or to scales and means; or neither
    density.safetensors or density.pth   tensors `entropy_bottleneck.*` as CompressAI has them

From its layers on it is a codec like CompressAI's, and its layers have the names of theirs.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from intnet.converting import compressai, onnx_graph, state_file
from intnet.converting.bottleneck import Density
from intnet.converting.float_codec import FloatCodec, rate_gains
from intnet.converting.layers import Layer, check
from intnet.converting.tensors import Tensors
from intnet.errors import ModelError

PREFIXES = {"analysis": "g_a.", "synthesis": "g_s.", "hyper_analysis": "h_a.", "prior": "h_s."}
TRANSFORMS = {"analysis", "synthesis"}
DENSITIES = ("density.safetensors", "density.pth")
PIXELS = 3


def float_codec(folder: Path) -> FloatCodec:
    """The float model of a folder. Raises ModelError naming file, layer, got and allowed."""
    there = {name for name in PREFIXES if (folder / f"{name}.onnx").is_file()}
    if there not in (TRANSFORMS, set(PREFIXES)):
        raise ModelError(f"{folder}: networks {sorted(there)}, must be {sorted(TRANSFORMS)} or all "
                         f"of {sorted(PREFIXES)}, each as NAME.onnx")  # fmt: skip
    density = density_of(folder)
    return factorized(folder, density) if there == TRANSFORMS else hyperprior(folder, density)


def factorized(folder: Path, density: Density) -> FloatCodec:
    """Latents have densities of their own."""
    analysis, m = network(folder, "analysis", PIXELS, "x")
    first = compressai.median(density.medians, "y_hat", "y_median")
    synthesis = to_pixels(folder, m, first.name)
    graphs = compressai.graphs_of(
        m, 0, centred(folder, "analysis", analysis, density.medians), (first, *synthesis)
    )
    return FloatCodec("onnx-factorized", graphs, density, rate_gains(), factorized=True)


def hyperprior(folder: Path, density: Density) -> FloatCodec:
    """As many outputs of the prior as latents are scales, twice as many scales and then means."""
    z = len(density.medians)
    analysis, m = network(folder, "analysis", PIXELS, "x")
    hyper, _ = network(folder, "hyper_analysis", m, "y")
    prior, made = network(folder, "prior", z, "z_hat")
    if made not in (m, 2 * m):
        raise ModelError(f"{folder / 'prior.onnx'}: {made} channels, must be {m} scales, or "
                         f"{2 * m}: scales, then means")  # fmt: skip
    means = made == 2 * m
    last = prior[-1].name
    after = compressai.parameters(last, m) if means else (compressai.index(last),)
    graphs = compressai.graphs_of(
        m, z, analysis, to_pixels(folder, m, "y_hat"),
        centred(folder, "hyper_analysis", hyper, density.medians),
        (compressai.median(density.medians, "z", "z_hat"), *prior, *after),
        ("mean", "index") if means else ("index",),
    )  # fmt: skip
    name = "onnx-mean-scale" if means else "onnx-scale"
    return FloatCodec(name, graphs, density, rate_gains())


def network(folder: Path, name: str, channels: int, source: str) -> tuple[tuple[Layer, ...], int]:
    """Layers of a file, and the channels of its output, which the last of them makes."""
    path = folder / f"{name}.onnx"
    graph = onnx_graph.graph_of(path, channels, name, PREFIXES[name], source)
    if graph.outputs != (graph.layers[-1].name,):
        raise ModelError(f"{path}: output {graph.outputs[0]!r}, must be of the last layer")
    return graph.layers, check(graph)[graph.outputs[0]]


def to_pixels(folder: Path, m: int, source: str) -> tuple[Layer, ...]:
    """The synthesis."""
    layers, made = network(folder, "synthesis", m, source)
    if made != PIXELS:
        raise ModelError(
            f"{folder / 'synthesis.onnx'}: {made} channels of pixels, must be {PIXELS}"
        )
    return layers


def centred(
    folder: Path, name: str, layers: tuple[Layer, ...], medians: Tensor
) -> tuple[Layer, ...]:
    """With the medians taken off its last convolution."""
    try:
        return compressai.centred(layers, medians)
    except ModelError as error:
        raise type(error)(f"{folder / f'{name}.onnx'}: {error}") from None


def density_of(folder: Path) -> Density:
    """The only density file of a folder; other tensors in it do not matter."""
    found = [folder / name for name in DENSITIES if (folder / name).is_file()]
    if len(found) != 1:
        raise ModelError(f"{folder}: {len(found)} files of {' and '.join(DENSITIES)}, must be one, "
                         "with tensors entropy_bottleneck.* as CompressAI has them")  # fmt: skip
    tensors = Tensors(state_file.read(found[0]))
    try:
        return compressai.bottleneck(tensors)
    except ModelError as error:
        raise type(error)(f"{found[0]}: {error}") from None
