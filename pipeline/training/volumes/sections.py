"""Volumes as pictures: sections through the middle of crops, so that pages can show them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, UInt8

from pipeline.core.block import Three
from pipeline.models.predictor import Stretch
from pipeline.training.data.sources.places import Level
from pipeline.training.score.predicted import PlacePrediction
from pipeline.training.volumes.cut import network_amplitudes
from pipeline.training.volumes.outputs import VolumePrediction
from pipeline.training.volumes.part import UNKNOWN


def sections_of(
    predictions: VolumePrediction, *, box: Three, classes: int
) -> list[PlacePrediction]:
    """Return the middle inline section of each row of crops, as predictions of pictures.

    Samples go down, crosslines to the right; they depend on the part and the crop alone.
    """
    length, edge = predictions.part.shape[0], min(box[0], predictions.part.shape[0])
    starts = sorted({*range(0, length - edge + 1, edge), length - edge})
    return [_section(predictions, start + edge // 2, classes=classes) for start in starts]


def _section(predictions: VolumePrediction, at: int, *, classes: int) -> PlacePrediction:
    part = predictions.part
    kinds = np.ascontiguousarray(part.kinds[at].T)
    known = kinds != UNKNOWN
    level = Level(
        image=np.repeat(grey(part.amplitude[at].T, part.stretch)[None], 3, axis=0),
        instances=np.where(known, kinds, 0).astype(np.int32),
        contact=np.zeros(kinds.shape, np.uint8),
        known=known,
        pixel_size_m=1.0,
        class_of=np.arange(classes + 1, dtype=np.uint8),
    )
    probability = np.ascontiguousarray(predictions.probability[:, at].swapaxes(1, 2))
    number = part.inlines[at] if part.inlines else at
    return PlacePrediction(
        name=f"{predictions.name} inline {number}", level=level, probability=probability
    )


def grey(
    amplitude: Float32[np.ndarray, "rows cols"], stretch: Stretch
) -> UInt8[np.ndarray, "rows cols"]:
    """Return amplitudes as people see them: black to white as the network sees them."""
    return np.rint((network_amplitudes(amplitude, stretch) + 1) * 127.5).astype(np.uint8)
