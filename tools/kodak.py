"""Measure the codec on a folder of pictures (Kodak): rate-distortion, overhead, agreement.

    python tools/kodak.py ../shared/data/kodak                          curve, JPEG, BD-rate
    python tools/kodak.py ../shared/data/kodak --checkpoint models/C    and the float twin
    python tools/kodak.py ../shared/data/kodak --similar fast           BD-rate at equal MS-SSIM
    python tools/kodak.py ../shared/data/kodak --agree                  NumPy against numba, slow

Prints tables, writes out/kodak.json and out/kodak.png. Rates are averages of bpp over pictures,
distortions averages of PSNR; BD-rate integrates log-rate over the PSNR both curves cover, linear
between the measured points.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from rich.progress import track

import rangecoder
from intnet import codec, files, shipped, tile_coding
from intnet.distortion import psnr
from intnet.limits import DEFAULT
from intnet.look import coders, rate_distortion
from intnet.look.rate_distortion import bd_rate
from intnet.model_file import Model, load

Pixels = npt.NDArray[np.uint8]
Curve = list[tuple[float, float]]  # (bpp, PSNR)
QUALITIES = tuple(range(0, 64, 7))  # 0, 7, ..., 63
JPEG_QUALITIES = tuple(range(5, 100, 5))
AGREE_QUALITIES = (0, 16, 32, 48, 63)


def jpeg_point(picture: Pixels, quality: int) -> tuple[float, float]:
    """(bpp, PSNR) of Pillow's JPEG, 4:2:0, optimised."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality, subsampling=2, optimize=True)
    decoded = np.asarray(Image.open(file))
    return 8 * file.tell() / picture[..., 0].size, psnr(picture, decoded)


def integer_points(picture: Pixels, model: Model) -> list[tuple[float, float, float]]:
    """(bpp, PSNR, excess bytes over the tables' ideal and the 1 % allowed) at each quality."""
    a, points = codec.analyse(picture, model), []
    for q in QUALITIES:
        stream = codec.code(a, model, q)
        decoded = codec.decode(stream, [model]).pixels
        symbols, tables = codec.y_symbols(a, model, q)
        ideal = rangecoder.ideal_bits(symbols.ravel(), tables.ravel(), model.y_tables)
        z = a.z.astype(np.int32).ravel()
        ideal += rangecoder.ideal_bits(z, tile_coding.z_indexes(a.z.shape), model.z_tables)
        excess = len(stream) - 1.01 * ideal / 8
        points.append((8 * len(stream) / picture[..., 0].size, psnr(picture, decoded), excess))
    return points


def disagreements(picture: Pixels, model: Model) -> list[str]:
    """What differs between the NumPy and the numba backend, and between encoder and decoder."""
    found, both = [], [codec.analyse(picture, model, backend) for backend in ("numpy", "numba")]
    for q in AGREE_QUALITIES:
        slow, fast = (
            codec.code(a, model, q, backend, verify=True)  # the CRC says what the encoder saw
            for a, backend in zip(both, ("numpy", "numba"), strict=True)
        )
        if slow != fast:
            found.append(f"quality {q}: streams differ")
        a, b = (codec.decode(slow, [model], backend).pixels for backend in ("numpy", "numba"))
        if not np.array_equal(a, b):
            found.append(f"quality {q}: pixels differ")
    return found


def similar_points(picture: Pixels, model: Model) -> list[tuple[float, float]]:
    """(bpp, MS-SSIM in dB) at each quality."""
    coder = coders.product(picture, model, DEFAULT)
    points = rate_distortion.points("", model.name, picture, QUALITIES, coder)
    return [(p.bpp, rate_distortion.decibels(p.ms_ssim)) for p in points]


def at_equal_similarity(anchor: Model, test: Model, pictures: list[Pixels]) -> float | None:
    """BD-rate of test against anchor at equal MS-SSIM."""
    points = [
        [similar_points(x, model) for x in track(pictures, f"MS-SSIM of {model.name}")]
        for model in (anchor, test)
    ]
    return rate_distortion.bd_rate(*(mean_curve(np.array(found)) for found in points))


def mean_curve(points: npt.NDArray[np.float64]) -> Curve:
    """Averages over pictures of (pictures, qualities, 2)."""
    return [(float(b), float(p)) for b, p in points.mean(0)]


def draw(curves: dict[str, Curve], target: Path) -> None:
    """Rate-distortion plot."""
    from matplotlib.figure import Figure  # noqa: PLC0415  # optional, slow to load

    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    for name, curve in curves.items():
        axes.plot(*zip(*curve, strict=True), marker=".", label=name)
    axes.set(xlabel="bits per pixel", ylabel="PSNR (dB)", xlim=(0, 3))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(target, dpi=120)


