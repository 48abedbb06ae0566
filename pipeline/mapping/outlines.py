"""Outlines from merged polygons: specks and small holes removed, the rest shaped.

::

    merged -> large enough -> small holes filled -> shaper -> final outlines

Whether a polygon is large enough is asked of its pixels, before it can influence its
neighbours' outlines.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool

from pipeline.config import Shape
from pipeline.core.outlines import FinishedOutlines, Outline, OutlineShaper, Rules
from pipeline.core.outlines.holes import holes, without_rings
from pipeline.core.polygons.fragments import Fragments, Int64
from pipeline.core.polygons.subpixel_offsets import EdgeOffsets
from pipeline.core.window import Window
from pipeline.errors import SceneError
from pipeline.mapping.measures import areas_m2
from pipeline.scenes.scene import SceneInfo

TOLERANCE = 1.6
"""Default tolerance of outlines, in pixels."""
FINEST = 1.2
"""Least tolerance that metres come to, in pixels: a staircase is no wall."""


def outline_of(shape: Shape, info: SceneInfo) -> Outline:
    """Return how a scene's polygons are shaped, in its pixels.

    Raises:
        SceneError: A tolerance is in metres, and the scene is not georeferenced.
    """
    pixel = (1.0, 1.0)
    if info.georef is not None:
        found = info.georef.ground_size_m(col=info.width / 2, row=info.height / 2)
        if all(math.isfinite(side) and side > 0 for side in found):
            pixel = found
    tolerance = shape.tolerance_px or TOLERANCE
    if shape.tolerance_m is not None:
        if info.georef is None:
            raise SceneError(
                info.source,
                f"it is not georeferenced, so shape.tolerance_m {shape.tolerance_m:g} is no "
                "length in it",
                "give shape.tolerance_px in the task, or the reference system with --crs EPSG:...",
            )
        tolerance = max(FINEST, shape.tolerance_m / math.sqrt(pixel[0] * pixel[1]))
    if shape.outline == "simplified":
        # What is simplified strays no farther than that, give or take.
        rules = Rules(least_iou=shape.min_iou, simplify=tolerance, stray=2 * tolerance)
    else:
        rules = rules_of(tolerance, least_iou=shape.min_iou)
    return Outline(kind=shape.outline, rules=rules, pixel=pixel)


def rules_of(tolerance: float, *, least_iou: float) -> Rules:
    """Return how buildings are regularised: the other lengths follow from the tolerance."""
    return Rules(
        tolerance=tolerance,
        least_wall=2 * tolerance,
        least_iou=least_iou,
        stray=max(5.0, 3 * tolerance),
        simplify=0.9 * tolerance,
    )


def settings_of(outline: Outline, *, min_hole_m2: float) -> dict[str, Any]:
    """Return what decides the polygons' shape, as it enters a plan's digest."""
    if outline.kind == "pixels":
        return {"outline": outline.kind, "min_hole_m2": min_hole_m2}
    rules = outline.rules
    if outline.kind == "subpixel":
        return {
            "outline": outline.kind,
            "min_iou": rules.least_iou,
            "min_hole_m2": min_hole_m2,
        }
    return {
        "outline": outline.kind,
        "tolerance": rules.simplify if outline.kind == "simplified" else rules.tolerance,
        "min_iou": rules.least_iou,
        "pixel": list(outline.pixel),
        "min_hole_m2": min_hole_m2,
    }


def outline_from(settings: Mapping[str, Any]) -> Outline:
    """Restore the outline that `settings_of` described."""
    kind, iou = settings["outline"], settings.get("min_iou", Rules().least_iou)
    pixel = settings.get("pixel", (1.0, 1.0))
    tolerance = settings.get("tolerance", TOLERANCE)
    if kind == "simplified":
        rules = Rules(least_iou=iou, simplify=tolerance, stray=2 * tolerance)
    else:
        rules = rules_of(tolerance, least_iou=iou)
    return Outline(kind=kind, rules=rules, pixel=(pixel[0], pixel[1]))


class OutlineStage:
    """Takes a scene's polygons as they are merged; gives those that are kept, shaped."""

    def __init__(
        self, *, info: SceneInfo, outline: Outline, min_area_m2: float, min_hole_m2: float
    ) -> None:
        """Await polygons."""
        self._info = info
        self._min_area_m2 = min_area_m2
        self._min_hole_m2 = min_hole_m2
        self._shaper = OutlineShaper(outline=outline, height=info.height, width=info.width)

    def add(self, fragments: Fragments) -> None:
        """Take polygons that are complete."""
        if self._min_area_m2 > 0 and len(fragments):
            areas = areas_m2(fragments.to_shapely(), self._info)
            fragments = fragments.take(areas >= self._min_area_m2)
        self._shaper.add(self._filled(fragments))

    def note(self, window: Window, unknown: Bool[np.ndarray, "rows cols"]) -> None:
        """Let no outline come to cover pixels without data; see `OutlineShaper`."""
        self._shaper.note(window, unknown)

    def shift(self, core: Window, rim: EdgeOffsets) -> None:
        """Take in where the surface crosses its level beside a core's pixel edges."""
        self._shaper.shift(core, rim)

    def advance(self, *, front: int, unmerged: Int64) -> FinishedOutlines:
        """Return the polygons that have their final outline by now; see `OutlineShaper`."""
        return self._shaper.advance(front=front, unmerged=unmerged)

    def finish(self) -> FinishedOutlines:
        """Return those that are left."""
        return self._shaper.finish()

    def _filled(self, fragments: Fragments) -> Fragments:
        if self._min_hole_m2 == 0 or not len(fragments):
            return fragments
        rings, areas, middles = holes(fragments)
        if self._info.georef is not None and len(rings):
            areas = areas * np.nan_to_num(self._info.georef.pixel_area_m2(middles))
        return without_rings(fragments, rings[areas < self._min_hole_m2])
