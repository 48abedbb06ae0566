"""The footprints of many overlapping scenes as one layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from jaxtyping import Int64
from shapely.geometry.base import BaseGeometry

from pipeline.core.conflation import pairs as rule
from pipeline.core.conflation.conflation import OutlineRanking, Policy, SceneViews, conflate
from pipeline.core.conflation.identity import assign_ids, new_id, track_ids
from pipeline.core.conflation.observations import COVERED, UNDATED, count_acquisitions
from pipeline.core.conflation.pairs import CELL, Outlines, concatenate_outlines, same_building
from pipeline.errors import ConfigError
from pipeline.outputs.atomic import write_faults
from pipeline.outputs.vectors.layer import write_layer
from pipeline.regions.layer.layer_file import SCHEMA, RegionLayer, label_indices, notes, read_layer
from pipeline.regions.layer.layer_rows import (
    DRAWN,
    GONE,
    LOST,
    OUTCOMES,
    UNITED,
    date_parts,
    footprint_buildings,
    outcomes,
    own_columns,
    part_owners,
    rows,
    write_observations,
)
from pipeline.regions.read_footprints import FootprintTable, read_footprints
from pipeline.regions.seams.join import join_seams


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerScene:
    """One mapped scene as the layer takes it in."""

    key: str
    """Key of the scene in the region, the same in every run."""
    parquet: Path
    """``polygons.parquet`` as ``overtile map`` writes it, in the scene's reference system."""
    coverage: bytes
    """Area that was validly mapped, as WKB in WGS 84 longitude and latitude."""
    datetime: str | None = None
    """Time of acquisition as RFC 3339; without one the scene is older than every dated one."""
    off_nadir: float | None = None
    """Angle off nadir in degrees; without one it is taken to be the most oblique."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSummary:
    """Counts of footprints by outcome; ``given == footprints + united + removed + lost``."""

    scenes: int
    """Scenes taken in."""
    given: int
    """Footprints of all scenes, and those put together at their borders."""
    footprints: int
    """Footprints of the layer."""
    united: int
    """Footprints that show a building which another footprint stands for."""
    removed: int
    """Footprints of buildings that a newer scene covers and does not show (policy newest), or
    that lie on the ground of an adjoining scene, which does not show them."""
    lost: int
    """Footprints that are not georeferenced, or no area after rounding."""
    joined: int
    """Footprints put together at the borders of adjoining scenes."""
    new: int
    """Footprints whose building_id the previous layer does not have."""
    kept: int
    """Footprints whose building_id is the previous layer's."""
    ended: int
    """Building ids of the previous layer that this one no longer has."""


def build_layer(
    scenes: Sequence[LayerScene],
    *,
    previous: Path | None,
    out: Path,
    policy: Policy,
    cell: int = CELL,
) -> LayerSummary:
    """Write the footprints of all scenes as one clean layer: GeoParquet 1.1 in WGS 84.

    The layer is what the given scenes show, whatever their order; ``previous`` lends
    building ids and dates, and no geometry. Give all scenes of the region at every run.

    Beside ``out`` stands ``<stem>.observations.arrow``: a row for each given footprint with
    ``scene``, ``id``, ``outcome`` (drawn, united, removed, lost) and ``building_id``.

    Args:
        scenes: Mapped scenes with different keys.
        previous: The layer of the run before, if there is one.
        out: The file to be.
        policy: Whose outline stays where several scenes show one building.
        cell: Footprints that are looked at together; changes nothing but memory.

    Raises:
        ConfigError: Two scenes have the same key, or a date or coverage cannot be read.
        SceneError: The footprints of a scene cannot be read.
        ExportError: The layer could not be written.
    """
    scenes = sorted(scenes, key=lambda scene: scene.key)
    views = _views(scenes)
    earlier = None if previous is None else read_layer(previous)
    parquets = [scene.parquet for scene in scenes]
    with write_faults(out):
        taken = read_footprints(parquets, scratch=out.parent)
    seamless = join_seams(parquets, taken, views)
    taken = seamless.taken
    labels = _labels(taken, earlier)
    usable = np.flatnonzero((taken.area > 0) & seamless.stays)
    outlines = Outlines(
        bounds=taken.bounds,
        area=taken.area,
        label=label_indices(taken.table["class"], labels),
        load=taken.load,
    ).take(usable)
    conflated = conflate(outlines, _shown(taken, usable), views, policy=policy, cell=cell)
    drawn = usable[conflated.drawn]
    keys = [scene.key for scene in scenes]
    which = taken.table["scene"].to_numpy().astype(np.int64)[drawn]
    fresh = [
        new_id(keys[at], wkb.as_py())
        for at, wkb in zip(which.tolist(), taken.wkb.take(pa.array(drawn)), strict=True)
    ]
    heir = _heirs(outlines.take(conflated.drawn), fresh, earlier, labels=labels, cell=cell)
    known = [] if earlier is None else earlier.table["building_id"].to_pylist()
    ids = assign_ids(fresh, heir, known)
    scene = (keys, views.date, which)
    n_obs = count_acquisitions(
        outlines.take(conflated.drawn),
        coverage=views.coverage,
        acquisition=seamless.acquisition,
    )
    parts = part_owners(conflated, usable, seamless.stands)
    seen = date_parts(conflated.seen, parts, _dates(taken, views))
    seen = replace(seen, n_obs=n_obs)
    own = own_columns(ids, seen, scene=scene, heir=heir, earlier=earlier)
    note = notes(_about(scenes, policy), shapely.union_all(views.coverage))
    write_layer(out, rows(taken, drawn, own), schema=SCHEMA, notes=note)
    outcome = outcomes(conflated, usable, seamless.stands)
    bearer = footprint_buildings(ids, conflated, usable, seamless.stands)
    write_observations(observations_of(out), taken, keys, outcome, bearer)
    counts = np.bincount(outcome, minlength=len(OUTCOMES)).tolist()
    return LayerSummary(
        scenes=len(scenes),
        given=len(outcome),
        footprints=counts[DRAWN],
        united=counts[UNITED],
        removed=counts[GONE],
        lost=counts[LOST],
        joined=seamless.joined,
        new=len(set(ids) - set(known)),
        kept=len(set(ids) & set(known)),
        ended=len(set(known) - set(ids)),
    )


