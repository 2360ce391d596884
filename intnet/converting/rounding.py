"""Rounding of weights that makes up for itself: each error is carried to weights not rounded yet.

Inputs of a convolution are alike, so an error of one weight can be undone by its neighbours. With
H = E[x x^T] over patches x that a kernel sees, the error e of a row of weights costs e H e^T;
weights are rounded one after the other and the rest moves to the best place left (the optimal
brain surgeon's step; Frantar et al. 2022, "GPTQ").
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from intnet.converting.layers import ConvTranspose, Linear

Float = npt.NDArray[np.float64]
PATCHES = 384  # of each batch
DAMPING = 0.01  # of the mean power, added to every input's
BLOCK = 64  # weights whose carries are gathered before they go to the rest


def window(layer: Linear) -> int:
    """Side of the square of inputs that one output sees."""
    side = int(layer.kernel.shape[2])
    return -(-side // layer.stride) if isinstance(layer, ConvTranspose) else side


def moment(layer: Linear, x: Tensor, generator: torch.Generator) -> Tensor:
    """Mean of the products of inputs in a window, (I * side * side) squared, float32.

    x: (n, I, h, w), inputs of a layer of one group.
    """
    side = window(layer)
    padded = F.pad(x, (side // 2,) * 4)
    n, _, h, w = padded.shape
    at = [torch.randint(limit, (PATCHES,), generator=generator).tolist()
          for limit in (n, h - side + 1, w - side + 1)]  # fmt: skip
    rows = torch.stack([padded[i, :, y : y + side, x : x + side].flatten()
                        for i, y, x in zip(*at, strict=True)])  # fmt: skip
    return rows.T @ rows / PATCHES


class Part(NamedTuple):
    """Weights that work together: rows and columns of the kernel, and of the window."""

    rows: slice
    columns: slice
    inside: tuple[int, int]


def parts(layer: Linear) -> Iterator[Part]:
    """The whole kernel; of a transposed convolution the taps of each phase."""
    side = int(layer.kernel.shape[2])
    if not isinstance(layer, ConvTranspose):
        yield Part(slice(None), slice(None), (side, side))
        return
    s = layer.stride
    for a in range(min(s, side)):
        for b in range(min(s, side)):
            yield Part(
                slice(a, None, s), slice(b, None, s), (-(-(side - a) // s), -(-(side - b) // s))
            )


def compensated(layer: Linear, target: Float, moments: Float, top: float) -> Float:
    """Whole numbers near target (N, I, KY, KX), at most top in magnitude.

    moments: see `moment`, in integers of the input.
    """
    rounded = np.empty_like(target)
    inputs, side = target.shape[1], window(layer)
    flip = -1 if isinstance(layer, ConvTranspose) else 1  # a later tap sees an earlier input
    places = np.arange(inputs * side * side).reshape(inputs, side, side)
    for part in parts(layer):
        chosen = target[:, :, part.rows, part.columns][:, :, ::flip, ::flip]
        flat = chosen.reshape(len(target), -1)
        there = flat.any(0)  # a mask's zeros must stay
        index = places[:, : part.inside[0], : part.inside[1]].ravel()[there]
        found = np.zeros_like(flat)
        found[:, there] = carried(flat[:, there], moments[np.ix_(index, index)], top)
        rounded[:, :, part.rows, part.columns] = found.reshape(chosen.shape)[:, :, ::flip, ::flip]
    return rounded


def carried(target: Float, moments: Float, top: float) -> Float:
    """The same for rows of weights (N, K), moments (K, K); inputs of most power first."""
    order = np.argsort(-np.diag(moments), kind="stable")
    power = max(float(np.diag(moments).mean()) if len(order) else 0.0, 1e-12)
    damped = moments[np.ix_(order, order)] + DAMPING * power * np.eye(len(order))
    carry = np.linalg.cholesky(np.linalg.inv(damped)).T  # upper: row k is how error k spreads
    work, whole = target[:, order].copy(), np.empty_like(target)
    for begin in range(0, len(order), BLOCK):
        end = min(begin + BLOCK, len(order))
        errors = np.empty((len(work), end - begin))
        for k in range(begin, end):
            whole[:, k] = np.clip(np.rint(work[:, k]), -top, top)
            errors[:, k - begin] = (work[:, k] - whole[:, k]) / carry[k, k]
            work[:, k + 1 : end] -= np.outer(errors[:, k - begin], carry[k, k + 1 : end])
        work[:, end:] -= errors @ carry[begin:end, end:]
    back = np.empty_like(whole)
    back[:, order] = whole
    return back
