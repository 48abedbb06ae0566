"""Write what an evaluation found: JSON, CSV and a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import shapely
from jaxtyping import Float64, Shaped

from pipeline.core.metrics.groups import best_iou
from pipeline.evaluation.alignment import ComparedObjects
from pipeline.evaluation.imagery import imagery
from pipeline.evaluation.result import Evaluation
from pipeline.labels.objects import PixelGrid
from pipeline.outputs.report.encode import bytes_text, encode_polygons, floats_text
from pipeline.outputs.report.page import write_report_page, write_summary_page
from pipeline.outputs.report.tables import figure_rows, write_csv, write_json

_SHOTS = 12
"""False positives, and misses, in the gallery."""
_RIGHT, _IGNORED = 1, 2


def write_report(evaluation: Evaluation, out: Path, *, scene: Path | None = None) -> None:
    """Write ``report.json``, ``report.csv`` and ``report.html`` into a folder.

    Args:
        evaluation: What was found.
        out: The folder; made where it is missing.
        scene: The imagery, where the prediction does not name it.

    Raises:
        ExportError: A file cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    picture, reason = _picture(evaluation, scene)
    if reason:
        evaluation.report["notes"].append(reason)
    write_json(out / "report.json", evaluation.report)
    write_csv(out / "report.csv", figure_rows(evaluation.report))
    write_report_page(
        out / "report.html",
        title=f"How good is this map? {evaluation.report['scene']}",
        data={
            "report": evaluation.report,
            "map": map_data(evaluation, picture),
            "gallery": gallery(evaluation),
        },
    )


def write_summary(summary: dict[str, Any], out: Path) -> None:
    """Write ``summary.json``, ``summary.csv`` and ``summary.html`` into a folder.

    Raises:
        ExportError: A file cannot be written.
    """
    write_json(out / "summary.json", summary)
    rows = [
        {
            "system": row["system"],
            "scene": row["scene"],
            "references": row["references"],
            "predictions": row["predictions"],
            **{name: value["value"] for name, value in row["headline"].items()},
        }
        for row in summary["scenes"]
    ]
    write_csv(out / "summary.csv", rows)
    write_summary_page(out / "summary.html", title="How good are these maps?", data=summary)


def map_data(evaluation: Evaluation, picture: dict[str, Any] | None) -> dict[str, Any]:
    """Collect the data of the report's map: tiles, outlines, matches."""
    compared, matching = evaluation.compared, evaluation.matched.matching
    confidence, pairs = evaluation.matched.confidence, evaluation.matched.pairs
    grid = compared.frame.grid
    predicted = _status(matching.reference_of >= 0, matching.counts_prediction)
    reference = _status(matching.prediction_of >= 0, matching.counts_reference)
    return {
        "height": grid.height,
        "width": grid.width,
        "pyramid": picture,
        "places": _places(grid),
        "aoi": None if compared.aoi is None else encode_polygons(compared.aoi),
        "holes": encode_polygons(_holes(evaluation)),
        "predicted": {
            **_shapes(compared.predicted),
            "status": bytes_text(predicted),
            "iou": bytes_text(_below(np.where(predicted == _RIGHT, matching.iou, best_iou(pairs)))),
            "confidence": None if confidence is None else bytes_text(_level(confidence)),
        },
        "reference": {
            **_shapes(compared.reference),
            "status": bytes_text(reference),
            "iou": bytes_text(_below(best_iou(pairs.exchanged()))),
        },
    }


def gallery(evaluation: Evaluation) -> dict[str, list[int]]:
    """Return the surest false positives and the largest misses, the worst first."""
    matching, pairs = evaluation.matched.matching, evaluation.matched.pairs
    wrong, missed = np.flatnonzero(matching.wrong), np.flatnonzero(matching.missed)
    size = pairs.predicted_area[wrong]
    sure = evaluation.matched.confidence
    order = np.lexsort((-size, -sure[wrong])) if sure is not None else np.argsort(-size)
    largest = np.argsort(-pairs.reference_area[missed], kind="stable")
    return {"fp": wrong[order][:_SHOTS].tolist(), "fn": missed[largest][:_SHOTS].tolist()}


def _picture(
    evaluation: Evaluation, scene: Path | None
) -> tuple[dict[str, Any] | None, str | None]:
    grid = evaluation.compared.frame.grid
    named = evaluation.compared.prediction.image
    path = scene or (Path(named) if named and "://" not in named else None)
    if path is None or grid.derived:
        return None, None
    if not path.is_file():
        return None, f"the map has no imagery: {path} is not there; name it with --scene"
    return imagery(path, grid)


def _places(grid: PixelGrid) -> list[list[float]] | None:
    """Return longitude and latitude at 9 x 9 points over the scene, row by row.

    Between them a page may interpolate: off by centimetres on a scene of 10 km.
    """
    if grid.georef is None:
        return None
    steps = np.linspace(0, 1, 9)
    cols, rows = np.meshgrid(steps * grid.width, steps * grid.height)
    found = grid.georef.to_lonlat(np.column_stack([cols.ravel(), rows.ravel()]))
    return np.round(found, 8).tolist() if np.isfinite(found).all() else None


def _holes(evaluation: Evaluation) -> Shaped[np.ndarray, " areas"]:
    """Return where there is no prediction, cell by cell."""
    counts = evaluation.counts
    row, col = np.argwhere(counts.holes).T * counts.cell
    boxes = shapely.box(col, row, col + counts.cell, row + counts.cell)
    parts: Shaped[np.ndarray, " areas"] = shapely.get_parts(shapely.union_all(boxes))
    return parts[shapely.area(parts) > 0]


def _shapes(side: ComparedObjects) -> dict[str, Any]:
    return {
        "shapes": encode_polygons(side.pixels),
        "area": floats_text(shapely.area(side.projected)),
    }


def _status(
    matched: Shaped[np.ndarray, " n"], counts: Shaped[np.ndarray, " n"]
) -> Shaped[np.ndarray, " n"]:
    return np.where(counts, np.where(matched, _RIGHT, 0), _IGNORED).astype(np.uint8)


def _level(values: Float64[np.ndarray, " n"]) -> Shaped[np.ndarray, " n"]:
    return np.asarray(np.rint(np.clip(values, 0, 1) * 250), np.float64).astype(np.uint8)


def _below(values: Float64[np.ndarray, " n"]) -> Shaped[np.ndarray, " n"]:
    """Round levels down: 0.499 is no match, and is not shown as 0.5."""
    return _level(np.floor(values * 250 + 1e-9) / 250)
