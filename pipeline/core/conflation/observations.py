"""When, and by how many scenes, a building was seen, and whether it is there no more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from jaxtyping import Bool, Float64, Int64, Shaped
from shapely.geometry.base import BaseGeometry

from pipeline.core.conflation.pairs import Outlines, Pairs

UNDATED = np.iinfo(np.int64).min
"""The date of a scene that has none: before every other."""
COVERED = 0.5
"""A place was looked at where at least this share of it is covered."""
_AT_ONCE = 4096
# A share is an area over an area: one that should be a half may miss it by the last bits.
_SLACK = 1e-6
# Outlines are rounded to centimetres: that much of one of a few metres.
_ROUNDING = 2e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Observations:
    """Which scenes show the building that each drawn outline stands for."""

    n_obs: Int64[np.ndarray, " drawn"]
    """Scenes that show it, its own included."""
    first: Int64[np.ndarray, " drawn"]
    """Earliest date among them; `UNDATED` where none has one."""
    last: Int64[np.ndarray, " drawn"]
    """Latest date among them; `UNDATED` where none has one."""

    def where(self, keep: Bool[np.ndarray, " drawn"]) -> Observations:
        """Return the sightings of the outlines for which ``keep`` is True."""
        return Observations(n_obs=self.n_obs[keep], first=self.first[keep], last=self.last[keep])


def observations(
    pairs: Pairs,
    drawn: Int64[np.ndarray, " drawn"],
    *,
    scene: Int64[np.ndarray, " n"],
    dates: Int64[np.ndarray, " scenes"],
) -> Observations:
    """Collect the observations of each drawn outline: scenes with an outline of the same building.

    Args:
        pairs: Outlines that show the same building.
        drawn: Rows of the drawn outlines, in any order.
        scene: Scene of each outline.
        dates: Date of each scene, `UNDATED` where it is unknown.
    """
    place = np.full(len(scene), -1, np.int64)
    place[drawn] = np.arange(len(drawn))
    whose = np.concatenate([place[pairs.left], place[pairs.right], place[drawn]])
    seen_by = np.concatenate([scene[pairs.right], scene[pairs.left], scene[drawn]])
    count = max(len(dates), 1)
    once = np.unique(whose[whose >= 0] * count + seen_by[whose >= 0])
    whose, seen_by = np.divmod(once, count)
    date = dates[seen_by]
    starts = np.searchsorted(whose, np.arange(len(drawn)))
    never = np.iinfo(np.int64).max
    if not len(drawn):
        return Observations(n_obs=starts, first=starts, last=starts)
    first = np.minimum.reduceat(np.where(date == UNDATED, never, date), starts)
    return Observations(
        n_obs=np.bincount(whose, minlength=len(drawn)).astype(np.int64),
        first=np.where(first == never, UNDATED, first),
        last=np.maximum.reduceat(date, starts),
    )


def count_acquisitions(
    outlines: Outlines,
    *,
    coverage: Sequence[BaseGeometry],
    acquisition: Int64[np.ndarray, " scenes"],
) -> Int64[np.ndarray, " n"]:
    """Return how many acquisitions cover at least half of each outline; 1 if none does.

    Args:
        outlines: Drawn outlines; those near each other best follow each other.
        coverage: Valid area that each scene mapped, in longitude and latitude.
        acquisition: A number that scenes which are pieces of one acquisition share.
    """
    found = np.zeros(len(outlines), np.int64)
    areas = np.array(coverage, object)
    frames = shapely.bounds(areas).reshape(-1, 4)
    for start in range(0, len(outlines), _AT_ONCE):
        rows = np.arange(start, min(start + _AT_ONCE, len(outlines)))
        bounds = outlines.bounds[rows]
        near = np.flatnonzero(_meet(frames, _frame(bounds)))
        shapes = outlines.load(rows)
        for which in np.unique(acquisition[near]).tolist():
            scenes = near[acquisition[near] == which]
            asked = np.any([_meet(bounds, frames[at]) for at in scenes.tolist()], axis=0)
            if not asked.any():
                continue
            area = areas[scenes[0]]
            if len(scenes) > 1:
                area = shapely.union_all([near_part(one, shapes) for one in areas[scenes]])
            seen = share_within(shapes[asked], area)
            found[rows[asked]] += seen >= COVERED - _ROUNDING
    return np.maximum(found, 1)


def removed(
    outlines: Outlines,
    *,
    last: Int64[np.ndarray, " n"],
    coverage: Sequence[BaseGeometry],
    dates: Int64[np.ndarray, " scenes"],
) -> Bool[np.ndarray, " n"]:
    """Return which outlines a scene covers, at least by half, that is newer than the last sight.

    Args:
        outlines: Drawn outlines; those near each other best follow each other.
        last: Date at which each was seen last.
        coverage: Valid area that each scene mapped, in longitude and latitude.
        dates: Date of each scene.
    """
    found = np.zeros(len(outlines), bool)
    frames = shapely.bounds(np.array(coverage, object)).reshape(-1, 4)
    for start in range(0, len(outlines), _AT_ONCE):
        rows = np.arange(start, min(start + _AT_ONCE, len(outlines)))
        bounds = outlines.bounds[rows]
        near = _meet(frames, _frame(bounds)) & (dates > last[rows].min())
        if not near.any():
            continue
        shapes = outlines.load(rows)
        for which in np.flatnonzero(near).tolist():
            asked = ~found[rows] & (last[rows] < dates[which]) & _meet(bounds, frames[which])
            seen = share_within(shapes[asked], coverage[which])
            found[rows[asked]] = seen >= COVERED - _SLACK
    return found


def share_within(
    shapes: Shaped[np.ndarray, " n"], coverage: BaseGeometry
) -> Float64[np.ndarray, " n"]:
    """Return the share of each polygon's area that lies within ``coverage``, in 0..1."""
    share = np.zeros(len(shapes))
    if not len(shapes):
        return share
    part = near_part(coverage, shapes)
    share[shapely.covers(part, shapes)] = 1.0
    cut = np.flatnonzero((share == 0) & shapely.intersects(part, shapes))
    share[cut] = shapely.area(shapely.intersection(shapes[cut], part)) / shapely.area(shapes[cut])
    return np.minimum(share, 1.0)


def near_part(coverage: BaseGeometry, shapes: Shaped[np.ndarray, " n"]) -> BaseGeometry:
    """Return what of ``coverage`` lies in the box around the polygons, prepared for questions."""
    west, south, east, north = _frame(shapely.bounds(shapes)).tolist()
    box = shapely.box(west - 1e-6, south - 1e-6, east + 1e-6, north + 1e-6)
    parts = shapely.get_parts(shapely.get_parts(shapely.intersection(coverage, box)))
    part: BaseGeometry = shapely.multipolygons(parts[shapely.get_dimensions(parts) == 2])
    shapely.prepare(part)
    return part


def _frame(bounds: Float64[np.ndarray, "n 4"]) -> Float64[np.ndarray, " 4"]:
    return np.concatenate([bounds[:, :2].min(axis=0), bounds[:, 2:].max(axis=0)])


def _meet(
    bounds: Float64[np.ndarray, "n 4"], frame: Float64[np.ndarray, " 4"]
) -> Bool[np.ndarray, " n"]:
    west, south, east, north = frame
    return np.asarray(
        (bounds[:, 0] <= east)
        & (bounds[:, 2] >= west)
        & (bounds[:, 1] <= north)
        & (bounds[:, 3] >= south)
    )
