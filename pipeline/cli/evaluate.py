"""``overtile evaluate``: how good is a map?"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer


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
    truth_layer: Annotated[str | None, typer.Option(help="Layer of the truth file.")] = None,
    iou: Annotated[float, typer.Option(min=0.01, max=1.0, help="IoU of a match.")] = 0.5,
    precision: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Find the threshold for this precision.")
    ] = 0.9,
) -> None:
    """Compare maps with truth: precision, recall, F1, AP, IoU, calibration, and a report.

    Several predictions of one scene are compared with each other; of several scenes,
    summed up.
    """
    from pipeline.errors import PipelineError
    from pipeline.runs.evaluate import Options
    from pipeline.runs.evaluate_many import evaluate_many

    options = Options(aoi=aoi, truth_layer=truth_layer, scene=scene, iou=iou, precision=precision)
    try:
        summary = evaluate_many(predicted, truth, out=out, options=options)
    except PipelineError as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(exit_code(error)) from error
    for failure in summary["failed"]:
        sys.stderr.write(f"{failure}\n")
    sys.stdout.write(json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    raise typer.Exit(3 if summary["failed"] else 0)


def exit_code(error: Exception) -> int:
    """Return 2 where the operator must change the command, 3 for a scene at fault, else 1."""
    from pipeline.errors import ConfigError, SceneError

    if isinstance(error, ConfigError):
        return 2
    return 3 if isinstance(error, SceneError) else 1
