"""``overtile evaluate``: how good is a map?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli.terminal import AsJson


def evaluate(  # noqa: PLR0913 - the options of a command
    predicted: Annotated[
        list[Path],
        typer.Argument(help="OUT/<scene> or OUT of a run; or a vector file or mask of any tool."),
    ],
    truth: Annotated[
        Path, typer.Option(help="True polygons or labels; or a folder of them, named as scenes.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for report.html, report.json and tables.")],
    aoi: Annotated[Path | None, typer.Option(help="Polygons of the labelled area.")] = None,
    scene: Annotated[Path | None, typer.Option(help="The imagery, for the report's map.")] = None,
    aoi_layer: Annotated[str | None, typer.Option(help="Layer of the AOI's file.")] = None,
    truth_layer: Annotated[str | None, typer.Option(help="Layer of the truth file.")] = None,
    predicted_layer: Annotated[
        str | None, typer.Option(help="Layer of predictions that are vector files.")
    ] = None,
    iou: Annotated[float, typer.Option(min=0.01, max=1.0, help="IoU of a match.")] = 0.5,
    precision: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Find the threshold for this precision.")
    ] = None,
    write_task: Annotated[
        Path | None,
        typer.Option(help="Task file to put the threshold into: of best F1, or of --precision."),
    ] = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Compare maps with truth: precision, recall, F1, AP, IoU, calibration, and a report.

    Several predictions of one scene are compared with each other; of several scenes,
    summed up.
    """
    from pipeline.cli.exits import failing, report
    from pipeline.cli.terminal import evaluated, print_result
    from pipeline.errors import ConfigError
    from pipeline.evaluation.batch import evaluate_many
    from pipeline.evaluation.evaluate import Options
    from pipeline.evaluation.write_task import write_threshold

    options = Options(
        aoi=aoi,
        aoi_layer=aoi_layer,
        truth_layer=truth_layer,
        predicted_layer=predicted_layer,
        scene=scene,
        iou=iou,
        precision=0.9 if precision is None else precision,
    )
    with failing():
        if aoi is None and aoi_layer is not None:
            raise ConfigError("--aoi-layer is for --aoi alone; leave it out")
        summary = evaluate_many(predicted, truth, out=out, options=options)
        if write_task is not None:
            # Not whichever is there: the folder may hold an earlier evaluation's as well.
            written = out / ("summary.json" if "systems" in summary else "report.json")
            summary["task"] = write_threshold(write_task, written, precision=precision)
    for failure in summary["failed"]:
        report(failure)
    text = _told(summary, out) if "systems" in summary else summary
    print_result(text, lambda: evaluated(text), as_json=as_json)
    raise typer.Exit(_code(summary))


def _code(summary: dict[str, Any]) -> int:
    """Return 1 where nothing was compared, 3 where some scenes failed, else 0."""
    total = summary["total"] if "systems" in summary else {"figures": summary["headline"]}
    if not summary["failed"]:
        return 0
    nothing = total and all(one["value"] is None for one in total["figures"].values())
    return 1 if nothing else 3


def _told(summary: dict[str, Any], out: Path) -> dict[str, Any]:
    """Return a batch's figures without the tables, which stand in ``summary.json``."""
    left_out = {"calibration", "curves", "by_size", "operating_point"}

    def brief(part: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in part.items() if name not in left_out}

    total = summary["total"]
    return {
        **summary,
        "report": str(out / "summary.html"),
        "systems": [brief(system) for system in summary["systems"]],
        "total": None if total is None else brief(total),
    }
