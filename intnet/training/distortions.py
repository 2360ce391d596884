"""What a codec may be trained for: squared error, MS-SSIM, or a distance of Laplacian pyramids.

Each takes x_hat and x (n, channels, h, w), samples in [0, 1], and gives (n,) in units of about one
squared error on samples in 0..255, so that one scale of lambda serves all three.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from intnet.distortion import SCALES, SMALLEST, WINDOW
from intnet.training.layers import lower_bound

Distortion = Callable[[Tensor, Tensor], Tensor]
C1, C2 = 0.01**2, 0.03**2
STRUCTURE_MIN = 1e-4  # below it the power of a scale has no useful gradient

# Laparra, Ballé, Berardino, Simoncelli 2016, learned there from photographs: for each level the
# constant, and the weights of the neighbours below, right, left, above and two to the left.
LOW_PASS = (0.05, 0.25, 0.4, 0.25, 0.05)
LEVELS = (
    (0.0248, (0.1011, 0.1493, 0.1460, 0.1015, 0.0072)),
    (0.0185, (0.0757, 0.1986, 0.1846, 0.0837, 0.0)),
    (0.0179, (0.0477, 0.2138, 0.2243, 0.0467, 0.0)),
    (0.0191, (0.0, 0.2503, 0.2616, 0.0, 0.0)),
    (0.0220, (0.0, 0.2598, 0.2552, 0.0, 0.0)),
    (0.2782, (0.0, 0.2215, 0.0717, 0.0, 0.0)),
)
NEIGHBOURS = ((3, 2), (2, 3), (2, 1), (1, 2), (2, 0))  # (row, column) in a 5x5 kernel


def squared_error(x_hat: Tensor, x: Tensor) -> Tensor:
    """Mean squared error (n,) of samples in [0, 1]."""
    return (x_hat - x).square().mean((1, 2, 3))


def filtered(x: Tensor, kernel: Tensor) -> Tensor:
    """Each channel by one kernel (rows, columns), where it fits."""
    each = F.conv2d(x.flatten(0, 1).unsqueeze(1), kernel[None, None])
    return each.reshape(*x.shape[:2], *each.shape[2:])


def ms_ssim(x_hat: Tensor, x: Tensor) -> Tensor:
    """Multi-scale structural similarity (n,), as `intnet.distortion.ms_ssim`, differentiable."""
    if min(x.shape[2:]) < SMALLEST:
        raise ValueError(f"pictures of {tuple(x.shape[2:])}, must be at least {SMALLEST} a side")
    product: Tensor = torch.ones_like(x[:, :, 0, 0])
    for scale, weight in enumerate(SCALES):
        luminance, structure = similarity(x_hat, x)
        found = luminance * structure if scale == len(SCALES) - 1 else structure
        product = product * lower_bound(found.mean((2, 3)), STRUCTURE_MIN) ** weight
        x_hat, x = halved(x_hat), halved(x)
    return product.mean(1)


def similarity(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Luminance, and contrast with structure (n, channels, h - 10, w - 10)."""
    window = torch.as_tensor(WINDOW, dtype=a.dtype, device=a.device)
    means = [
        filtered(filtered(v, window[None]), window[:, None]) for v in (a, b, a * a, b * b, a * b)
    ]
    mean_a, mean_b, aa, bb, ab = means
    products, squares = mean_a * mean_b, mean_a.square() + mean_b.square()
    structure = (2 * (ab - products) + C2) / (aa + bb - squares + C2)
    return (2 * products + C1) / (squares + C1), structure


def halved(x: Tensor) -> Tensor:
    """Means of two by two samples; odd sides are repeated to even ones."""
    x = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2), mode="replicate")
    return F.avg_pool2d(x, 2)


def nlpd(x_hat: Tensor, x: Tensor) -> Tensor:
    """Normalised Laplacian pyramid distance (n,), each channel taken as a grey picture.

    Root of the mean squared difference of each of six levels, averaged over levels and channels.
    The gradient of a root at 0 is kept finite.
    """
    levels = zip(normalised_pyramid(x_hat), normalised_pyramid(x), strict=True)
    squares = torch.stack([(a - b).square().mean((2, 3)) for a, b in levels])
    return lower_bound(squares, 1e-24).sqrt().mean((0, 2))


def normalised_pyramid(x: Tensor) -> list[Tensor]:
    """Levels of the Laplacian pyramid, each divided by its neighbours' weighted magnitude."""
    found = []
    for level, (constant, weights) in enumerate(LEVELS):
        if level == len(LEVELS) - 1:
            band = x
        else:
            low = shrunk(x)
            band, x = x - grown(low, x.shape[2:]), low
        kernel = torch.zeros(5, 5, dtype=x.dtype, device=x.device)
        for (row, column), weight in zip(NEIGHBOURS, weights, strict=True):
            kernel[row, column] = weight
        around = filtered(F.pad(band.abs(), (2, 2, 2, 2)), kernel)
        found.append(band / (constant + around))
    return found


def low_pass(x: Tensor) -> Tensor:
    """By the five taps down and across, where they fit."""
    taps = torch.tensor(LOW_PASS, dtype=x.dtype, device=x.device)
    return filtered(filtered(x, taps[None]), taps[:, None])


def mirrored(x: Tensor, side: int) -> Tensor:
    """Two more samples at both ends of an axis: 1 0 | 0 1 2 ..."""
    size = x.shape[side]
    at = torch.tensor([1, 0, *range(size), size - 1, size - 2], device=x.device)
    return x.index_select(side, at.clamp(0, size - 1))


def shrunk(x: Tensor) -> Tensor:
    """Every second sample of the low pass; outside the picture is its mirror image."""
    return low_pass(mirrored(mirrored(x, 2), 3))[:, :, ::2, ::2]


def grown(x: Tensor, shape: torch.Size) -> Tensor:
    """Up by two to shape, between samples by the low pass."""
    x = F.pad(x, (1, 1, 1, 1), mode="replicate")
    wide = x.new_zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
    wide[:, :, ::2, ::2] = 4 * x
    return low_pass(wide)[:, :, : shape[0], : shape[1]]


# The factors make lambda mean about the same: CompressAI's pairs of lambdas for MS-SSIM and MSE
# stand at 1222 to 1333; for the pyramid see tests/test_distortions.py.
DISTORTIONS: dict[str, Distortion] = {
    "mse": lambda x_hat, x: 255**2 * squared_error(x_hat, x),
    "ms-ssim": lambda x_hat, x: 1275 * (1 - ms_ssim(x_hat, x)),
    "nlpd": lambda x_hat, x: 800 * nlpd(x_hat, x),
}
