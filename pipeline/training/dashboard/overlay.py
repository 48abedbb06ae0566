"""Overlays of a crop: true positives, false positives and false negatives."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from pipeline.training.dashboard.crops import Patch, Size, kinds_of
from pipeline.training.score.predicted import PlacePrediction

EDGE = 256
"""Largest edge of a picture: larger crops are reduced to it."""
SMALL = 128
"""Edge up to which smaller ones are enlarged, each pixel alike."""
QUALITY = 78
FILL = 0.42
"""How opaque areas are; their edges are opaque."""


def part_of(predictions: PlacePrediction, patch: Patch, *, size: Size) -> PlacePrediction:
    """Return the square of an answer that a patch means."""
    here = (slice(patch.row, patch.row + size[0]), slice(patch.col, patch.col + size[1]))
    bands = (slice(None), *here)
    level = replace(
        predictions.level,
        image=predictions.level.image[bands],
        instances=predictions.level.instances[here],
        contact=predictions.level.contact[here],
        known=predictions.level.known[here],
    )
    return PlacePrediction(
        name=predictions.name, level=level, probability=predictions.probability[bands]
    )


def picture_of(predictions: PlacePrediction) -> NDArray[np.uint8]:
    """Return the pixels of an answer as people see them, (rows, cols, 3)."""
    return np.ascontiguousarray(predictions.level.image.transpose(1, 2, 0))


def draw_overlay(
    predictions: PlacePrediction, *, classes: int, threshold: float, colours: Sequence[str]
) -> NDArray[np.uint8]:
    """Return an answer's image with found, made up and missed pixels in colours.

    A pixel of another class than it is found to be is made up; what is not labelled is dark.

    Args:
        predictions: A square, see `part_of`.
        classes: How many there are.
        threshold: Probability from which a pixel belongs to a class.
        colours: Of what was found, made up and missed.

    Returns:
        (rows, cols, 3).
    """
    found, true = kinds_of(predictions, classes=classes, threshold=threshold)
    known = predictions.level.known
    out = picture_of(predictions).astype(np.float32)
    # The ground is drawn paler, so that colours stand out on roofs of any colour.
    out = 0.6 * out + 0.4 * out.mean(axis=2, keepdims=True)
    right = (found == true) & (true > 0)
    areas = (right, (found > 0) & ~right, (true > 0) & (found == 0))
    for area, colour in zip(areas, colours, strict=True):
        paint = np.array(ImageColor.getrgb(colour)[:3], np.float32)
        mask = area & known
        out[mask] = (1 - FILL) * out[mask] + FILL * paint
        out[mask & ~_inner(mask)] = paint
    out[~known] *= 0.45
    return np.asarray(out, np.uint8)


def _inner(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    wide = np.pad(mask, 1, mode="edge")
    around = wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
    return np.asarray(mask & around, np.bool_)


def data_url(picture: NDArray[np.uint8]) -> str:
    """Return a picture as a JPEG that a page holds itself."""
    image = Image.fromarray(picture)
    if max(image.size) > EDGE:
        image.thumbnail((EDGE, EDGE), Image.Resampling.LANCZOS)
    elif max(image.size) <= SMALL // 2:
        # JPEG keeps colours of two by two pixels together.
        times = SMALL // max(image.size)
        image = image.resize([edge * times for edge in image.size], Image.Resampling.NEAREST)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
