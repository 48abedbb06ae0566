"""Outlines that a mapper would keep: simplified together, walls at right angles."""

from pipeline.core.shape.clusters import clusters
from pipeline.core.shape.held import Shaped
from pipeline.core.shape.outline import Outline
from pipeline.core.shape.regularise import regularised
from pipeline.core.shape.rules import Rules
from pipeline.core.shape.simplify import simplified
from pipeline.core.shape.stream import Shaper

__all__ = ["Outline", "Rules", "Shaped", "Shaper", "clusters", "regularised", "simplified"]
