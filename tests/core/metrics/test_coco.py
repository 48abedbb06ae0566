"""COCO's figures beside pycocotools, and pixel runs beside GDAL's rasterizer."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.features import rasterize as gdal_rasterize

from pipeline.core.metrics.chips import chip_overlaps, cut_into_chips, pixel_overlaps
from pipeline.core.metrics.coco import average_precision, coco_scores, kept
from pipeline.core.metrics.overlaps import Overlaps, overlaps
from pipeline.core.metrics.rasterise import count_inside, rasterise_values
from pipeline.core.metrics.run_length import rasterize
from pipeline.core.window import Window
from tests.strategies import examples

SIDE = 256


def scene(seed: int, *, images: int, shapes: tuple[int, int] = (25, 90)) -> Any:
    """Truths and predictions of a few images: (truth, predicted, confidence) each."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(images):
        count = rng.integers(0, 25)
        at = rng.uniform(0, SIDE - 20, (count, 2))
        size = rng.uniform(3, rng.choice(shapes), (count, 2))
        turn = rng.uniform(0, 90, count)
        reference = [
            shapely.affinity.rotate(shapely.box(*low, *(low + by)), angle)
            for low, by, angle in zip(at, size, turn, strict=True)
        ]
        near = [shapely.affinity.translate(one, *rng.normal(0, 2, 2)) for one in reference]
        predicted = [one for one in near if rng.random() < 0.8]
        predicted += [one for one in near if rng.random() < 0.2]
        x, y = rng.uniform(0, SIDE - 20, (2, rng.integers(0, 5)))
        predicted += list(shapely.box(x, y, x + 15, y + 11))
        frame = shapely.box(0, 0, SIDE, SIDE)
        pair = [np.array([one & frame for one in some], object) for some in (reference, predicted)]
        made.append((*pair, rng.random(len(predicted)).round(2)))
    return made


def masks_of(shapes: Any) -> Any:
    return [
        gdal_rasterize([shape], out_shape=(SIDE, SIDE), dtype="uint8") if shape.area else None
        for shape in shapes
    ]


def pycoco(masks: Any, most: int) -> Any:
    """Evaluate with pycocotools; ``masks`` is (truth, predicted, confidence) of each image."""
    from pycocotools import mask as rle
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    reference: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for image, (true, predicted, confidence) in enumerate(masks, 1):
        for one in true:
            code = rle.encode(np.asfortranarray(one))
            reference.append(
                {
                    "id": len(reference) + 1,
                    "image_id": image,
                    "category_id": 1,
                    "iscrowd": 0,
                    "segmentation": code,
                    "area": float(rle.area(code)),
                    "bbox": [0, 0, 1, 1],
                }
            )
        for one, sure in zip(predicted, confidence, strict=True):
            code = rle.encode(np.asfortranarray(one))
            found.append(
                {"image_id": image, "category_id": 1, "segmentation": code, "score": float(sure)}
            )
    with contextlib.redirect_stdout(io.StringIO()):
        dataset = COCO()
        dataset.dataset = {
            "images": [{"id": n, "height": SIDE, "width": SIDE} for n in range(1, len(masks) + 1)],
            "categories": [{"id": 1}],
            "annotations": reference,
        }
        dataset.createIndex()
        evaluation = COCOeval(dataset, dataset.loadRes(found), "segm")
        evaluation.params.maxDets = [1, 10, most]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval


def joined(parts: list[Overlaps]) -> Overlaps:
    """Put the objects of several images into one list."""
    ours = np.cumsum([0, *(len(part.predicted_area) for part in parts)])
    other = np.cumsum([0, *(len(part.reference_area) for part in parts)])
    return Overlaps(
        predicted=np.concatenate([p.predicted + at for p, at in zip(parts, ours, strict=False)]),
        reference=np.concatenate([p.reference + at for p, at in zip(parts, other, strict=False)]),
        shared=np.concatenate([part.shared for part in parts]),
        predicted_area=np.concatenate([part.predicted_area for part in parts]),
        reference_area=np.concatenate([part.reference_area for part in parts]),
    )


@pytest.mark.parametrize("most", [1000, 12])
@pytest.mark.parametrize("seed", range(6))
def test_every_figure_equals_pycocotools(seed: int, most: int) -> None:
    masks, parts, confidences, images = [], [], [], []
    for image, (reference, predicted, confidence) in enumerate(scene(seed, images=8)):
        runs = (
            rasterize(reference, height=SIDE, width=SIDE),
            rasterize(predicted, height=SIDE, width=SIDE),
        )
        reference, predicted = reference[runs[0].pixels > 0], predicted[runs[1].pixels > 0]
        confidence = confidence[runs[1].pixels > 0]
        masks.append((masks_of(reference), masks_of(predicted), confidence))
        runs = (
            rasterize(predicted, height=SIDE, width=SIDE),
            rasterize(reference, height=SIDE, width=SIDE),
        )
        parts.append(pixel_overlaps(predicted, reference, runs))
        confidences.append(confidence)
        images.append(np.full(len(predicted), image))
    reference = pycoco(masks, most)
    confidence, of_image = np.concatenate(confidences), np.concatenate(images)
    pairs = joined(parts)
    keep = kept(of_image, confidence, most=most)
    new = np.cumsum(keep) - 1
    pairs = Overlaps(
        predicted=new[pairs.predicted[keep[pairs.predicted]]],
        reference=pairs.reference[keep[pairs.predicted]],
        shared=pairs.shared[keep[pairs.predicted]],
        predicted_area=pairs.predicted_area[keep],
        reference_area=pairs.reference_area,
    )
    ours = coco_scores(pairs, confidence[keep])

    def theirs(what: str, area: int, row: int | None = None) -> float | None:
        values = reference[what][..., area, 2]
        values = values if row is None else values[row : row + 1]
        return float(values.mean()) if (values > -1).all() else None

    assert ours.ap == pytest.approx(theirs("precision", 0), abs=1e-12)
    assert ours.ap50 == pytest.approx(theirs("precision", 0, 0), abs=1e-12)
    assert ours.ap75 == pytest.approx(theirs("precision", 0, 5), abs=1e-12)
    assert ours.ar == pytest.approx(theirs("recall", 0), abs=1e-12)
    assert ours.ar50 == pytest.approx(theirs("recall", 0, 0), abs=1e-12)
    for area, name in enumerate(["small", "medium", "large"], 1):
        assert ours.ap_by_size[name] == pytest.approx(theirs("precision", area), abs=1e-12)
        assert ours.ar_by_size[name] == pytest.approx(theirs("recall", area), abs=1e-12)


