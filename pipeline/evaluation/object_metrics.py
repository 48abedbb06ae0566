"""Object figures of a scene: matched, swept, grouped, and outlines compared."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import shapely
from jaxtyping import Bool, Float64, Int64

from pipeline.core.metrics import outline_metrics as shapes
from pipeline.core.metrics.groups import best_iou, group_scores, merged, near_seams
from pipeline.core.metrics.matching import SWEEP, Ignored, Matching, match_pairs
from pipeline.core.metrics.overlaps import Overlaps, overlaps
from pipeline.evaluation.alignment import Compared, ComparedObjects
from pipeline.evaluation.pixel_metrics import PixelCounts
from pipeline.evaluation.rows import Table, group_row, matching_row, rounded
from pipeline.evaluation.sanity_checks import offsets

SIZES_M2 = (0.0, 25.0, 50.0, 100.0, 250.0, 1000.0, np.inf)
"""Borders of the size classes on the ground, in square metres."""
SIZES_PX = (0.0, 32.0**2, 96.0**2, np.inf)
"""Borders of the size classes of images, in pixels: COCO's."""
NEAR_IOU = 0.1
"""Errors that overlap something by so much are near it: it is the outline that is wrong."""
SEAM_MARGIN = 16
"""Objects that come this near to a seam between tiles, in pixels, are near it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedObjects:
    """Objects of a scene, matched."""

    pairs: Overlaps
    """Overlaps in the plane, of equal classes only."""
    matching: Matching
    """The matching at the threshold of the headline figures."""
    ignored: Ignored
    """What does not count."""
    confidence: Float64[np.ndarray, " predictions"] | None
    """Confidence of each prediction, where it is known."""
    iou: float
    """The threshold of the matching."""


def match_scene_objects(compared: Compared, counts: PixelCounts, *, iou: float) -> MatchedObjects:
    """Return the matching of a scene's objects.

    What lies mostly outside the labelled area, or where there is no data, does not count.
    """
    pairs = overlaps(compared.predicted.projected, compared.reference.projected)
    same = compared.label_predicted[pairs.predicted] == compared.label_reference[pairs.reference]
    pairs = pairs.where(same)
    ignored = Ignored(
        predicted=_aside(compared.predicted, counts.valid_predicted),
        reference=_aside(compared.reference, counts.valid_reference),
    )
    confidence = compared.predicted.objects.confidence
    matching = match_pairs(pairs, confidence=confidence, iou=iou, ignored=ignored)
    return MatchedObjects(
        pairs=pairs, matching=matching, ignored=ignored, confidence=confidence, iou=iou
    )


def object_tables(compared: Compared, matched: MatchedObjects) -> Table:
    """Return the sweep over IoU, the groups, and what was merged and split."""
    sweep = []
    for threshold in SWEEP:
        found = match_pairs(
            matched.pairs, confidence=matched.confidence, iou=threshold, ignored=matched.ignored
        )
        sweep.append({"iou": threshold, **matching_row(found)})
    matching = matched.matching
    return {
        **matching_row(matching),
        "ignored_predictions": int((~matching.counts_prediction).sum()),
        "ignored_references": int((~matching.counts_reference).sum()),
        "sweep": sweep,
        "by_class": _by_class(compared, matching),
        "by_size": _by_size(compared, matched),
        "by_confidence": _by_confidence(matched),
        "seams": _by_seams(compared, matching),
        **_merged_and_split(matched),
        "near": _near(matched),
    }


def outline_table(compared: Compared, matched: MatchedObjects) -> Table:
    """Return how well the outlines of matched pairs agree: mean and median of each measure."""
    right = np.flatnonzero(matched.matching.right)
    unit = compared.frame.unit
    width = 1.0 if unit == "m" else 3.0
    predicted = compared.predicted.projected[right]
    reference = compared.reference.projected[matched.matching.reference_of[right]]
    size, moved = shapes.area_error(predicted, reference), offsets(predicted, reference)
    measures = {
        "iou": matched.matching.iou[right],
        "boundary_iou": shapes.boundary_iou(predicted, reference, width=width),
        "polis": shapes.polis(predicted, reference),
        "rotation_deg": shapes.rotation_error(predicted, reference),
        "offset_x": moved[:, 0],
        "offset_y": moved[:, 1],
        "area_error": size,
        "area_error_abs": np.abs(size),
        "vertex_ratio": _vertices(predicted) / np.maximum(_vertices(reference), 1),
    }
    reason = None if len(right) else "no matched pairs"
    return {
        "pairs": len(right),
        "unit": unit,
        "boundary_width": width,
        "reason": reason,
        **{
            name: {
                "mean": rounded(float(values.mean())) if len(right) else None,
                "median": rounded(float(np.median(values))) if len(right) else None,
            }
            for name, values in measures.items()
        },
    }


def _aside(side: ComparedObjects, valid: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Return what does not count: outside the area, or with data on less than half of it."""
    return np.asarray(~side.inside | ((side.runs.pixels > 0) & (2 * valid < side.runs.pixels)))


