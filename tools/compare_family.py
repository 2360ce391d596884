"""Train the field's codecs on equal small budgets, one after the other, and state each gain.

    python tools/compare_family.py CORPUS PICTURES --out out/family --minutes 5
    python tools/compare_family.py CORPUS PICTURES --out out/sadam --architectures scale \
        --optimisers adam,sadam,muon --steps 2000       # optimisers instead

Every codec has the same minutes (or steps), schedule, seed, crops and width at each lambda. A
checkpoint that is in OUT already is not trained again. Prints a table (--json: a document), and
writes OUT/family.json and, with matplotlib, OUT/family.png: rate-distortion curves and losses.
A gain is the BD-rate of PSNR against the codec before, below 0: fewer bits.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from pathlib import Path
from typing import Any

from intnet.look.rate_distortion import bd_rate
from intnet.training import train
from intnet.training.complexity import complexity
from intnet.training.data import Pictures, load_pictures
from intnet.training.evaluate import load_codec, rate_distortion
from intnet.training.family import ARCHITECTURES

ORDER = ("factorized", "scale", "mean-scale", "joint")


def names(allowed: tuple[str, ...]) -> Any:
    """A type for argparse: some of allowed, separated by commas."""

    def parse(text: str) -> list[str]:
        found = text.split(",")
        for name in found:
            if name not in allowed:
                raise argparse.ArgumentTypeError(f"{name!r}, must be of {', '.join(allowed)}")
        return found

    return parse


def parser() -> argparse.ArgumentParser:
    """Options."""
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("corpus", type=Path, help="folder of pictures to train on")
    p.add_argument("pictures", type=Path, help="folder of pictures to measure")
    p.add_argument("--out", type=Path, required=True, help="folder for checkpoints and results")
    p.add_argument("--architectures", type=names(tuple(ARCHITECTURES)), default=list(ORDER))
    p.add_argument("--optimisers", type=names(train.MATRICES), default=["muon"])
    p.add_argument("--lmbdas", default="0.0035,0.013,0.0483", help="one codec for each")
    p.add_argument("--minutes", type=float, default=5.0, help="for each; default: %(default)s")
    p.add_argument("--steps", type=int, help="for each codec, instead of minutes")
    p.add_argument("--n", type=int, default=48, help="channels of transforms; default: %(default)s")
    p.add_argument("--m", type=int, default=72, help="latents; default: %(default)s")
    p.add_argument("--gdn", default="gdn", help="gdn or simplified")
    p.add_argument("--distortion", default="mse", help="mse, ms-ssim or nlpd")
    p.add_argument("--crop", type=int, default=192)
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--rate", type=float, default=1e-3, help="peak learning rate")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--threads", type=int, default=0)
    p.add_argument("--device", default="cpu", help="to train on; pictures are measured on the CPU")
    p.add_argument("--limit", type=int, help="at most so many pictures to measure")
    p.add_argument("--json", action="store_true", help="print a document instead of a table")
    return p


def trained(args: argparse.Namespace, name: str, optimiser: str, lmbda: str) -> Path:
    """The checkpoint of one codec; trains it unless it is there."""
    path: Path = args.out / f"{name}-{optimiser}-{lmbda}.safetensors"
    if not path.exists():
        options = {"architecture": name, "optimiser": optimiser, "lmbda": lmbda, "out": path}
        kept = ("minutes", "steps", "n", "m", "gdn", "distortion", "crop", "batch", "rate", "seed",
                "threads", "device")  # fmt: skip
        options |= {key: getattr(args, key) for key in kept if getattr(args, key) is not None}
        train.main([
            str(args.corpus), "--log-every", "20",
            *itertools.chain(*((f"--{key}", str(value)) for key, value in options.items())),
        ])  # fmt: skip
    return path


def measured(path: Path, pictures: Pictures) -> tuple[float, float]:
    """Mean bpp and mean PSNR of a checkpoint, float probabilities, rounded latents."""
    codec = load_codec(path)
    pairs = [rate_distortion(codec, picture, 0.0) for picture in pictures]
    bpp, psnr = (sum(values) / len(pairs) for values in zip(*pairs, strict=True))
    return bpp, psnr


def losses(path: Path) -> tuple[list[int], list[float]]:
    """Steps and losses of the log beside a checkpoint."""
    lines = path.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    return [entry["step"] for entry in entries], [entry["loss"] for entry in entries]


def compare(args: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each architecture and optimiser: points, size, gain over the row before."""
    pictures = load_pictures(args.pictures, 64, args.limit)
    rows: list[dict[str, Any]] = []
    for name, optimiser in itertools.product(args.architectures, args.optimisers):
        paths = [trained(args, name, optimiser, lmbda) for lmbda in args.lmbdas.split(",")]
        points = sorted(measured(path, pictures) for path in paths)
        size = complexity(ARCHITECTURES[name](args.n, args.m))
        before = rows[-1]["points"] if rows else []
        first = rows[0]["points"] if rows else []
        rows.append({
            "codec": f"{name}, {optimiser}", "points": points, **size._asdict(),
            "gain_percent": bd_rate(before, points),
            "gain_over_first_percent": bd_rate(first, points),
            "loss": losses(paths[len(paths) // 2]),
        })  # fmt: skip
    return rows


def print_table(rows: list[dict[str, Any]]) -> None:
    """For people."""
    print(f"{'codec':24}{'kMAC/pixel, decode':>20}{'parameters':>13}{'gain':>9}{'over first':>12}"
          "  bpp, dB at each lambda")  # fmt: skip
    for row in rows:
        gains = ["" if row[key] is None else f"{row[key]:+.1f} %"
                 for key in ("gain_percent", "gain_over_first_percent")]  # fmt: skip
        curve = "  ".join(f"{bpp:.3f} {psnr:.2f}" for bpp, psnr in row["points"])
        print(f"{row['codec']:24}{row['decode_kmac']:20.1f}{row['parameters']:13,}"
              f"{gains[0]:>9}{gains[1]:>12}  {curve}")  # fmt: skip


def draw(rows: list[dict[str, Any]], target: Path) -> None:
    """Curves of rate and distortion, and of loss (at the middle lambda). Needs matplotlib."""
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  # it may not be installed
    except ModuleNotFoundError:
        print(f"{target}: not drawn, needs matplotlib", file=sys.stderr)
        return
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for row in rows:
        left.plot(*zip(*row["points"], strict=True), "o-", label=row["codec"])
        right.plot(*row["loss"], label=row["codec"])
    left.set(xlabel="bits per pixel", ylabel="PSNR, dB")
    right.set(xlabel="step", ylabel="loss", yscale="log")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(target, dpi=120)


def main(argv: list[str] | None = None) -> None:
    """Command line entry."""
    args = parser().parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    rows = compare(args)
    document = {"budget": {"minutes": args.minutes, "steps": args.steps, "n": args.n, "m": args.m,
                           "crop": args.crop, "batch": args.batch, "seed": args.seed},
                "codecs": rows}  # fmt: skip
    (args.out / "family.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if args.json:
        print(json.dumps(document))
    else:
        print_table(rows)
    draw(rows, args.out / "family.png")


if __name__ == "__main__":
    main()
