"""The figures of a finished training, with intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.core.metrics.bootstrap import percentile_interval, resample_blocks, share, totals
from pipeline.training.config import TrainingConfig
from pipeline.training.score.blocks import block_counts
from pipeline.training.score.predicted import PlacePrediction, Scored
from pipeline.training.score.scores import objects, plain_objects
from pipeline.training.validate import Trial, mask_of, objects_of, pixels_of, scores_of
from pipeline.training.volumes.outputs import VolumePrediction, reported_volumes


def metric_rows(
    predictions: Sequence[Scored], config: TrainingConfig, best: Trial
) -> dict[str, dict[str, float | list[float]]]:
    """Return the figures at the chosen threshold with 95 % intervals: a row a place, or one.

    Images are drawn again for the intervals, of places and volumes blocks of 8 x 8 each.
    """
    threshold, least = best.threshold, best.min_area_px
    if config.volumes is not None:
        volumes = [one for one in predictions if isinstance(one, VolumePrediction)]
        return reported_volumes(volumes, config, threshold=threshold)
    pictures = [one for one in predictions if isinstance(one, PlacePrediction)]
    if config.images is not None:
        return {"all images": _of_all(pictures, config, threshold=threshold, min_area_px=least)}
    out: dict[str, dict[str, float | list[float]]] = {}
    for one in pictures:
        counts = block_counts(one, config, threshold=threshold)
        tp, fp, fn = counts.sum(axis=0)
        again = totals(counts.astype(np.float64), resample_blocks(len(counts)))
        iou = again[:, 0], again.sum(axis=1)
        found = objects(plain_objects(mask_of(one, threshold, 0, config)), one.level)
        row: dict[str, float | list[float]] = {
            "pixel_iou": round(float(tp / max(tp + fp + fn, 1)), 4),
            "object_f1": round(found.f1, 4),
        }
        if config.targets.interior:
            apart = objects(objects_of(one, threshold, config), one.level)
            row["marked_f1"] = round(apart.f1, 4)
        between = percentile_interval(share(*iou))
        if between is not None:
            row["pixel_iou_95"] = [round(between.low, 4), round(between.high, 4)]
        out[one.name] = row
    return out


def _of_all(
    predictions: Sequence[PlacePrediction],
    config: TrainingConfig,
    *,
    threshold: float,
    min_area_px: int,
) -> dict[str, float | list[float]]:
    counts = np.array([pixels_of(one, threshold, min_area_px, config) for one in predictions])
    scores = scores_of(predictions, counts, config, threshold=threshold)
    again = totals(np.asarray(scores[:, None], np.float64), resample_blocks(len(predictions)))[
        :, 0
    ] / len(predictions)
    tp, fp, fn = counts.sum(axis=0)
    row: dict[str, float | list[float]] = {
        config.score.kind: round(float(scores.mean()), 4),
        "pixel_iou": round(float(tp / max(tp + fp + fn, 1)), 4),
        "images": len(predictions),
    }
    if config.score.kind == "membranes":
        known = sum(int(one.level.known.sum()) for one in predictions)
        row["pixel_error"] = round(float((fp + fn) / max(known, 1)), 4)
        row["rand_error"] = round(float(1.0 - scores.mean()), 4)
    between = percentile_interval(again)
    if between is not None:
        row[f"{config.score.kind}_95"] = [round(between.low, 4), round(between.high, 4)]
    return row
