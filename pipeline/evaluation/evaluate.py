"""Evaluation of a prediction against a reference."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.core.metrics.pixels import class_scores, foreground_scores
from pipeline.errors import ConfigError
from pipeline.evaluation.alignment import Compared, compare
from pipeline.evaluation.coco_metrics import coco_table, salt_table
from pipeline.evaluation.confidence_intervals import BootstrapSamples, bootstrap
from pipeline.evaluation.object_metrics import (
    MatchedObjects,
    match_scene_objects,
    object_tables,
    outline_table,
)
from pipeline.evaluation.pixel_metrics import PixelCounts, count_pixels
from pipeline.evaluation.predictions import Predicted, digest, grid_at, open_predicted
from pipeline.evaluation.report import write_report
from pipeline.evaluation.result import Evaluation
from pipeline.evaluation.rows import Table, metric_row, pixel_row, rounded
from pipeline.evaluation.sanity_checks import offset_notes
from pipeline.evaluation.thresholds import threshold_sample, threshold_tables
from pipeline.labels.layers import LayerChoice
from pipeline.labels.objects import Objects
from pipeline.labels.read import read_objects
from pipeline.outputs.vectors.shapefile import SUFFIX
from pipeline.scenes.names import slug

SCHEMA = "overtile/report/2"
"""Names the layout of `report.json`; `pipeline/outputs/report/schema.json` describes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of an evaluation."""

    aoi: Path | None = None
    """Polygons of the labelled area; what is outside does not count."""
    aoi_layer: str | None = None
    """Which layer of the area's file."""
    truth_layer: str | None = None
    """Which layer of the truth file."""
    predicted_layer: str | None = None
    """Which layer of predictions that are vector files."""
    scene: Path | None = None
    """The scene's imagery, where the prediction does not name it."""
    iou: float = 0.5
    """IoU that a match must reach."""
    precision: float = 0.9
    """Precision for which an operating point is sought."""
    intervals: bool = True
    """Whether to draw blocks of ground for intervals."""

    @property
    def of_aoi(self) -> LayerChoice:
        """The area's layer."""
        return LayerChoice(name=self.aoi_layer, option="--aoi-layer")

    @property
    def of_reference(self) -> LayerChoice:
        """The truth's layer."""
        return LayerChoice(name=self.truth_layer, option="--truth-layer")


def evaluate_scene(
    predicted: Path, reference: Path, *, out: Path | None = None, options: Options | None = None
) -> Evaluation:
    """Score one prediction against truth, and write its report.

    Args:
        predicted: A run's ``OUT/<scene>`` folder, or a vector file or mask of any tool.
        reference: Polygons in any vector format and CRS, a label raster, COCO JSON; or a
            folder with one such file for each scene, named as the scene is.
        out: Folder for ``report.html``, ``report.json`` and CSV tables; None writes nothing.
        options: Options of the evaluation.

    Raises:
        ConfigError: An input is missing, damaged or does not fit the others.
        SceneError: A raster cannot be read.
        ExportError: The report cannot be written.
    """
    options = options or Options()
    opened = open_predicted(predicted, layer=options.predicted_layer)
    return evaluate_opened(opened, reference, out, options)


def evaluate_opened(
    opened: Predicted, reference: Path, out: Path | None, options: Options
) -> Evaluation:
    """Score a prediction that has been read already; as `evaluate_scene`."""
    if opened.grid is None and options.scene is not None:
        opened = replace(opened, grid=grid_at(options.scene))
    reference = reference_for(opened, reference)
    true = read_objects(reference, choice=options.of_reference, image=opened.name)
    aoi = None if options.aoi is None else read_objects(options.aoi, choice=options.of_aoi)
    evaluation = score(opened, true, aoi=aoi, options=options)
    evaluation.report["inputs"] = {
        "predicted": {**_input(opened.source), "values": opened.objects.described},
        "reference": {**_input(reference), "values": true.described},
        "aoi": None if options.aoi is None else _input(options.aoi),
    }
    if out is not None:
        write_report(evaluation, out, scene=options.scene)
    return evaluation


def reference_for(predicted: Predicted, reference: Path) -> Path:
    """Return the truth of one scene: the file itself, or the one of its name in a folder.

    Raises:
        ConfigError: The folder has none, or several.
    """
    if not reference.exists():
        raise ConfigError(
            f"{reference} does not exist; name a file with the true polygons or labels"
        )
    if not reference.is_dir():
        return reference
    known = {".geojson", ".json", ".parquet", ".gpkg", ".shp", ".zip", ".fgb", ".kml", ".gml"}
    known |= {".tif", ".tiff", ".png"}
    found = [
        one
        for one in sorted(reference.iterdir())
        if one.suffix.lower() in known and slug(_stem(one)) == slug(predicted.name)
    ]
    # A scene's folder is called with_space where its file is called "with space".
    found = [one for one in found if _stem(one) == predicted.name] or found
    if len(found) == 1:
        return found[0]
    if reference.suffix.lower() == ".gdb":
        raise ConfigError(f"{reference}: it is a file geodatabase; export its layer as GeoPackage")
    what = "no file" if not found else f"{len(found)} files"
    raise ConfigError(
        f"{reference} holds {what} called {predicted.name}; name the truth file itself"
    )


