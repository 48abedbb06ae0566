"""Evaluations in the child: reports, and a table of matched, missed and false objects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from pipeline.core.metrics.groups import best_iou
from pipeline.errors import ConfigError, PipelineError, SceneError
from pipeline.evaluation.batch import nothing_compared, summarise
from pipeline.evaluation.evaluate import Options, evaluate_opened
from pipeline.evaluation.predictions import expand_predictions, open_predicted
from pipeline.evaluation.report import write_summary
from pipeline.evaluation.result import Evaluation
from pipeline.outputs.atomic import write_faults
from pipeline.scenes.names import slug, unique

MATCHES = "matches.parquet"


def evaluate(
    predicted: Sequence[Path], reference: Path, *, out: Path, work: Path, options: Options
) -> dict[str, Any]:
    """Score predictions against reference labels, and write reports and the matches.

    Args:
        predicted: Scene folders, output folders, vector files or masks.
        reference: Polygons or a label raster; a folder of them for several scenes.
        out: Folder of the reports.
        work: Folder of `MATCHES`.
        options: What else is chosen.

    Returns:
        ``metrics`` (value, low, high and reason by name), ``scenes``, ``notes``, ``failed``, and
        ``report``, the page.

    Raises:
        ConfigError: An input is missing or does not fit.
        SceneError: The only prediction cannot be read.
        ExportError: A report cannot be written.
    """
    paths = expand_predictions(list(predicted))
    if not paths:
        raise ConfigError("no predictions: give a map, a file, or a list of at least one")
    with write_faults(out):
        out.mkdir(parents=True, exist_ok=True)
    if len(paths) == 1:
        found = evaluate_opened(open_predicted(paths[0]), reference, out, options)
        _write_matches([found], work)
        nothing = nothing_compared(found.report)
        return {
            "metrics": found.report["headline"],
            "scenes": [found.report["scene"]],
            "notes": found.report["notes"],
            "failed": [nothing] if nothing else [],
            "report": str(out / "report.html"),
        }
    return _several(paths, reference, out, work, options)


def _several(
    paths: list[Path], reference: Path, out: Path, work: Path, options: Options
) -> dict[str, Any]:
    done: list[tuple[str, str, Evaluation]] = []
    failed: list[str] = []
    names = unique([slug(path.stem) for path in paths], [str(path) for path in paths])
    for path, name in zip(paths, names, strict=True):
        try:
            with write_faults(out / name):
                (out / name).mkdir(exist_ok=True)
            found = evaluate_opened(open_predicted(path), reference, out / name, options)
        except (ConfigError, SceneError) as error:
            failed.append(f"{path}: {error}")
            continue
        done.append(("all", name, found))
    if not done:
        raise ConfigError(f"nothing could be compared: {'; '.join(failed)}")
    summary = summarise(done, failed, wanted=options.precision)
    write_summary(summary, out)
    _write_matches([found for _, _, found in done], work)
    return {
        "metrics": summary["total"]["figures"],
        "scenes": [found.report["scene"] for _, _, found in done],
        "notes": [
            f"{found.report['scene']}: {note}"
            for _, _, found in done
            for note in found.report["notes"]
        ],
        "failed": failed,
        "report": str(out / "summary.html"),
    }


def _write_matches(evaluations: Sequence[Evaluation], work: Path) -> None:
    tables = [matches(one) for one in evaluations]
    if len({table.crs for table in tables}) > 1:
        if any(table.crs is None for table in tables):
            raise PipelineError("some scenes are georeferenced and others not: evaluate them apart")
        tables = [table.to_crs("EPSG:4326") for table in tables]
    filled = [table for table in tables if len(table)] or tables[:1]
    joined = gpd.GeoDataFrame(pd.concat(filled, ignore_index=True), crs=filled[0].crs)
    with write_faults(work):
        joined.to_parquet(work / MATCHES)


def matches(evaluation: Evaluation) -> gpd.GeoDataFrame:
    """Tabulate the objects of an evaluation.

    Returns:
        A row for each prediction (``matched``, ``false`` or ``ignored``), then for each reference
        object that none matched (``missed`` or ``ignored``): their ids or else numbers, class,
        confidence, IoU (with what it matched, else with what it overlaps most), and the outline,
        in the CRS of the scene or in its pixels.
    """
    compared, matched = evaluation.compared, evaluation.matched
    matching, pairs = matched.matching, matched.pairs
    predicted, reference = compared.predicted, compared.reference
    left = np.flatnonzero(matching.prediction_of < 0)
    hit = matching.reference_of >= 0
    reference_ids = _ids(reference)
    found = pd.Series([None] * len(predicted), dtype=object)
    found[hit] = reference_ids[matching.reference_of[hit]]
    names = np.array(["", *compared.classes], object)
    confidence = matched.confidence
    predictions = {
        "state": np.where(matching.counts_prediction, np.where(hit, "matched", "false"), "ignored"),
        "predicted": _ids(predicted),
        "reference": found.to_numpy(object),
        "class": names[compared.label_predicted],
        "confidence": np.full(len(predicted), np.nan) if confidence is None else confidence,
        "iou": np.where(hit, matching.iou, best_iou(pairs)),
    }
    missed = {
        "state": np.where(matching.counts_reference[left], "missed", "ignored"),
        "predicted": np.full(len(left), None, object),
        "reference": reference_ids[left],
        "class": names[compared.label_reference[left]],
        "confidence": np.full(len(left), np.nan),
        "iou": best_iou(pairs.exchanged())[left],
    }
    columns = {name: np.concatenate([predictions[name], missed[name]]) for name in predictions}
    shapes = np.concatenate([predicted.pixels, reference.pixels[left]])
    georef = compared.frame.grid.georef
    if georef is not None:
        shapes = shapely.transform(shapes, georef.to_map)
    table = gpd.GeoDataFrame(
        {"scene": evaluation.report["scene"], **columns},
        geometry=shapes,
        crs=None if georef is None else georef.crs,
    )
    # One type whether there are any or not, for the file.
    return table.astype(dict.fromkeys(("scene", "predicted", "reference", "class"), "string"))


def _ids(side: Any) -> Any:
    ids = side.objects.id
    return np.array([str(one) for one in (range(len(side)) if ids is None else ids)], object)
