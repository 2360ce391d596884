"""A torch.nn.Sequential of supported layers to an integer program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from intnet.converting import float_run, recipe
from intnet.converting.calibrate import careful
from intnet.converting.emit import Emitted, emit
from intnet.converting.formats import MARGIN, S16_MAX, Format, audible, symmetric
from intnet.converting.layers import (
    SUPPORTED,
    Conv,
    ConvTranspose,
    Gdn,
    Graph,
    Layer,
    LayerError,
    LeakyRelu,
    PixelShuffle,
    PixelUnshuffle,
    Relu,
    check,
)
from intnet.converting.record import Record

U8_MAX = 255


def convert(
    network: nn.Sequential,
    calibration: Tensor,
    *,
    name: str = "network",
    recipe_name: str = recipe.DEFAULT,
    pixels: bool = False,
) -> Emitted:
    """The integer program of a network, proved not to overflow.

    calibration: float (n, c, h, w), inputs like those to come. recipe_name: one of
    `intnet.converting.recipe.NAMED` or the path of a JSON file; layers are `layer0`, `layer1`, ...
    as in the Sequential. pixels: inputs are u8 for 0..1; else s16, a step for each channel.
    Outputs are s16. The steps are in `formats`: value = step * integer.

    Raises LayerError naming layer, operator, what is supported and what to do.

    >>> _ = torch.manual_seed(0)
    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3, stride=2))
    >>> made = convert(net, torch.rand(4, 3, 32, 32), pixels=True)
    >>> [op.kind for op in made.program.ops]
    ['conv', 'conv']
    >>> from intnet.backends import numpy_reference
    >>> x = torch.randint(256, (1, 3, 16, 16))
    >>> integers = x[0].movedim(0, -1).numpy().astype("uint8")
    >>> output = numpy_reference.run(made.program, {"x": integers})[made.program.outputs[0]]
    >>> values = torch.from_numpy(output) * made.program_format("layer2").step
    >>> float((values.movedim(-1, 0) - net(x / 255)[0].detach()).abs().max()) < 2e-3
    True
    """
    graph = graph_of(network, int(calibration.shape[1]), name)
    return convert_graph(graph, calibration, recipe_name, pixels=pixels)


def convert_graph(
    graph: Graph, calibration: Tensor, recipe_name: str = recipe.DEFAULT, *, pixels: bool = False
) -> Emitted:
    """The same, from the graph on."""
    chosen = recipe.load(recipe_name)
    record = Record(careful(graph, chosen))
    float_run.run(graph, {"x": calibration.detach().float()}, record)
    channels = calibration.shape[1]
    if pixels:
        step = torch.full((channels,), 1 / U8_MAX, dtype=torch.float64)
        source = Format("u8", 0, U8_MAX, step)
    else:
        source = symmetric("s16", S16_MAX, MARGIN * audible(record.seen["x"].peak))
    return emit(graph, record, chosen, {"x": source})


def graph_of(network: nn.Sequential, channels: int, name: str = "network") -> Graph:
    """The float graph of a network with the input x. Raises LayerError."""
    source, layers = "x", list[Layer]()
    for place, module in modules(network, "layer"):
        if type(module).__name__ not in MAKE:
            raise LayerError(
                f"layer {place!r}: operator {type(module).__name__} has no integer form; supported "
                f"are {SUPPORTED}; replace it, or train without it"
            )
        layer = MAKE[type(module).__name__](place, source, module)
        if layer is not None:
            layers.append(layer)
            source = place
    if not layers:
        raise LayerError(f"network {name!r}: has no layers")
    graph = Graph(name, {"x": channels}, tuple(layers), (source,))
    check(graph)
    return graph


def modules(network: nn.Sequential, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    """Names and modules, those of nested Sequentials too."""
    for i, module in enumerate(network):
        place = f"{prefix}{i}"
        if isinstance(module, nn.Sequential):
            yield from modules(module, f"{place}.")
        else:
            yield place, module


def one_number(place: str, module: nn.Module, field: str) -> int:
    """A setting that must be the same for rows and columns."""
    value = getattr(module, field)
    pair = value if isinstance(value, tuple) else (value, value)
    if not all(isinstance(v, int) for v in pair) or len(set(pair)) != 1:
        raise LayerError(f"layer {place!r} ({type(module).__name__}): {field} {value!r}, must be "
                         "one number for rows and columns")  # fmt: skip
    return int(pair[0])


def conv(place: str, source: str, module: Any) -> Layer:
    """nn.Conv2d or nn.ConvTranspose2d."""
    where = f"layer {place!r} ({type(module).__name__})"
    if one_number(place, module, "dilation") != 1:
        raise LayerError(f"{where}: dilation {module.dilation}, must be 1; a larger kernel with "
                         "zeros does the same")  # fmt: skip
    if module.padding_mode != "zeros":
        raise LayerError(f"{where}: padding_mode {module.padding_mode!r}, must be 'zeros'")
    stride, padding = one_number(place, module, "stride"), one_number(place, module, "padding")
    weight = module.weight.detach()
    bias = torch.zeros(module.out_channels) if module.bias is None else module.bias.detach()
    if isinstance(module, nn.ConvTranspose2d):
        if module.groups != 1:
            raise LayerError(f"{where}: {module.groups} groups, must be 1")
        out = one_number(place, module, "output_padding")
        kernel = weight.transpose(0, 1)
        return ConvTranspose(place, (source,), kernel, bias, stride, padding, output_padding=out)
    return Conv(place, (source,), weight, bias, stride, padding, module.groups)


def gdn(place: str, source: str, module: Any) -> Layer:
    """CompressAI's GDN and GDN1, by their reparametrised tensors."""
    beta = module.beta_reparam(module.beta).detach()
    gamma = module.gamma_reparam(module.gamma).detach()
    simplified = type(module).__name__ == "GDN1"
    return Gdn(place, (source,), beta, gamma, bool(module.inverse), simplified)


Make = Callable[[str, str, Any], Layer | None]
MAKE: dict[str, Make] = {
    "Conv2d": conv,
    "ConvTranspose2d": conv,
    "ReLU": lambda place, source, _: Relu(place, (source,)),
    "LeakyReLU": lambda place, source, m: LeakyRelu(place, (source,), float(m.negative_slope)),
    "PixelShuffle": lambda place, source, m: PixelShuffle(place, (source,), m.upscale_factor),
    "PixelUnshuffle": lambda place, source, m: PixelUnshuffle(place, (source,), m.downscale_factor),
    "GDN": gdn,
    "GDN1": gdn,
    "Identity": lambda _place, _source, _module: None,
}
