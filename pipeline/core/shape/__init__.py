"""Outlines that a mapper would keep: simplified together, walls at right angles."""

from pipeline.core.shape.clusters import clusters
from pipeline.core.shape.regularise import Rules, regularised
from pipeline.core.shape.simplify import simplified

__all__ = ["Rules", "clusters", "regularised", "simplified"]
