"""The result of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipeline.evaluation.alignment import Compared
from pipeline.evaluation.confidence_intervals import BootstrapSamples
from pipeline.evaluation.object_metrics import MatchedObjects
from pipeline.evaluation.pixel_metrics import PixelCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Metrics of one prediction of one scene, with the data they are computed from."""

    report: dict[str, Any]
    """Content of `report.json`."""
    compared: Compared
    """Prediction and truth on one plane."""
    matched: MatchedObjects
    """Matched objects."""
    counts: PixelCounts
    """Pixel counts."""
    draws: BootstrapSamples | None
    """Headline figures in every draw of the bootstrap."""
