"""How outlines become what a map shows: along pixels or between, simplified, at right angles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from pipeline.core.outlines.corners import Float64
from pipeline.core.outlines.nodata import NodataPixels
from pipeline.core.outlines.overlaps import INSIDE
from pipeline.core.outlines.regular.regularise import (
    regularised,
    simplified_each,
    straightened_each,
)
from pipeline.core.outlines.rules import Rules
from pipeline.core.outlines.similarity import exact_iou
from pipeline.core.outlines.simplify import soundly_simplified
from pipeline.core.outlines.touching import Int64, Polygons

Flags = npt.NDArray[np.bool_]
Kind = Literal["pixels", "subpixel", "simplified", "regularised"]
TOUCHING = 0.5
"""A gap that only outlines that touch keep to: others are a pixel apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """How the outlines of a scene's polygons are shaped."""

    kind: Kind
    """Along the pixels' edges, where the probability surface crosses its level (see
    `subpixel`), with fewer vertices, or with walls at right angles."""
    rules: Rules
    """Tolerances; what is not regularised is simplified by ``rules.simplify``."""
    pixel: tuple[float, float] = (1.0, 1.0)
    """Width and height of a pixel on the ground."""

    @property
    def gap(self) -> float:
        """Largest distance at which two outlines influence each other's shape."""
        if self.kind in ("pixels", "subpixel"):
            return 0.0 if self.kind == "pixels" else TOUCHING
        return self.rules.gap

    def shaped(
        self, outlines: Polygons, fixed: Polygons, clusters: Int64, unknown: NodataPixels
    ) -> tuple[Polygons, Flags]:
        """Return the outlines shaped, all of each cluster together, and which are regularised.

        Nothing is invalid, below ``least_iou`` or overlaps anew, ``fixed`` included, and
        nothing comes to cover what is unknown.

        Args:
            outlines: Along pixel edges, in reading order of their anchors.
            fixed: Final outlines of others, which overlap none of ``outlines``.
            clusters: Number of the cluster of outlines that influence each other.
            unknown: Pixels without data.

        Raises:
            ValueError: Outlines between the pixels need the surface; see `subpixel`.
        """
        if self.kind == "subpixel":
            raise ValueError("outlines between the pixels are drawn by `subpixel`, from the rims")
        if self.kind == "pixels" or not len(outlines):
            return outlines, np.zeros(len(outlines), bool)
        if self.kind == "regularised":
            return regularised(
                outlines, rules=self.rules, pixel=self.pixel, fixed=fixed, unknown=unknown
            )
        made = soundly_simplified(outlines, rules=self.rules, unknown=unknown)
        short = np.isin(clusters, clusters[self._trimmed(made, outlines, fixed)])
        # Rare, and only beside what is fixed: pixels overlap nothing.
        made[short] = outlines[short]
        return made, np.zeros(len(made), bool)

    def alone(
        self, outlines: Polygons, around: list[Polygons], unknown: NodataPixels
    ) -> tuple[Polygons, Flags]:
        """Return each outline shaped by itself, less what lies in those around it.

        Args:
            outlines: Along pixel edges.
            around: For each, what it must not overlap; none of it overlaps the outline.
            unknown: Pixels without data.
        """
        made, flags = np.array(outlines, object), np.zeros(len(outlines), bool)
        for number, shapes in enumerate(self.attempts(outlines, unknown)):
            for place, others in enumerate(around):
                if shapes[place] is None or made[place] is not outlines[place]:
                    continue
                cut = shapely.difference(shapes[place], shapely.union_all(others))
                if self._sound(cut, outlines[place]):
                    made[place] = cut
                    flags[place] = number == 0 and self.kind == "regularised"
        return made, flags

    def attempts(self, outlines: Polygons, unknown: NodataPixels) -> list[Polygons]:
        """Return what may be tried on each outline by itself, best first; None for nothing."""
        found: list[tuple[Polygons, Float64]] = []
        if self.kind == "regularised" and len(outlines):
            straight = straightened_each(
                outlines, rules=self.rules, pixel=self.pixel, together=False, unknown=unknown
            )
            found.append((straight.polygons, straight.like))
        if self.kind != "pixels" and len(outlines):
            found.append(simplified_each(outlines, rules=self.rules, unknown=unknown))
        for shapes, like in found:
            shapes[like == 0] = None
        return [shapes for shapes, _ in found]

    def _trimmed(self, made: Polygons, outlines: Polygons, fixed: Polygons) -> Int64:
        """Cut polygons where something fixed lies; return where that does too much."""
        if not len(fixed):
            return np.empty(0, np.int64)
        one, two = shapely.STRtree(fixed).query(made, predicate="intersects")
        met = shapely.relate_pattern(made[one], fixed[two], INSIDE)
        failed = []
        for place in np.unique(one[met]).tolist():
            others = fixed[np.sort(two[met & (one == place)])]
            cut = shapely.difference(made[place], shapely.union_all(others))
            if self._sound(cut, outlines[place]):
                made[place] = cut
            else:
                failed.append(place)
        return np.array(failed, np.int64)

    def _sound(self, shape: BaseGeometry, outline: shapely.Polygon) -> bool:
        """Return whether a shape is a valid polygon enough like its outline."""
        if shape.geom_type != "Polygon" or shape.is_empty or not shape.is_valid:
            return False
        like = exact_iou(np.array([outline], object), np.array([shape], object))[0]
        return bool(like >= self.rules.least_iou)
