"""`make demo`: a photograph through the shipped model, and what came of it in out/demo.png."""

from __future__ import annotations

import hashlib
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from intnet import codec, pictures, selftest, shipped
from intnet.distortion import psnr

QUALITY, REPEATS, AMPLIFIED, CAPTION = 32, 3, 4, 34


def timed(function: Callable[[], Any]) -> tuple[Any, float, float]:
    """Result, seconds of the first call (which compiles or loads kernels) and of later ones."""
    seconds = []
    for _ in range(REPEATS + 1):
        started = time.perf_counter()
        result = function()
        seconds.append(time.perf_counter() - started)
    return result, seconds[0], statistics.median(seconds[1:])


def side_by_side(panels: list[tuple[str, codec.Pixels]]) -> Image.Image:
    """Pictures of one size in a row, each under its caption."""
    height, width = panels[0][1].shape[:2]
    sheet = Image.new("RGB", (len(panels) * (width + 8) - 8, height + CAPTION), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    for i, (caption, pixels) in enumerate(panels):
        draw.text((i * (width + 8) + 6, 8), caption, "black", font)
        sheet.paste(Image.fromarray(pixels), (i * (width + 8), CAPTION))
    return sheet


def main() -> None:
    """Encode, decode, print, draw."""
    source, model = selftest.sample_path(), shipped.load()
    original = pictures.read(source)
    height, width = original.shape[:2]
    stream, first_encode, encode = timed(lambda: codec.encode(original, model, QUALITY))
    decoded, first_decode, decode = timed(lambda: codec.decode(stream, [model]).pixels)
    bpp, db = 8 * len(stream) / (height * width), psnr(original, decoded)
    difference = AMPLIFIED * (decoded.astype(int) - original) + 128
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "out/demo.png")
    out.parent.mkdir(parents=True, exist_ok=True)
    side_by_side([
        (f"original, {original.size} bytes of samples", original),
        (f"decoded from {len(stream)} bytes: {bpp:.3f} bpp, {db:.2f} dB", decoded),
        (f"difference, amplified {AMPLIFIED} times", np.clip(difference, 0, 255).astype(np.uint8)),
    ]).save(out)  # fmt: skip
    print(f"picture       {source.name}, {width}x{height}")
    print(f"model         {model.name}, id {model.model_id.hex()}, quality {QUALITY}")
    print(f"stream        {len(stream)} bytes, {bpp:.3f} bpp")
    print(
        f"PSNR          {db:.2f} dB (training has seen this picture: an example, not a benchmark)"
    )
    print(f"encode        {encode:.3f} s (first call, with compilation: {first_encode:.1f} s)")
    print(f"decode        {decode:.3f} s (first call, with compilation: {first_decode:.1f} s)")
    print(f"pixel SHA-256 {hashlib.sha256(decoded.tobytes()).hexdigest()}")
    print(f"wrote         {out}")


if __name__ == "__main__":
    main()