def test_no_truth_gives_no_figure() -> None:
    box = np.array([shapely.box(0, 0, 4, 4)], object)
    nothing = coco_scores(overlaps(box, box[:0]), np.ones(1))
    assert (nothing.ap, nothing.ar, nothing.ap_by_size["small"]) == (None, None, None)


def test_average_precision_by_hand() -> None:
    # right, wrong, right of two truths: precision 1 up to recall 0.5 (51 of the 101
    # recalls), then 2/3 for the other 50
    value = average_precision(np.array([True, False, True]), 2, np.ones(3))
    assert value == pytest.approx((51 + 50 * 2 / 3) / 101)


@settings(deadline=None, max_examples=examples(40))
@given(seed=st.integers(0, 2**32 - 1))
def test_runs_hold_the_pixels_that_gdal_burns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    hull = shapely.convex_hull(shapely.multipoints(rng.uniform(-20, SIDE + 20, (7, 2))))
    hole = shapely.box(*rng.uniform(20, 100, 2), *rng.uniform(100, 220, 2))
    shapes = np.array([hull, hull - hole, shapely.box(3.2, 3.2, 3.4, 3.4)], object)
    runs = rasterize(shapes, height=SIDE, width=SIDE)
    for row, shape in enumerate(shapes):
        burnt = gdal_rasterize([(shape, 1)], out_shape=(SIDE, SIDE), dtype="uint8")
        values = np.zeros(3, np.uint8)
        values[row] = 1
        window = Window(row=0, col=0, height=SIDE, width=SIDE)
        ours = rasterise_values(runs.take(runs.owner == row).by_row(), values, window)
        np.testing.assert_array_equal(ours, burnt)
        assert runs.pixels[row] == burnt.sum()


def test_windows_of_runs_make_up_the_whole() -> None:
    reference, _, _ = scene(3, images=1)[0]
    runs = rasterize(reference, height=SIDE, width=SIDE).by_row()
    values = np.arange(1, len(reference) + 1).astype(np.uint8)
    whole = rasterise_values(runs, values, Window(row=0, col=0, height=SIDE, width=SIDE))
    counted = np.zeros(len(reference), np.int64)
    for row in range(0, SIDE, 100):
        for col in range(0, SIDE, 100):
            window = Window(row=row, col=col, height=100, width=100)
            window = window.clipped(height=SIDE, width=SIDE)
            part = rasterise_values(runs, values, window)
            np.testing.assert_array_equal(
                part, whole[window.row : window.bottom, window.col : window.right]
            )
            counted += count_inside(runs, np.ones(part.shape, bool), window)
    np.testing.assert_array_equal(counted, runs.pixels)


def test_pixel_overlaps_equal_polygon_overlaps_on_whole_pixels() -> None:
    reference, predicted, _ = scene(5, images=1)[0]
    snapped = [
        np.asarray(shapely.box(*shapely.bounds(shapes).round().T), object).reshape(-1)
        for shapes in (predicted, reference)
    ]
    runs = tuple(rasterize(shapes, height=SIDE, width=SIDE) for shapes in snapped)
    in_pixels = pixel_overlaps(snapped[0], snapped[1], (runs[0], runs[1]))
    in_plane = overlaps(*snapped)
    np.testing.assert_array_equal(in_pixels.predicted, in_plane.predicted)
    np.testing.assert_array_equal(in_pixels.shared, in_plane.shared)


@pytest.mark.parametrize("seed", range(4))
def test_cutting_at_chips_equals_drawing_each_chip(seed: int) -> None:
    reference, predicted, _ = scene(seed, images=1)[0]
    size = 100
    runs = [rasterize(shapes, height=SIDE, width=SIDE) for shapes in (predicted, reference)]
    whole = pixel_overlaps(predicted, reference, (runs[0], runs[1]))
    pieces, other = (cut_into_chips(one, size=size, width=SIDE) for one in runs)
    found = chip_overlaps(whole, pieces, other)
    listed = {
        (pieces.parent[p], other.parent[t], pieces.chip[p]): shared
        for p, t, shared in zip(found.predicted, found.reference, found.shared, strict=True)
    }
    expected = {}
    for p, t in zip(whole.predicted, whole.reference, strict=True):
        both = (masks_of(predicted)[p] > 0) & (masks_of(reference)[t] > 0)
        for chip in range(9):
            row, col = chip // 3 * size, chip % 3 * size
            if shared := both[row : row + size, col : col + size].sum():
                expected[p, t, chip] = shared
    assert listed == expected
    assert pieces.runs.pixels.sum() == runs[0].pixels.sum()