def observations_of(layer: Path) -> Path:
    """Return the file beside a layer that holds the outcome of every footprint."""
    return layer.with_suffix(".observations.arrow")


def _views(scenes: Sequence[LayerScene]) -> SceneViews:
    keys = Counter(scene.key for scene in scenes)
    if twice := [key for key, times in keys.items() if times > 1]:
        raise ConfigError(f"two scenes have the key {twice[0]!r}; give each its own")
    return SceneViews(
        date=np.array([_moment(scene) for scene in scenes], np.int64),
        off_nadir=np.array(
            [np.inf if scene.off_nadir is None else abs(scene.off_nadir) for scene in scenes],
            np.float64,
        ),
        coverage=[_coverage(scene) for scene in scenes],
    )


def _moment(scene: LayerScene) -> int:
    """Return milliseconds since 1970; `UNDATED` where the date is unknown."""
    if scene.datetime is None:
        return int(UNDATED)
    try:
        known = datetime.fromisoformat(scene.datetime)
    except ValueError as error:
        raise ConfigError(
            f"{scene.key}: {scene.datetime!r} is no date; write it as 2024-05-06T07:08:09Z"
        ) from error
    if known.tzinfo is None:
        raise ConfigError(
            f"{scene.key}: {scene.datetime!r} has no time zone; write it as 2024-05-06T07:08:09Z"
        )
    return round(known.timestamp() * 1000)


def _coverage(scene: LayerScene) -> BaseGeometry:
    try:
        shape = shapely.from_wkb(scene.coverage)
    except shapely.GEOSException as error:
        raise ConfigError(f"{scene.key}: its coverage is no WKB: {error}") from error
    if not shapely.is_empty(shape) and shapely.get_dimensions(shape) != 2:
        raise ConfigError(f"{scene.key}: its coverage is a {shape.geom_type}, and must be an area")
    return shapely.make_valid(shape)


def _labels(taken: FootprintTable, earlier: RegionLayer | None) -> list[str]:
    names = [taken.table["class"], *([] if earlier is None else [earlier.table["class"]])]
    return sorted({name for column in names for name in column.unique().to_pylist()})


def _shown(taken: FootprintTable, usable: Int64[np.ndarray, " n"]) -> OutlineRanking:
    table = taken.table.take(pa.array(usable))
    cut = pc.or_(table["touches_scene_edge"], table["touches_failure"])
    return OutlineRanking(
        scene=table["scene"].to_numpy().astype(np.int64),
        confidence=table["confidence"].to_numpy(),
        cut=cut.to_numpy(),
    )


def _dates(taken: FootprintTable, views: SceneViews) -> Int64[np.ndarray, " n"]:
    """Return the date of each footprint."""
    return np.asarray(views.date[taken.table["scene"].to_numpy()], np.int64)


def _heirs(
    outlines: Outlines,
    fresh: list[str],
    earlier: RegionLayer | None,
    *,
    labels: list[str],
    cell: int,
) -> Int64[np.ndarray, " n"]:
    """Return the row of the earlier layer that each building goes on from, or -1."""
    if earlier is None or not len(earlier) or not fresh:
        return np.full(len(fresh), -1, np.int64)
    both = concatenate_outlines(outlines, earlier.outlines(labels))
    pairs = same_building(both, side=np.arange(len(both)) >= len(fresh), cell=cell)
    known = earlier.table["building_id"].to_pylist()
    return track_ids(pairs, known=known, fresh=fresh)


def _about(scenes: Sequence[LayerScene], policy: Policy) -> dict[str, Any]:
    return {
        "policy": policy,
        "same_building": {"iou": rule.IOU, "contained": rule.CONTAINED},
        "covered": COVERED,
        "scenes": [
            {"key": scene.key, "datetime": scene.datetime, "off_nadir": scene.off_nadir}
            for scene in scenes
        ],
    }
