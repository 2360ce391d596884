"""CompressAI's codecs with random weights."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import Any

import numpy as np

from intnet import codec
from intnet.bench.peers import need
from intnet.bench.verbs import Verbs
from intnet.program import Array

QUALITY = 4
STRIDE = 64
SEED = 1


def verbs(
    architecture: str, pixels: codec.Pixels, threads: int, *, synthesis: bool = True
) -> Verbs:
    """compress and decompress of one picture. pixels: uint8 (h, w, 3).

    synthesis: False takes it out of the decoder, which then gives latents.
    """
    torch = need("torch")
    stand_in_for_torchvision()
    zoo = need("compressai.zoo")
    torch.set_num_threads(threads)
    torch.manual_seed(SEED)
    net = zoo.image_models[architecture](quality=QUALITY, pretrained=False).eval()
    net.update(force=True)
    height, width = pixels.shape[:2]

    def encode() -> Any:
        edges = (0, -height % STRIDE), (0, -width % STRIDE), (0, 0)
        padded = np.pad(pixels, edges, mode="edge")
        with torch.inference_mode():
            return net.compress(torch.from_numpy(padded)[None].movedim(-1, 1).float() / 255)

    out = encode()
    if not synthesis:
        net.g_s = torch.nn.Identity()

    def decode() -> Array:
        with torch.inference_mode():
            x_hat = net.decompress(out["strings"], out["shape"])["x_hat"]
            samples = (x_hat.clamp(0, 1) * 255).round().byte()[0, :, :height, :width]
        return np.ascontiguousarray(samples.movedim(0, -1).numpy())

    return Verbs(encode, decode, sum(len(s[0]) for s in out["strings"]))


def stand_in_for_torchvision() -> None:
    """Let CompressAI import where torchvision is missing.

    It lists `torchvision.transforms` for its trainers and uses nothing of it here: an empty module
    serves. torchvision's wheels do not load beside torch's builds for CPUs alone.
    """
    if "torchvision" in sys.modules or importlib.util.find_spec("torchvision"):
        return
    package, transforms = ModuleType("torchvision"), ModuleType("torchvision.transforms")
    package.__dict__["transforms"] = transforms
    sys.modules |= {"torchvision": package, "torchvision.transforms": transforms}
