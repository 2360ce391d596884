"""What calibration sees of every tensor: the largest and smallest value, samples, products."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from intnet.converting import rounding
from intnet.converting.layers import Linear

SAMPLES = 512  # per channel and call


@dataclass
class Seen:
    """Per channel: least and greatest value (C,), samples (C, n)."""

    low: Tensor
    high: Tensor
    samples: Tensor

    @property
    def peak(self) -> Tensor:
        """Greatest |value| per channel, float64 (C,)."""
        return torch.maximum(-self.low, self.high).clamp_min(0).double()

    @property
    def mean(self) -> Tensor:
        """Per channel, float64 (C,)."""
        return self.samples.double().mean(1)


@dataclass
class Record:
    """A `Watch` that remembers. seen: by name of the tensor.

    measured: convolutions whose inputs' products are wanted; moments: these, as sums over batches
    of `rounding.moment`, by name of the layer.
    """

    measured: Iterable[Linear] = ()
    seen: dict[str, Seen] = field(default_factory=dict)
    moments: dict[str, Tensor] = field(default_factory=dict)

    def __call__(self, name: str, tensor: Tensor) -> None:
        """Add one batch (n, c, h, w) of a tensor."""
        generator = torch.Generator().manual_seed(len(self.seen))
        values = tensor.detach().movedim(1, 0).flatten(1)
        chosen = values
        if values.shape[1] > SAMPLES:
            chosen = values[:, torch.randint(values.shape[1], (SAMPLES,), generator=generator)]
        now = Seen(values.amin(1), values.amax(1), chosen.clone())
        before = self.seen.get(name)
        self.seen[name] = now if before is None else Seen(
            torch.minimum(before.low, now.low), torch.maximum(before.high, now.high),
            torch.cat([before.samples, now.samples], 1),
        )  # fmt: skip
        for layer in self.measured:
            if layer.inputs == (name,) and layer.groups == 1:
                made = rounding.moment(layer, tensor.detach(), generator)
                self.moments[layer.name] = self.moments.get(layer.name, torch.zeros(())) + made
