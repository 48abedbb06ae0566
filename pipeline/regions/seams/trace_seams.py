"""Polygons around the seams between scenes, traced as those of tiles are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import shapely
from jaxtyping import Float64, Shaped

from pipeline.core.outlines import FinishedOutlines as ShapedPolygons
from pipeline.core.outlines import Outline
from pipeline.core.polygons.contact import shared_boundaries
from pipeline.core.polygons.fragments import Fragments
from pipeline.core.polygons.markers import markers_of
from pipeline.core.polygons.merge import Merger
from pipeline.core.polygons.separate import Separation, context, separate, trace_instances
from pipeline.core.polygons.subpixel_offsets import MARGIN, edge_offsets
from pipeline.core.polygons.trace import trace
from pipeline.core.quantise import NODATA
from pipeline.core.window import Window
from pipeline.mapping.outlines import OutlineStage
from pipeline.regions.seams.stitch import Stitched
from pipeline.scenes.scene import SceneInfo

BLOCK = 128
"""Pixels that are looked at together: edge of a square."""
WIDEST = 16
"""Blocks side by side that are traced at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceSettings:
    """How polygons are made of rasters."""

    info: SceneInfo
    """The common grid."""
    separation: Separation | None
    """How touching objects are taken apart."""
    outline: Outline
    """How outlines are shaped."""
    threshold: int
    """Quantised probability from which a pixel belongs to a class."""
    min_area_m2: float
    """Smaller polygons are left out."""
    min_hole_m2: float
    """Smaller holes are filled."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TracedPolygons:
    """Polygons around seams, as traced."""

    fragments: Fragments
    """Along pixel edges."""
    outlines: Shaped[np.ndarray, " n"]
    """The same as polygons."""
    skipped: Shaped[np.ndarray, " m"]
    """Boxes that were not looked at: what touches one may go on in it."""
    shaping: OutlineStage
    """Knows where no data is, and has no polygon yet."""

    def shaped(self) -> ShapedPolygons:
        """Return the polygons with their final outlines; those that are too small are left out."""
        self.shaping.add(self.fragments)
        return self.shaping.finish()


def trace_blocks(
    stitched: Stitched, manner: TraceSettings, boxes: Float64[np.ndarray, "n 4"]
) -> TracedPolygons:
    """Return the polygons of the blocks that boxes meet.

    Args:
        stitched: The rasters.
        manner: How polygons are made of them.
        boxes: What to look at, as x, y, x, y in pixels.

    Raises:
        SceneError: A scene's rasters cannot be read.
    """
    info, how = manner.info, manner.separation
    merger = Merger(
        height=info.height, width=info.width, criterion=None if how is None else how.criterion
    )
    shaping = OutlineStage(
        info=info,
        outline=manner.outline,
        min_area_m2=manner.min_area_m2,
        min_hole_m2=manner.min_hole_m2,
    )
    found, skipped = [], []
    for core, wanted in _cores(info.height, info.width, boxes):
        if not wanted:
            skipped.append(shapely.box(core.col, core.row, core.right, core.bottom))
            found.append(merger.skip(core))
            continue
        found.append(_added(core, stitched, manner, merger, shaping))
    found.append(merger.finish())
    fragments = Fragments.concatenate(found).by_anchor()
    return TracedPolygons(
        fragments=fragments,
        outlines=fragments.to_shapely(),
        skipped=np.array(skipped, object),
        shaping=shaping,
    )


def _added(
    core: Window, stitched: Stitched, manner: TraceSettings, merger: Merger, shaping: OutlineStage
) -> Fragments:
    """Trace a core as a tile does, and return the polygons that are complete."""
    info, how = manner.info, manner.separation
    margin = max(MARGIN, 0 if how is None else how.margin)
    around = core.grown(margin).clipped(height=info.height, width=info.width)
    pixels = stitched.read(around)
    rows, cols = core.within(around)
    own = pixels.labels[rows, cols]
    weights = pixels.probability[:, rows, cols].max(axis=0)
    unknown = own == NODATA
    if unknown.any():
        shaping.note(core, unknown)
    if manner.outline.kind == "subpixel":
        rim = edge_offsets(
            pixels.probability, pixels.labels, core=core, seen=around, threshold=manner.threshold
        )
        shaping.shift(core, rim)
    if how is None or pixels.interior is None:
        labels = np.where(unknown, np.uint8(0), own)
        return merger.add(core, trace(labels, weights, row=core.row, col=core.col))
    markers = markers_of(pixels.interior, threshold=how.threshold, opening=how.opening)
    scene = info.height, info.width
    needed = context(core, scene=scene, max_steps=how.max_steps).within(around)
    instances, sides = separate(
        pixels.labels[needed], markers[needed], core=core, scene=scene, max_steps=how.max_steps
    )
    boundaries = shared_boundaries(instances, own, pixels.interior[rows, cols], sides)
    return merger.add(core, trace_instances(instances, own, weights, core=core), boundaries)


def _cores(
    height: int, width: int, boxes: Float64[np.ndarray, "n 4"]
) -> Iterator[tuple[Window, bool]]:
    """Yield windows that partition a grid, row by row, and whether a box meets them."""
    blocks = _blocks(height, width, boxes)
    row = 0
    for down, members in groupby(sorted(blocks), key=lambda place: place[0]):
        top, bottom = down * BLOCK, min((down + 1) * BLOCK, height)
        if top > row:
            yield Window(row=row, col=0, height=top - row, width=width), False
        col = 0
        for first, last in _runs([across for _, across in members]):
            left, right = first * BLOCK, min((last + 1) * BLOCK, width)
            if left > col:
                yield Window(row=top, col=col, height=bottom - top, width=left - col), False
            yield Window(row=top, col=left, height=bottom - top, width=right - left), True
            col = right
        if col < width:
            yield Window(row=top, col=col, height=bottom - top, width=width - col), False
        row = bottom
    if row < height:
        yield Window(row=row, col=0, height=height - row, width=width), False


def _blocks(height: int, width: int, boxes: Float64[np.ndarray, "n 4"]) -> set[tuple[int, int]]:
    down, across = -(-height // BLOCK), -(-width // BLOCK)
    found: set[tuple[int, int]] = set()
    low = np.floor(boxes[:, :2] / BLOCK).astype(np.int64)
    high = np.floor(boxes[:, 2:] / BLOCK).astype(np.int64)
    for (left, top), (right, bottom) in zip(low.tolist(), high.tolist(), strict=True):
        found.update(
            (row, col)
            for row in range(max(top, 0), min(bottom, down - 1) + 1)
            for col in range(max(left, 0), min(right, across - 1) + 1)
        )
    return found


def _runs(places: list[int]) -> Iterator[tuple[int, int]]:
    """Yield first and last of runs of consecutive numbers, none longer than `WIDEST`."""
    first = last = places[0]
    for place in places[1:]:
        if place != last + 1 or place - first >= WIDEST:
            yield first, last
            first = place
        last = place
    yield first, last