def main() -> int:
    """Measure, print, write."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("folder", type=Path)
    p.add_argument("--model", type=Path, help="default: the shipped model")
    p.add_argument("--checkpoint", type=Path, help="compare with this checkpoint's float twin")
    p.add_argument("--calibration", type=Path, default=Path("../shared/data/train"),
                   help="the folder that a float checkpoint was converted with")  # fmt: skip
    p.add_argument("--similar", help="state the BD-rate at equal MS-SSIM against this model")
    p.add_argument("--agree", action="store_true", help="only compare backends, 5 qualities")
    p.add_argument("--card", type=Path, help="write what `intnet models` shows of the model here")
    p.add_argument("--published", type=Path, default=Path("../shared/reference/kodak_rd.json"))
    args = p.parse_args()
    model = load(args.model) if args.model else shipped.load(shipped.DEFAULT)
    pictures = [np.asarray(Image.open(f).convert("RGB")) for f in sorted(args.folder.glob("*.png"))]
    if not pictures:
        sys.exit(f"{args.folder}: no PNG pictures")
    if args.agree:
        found = [d for x in track(pictures, "backends") for d in disagreements(x, model)]
        print(*found, sep="\n", end="")
        print(
            f"{len(pictures)} pictures, {len(AGREE_QUALITIES)} qualities: {len(found)} differences"
        )
        return int(bool(found))

    points = np.array([integer_points(x, model) for x in track(pictures, "integer codec")])
    curves = {"intnet": mean_curve(points[..., :2])}
    with ThreadPoolExecutor() as pool:
        jpeg = [list(pool.map(lambda x, q=q: jpeg_point(x, q), pictures)) for q in JPEG_QUALITIES]
    curves["JPEG 4:2:0"] = mean_curve(np.array(jpeg).swapaxes(0, 1))
    if args.checkpoint:
        from float_twin import curves_of  # noqa: PLC0415  # torch

        curves |= curves_of(args.checkpoint, args.calibration, model, pictures, QUALITIES)
    for q, (bpp, db) in zip(QUALITIES, curves["intnet"], strict=True):
        print(f"quality {q:2}  {bpp:.4f} bpp  {db:.3f} dB")
    rising = bool((np.diff(points[..., 0], axis=1) > 0).all())
    print(f"bpp rises with quality on every picture: {rising}; "
          f"factor {curves['intnet'][-1][0] / curves['intnet'][0][0]:.1f}")  # fmt: skip
    print(f"largest excess over 1.01 * ideal: {points[..., 2].max():.1f} bytes (48 allowed)")
    prior_alone = curves.pop("integer prior", None)
    rates = {f"against {name}": bd_rate(curve, curves["intnet"])
             for name, curve in curves.items() if name != "intnet"}  # fmt: skip
    if prior_alone:
        rates["of the integer prior alone"] = bd_rate(curves["float twin"], prior_alone)
    if args.similar:
        anchor = shipped.load(args.similar)
        rates[f"against {anchor.name} at equal MS-SSIM"] = at_equal_similarity(
            anchor, model, pictures
        )
    if args.published.exists():
        table = json.loads(args.published.read_text())
        for name in ("webp", "paper-bmshj2018-factorized", "paper-bmshj2018-hyperprior", "bpg"):
            curve = [(point["bpp"], point["psnr"]) for point in table[name]]
            rates[f"against {name} (published)"] = bd_rate(curve, curves["intnet"])
            curves[name] = curve
    for name, rate in rates.items():
        print(f"BD-rate {name}: {rate:+.2f} %")
    Path("out").mkdir(exist_ok=True)
    Path("out/kodak.json").write_text(json.dumps({"curves": curves, "bd_rate": rates}, indent=1))
    draw(curves, Path("out/kodak.png"))
    if args.card:
        pictures_name = f"{args.folder.resolve().name}, {len(pictures)} pictures"
        files.write(args.card, card(model, pictures_name, curves["intnet"], rates))
    return 0


def card(model: Model, pictures: str, curve: Curve, rates: dict[str, float]) -> bytes:
    """JSON of what was measured, for `intnet models`."""
    found = {
        "sha256": model.sha256,
        "pictures": pictures,
        "bpp": [round(bpp, 4) for bpp, _ in (curve[0], curve[-1])],
        "psnr": [round(db, 3) for _, db in (curve[0], curve[-1])],
        "bd_rate": {name: round(rate, 2) for name, rate in rates.items()},
    }
    return (json.dumps(found, indent=1) + "\n").encode()


if __name__ == "__main__":
    sys.exit(main())
