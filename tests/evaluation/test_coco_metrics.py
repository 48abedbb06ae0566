"""The report's COCO and challenge figures beside pycocotools on the same pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from rasterio.features import rasterize

from pipeline.evaluation.coco_metrics import CHIP, MOST
from pipeline.evaluation.evaluate import Options, score
from pipeline.evaluation.predictions import Predicted
from pipeline.labels.objects import Objects, PixelGrid
from tests.core.metrics.test_coco import pycoco

SIDE = 2 * CHIP


def made(seed: int) -> tuple[Any, Any, Any]:
    """Truth, predictions and confidence, crowded, over four chips and their borders."""
    rng = np.random.default_rng(seed)
    at = np.indices((20, 20)).reshape(2, -1).T * 30.0
    at = at[(at < CHIP).any(axis=1)]
    large = np.indices((3, 3)).reshape(2, -1).T * 100.0 + CHIP
    size = np.concatenate([rng.uniform(5, 29, at.shape), rng.uniform(50, 99, large.shape)])
    size[-3:] = 98
    at = np.concatenate([at, large])
    frame = shapely.box(0, 0, SIDE, SIDE)
    reference = shapely.intersection(shapely.box(*at.T, *(at + size).T), frame)
    off = at + rng.normal(0, 2, at.shape)
    predicted: Any = shapely.intersection(shapely.box(*off.T, *(off + size).T), frame)
    kept = rng.random(len(at)) < 0.85
    extra = rng.uniform(0, SIDE - 20, (150, 2))
    predicted = np.concatenate([predicted[kept], shapely.box(*extra.T, *(extra + 14).T)])
    return reference, predicted, rng.random(len(predicted)).round(2)


def burnt(shapes: Any) -> list[Any]:
    return [rasterize([shape], out_shape=(SIDE, SIDE), dtype="uint8") for shape in shapes]


def images(masks: tuple[list[Any], list[Any]], sure: Any, size: int) -> list[Any]:
    """Return what each image of the scene shows: true and predicted masks, and confidence."""
    found = []
    for row in range(0, SIDE, size):
        for col in range(0, SIDE, size):
            window = slice(row, row + size), slice(col, col + size)
            true, predicted = ([mask[window] for mask in side] for side in masks)
            drawn = [bool(mask.any()) for mask in predicted]
            found.append(
                (
                    [mask for mask in true if mask.any()],
                    [mask for mask in predicted if mask.any()],
                    sure[drawn],
                )
            )
    return found


def test_the_report_says_what_pycocotools_says() -> None:
    reference, predicted, sure = made(0)
    masks = burnt(reference), burnt(predicted)
    grid = PixelGrid(height=SIDE, width=SIDE, georef=None)
    objects = Objects(source="made", polygon=predicted, crs=None, grid=grid, confidence=sure)
    predicted = Predicted(name="made", source=Path("made"), objects=objects, grid=grid)
    true = replace(objects, polygon=reference, confidence=None)
    report = score(predicted, true, aoi=None, options=Options(intervals=False)).report
    assert report["objects"]["tp"] + report["objects"]["fn"] == len(reference)
    # The scene is one image, and all that is predicted counts.
    whole = pycoco(images(masks, sure, SIDE), 10_000)
    precision, recall = (whole[what][..., 2] for what in ("precision", "recall"))
    ours = report["coco"]["pixels"]
    assert ours["ap"] == pytest.approx(precision[..., 0].mean(), abs=1e-6)
    assert ours["ap50"] == pytest.approx(precision[0, ..., 0].mean(), abs=1e-6)
    assert ours["ap75"] == pytest.approx(precision[5, ..., 0].mean(), abs=1e-6)
    assert ours["ar"] == pytest.approx(recall[..., 0].mean(), abs=1e-6)
    for area, name in enumerate(["small", "medium", "large"], 1):
        assert ours["ap_by_size"][name] == pytest.approx(precision[..., area].mean(), abs=1e-6)
        assert ours["ar_by_size"][name] == pytest.approx(recall[..., area].mean(), abs=1e-6)
    # The challenge: chips are images, and a hundred predictions count on each.
    chips = images(masks, sure, CHIP)
    assert max(len(one[1]) for one in chips) > MOST
    reference, challenge = pycoco(chips, MOST), report["coco"]["mapping_challenge"]
    assert challenge["ap50"] == pytest.approx(reference["precision"][0, ..., 0, 2].mean(), abs=1e-6)
    assert challenge["ar50"] == pytest.approx(reference["recall"][0, ..., 0, 2].mean(), abs=1e-6)
