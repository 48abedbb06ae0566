"""COCO's and the challenges' figures of a scene."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from pipeline.core.metrics.chips import chip_overlaps, cut_into_chips, pixel_overlaps
from pipeline.core.metrics.coco import CocoScores, coco_scores, kept
from pipeline.core.metrics.matching import Ignored
from pipeline.core.metrics.overlaps import Overlaps
from pipeline.core.metrics.salt import salt_scores
from pipeline.evaluation.alignment import Compared
from pipeline.evaluation.object_metrics import MatchedObjects
from pipeline.evaluation.pixel_metrics import PixelCounts
from pipeline.evaluation.rows import Table, rounded, rounded_each

CHIP = 300
"""Edge of the chips of the crowdAI mapping challenge, in pixels."""
MOST = 100
"""Predictions that count on a chip, there and in COCO (``maxDets``)."""


def coco_table(compared: Compared, matched: MatchedObjects) -> Table:
    """Return AP and AR: of polygons, of pixels, and of the mapping challenge's chips.

    Without confidence there is no order to rank by, and no figure.
    """
    if matched.confidence is None:
        return {"reason": "the predictions carry no confidence to rank them by"}
    predicted, reference = compared.predicted, compared.reference
    pixels = pixel_overlaps(predicted.pixels, reference.pixels, (predicted.runs, reference.runs))
    same = compared.label_predicted[pixels.predicted] == compared.label_reference[pixels.reference]
    pixels = pixels.where(same)
    # Size classes are COCO's: in pixels, wherever the overlap is measured.
    exact = coco_scores(matched.pairs, matched.confidence, sizes={}, ignored=matched.ignored)
    drawn = coco_scores(pixels, matched.confidence, ignored=_drawable(pixels, matched.ignored))
    return {
        "reason": None if len(reference) else "no reference objects",
        "polygons": _row(exact),
        "pixels": _row(drawn),
        "mapping_challenge": _challenge(compared, matched, pixels),
    }


def salt_table(counts: PixelCounts) -> Table:
    """Return the TGS score of the whole image: mean over IoU 0.50:0.05:0.95."""
    table = counts.counts.sum(axis=0)
    shared, predicted = float(table[1:, 1:].sum()), float(table[:, 1:].sum())
    reference = float(table[1:].sum())
    if not counts.evaluated:
        return {"value": None, "reason": "no pixel counts"}
    value = salt_scores(np.array([shared]), np.array([predicted]), np.array([reference]))[0]
    empty = "by the challenge's rule: no reference objects" if not reference else None
    return {"value": rounded(float(value)), "reason": empty}


def _challenge(compared: Compared, matched: MatchedObjects, pixels: Overlaps) -> Table:
    """Return AP and AR at IoU 0.5 over chips, objects cut at their borders."""
    width = compared.frame.grid.width
    predicted = cut_into_chips(compared.predicted.runs, size=CHIP, width=width)
    reference = cut_into_chips(compared.reference.runs, size=CHIP, width=width)
    # Of equally sure predictions those of the chip before come first, as in COCO's tools.
    order = np.lexsort((predicted.parent, predicted.chip))
    pairs, parent = (
        chip_overlaps(pixels, predicted, reference).reordered(order),
        predicted.parent[order],
    )
    confidence = np.zeros(0) if matched.confidence is None else matched.confidence[parent]
    keep = kept(predicted.chip[order], confidence, most=MOST)
    late = Ignored(
        predicted=matched.ignored.predicted[parent] | ~keep,
        reference=matched.ignored.reference[reference.parent],
    )
    # Predictions beyond the most that count on a chip must not take a truth either.
    scores = coco_scores(
        pairs.where(keep[pairs.predicted]), confidence, sizes={}, thresholds=(0.5,), ignored=late
    )
    return {
        "chip_px": CHIP,
        "max_detections": MOST,
        "ap50": rounded(scores.ap50),
        "ar50": rounded(scores.ar50),
        "reason": None if scores.ap50 is not None else "no reference objects",
    }


def _drawable(pixels: Overlaps, ignored: Ignored) -> Ignored:
    """Return what does not count, objects without a pixel included."""
    return Ignored(
        predicted=ignored.predicted | (pixels.predicted_area == 0),
        reference=ignored.reference | (pixels.reference_area == 0),
    )


def _row(scores: CocoScores) -> Table:
    row = asdict(scores)
    sizes = {
        f"{what}_by_size": {
            name: rounded(value) for name, value in row.pop(f"{what}_by_size").items()
        }
        for what in ("ap", "ar")
    }
    return {**rounded_each(row), **sizes}
