"""Polygons of tiles put together, in the order of the grid.

::

    cached tiles -> merger -> shaping -> footprints -> store, ordered by their first pixel

Polygons that touch a core's border wait to be merged, and those near them to be shaped;
everything else goes to disk, so that memory holds the border of the open rows only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import shapely
from jaxtyping import Bool, Shaped

from pipeline.core.outlines import FinishedOutlines as ShapedPolygons
from pipeline.core.outlines.close_vertices import least_edge, without_close_vertices
from pipeline.core.polygons.contact import SharedBoundaries
from pipeline.core.polygons.footprints import Footprints
from pipeline.core.polygons.fragments import Fragments
from pipeline.core.polygons.merge import Merger
from pipeline.core.polygons.subpixel_offsets import EdgeOffsets
from pipeline.core.quantise import STEPS
from pipeline.core.window import Window
from pipeline.errors import SceneError
from pipeline.mapping.measures import areas_m2, perimeters_m
from pipeline.mapping.outlines import OutlineStage
from pipeline.mapping.planning.plan import ScenePlan
from pipeline.mapping.planning.tile_size import base_bytes
from pipeline.outputs.vectors.store import FootprintStore

PORTION = 20_000
"""Polygons that are shaped and measured at a time."""
CORNER_BYTES = 256
"""Memory that a corner of a polygon takes until it is written, with a hole every four; measured."""
LEAST_ROOM = 8 * 2**20
"""What a polygon may always take."""


class Polygons:
    """Takes what tiles traced, in the order of the grid; keeps finished polygons on disk."""

    def __init__(self, plan: ScenePlan, folder: Path) -> None:
        """Open the store in ``folder``.

        Raises:
            ExportError: It cannot be made.
        """
        self._plan = plan
        criterion = None if plan.separation is None else plan.separation.criterion
        self._merger = Merger(height=plan.info.height, width=plan.info.width, criterion=criterion)
        self._shaping = OutlineStage(
            info=plan.info,
            outline=plan.outline,
            min_area_m2=plan.min_area_m2,
            min_hole_m2=plan.min_hole_m2,
        )
        self._failed: list[Window] = []
        self._area = None if plan.aoi is None else shapely.from_wkb(plan.aoi)
        if self._area is not None:
            shapely.prepare(self._area)
        self.store = FootprintStore(folder / "polygons.sqlite")

    def add(self, core: Window, arrays: dict[str, np.ndarray]) -> None:
        """Add the cached tile of the next core.

        Raises:
            SceneError: One polygon takes more memory than is allowed.
            ExportError: The disk is full.
        """
        if "unknown" in arrays:
            unknown = np.unpackbits(arrays["unknown"], axis=1, count=core.width)
            self._shaping.note(core, unknown.astype(bool))
        rim = EdgeOffsets.from_arrays(arrays)
        if rim is not None:
            self._shaping.shift(core, rim)
        fragments, boundaries = Fragments.from_arrays(arrays), SharedBoundaries.from_arrays(arrays)
        self._shape(core, self._merger.add(core, fragments, boundaries))

    def skip(self, core: Window, *, failed: bool) -> None:
        """Leave a hole where the next tile could not be predicted, or is not wanted."""
        if failed:
            self._failed.append(core)
            self._shaping.note(core, np.ones((core.height, core.width), bool))
        self._shape(core, self._merger.skip(core))

    def close(self) -> None:
        """Finish the polygons that still waited.

        Raises:
            ExportError: The disk is full.
        """
        left = self._merger.finish()
        self._refuse_large(left)
        self._shaping.add(left)
        self._keep(self._shaping.finish())

    def _shape(self, core: Window, fragments: Fragments) -> None:
        self._refuse_large(fragments)
        # Noise has a polygon every eight pixels: as arrays they are small, as objects not.
        for start in range(0, len(fragments), PORTION):
            portion = np.arange(start, min(start + PORTION, len(fragments)))
            self._shaping.add(fragments.take(portion))
            if self._plan.outline.gap == 0:
                none = np.empty((0, 4), np.int64)
                self._keep(self._shaping.advance(front=core.row, unmerged=none))
        if core.right == self._plan.info.width:
            boxes = self._merger.boxes()
            self._keep(self._shaping.advance(front=core.bottom, unmerged=boxes))

    def _refuse_large(self, fragments: Fragments) -> None:
        corners = np.diff(fragments.ring_offsets[fragments.polygon_offsets])
        most = int(corners.max(initial=0))
        need = CORNER_BYTES * most
        base = base_bytes(self._plan.card)
        if need > max(self._plan.memory - base, LEAST_ROOM):
            least = (base + need) / 1e9
            raise SceneError(
                self._plan.info.source,
                f"one of its polygons has {most} corners, which takes {least:.1f} GB; "
                f"--max-memory allows {self._plan.memory / 1e9:.1f} GB",
                f"give --max-memory {math.ceil(10 * least) / 10:g}GB, or cut the scene into parts",
            )

    def _keep(self, shaped: ShapedPolygons) -> None:
        if len(shaped.fragments):
            self.store.append(self._footprints(shaped))

    def _footprints(self, shaped: ShapedPolygons) -> Footprints:
        plan, fragments, shapes = self._plan, shaped.fragments, self._spaced(shaped.polygons)
        pixels = fragments.pixels.astype(np.float64)
        touches_aoi = np.zeros(len(shapes), bool)
        if self._area is not None:
            touches_aoi = shapely.intersects(self._area, shapes) & ~shapely.contains_properly(
                self._area, shapes
            )
        found = Footprints(
            geometry=shapes,
            label=fragments.label.astype(np.int32),
            confidence=fragments.weight / (pixels * STEPS),
            area_m2=areas_m2(shapes, plan.info),
            perimeter_m=perimeters_m(shapes, plan.info),
            # What its pixels touch: an outline may have left them by a little.
            touches_scene_edge=_at_frame(shaped.outlines, plan),
            touches_aoi=touches_aoi,
            touches_failure=_at_windows(shaped.outlines, self._failed),
            regularised=shaped.regularised,
            row=fragments.row.astype(np.int64),
            col=fragments.col.astype(np.int64),
        )
        if self._area is not None:
            found = self._inside(found)
        return found.take(found.area_m2 >= plan.min_area_m2)

    def _spaced(self, shapes: Shaped[np.ndarray, " n"]) -> Shaped[np.ndarray, " n"]:
        """Return outlines whose neighbouring vertices lie at least some centimetres apart."""
        pixel = self._plan.outline.pixel
        scale = np.tile(np.array(pixel), (len(shapes), 1))
        return without_close_vertices(shapes, scale=scale, least=least_edge(pixel))

    def _inside(self, found: Footprints) -> Footprints:
        """Return the polygons that meet the area of interest, whole or cut."""
        found = found.take(shapely.intersects(self._area, found.geometry))
        if not self._plan.clip or not found.touches_aoi.any():
            return found
        cut = found.geometry.copy()
        cut[found.touches_aoi] = shapely.intersection(self._area, cut[found.touches_aoi])
        parts, owner = shapely.get_parts(cut, return_index=True)
        solid = (shapely.get_type_id(parts) == 3) & (shapely.area(parts) > 0)
        parts, owner = self._spaced(parts[solid]), owner[solid]
        found = found.take(owner)
        bounds = np.floor(shapely.bounds(parts)).astype(np.int64).reshape(-1, 4)
        moved = found.touches_aoi
        return _one_a_place(
            replace(
                found,
                geometry=parts,
                area_m2=areas_m2(parts, self._plan.info),
                perimeter_m=perimeters_m(parts, self._plan.info),
                row=np.where(moved, bounds[:, 1], found.row),
                col=np.where(moved, bounds[:, 0], found.col),
            )
        )


def _at_frame(shapes: Shaped[np.ndarray, " n"], plan: ScenePlan) -> Bool[np.ndarray, " n"]:
    left, top, right, bottom = shapely.bounds(shapes).T
    inside = (left > 0) & (top > 0) & (right < plan.info.width) & (bottom < plan.info.height)
    return np.asarray(~inside)


def _at_windows(
    shapes: Shaped[np.ndarray, " n"], windows: Iterable[Window]
) -> Bool[np.ndarray, " n"]:
    found = np.zeros(len(shapes), bool)
    for window in windows:
        box = shapely.box(window.col, window.row, window.right, window.bottom)
        found |= shapely.intersects(box, shapes)
    return found


def _one_a_place(found: Footprints) -> Footprints:
    """Keep the largest of the parts that begin in the same pixel: slivers of one cut."""
    order = np.lexsort((-found.area_m2, found.col, found.row))
    found = found.take(order)
    again = (np.diff(found.row) == 0) & (np.diff(found.col) == 0)
    return found.take(np.concatenate([[True], ~again]) if len(found) else order)
