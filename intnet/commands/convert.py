"""`intnet convert`: a float checkpoint to an integer model; needs the extra `train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from intnet import files
from intnet.commands import common
from intnet.commands.train import needing_torch
from intnet.errors import IntnetError


@common.verb
def convert(
    checkpoint: Annotated[
        Path, typer.Argument(help="Of `intnet train` or CompressAI, or a folder of ONNX files.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .inm to write.")],
    calibration: Annotated[
        Path | None, typer.Option(help="Folder of pictures like those that will be coded.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name in the metadata; default: the output's.")] = "",
    licence: Annotated[str, typer.Option(help="Licence of the weights, in the metadata.")] = "",
    recipe: Annotated[
        str | None,
        typer.Option(help="CompressAI: w8a8, w8a16, mixed (default), or a .json of patterns."),
    ] = None,
    architecture: Annotated[
        str, typer.Option(help="CompressAI: refuse any other; auto recognises it.")
    ] = "auto",
    fine_tune: Annotated[
        str | None,
        typer.Option(
            help="CompressAI: train on with the rounding of integers, N steps or minutes (5m).",
            metavar="N",
        ),
    ] = None,
    lmbda: Annotated[
        float | None,
        typer.Option(min=1e-6, help="Of --fine-tune, bpp + lmbda * MSE; default: estimated."),
    ] = None,
    weight_rate: Annotated[
        float,
        typer.Option(min=0, help="Of --fine-tune: loss per bit per weight; for a smaller file."),
    ] = 0.0,
    dead_zone: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Ours: its strength, 0 for none; default: as trained."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="What integers cost and why: a page (.html, .md) or .json."),
    ] = None,
    max_bd_rate: Annotated[
        float | None,
        typer.Option(help="Percent: write no model, exit code 1, where integers cost more bits."),
    ] = None,
    *,
    gaussian_tables: Annotated[
        bool, typer.Option("--gaussian-tables", help="Ours: tables not fitted to the pictures.")
    ] = False,
    plain: Annotated[
        bool, typer.Option("--plain", help="Do not pack the weights: twice the size.")
    ] = False,
    as_json: common.Json = False,
) -> None:
    """Convert a float checkpoint to an integer model.

    Takes checkpoints of `intnet train`, and of CompressAI: FactorizedPrior, FactorizedPriorReLU,
    ScaleHyperprior, MeanScaleHyperprior, JointAutoregressiveHierarchicalPriors and their
    variable-rate forms, recognised by their tensors. Code in a file is never run. Of a folder it
    takes analysis.onnx, synthesis.onnx, hyper_analysis.onnx and prior.onnx, and the density from
    density.safetensors (extra `onnx`).

    Needs the extra `train` (PyTorch). Every accumulator is proved not to overflow, or nothing is
    written. A float checkpoint needs --calibration; ours of `--stage integer` does without. With
    pictures, integers are set beside floats: signal-to-noise per layer, rate and PSNR; --report
    adds where the loss comes from, tightest bounds and plots. Where --max-bd-rate is exceeded the
    report is written, the model is not. Tensors are packed, see `intnet pack`.

    \b
    intnet convert out/int.safetensors -o photo.inm --calibration pictures/
    intnet convert mbt2018-mean.pth.tar -o mean.inm --calibration pictures/ --recipe w8a16
    intnet convert exported/ -o mine.inm --calibration pictures/
    intnet convert mean.pth -o mean.inm --calibration pictures/ --report mean.html --max-bd-rate 1
    intnet convert mean.pth -o mean.inm --calibration pictures/ --recipe w8a8 --fine-tune 10m
    """
    files.check_target(output)
    label = name or output.stem
    other = needing_torch("intnet.converting.convert_file", "convert")
    wanted = other.Wanted(report, max_bd_rate, plain)
    how = needing_torch("intnet.converting.fine_tune", "convert").asked(
        fine_tune, lmbda, weight_rate
    )
    if other.is_ours(checkpoint):
        if how is not None:
            raise IntnetError(f"{checkpoint}: a checkpoint of `intnet train`, which fine-tunes it "
                              "itself with --stage integer --init; --fine-tune is for CompressAI's"
                              )  # fmt: skip
        if recipe is not None or architecture != "auto":
            raise IntnetError(
                f"{checkpoint}: a checkpoint of `intnet train`, which says itself how to convert "
                "it; --recipe and --architecture are for CompressAI's"
            )
        found = ours(checkpoint, output, calibration, label, licence, dead_zone,
                     gaussian_tables=gaussian_tables, wanted=wanted)  # fmt: skip
    else:
        if dead_zone is not None or gaussian_tables:
            raise IntnetError(f"{checkpoint}: not a checkpoint of `intnet train`, for which "
                              "--dead-zone and --gaussian-tables are")  # fmt: skip
        recipes = needing_torch("intnet.converting.recipe", "convert")
        found = other.convert_file(
            checkpoint, output, calibration, recipes.load(recipe or recipes.DEFAULT),
            other.Labels(label, licence), common.progress, common.say, architecture,
            wanted, how,
        )  # fmt: skip
    show(found, output, as_json=as_json)


def ours(*arguments: Any, gaussian_tables: bool, wanted: Any) -> dict[str, Any]:
    """The report of a checkpoint of `intnet train`."""
    checkpoint, output, calibration, label, licence, dead_zone = arguments
    reporter = needing_torch("intnet.convert_report", "convert")
    report: dict[str, Any] = reporter.convert_file(
        checkpoint, output, calibration, label, common.say, licence, dead_zone,
        gaussian_tables=gaussian_tables, wanted=wanted,
    )  # fmt: skip
    return report


def show(report: dict[str, Any], output: Path, *, as_json: bool) -> None:
    """As JSON, or as tables."""
    if as_json:
        common.print_json(report)
        return
    for key, title in (("layers", "Integer against float, per layer"), ("curve", "Rate and PSNR")):
        if report.get(key):
            common.print_table(title, report[key])
    if report["cost"] and report["cost"]["percent"] is not None:
        print(f"integers cost {report['cost']['percent']:+.2f} %: {report['cost']['measure']}")
    common.say(f"{output}: {output.stat().st_size} bytes")
