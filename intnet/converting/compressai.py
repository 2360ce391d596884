"""CompressAI's models from their tensors: names and shapes say which, see `recognise`.

    bmshj2018-factorized, -relu    FactorizedPrior, FactorizedPriorReLU
    bmshj2018-hyperprior           ScaleHyperprior
    mbt2018-mean                   MeanScaleHyperprior
    mbt2018                        JointAutoregressiveHierarchicalPriors
    bmshj2018-hyperprior-vbr, mbt2018-mean-vbr    one gain for each rate

Facts of these architectures (layers, strides, reparametrisations) are CompressAI's, no code is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from intnet.converting.bottleneck import Density
from intnet.converting.float_codec import FloatCodec, rate_gains, vbr_gains
from intnet.converting.layers import (
    Abs,
    Concat,
    Conv,
    ConvTranspose,
    Gdn,
    Graph,
    Layer,
    LeakyRelu,
    Linear,
    Relu,
    ScaleIndex,
    Slice,
)
from intnet.converting.tensors import Tensors
from intnet.errors import ModelError
from intnet.training.entropy import LOG_STEP, SCALE_MIN
from intnet.training.quantise import INDEX_UNITS

PEDESTAL = 2.0**-36
BETA_BOUND = (1e-6 + PEDESTAL) ** 0.5
SCALE_MAX = 256.0
BOOKKEEPING = (  # tensors that follow from others, or from update()
    "*._offset", "*._quantized_cdf", "*._cdf_length", "*.target", "*.bound", "*.pedestal",
    "*.scale_table", "*.scale_bound", "*.mask", "QuantABCD.*", "QuantOffset",
)  # fmt: skip
REFUSED = {
    "gayn2zqstep": "hyper-latents of variable step are not supported; train with "
                   "vr_entbttlnck=False",
    "scale_to_context": "a context that depends on the rate is not supported; train "
                        "MeanScaleHyperpriorVbr, or one JointAutoregressiveHierarchicalPriors "
                        "for each rate",
}  # fmt: skip
NAMES = (
    "bmshj2018-factorized", "bmshj2018-factorized-relu", "bmshj2018-hyperprior", "mbt2018-mean",
    "mbt2018", "bmshj2018-hyperprior-vbr", "mbt2018-mean-vbr",
)  # fmt: skip


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """The architecture of a state dict. Raises ModelError saying what is supported.

    >>> recognise({"g_a.0.weight": (8, 3, 5, 5), "g_a.6.weight": (8, 8, 5, 5)})
    'bmshj2018-factorized-relu'
    """
    for name in ("g_a.0.weight", "g_a.6.weight"):
        if name not in shapes:
            raise ModelError(
                f"no tensor {name!r}: no architecture that is supported ({', '.join(NAMES)}); "
                "build it as a torch.nn.Sequential, see docs/convert.md"
            )
    if "h_a.0.weight" not in shapes:
        return "bmshj2018-factorized" if "g_a.1.beta" in shapes else "bmshj2018-factorized-relu"
    vbr = "-vbr" if "Gain" in shapes else ""
    if "context_prediction.weight" in shapes:
        return f"mbt2018{vbr}"
    outputs, m = (shapes.get(name, (0,))[:1] for name in ("h_s.4.weight", "g_a.6.weight"))
    return f"bmshj2018-hyperprior{vbr}" if outputs == m else f"mbt2018-mean{vbr}"


def float_codec(state: Mapping[str, Tensor], architecture: str = "auto") -> FloatCodec:
    """The float model of a state dict. Raises ModelError naming tensor, got and allowed."""
    found = recognise({name: tuple(tensor.shape) for name, tensor in state.items()})
    if architecture not in ("auto", found):
        raise ModelError(f"architecture {architecture}: the tensors are those of {found}")
    tensors = Tensors(state)
    for name, why in REFUSED.items():
        if any(key.startswith(f"{name}.") for key in state):
            raise ModelError(f"tensors '{name}.*': {why}")
    codec = BUILD[found.removesuffix("-vbr")](tensors, found)
    if found.endswith("-vbr"):
        codec = replace(codec, gains=vbr_gains(tensors.vector("Gain").abs().tolist()))
    tensors.check_all_read(BOOKKEEPING)
    return codec


def factorized(tensors: Tensors, name: str) -> FloatCodec:
    """FactorizedPrior and FactorizedPriorReLU: latents have densities of their own."""
    density = bottleneck(tensors)
    gdn = name == "bmshj2018-factorized"
    analysis = centred(transform(tensors, "g_a", Conv, "x", gdn=gdn), density.medians)
    first = median(density.medians, "y_hat", "y_median")
    synthesis = transform(tensors, "g_s", ConvTranspose, first.name, gdn=gdn)
    m = len(density.medians)
    graphs = graphs_of(m, 0, analysis, (first, *synthesis))
    return FloatCodec(name, graphs, density, rate_gains(), factorized=True)


def hyperprior(tensors: Tensors, name: str) -> FloatCodec:
    """ScaleHyperprior: the prior makes scales."""
    scales = list(chain(tensors, "h_s", HYPER_SYNTHESIS, "z_hat", Relu))
    rectified = Relu("h_s.5", (scales[-1].name,))
    prior = (*scales, rectified, index(rectified.name))
    return with_hyper(tensors, name, prior, Relu, magnitudes=True, outputs=("index",))


def mean_scale(tensors: Tensors, name: str) -> FloatCodec:
    """MeanScaleHyperprior: scales, then means."""
    both = tuple(chain(tensors, "h_s", HYPER_SYNTHESIS, "z_hat", LeakyRelu))
    prior = (*both, *parameters(both[-1].name, latents(tensors)))
    return with_hyper(tensors, name, prior, LeakyRelu, outputs=("mean", "index"))


def joint(tensors: Tensors, name: str) -> FloatCodec:
    """JointAutoregressiveHierarchicalPriors: both from hyper-latents and decoded neighbours."""
    prior = tuple(chain(tensors, "h_s", HYPER_SYNTHESIS, "z_hat", LeakyRelu))
    codec = with_hyper(tensors, name, prior, LeakyRelu, outputs=(prior[-1].name,))
    m = latents(tensors)
    seen = masked(tensors.conv("context_prediction", Conv, "y_hat", m, stride=1))
    merged = Concat("entropy_parameters.input", ("features", seen.name))
    pointwise = ((0, Conv, 1), (2, Conv, 1), (4, Conv, 1))
    layers = list(chain(tensors, "entropy_parameters", pointwise, merged.name, LeakyRelu))
    last = parameters(layers[-1].name, m)
    features = int(prior[-1].kernel.shape[0]) if isinstance(prior[-1], Linear) else 0
    context = Graph("context", {"y_hat": m, "features": features},
                    (seen, merged, *layers, *last), ("mean", "index"))  # fmt: skip
    return replace(codec, graphs={**codec.graphs, "context": context})


BUILD = {
    "bmshj2018-factorized": factorized, "bmshj2018-factorized-relu": factorized,
    "bmshj2018-hyperprior": hyperprior, "mbt2018-mean": mean_scale, "mbt2018": joint,
}  # fmt: skip
HYPER_ANALYSIS = ((0, Conv, 1), (2, Conv, 2), (4, Conv, 2))
HYPER_SYNTHESIS = ((0, ConvTranspose, 2), (2, ConvTranspose, 2), (4, Conv, 1))


def with_hyper(
    tensors: Tensors, name: str, prior: tuple[Layer, ...], activation: type[Layer],
    outputs: tuple[str, ...], *, magnitudes: bool = False,
) -> FloatCodec:  # fmt: skip
    """Transforms, hyper-analysis of y or |y|, and a prior."""
    density, m = bottleneck(tensors), latents(tensors)
    before: tuple[Layer, ...] = (Abs("h_a.abs", ("y",)),) if magnitudes else ()
    source = before[-1].name if before else "y"
    hyper = tuple(chain(tensors, "h_a", HYPER_ANALYSIS, source, activation))
    z = len(density.medians)
    graphs = graphs_of(
        m, z, transform(tensors, "g_a", Conv, "x", gdn=True),
        transform(tensors, "g_s", ConvTranspose, "y_hat", gdn=True),
        centred((*before, *hyper), density.medians),
        (median(density.medians, "z", "z_hat"), *prior), outputs,
    )  # fmt: skip
    return FloatCodec(name, graphs, density, rate_gains())


def graphs_of(
    m: int, z: int, analysis: tuple[Layer, ...], synthesis: tuple[Layer, ...],
    hyper: tuple[Layer, ...] = (), prior: tuple[Layer, ...] = (), outputs: tuple[str, ...] = (),
) -> dict[str, Graph]:  # fmt: skip
    """By the name of the program; m, z: channels of the latents."""
    graphs = [Graph("analysis", {"x": 3}, analysis, (analysis[-1].name,))]
    if hyper:
        graphs.append(Graph("hyper_analysis", {"y": m}, hyper, (hyper[-1].name,)))
        graphs.append(Graph("prior", {"z": z}, prior, outputs))
    graphs.append(Graph("synthesis", {"y_hat": m}, synthesis, (synthesis[-1].name,)))
    return {graph.name: graph for graph in graphs}


def latents(tensors: Tensors) -> int:
    """M."""
    return tensors.shape("g_a.6.weight")[0]


def transform(
    tensors: Tensors, prefix: str, kind: type[Linear], source: str, *, gdn: bool
) -> tuple[Layer, ...]:
    """Four convolutions of stride 2 with an activation between."""
    layers: list[Layer] = []
    channels = 3 if prefix == "g_a" else latents(tensors)
    for at in (0, 2, 4, 6):
        conv = tensors.conv(f"{prefix}.{at}", kind, source, channels, stride=2)
        layers.append(conv)
        channels, source = int(conv.kernel.shape[0]), conv.name
        if at < 6:
            name = f"{prefix}.{at + 1}"
            layers.append(normalisation(tensors, name, source, channels, inverse=prefix == "g_s")
                          if gdn else Relu(name, (source,)))  # fmt: skip
            source = name
    if prefix == "g_s" and channels != 3:
        raise ModelError(f"tensor 'g_s.6.weight': {channels} channels of pixels, must be 3")
    return tuple(layers)


def chain(
    tensors: Tensors, prefix: str, convs: tuple[tuple[int, type[Linear], int], ...], source: str,
    activation: type[Layer],
) -> Iterator[Layer]:  # fmt: skip
    """Convolutions (place, kind, stride) with an activation between."""
    for at, kind, stride in convs:
        if at:
            yield activation(f"{prefix}.{at - 1}", (source,))
            source = f"{prefix}.{at - 1}"
        conv = tensors.conv(f"{prefix}.{at}", kind, source, None, stride=stride)
        yield conv
        source = conv.name


def normalisation(tensors: Tensors, name: str, source: str, c: int, *, inverse: bool) -> Gdn:
    """GDN from its reparametrised tensors."""
    beta = tensors.take(f"{name}.beta", (c,)).double().clamp_min(BETA_BOUND)
    gamma = tensors.take(f"{name}.gamma", (c, c)).double().clamp_min(PEDESTAL**0.5)
    return Gdn(name, (source,), beta**2 - PEDESTAL, gamma**2 - PEDESTAL, inverse)


def masked(conv: Linear) -> Linear:
    """Only what comes before a position in raster order."""
    ky, kx = conv.kernel.shape[2:]
    before = torch.arange(ky * kx).reshape(ky, kx) < ky // 2 * kx + kx // 2
    return replace(conv, kernel=conv.kernel * before)


def bottleneck(tensors: Tensors) -> Density:
    """EntropyBottleneck, under its names of any version."""
    quantiles = tensors.take("entropy_bottleneck.quantiles", (None, 1, 3))
    c = quantiles.shape[0]
    matrices, biases, factors = (
        tuple(tensors.series("entropy_bottleneck", names))
        for names in (("matrices.", "_matrix", "_matrices."), ("biases.", "_bias", "_biases."),
                      ("factors.", "_factor", "_factors."))
    )  # fmt: skip
    widths = [1]
    for k, matrix in enumerate(matrices):
        tensors.require(f"matrix {k}", matrix, (c, None, widths[-1]))
        widths.append(int(matrix.shape[1]))
        tensors.require(f"bias {k}", biases[k] if k < len(biases) else None, (c, widths[-1], 1))
        if k + 1 < len(matrices):
            factor = factors[k] if k < len(factors) else None
            tensors.require(f"factor {k}", factor, (c, widths[-1], 1))
    if widths[-1] != 1 or len(matrices) < 1:
        raise ModelError(f"entropy_bottleneck: layers of widths {widths}, must end in 1")
    return Density(matrices, biases, factors[: len(matrices) - 1], quantiles[:, 0, 1])


def median(medians: Tensor, source: str, name: str) -> Conv:
    """x + median, channel by channel."""
    c = len(medians)
    return Conv(name, (source,), torch.ones(c, 1, 1, 1), medians, groups=c)


def centred(layers: tuple[Layer, ...], medians: Tensor) -> tuple[Layer, ...]:
    """The last convolution less the medians, so that symbols are its rounded output."""
    last = layers[-1]
    if not isinstance(last, Linear) or last.bias.shape != medians.shape:
        raise ModelError(f"layer {last.name!r}: its channels are not those of entropy_bottleneck")
    return (*layers[:-1], replace(last, bias=last.bias.double() - medians.double()))


def index(source: str) -> ScaleIndex:
    """Scale to index of the tables."""
    return ScaleIndex("index", (source,), SCALE_MIN, SCALE_MAX, SCALE_MIN, LOG_STEP / INDEX_UNITS)


def parameters(source: str, m: int) -> tuple[Layer, ...]:
    """Scales first, then means."""
    scales = Slice("scales", (source,), 0, m)
    return scales, Slice("mean", (source,), m, 2 * m), index(scales.name)


assert math.isclose(SCALE_MIN * math.exp(63 * LOG_STEP), SCALE_MAX)
