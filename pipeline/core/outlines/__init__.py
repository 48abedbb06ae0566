"""Outlines that a mapper would keep: simplified together, walls at right angles."""

from pipeline.core.outlines.outline import Outline
from pipeline.core.outlines.pending import FinishedOutlines
from pipeline.core.outlines.regular.regularise import regularised
from pipeline.core.outlines.rules import Rules
from pipeline.core.outlines.simplify import simplified
from pipeline.core.outlines.stream import OutlineShaper
from pipeline.core.outlines.touching import clusters

__all__ = [
    "FinishedOutlines",
    "Outline",
    "OutlineShaper",
    "Rules",
    "clusters",
    "regularised",
    "simplified",
]
