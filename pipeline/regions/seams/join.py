"""Footprints of many scenes, those that borders cut put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import shapely
from jaxtyping import Bool, Int64

from pipeline.core.conflation.conflation import SceneViews
from pipeline.core.conflation.pieces import Pieces, group_pieces
from pipeline.regions.read_footprints import FootprintTable
from pipeline.regions.seams.group import NONE, STAYS, JoinedBuildings, join_group
from pipeline.regions.seams.projected import SceneMember
from pipeline.regions.seams.results import SceneResult, result_of


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JoinedFootprints:
    """Footprints without cuts at the borders of adjoining scenes."""

    taken: FootprintTable
    """The footprints of all scenes, then those that were put together."""
    stands: Int64[np.ndarray, " n"]
    """For each of them, the row that stands for it instead, `STAYS` or `NOBODY`."""
    acquisition: Int64[np.ndarray, " scenes"]
    """A number that pieces of one acquisition share."""
    joined: int
    """How many were put together: the last rows."""

    @property
    def stays(self) -> Bool[np.ndarray, " n"]:
        """True where a footprint stands for itself."""
        return np.asarray(self.stands == STAYS)


def join_seams(
    parquets: Sequence[Path], taken: FootprintTable, views: SceneViews
) -> JoinedFootprints:
    """Put together what the borders of adjoining scenes cut.

    Args:
        parquets: Polygons of each scene, as ``overtile map`` wrote them.
        taken: Their footprints.
        views: The scenes, in the same order.

    Raises:
        SceneError: The rasters of a scene cannot be read.
    """
    results: dict[int, SceneResult] = {}

    def kinds(scenes: Int64[np.ndarray, " k"]) -> Int64[np.ndarray, " k"]:
        names: dict[str, int] = {}
        numbers = []
        for at in scenes.tolist():
            result = result_of(parquets[at])
            if result is None:
                numbers.append(-1)
                continue
            results[at] = result
            numbers.append(names.setdefault(result.kind, len(names)))
        return np.array(numbers, np.int64)

    found = group_pieces(views.coverage, views.date, kinds)
    joined: list[JoinedBuildings] = []
    for group in np.unique(found.group).tolist():
        scenes = np.flatnonzero(found.group == group)
        if len(scenes) > 1:
            joined += join_group(_members(scenes, found, results, views), taken)
    return _together(taken, joined, found)


def _members(
    scenes: Int64[np.ndarray, " k"],
    found: Pieces,
    results: dict[int, SceneResult],
    views: SceneViews,
) -> list[SceneMember]:
    """Return adjoining scenes, the newest acquisition first."""
    newest = np.lexsort((scenes, -views.date[scenes].astype(np.float64)))
    return [
        SceneMember(
            scene=at,
            acquisition=int(found.acquisition[at]),
            result=results[at],
            coverage=views.coverage[at],
        )
        for at in scenes[newest].tolist()
    ]


def _together(
    taken: FootprintTable, joined: Sequence[JoinedBuildings], found: Pieces
) -> JoinedFootprints:
    count = len(taken.area)
    stands = np.full(count + sum(len(one.id) for one in joined), STAYS, np.int64)
    tables, wkb, start = [taken.table], [taken.wkb], count
    bounds, area = [taken.bounds], [taken.area]
    for one in joined:
        stands[one.rows] = np.where(one.stands >= 0, one.stands + start, NONE)
        start += len(one.id)
        columns = {
            "id": one.id,
            "class": one.label,
            "confidence": one.confidence,
            "area_m2": one.area_m2,
            "model": one.model,
            "touches_scene_edge": one.touches_scene_edge,
            "touches_failure": one.touches_failure,
            "scene": one.scene,
        }
        schema = taken.table.schema
        tables.append(
            pa.table(
                [pa.array(columns[name], schema.field(name).type) for name in schema.names],
                schema=schema,
            )
        )
        shapes = shapely.to_wkb(one.geometry, byte_order=1).tolist()
        wkb.append(pa.array(shapes, pa.large_binary()))
        bounds.append(shapely.bounds(one.geometry).reshape(-1, 4))
        area.append(shapely.area(one.geometry))
    whole = replace(
        taken,
        table=pa.concat_tables(tables).combine_chunks() if joined else taken.table,
        bounds=np.concatenate(bounds),
        area=np.concatenate(area),
        wkb=pa.chunked_array(wkb) if joined else taken.wkb,
    )
    return JoinedFootprints(
        taken=whole, stands=stands, acquisition=found.acquisition, joined=start - count
    )
