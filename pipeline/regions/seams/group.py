"""Buildings across the seams of adjoining scenes, put together anew from their rasters.

Each place belongs to one scene. What a seam between two runs through is traced again from
both scenes' pixels, separated and merged as tiles are, and takes the place of what the scenes
show there; what a scene shows on another's ground goes. Everything else stays as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc
import shapely
from jaxtyping import Bool, Float64, Int64, Shaped

from pipeline.core.polygons.fragments import Fragments
from pipeline.core.quantise import STEPS
from pipeline.mapping.measures import areas_m2
from pipeline.outputs.vectors.lonlat import to_lonlat_polygons
from pipeline.regions.read_footprints import FootprintTable
from pipeline.regions.seams.match import MatchedGround, match_ground, within
from pipeline.regions.seams.projected import ProjectedGroup, SceneMember, lattices, project_group
from pipeline.regions.seams.stitch import Stitched
from pipeline.regions.seams.trace_seams import TracedPolygons, trace_blocks

STAYS, NONE = -1, -2
"""What stands for a footprint: itself, or nothing."""
_NEAR_OLD = 1.5
"""Pixels from a seam within which an outline may have been cut there."""
_NEAR_NEW = 0.75
_SLIVER = 0.02
"""Share of a footprint that is no more than its outline's way of running along pixels."""
_ROUNDS = 6
_GROWN = 256
"""Pixels around what may go on that are looked at in the second round; twice that in the next."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JoinedBuildings:
    """Buildings across seams, and what becomes of the footprints that they are made of."""

    geometry: Shaped[np.ndarray, " n"]
    """Outlines in longitude and latitude."""
    id: list[str]
    """Digest of that scene and the outline."""
    label: list[str]
    """Name of the class of each."""
    model: list[str]
    """What made each."""
    confidence: Float64[np.ndarray, " n"]
    """Mean probability over its pixels."""
    area_m2: Float64[np.ndarray, " n"]
    """Area on the ellipsoid."""
    scene: Int64[np.ndarray, " n"]
    """Scene that the largest part of each lies in."""
    touches_scene_edge: Bool[np.ndarray, " n"]
    """True where it may go on where no scene is."""
    touches_failure: Bool[np.ndarray, " n"]
    """True where a part of it borders a tile that failed."""
    rows: Int64[np.ndarray, " m"]
    """Footprints that do not stay."""
    stands: Int64[np.ndarray, " m"]
    """Representative of each: a place among these buildings, or `NOBODY`."""


def join_group(members: Sequence[SceneMember], taken: FootprintTable) -> list[JoinedBuildings]:
    """Return what is joined at the seams between adjoining scenes, grid by grid.

    Args:
        members: Adjoining scenes, those that go before others first.
        taken: Footprints of all scenes.

    Raises:
        SceneError: The rasters of a scene cannot be read.
    """
    grids, which = lattices(members)
    scene = taken.table["scene"].to_numpy()
    rows = np.flatnonzero(np.isin(scene, [member.scene for member in members]) & (taken.area > 0))
    boxes = shapely.box(*taken.bounds[rows].T)
    found: list[JoinedBuildings] = []
    removed: set[int] = set()
    for lattice, grid in enumerate(grids):
        plane = project_group(members, grid, lattice=lattice, which=which)
        if not len(plane.land.seam):
            continue
        work = _Work(plane, members, taken, rows, boxes)
        joined = work.run(removed)
        removed.update(joined.rows.tolist())
        found.append(joined)
    return found


class _Work:
    """The seams of one grid."""

    def __init__(
        self,
        plane: ProjectedGroup,
        members: Sequence[SceneMember],
        taken: FootprintTable,
        rows: Int64[np.ndarray, " n"],
        boxes: Shaped[np.ndarray, " n"],
    ) -> None:
        self._plane = plane
        self._members = members
        self._taken = taken
        self._rows = rows
        self._tree = shapely.STRtree(boxes)
        classes = members[0].result.classes
        self._number = {name: value for value, name in classes.items()}
        self._name = classes

    def run(self, removed: set[int]) -> JoinedBuildings:
        """Trace what seams run through until none of it goes on unseen; return it."""
        plane, land = self._plane, self._plane.land
        shared = self._shared(removed)
        old = self._old(shared)
        near = within(old, land.seam, _NEAR_OLD)
        how = plane.manner.separation
        margin = 2 + (0 if how is None else how.margin)
        boxes = np.concatenate([_segments(land.seam), shapely.bounds(old[near])])
        boxes = _grown(boxes, margin)
        stitched = Stitched(plane.georef, plane.placed, land.area)
        try:
            for turn in range(_ROUNDS):
                found = trace_blocks(stitched, plane.manner, boxes)
                rows = self._around([shapely.box(*boxes.T), found.outlines], removed)
                shapes = self._old(rows)
                pairs = match_ground(
                    shapes,
                    found.outlines,
                    old_label=self._labels(rows),
                    new_label=found.fragments.label.astype(np.int64),
                )
                parts = self._concerned(pairs, shapes, found)
                cut = within(found.outlines, found.skipped, 0.0)
                again = cut & np.isin(pairs.new_part, parts)
                if not again.any():
                    break
                more = _GROWN * 2**turn
                grown = _grown(shapely.bounds(found.outlines[again]), more)
                boxes = np.concatenate([boxes, grown])
            # What still goes on is larger than is looked at: it stays as its scenes show it.
            parts = np.setdiff1d(parts, pairs.new_part[again])
        finally:
            stitched.close()
        made = self._made(found, np.isin(pairs.new_part, parts))
        return self._joined(made, rows, pairs, parts, shared)

    def _shared(self, removed: set[int]) -> Int64[np.ndarray, " n"]:
        """Return the footprints that lie where two scenes meet or overlap."""
        plane, found = self._plane, []
        scene = self._taken.table["scene"].to_numpy()
        frames = [one.frame for one in plane.placed]
        for one, two in zip(plane.land.one.tolist(), plane.land.two.tolist(), strict=True):
            both = shapely.intersection(
                shapely.buffer(frames[one], 2, join_style="mitre"),
                shapely.buffer(frames[two], 2, join_style="mitre"),
            )
            area = shapely.transform(shapely.segmentize(both, 256), plane.georef.to_lonlat)
            rows = self._rows[self._tree.query(area, predicate="intersects")]
            own = [self._members[one].scene, self._members[two].scene]
            found.append(rows[np.isin(scene[rows], own)])
        rows = np.unique(np.concatenate([np.empty(0, np.int64), *found]))
        return np.asarray(rows[~np.isin(rows, list(removed))])

    def _around(self, areas: Sequence[Any], removed: set[int]) -> Int64[np.ndarray, " k"]:
        """Return the footprints whose boxes meet areas in pixels."""
        found = self._plane.to_lonlat(np.concatenate(areas))
        rows = self._rows[np.unique(self._tree.query(found, predicate="intersects")[1])]
        return np.asarray(rows[~np.isin(rows, list(removed))])

    def _old(self, rows: Int64[np.ndarray, " n"]) -> Shaped[np.ndarray, " n"]:
        """Return footprints in pixels."""
        return self._plane.to_pixels(self._taken.load(rows))

    def _labels(self, rows: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        names = pc.take(self._taken.table["class"], rows).to_pylist()
        return np.array([self._number.get(name, -1) for name in names], np.int64)

    def _concerned(
        self, pairs: MatchedGround, old: Shaped[np.ndarray, " n"], found: TracedPolygons
    ) -> Int64[np.ndarray, " parts"]:
        """Return which polygons, by what connects them, a seam runs through."""
        seam = self._plane.land.seam
        new_near = within(found.outlines, seam, _NEAR_NEW)
        old_near = within(old, seam, _NEAR_OLD)
        return np.union1d(pairs.new_part[new_near], pairs.old_part[old_near])

    def _made(self, found: TracedPolygons, wanted: Bool[np.ndarray, " n"]) -> _Made:
        """Return the outlines of the wanted buildings, which depend on all around them."""
        shaped = found.shaped()
        place = {key: at for at, key in enumerate(_anchors(found.fragments))}
        which = np.array([place[key] for key in _anchors(shaped.fragments)], np.int64)
        keep = wanted[which] if len(which) else np.zeros(0, bool)
        return _Made(
            number=which[keep],
            fragments=shaped.fragments.take(keep),
            polygons=shaped.polygons[keep],
            outlines=shaped.outlines[keep],
        )

    def _joined(
        self,
        made: _Made,
        rows: Int64[np.ndarray, " n"],
        pairs: MatchedGround,
        parts: Int64[np.ndarray, " parts"],
        shared: Int64[np.ndarray, " m"],
    ) -> JoinedBuildings:
        plane, members = self._plane, self._members
        replaced = np.isin(pairs.old_part, parts)
        stands = np.full(len(rows), NONE, np.int64)
        number = {at: place for place, at in enumerate(made.number.tolist())}
        order = np.argsort(pairs.shared, kind="stable")
        for old, new in zip(pairs.old[order].tolist(), pairs.new[order].tolist(), strict=True):
            if new in number:
                stands[old] = number[new]
        lost = self._elsewhere(np.setdiff1d(shared, rows[replaced]))
        polygons = self._beyond(made.polygons, self._old(rows), stands)
        geometry = to_lonlat_polygons(polygons, plane.georef)
        owner = self._owner(made.outlines)
        fails = self._taken.table["touches_failure"].to_numpy()
        touched = np.zeros(len(made.number), bool)
        bad = replaced & fails[rows] & (stands >= 0)
        touched[stands[bad]] = True
        wkb = shapely.to_wkb(geometry, byte_order=1).tolist()
        prints = [members[at].result.fingerprint.encode() for at in owner]
        pixels = made.fragments.pixels.astype(np.float64)
        return JoinedBuildings(
            geometry=geometry,
            id=[
                hashlib.sha256(salt + b"\0" + one).hexdigest()[:16]
                for salt, one in zip(prints, wkb, strict=True)
            ],
            label=[self._name[value] for value in made.fragments.label.tolist()],
            model=[members[at].result.model for at in owner],
            confidence=np.round(made.fragments.weight / (pixels * STEPS), 4),
            area_m2=np.round(areas_m2(polygons, plane.manner.info), 2),
            scene=np.array([members[at].scene for at in owner], np.int64),
            touches_scene_edge=self._at_frame(made.outlines),
            touches_failure=touched,
            rows=np.concatenate([rows[replaced], lost]),
            stands=np.concatenate([stands[replaced], np.full(len(lost), NONE, np.int64)]),
        )

    def _beyond(
        self,
        polygons: Shaped[np.ndarray, " n"],
        old: Shaped[np.ndarray, " m"],
        stands: Int64[np.ndarray, " m"],
    ) -> Shaped[np.ndarray, " n"]:
        """Return buildings with what their parts show outside an area of interest.

        Masks end at its border, footprints do not.
        """
        if not any(member.result.settings.get("aoi") for member in self._members):
            return polygons
        whole, areas = polygons.copy(), self._plane.land.area
        tree = shapely.STRtree(areas)
        for at in np.flatnonzero(stands >= 0).tolist():
            part = shapely.make_valid(old[at])
            rest = shapely.difference(part, shapely.union_all(areas[tree.query(part)]))
            if shapely.area(rest) < _SLIVER * shapely.area(part):
                continue
            both = shapely.union(whole[stands[at]], rest)
            # A joint that rounding has opened by a hair is closed.
            both = shapely.buffer(
                shapely.buffer(both, 0.01, join_style="mitre"), -0.01, join_style="mitre"
            )
            if both.geom_type == "Polygon":
                whole[stands[at]] = both
        return whole

    def _elsewhere(self, rows: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " m"]:
        """Return the footprints that lie on the ground of another scene than their own."""
        if not len(rows):
            return rows
        land, scene = self._plane.land, self._taken.table["scene"].to_numpy()
        own = np.array([member.scene for member in self._members])
        points = shapely.point_on_surface(self._old(rows))
        at, territory = shapely.STRtree(land.area).query(points, predicate="intersects")
        meets = {(min(a, b), max(a, b)) for a, b in zip(land.one, land.two, strict=True)}
        number = {one: place for place, one in enumerate(own.tolist())}
        home = np.array([number[one] for one in scene[rows].tolist()], np.int64)
        at_home = np.zeros(len(rows), bool)
        at_home[at[home[at] == territory]] = True
        away = np.zeros(len(rows), bool)
        for one, other in zip(at.tolist(), territory.tolist(), strict=True):
            pair = min(home[one], other), max(home[one], other)
            away[one] |= pair in meets
        return rows[away & ~at_home]

    def _owner(self, outlines: Shaped[np.ndarray, " n"]) -> list[int]:
        """Return which scene the largest part of each outline lies in, the first of equal ones."""
        most, best = np.zeros(len(outlines)), np.zeros(len(outlines), np.int64)
        if len(outlines):
            areas = self._plane.land.area
            one, two = shapely.STRtree(areas).query(outlines, predicate="intersects")
            shared = shapely.area(shapely.intersection(outlines[one], areas[two]))
            order = np.lexsort((two, -np.round(shared, 3), one))
            first = np.unique(one[order], return_index=True)[1]
            best[one[order][first]] = two[order][first]
            most[one[order][first]] = shared[order][first]
        return best.tolist()

    def _at_frame(self, outlines: Shaped[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """Return which outlines touch the outer frame of all scenes together."""
        frames = np.array([one.frame for one in self._plane.placed], object)
        found, tree = np.zeros(len(outlines), bool), shapely.STRtree(frames)
        for at, outline in enumerate(outlines):
            near = shapely.buffer(outline, 1.0, join_style="mitre")
            rest = shapely.difference(near, shapely.union_all(frames[tree.query(near)]))
            # A gap of less than a pixel between two scenes is no edge.
            solid = shapely.buffer(rest, -0.49, join_style="mitre")
            found[at] = not shapely.is_empty(solid)
        return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Made:
    """Buildings across seams, in pixels."""

    number: Int64[np.ndarray, " n"]
    """Their places among what was traced."""
    fragments: Fragments
    """As they were traced."""
    polygons: Shaped[np.ndarray, " n"]
    """Their final outlines."""
    outlines: Shaped[np.ndarray, " n"]
    """Their outlines along pixel edges."""


def _anchors(fragments: Fragments) -> list[tuple[int, int]]:
    """Return the first pixel of each polygon, which no other has."""
    return list(zip(fragments.row.tolist(), fragments.col.tolist(), strict=True))


def _grown(boxes: Float64[np.ndarray, "n 4"], margin: int) -> Float64[np.ndarray, "n 4"]:
    return np.asarray(boxes + np.array([-margin, -margin, margin, margin]))


def _segments(lines: Shaped[np.ndarray, " n"]) -> Float64[np.ndarray, "m 4"]:
    """Return the boxes of pieces of lines."""
    points, line = shapely.get_coordinates(
        shapely.get_parts(shapely.segmentize(lines, 64.0)), return_index=True
    )
    follows = line[1:] == line[:-1]
    ends = np.stack([points[:-1][follows], points[1:][follows]])
    return np.concatenate([ends.min(axis=0), ends.max(axis=0)], axis=1)
