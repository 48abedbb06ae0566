"""How good predictions are: pure functions on polygons, counts and probabilities."""

from pipeline.core.metrics.matching import Matching, match_objects
from pipeline.core.metrics.overlaps import Overlaps, overlaps
from pipeline.core.metrics.ratios import f1, iou, precision, recall

__all__ = ["Matching", "Overlaps", "f1", "iou", "match_objects", "overlaps", "precision", "recall"]