def _by_class(compared: Compared, matching: Matching) -> list[Table]:
    return [
        group_row(
            name,
            group_scores(
                matching, compared.label_predicted == value, compared.label_reference == value
            ),
        )
        for value, name in enumerate(compared.classes, 1)
    ]


def _by_size(compared: Compared, matched: MatchedObjects) -> list[Table]:
    ground = compared.frame.unit == "m"
    borders, unit = (SIZES_M2, "m2") if ground else (SIZES_PX, "px")
    rows = []
    for low, high in pairwise(borders):
        name = f"{low:.0f} to {high:.0f}" if np.isfinite(high) else f"over {low:.0f}"
        predicted, reference = (
            (areas >= low) & (areas < high)
            for areas in (matched.pairs.predicted_area, matched.pairs.reference_area)
        )
        scores = group_scores(matched.matching, predicted, reference)
        limits = {"from": low, "to": rounded(high), "unit": unit}
        rows.append({**group_row(name, scores), **limits})
    return rows


def _by_confidence(matched: MatchedObjects) -> list[Table]:
    if matched.confidence is None:
        return []
    matching, rows = matched.matching, []
    for low in np.arange(10) / 10:
        last = low > 0.85
        here = (matched.confidence >= low - 1e-9) & ((matched.confidence < low + 0.1 - 1e-9) | last)
        right, wrong = matching.right & here, matching.wrong & here
        total = int((right | wrong).sum())
        rows.append(
            {
                "from": rounded(low),
                "to": rounded(low + 0.1),
                "predictions": total,
                "correct": int(right.sum()),
                "precision": rounded(right.sum() / total) if total else None,
                "mean_iou": rounded(matching.iou[right].mean()) if right.any() else None,
                "reason": None if total else "no predictions",
            }
        )
    return rows


def _by_seams(compared: Compared, matching: Matching) -> Table:
    cuts = compared.prediction.seams
    if cuts is None:
        return {"reason": "the prediction holds no record of its tiles", "rows": []}
    if len(cuts[0]) < 3 and len(cuts[1]) < 3:
        return {"reason": "the scene was one tile: it has no seams", "rows": []}
    near = [
        near_seams(side.pixels, row_cuts=cuts[0], col_cuts=cuts[1], margin=float(SEAM_MARGIN))
        for side in (compared.predicted, compared.reference)
    ]
    return {
        "reason": None,
        "margin_px": SEAM_MARGIN,
        "rows": [
            group_row("near a seam", group_scores(matching, near[0], near[1])),
            group_row("elsewhere", group_scores(matching, ~near[0], ~near[1])),
        ],
    }


def _merged_and_split(matched: MatchedObjects) -> Table:
    on_references = merged(matched.pairs)
    on_predictions = merged(matched.pairs.exchanged())
    lumps = (on_references >= 2) & matched.matching.counts_prediction
    splits = (on_predictions >= 2) & matched.matching.counts_reference
    return {
        "merged": {"predictions": int(lumps.sum()), "references": int(on_references[lumps].sum())},
        "split": {
            "references": int(splits.sum()),
            "predictions": int(on_predictions[splits].sum()),
        },
    }


def _near(matched: MatchedObjects) -> Table:
    """Return how many errors overlap something of the other side all the same."""
    predicted, reference = best_iou(matched.pairs), best_iou(matched.pairs.exchanged())
    return {
        "iou": NEAR_IOU,
        "false_positives": int((matched.matching.wrong & (predicted >= NEAR_IOU)).sum()),
        "misses": int((matched.matching.missed & (reference >= NEAR_IOU)).sum()),
    }


def _vertices(polygons: np.ndarray) -> Float64[np.ndarray, " n"]:
    """Return how many corners each polygon has, the repeated last ones not counted."""
    rings = shapely.get_num_interior_rings(polygons) + 1
    return np.asarray(shapely.get_num_coordinates(polygons) - rings, np.float64)