def _stem(path: Path) -> str:
    """Return a file's name without its suffix, which may be ``.shp.zip``."""
    return path.name[: -len(SUFFIX)] if path.name.lower().endswith(SUFFIX) else path.stem


def score(
    predicted: Predicted, reference: Objects, *, aoi: Objects | None, options: Options
) -> Evaluation:
    """Evaluate predictions and references that were read already."""
    compared = compare(predicted, reference, aoi)
    counts = count_pixels(compared)
    matched = match_scene_objects(compared, counts, iou=options.iou)
    drawn = bootstrap(compared, matched, counts) if options.intervals else None
    report = _report(compared, matched, counts, drawn)
    report.update(threshold_tables(threshold_sample(matched, counts), wanted=options.precision))
    return Evaluation(report=report, compared=compared, matched=matched, counts=counts, draws=drawn)


def _report(
    compared: Compared, matched: MatchedObjects, counts: PixelCounts, drawn: BootstrapSamples | None
) -> Table:
    frame, total = compared.frame, counts.counts.sum(axis=0)
    pixels = [
        pixel_row(name, class_scores(total, value))
        for value, name in enumerate(compared.classes, 1)
    ]
    objects = object_tables(compared, matched)
    coco = coco_table(compared, matched)
    every = pixel_row("all", foreground_scores(total))
    return {
        "schema": SCHEMA,
        "scene": compared.prediction.name,
        "inputs": {},
        "notes": [*compared.notes, *_offset(compared, matched)],
        "common_grid": {
            "unit": frame.unit,
            "height_px": frame.grid.height,
            "width_px": frame.grid.width,
            "pixel_size_m": rounded(frame.step_m),
            "derived": frame.grid.derived,
        },
        "evaluated": {
            "pixels": counts.evaluated,
            "missing_pixels": counts.missing,
            "area_km2": rounded(counts.evaluated * frame.step_m**2 / 1e6) if frame.step_m else None,
        },
        "headline": _headline(matched, coco, every, drawn),
        "intervals": {
            "blocks": drawn.blocks if drawn else 0,
            "block_px": counts.blocks.size,
            "reason": drawn.reason if drawn else "not asked for",
        },
        "objects": {"iou": matched.iou, **objects},
        "outlines": outline_table(compared, matched),
        "coco": coco,
        "salt": salt_table(counts),
        "pixels": {"all": every, "by_class": pixels},
        "run": compared.prediction.manifest,
    }


def _offset(compared: Compared, matched: MatchedObjects) -> list[str]:
    predicted, reference = compared.predicted.projected, compared.reference.projected
    return offset_notes(predicted, reference, matched.pairs, compared.frame)


def _headline(
    matched: MatchedObjects, coco: Table, every: Table, drawn: BootstrapSamples | None
) -> Table:
    matching = matched.matching
    right = matching.right
    values = {
        # A precision of 0 where there is no reference object would be meaningless.
        "precision": matching.precision if matching.counts_reference.any() else None,
        "recall": matching.recall,
        "f1": matching.f1,
        "ap50": coco.get("polygons", {}).get("ap50"),
        "ap": coco.get("polygons", {}).get("ap"),
        "mean_iou": float(matching.iou[right].mean()) if right.any() else None,
        "pixel_precision": every["precision"],
        "pixel_recall": every["recall"],
        "pixel_f1": every["f1"],
        "pixel_iou": every["iou"],
    }
    lacking = [
        what
        for what, count in (
            ("reference", matching.counts_reference.sum()),
            ("predictions", matching.counts_prediction.sum()),
        )
        if not count
    ]
    reasons = {
        "ap": coco["reason"],
        "ap50": coco["reason"],
        "mean_iou": "no matched pairs",
    }
    default = f"no {' and no '.join(lacking)}" if lacking else None
    return {
        name: metric_row(
            value,
            drawn.interval(name) if drawn else None,
            (every["reason"] if name.startswith("pixel") else reasons.get(name)) or default,
        )
        for name, value in values.items()
    }


def _input(path: Path) -> Table:
    return {"path": str(path), "digest": digest(path)}
