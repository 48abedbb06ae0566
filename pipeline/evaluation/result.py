"""What an evaluation found out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipeline.evaluation.alignment import Compared
from pipeline.evaluation.confidence_intervals import BootstrapSamples
from pipeline.evaluation.object_metrics import MatchedObjects
from pipeline.evaluation.pixel_metrics import PixelCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Everything that is known about how good one prediction of one scene is."""

    report: dict[str, Any]
    """What `report.json` says."""
    compared: Compared
    """Prediction and truth on one plane."""
    matched: MatchedObjects
    """Who found whom."""
    counts: PixelCounts
    """What the pixels say."""
    draws: BootstrapSamples | None
    """Headline figures in every draw of the bootstrap."""
