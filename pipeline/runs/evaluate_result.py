"""What an evaluation found out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipeline.runs.evaluate_intervals import Draws
from pipeline.runs.evaluate_objects import Matched
from pipeline.runs.evaluate_pixels import PixelCounts
from pipeline.runs.evaluate_scene import Compared


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Everything that is known about how good one prediction of one scene is."""

    report: dict[str, Any]
    """What `report.json` says."""
    compared: Compared
    """Prediction and truth on one plane."""
    matched: Matched
    """Who found whom."""
    counts: PixelCounts
    """What the pixels say."""
    draws: Draws | None
    """Headline figures in every draw of the bootstrap."""
