"""Small towns seen by several scenes, written as `overtile map` writes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from hypothesis import strategies as st
from pyproj import CRS, Transformer
from shapely.geometry import Polygon, box
from shapely.geometry.base import BaseGeometry

from pipeline.core.georef import Georef
from pipeline.core.polygons.footprints import Footprints
from pipeline.outputs.provenance import MapClass, Provenance
from pipeline.outputs.vectors.geoparquet import write_geoparquet
from pipeline.regions.layer.layer import LayerScene

PLANE = CRS.from_epsg(32633)
EAST, NORTH = 277_000.0, 5_320_000.0
_CLASSES = tuple(
    MapClass(value=value, name=name, colour=(9, 9, 9)) for value, name in ((1, "house"), (2, "hut"))
)


@dataclass(frozen=True, kw_only=True)
class View:
    """What one scene shows of the town, in metres."""

    key: str
    houses: tuple[Polygon, ...]
    frame: BaseGeometry
    datetime: str | None = None
    off_nadir: float | None = None
    cut: tuple[bool, ...] = ()
    sure: tuple[float, ...] = ()
    label: int = 1
    epsg: int = 32633


def square(x: float, y: float, size: float = 10.0) -> Polygon:
    """Return a square house by its lower left corner."""
    return box(x, y, x + size, y + size)


def mapped(folder: Path, views: Sequence[View]) -> list[LayerScene]:
    """Write what each scene shows."""
    folder.mkdir(parents=True, exist_ok=True)
    return [_mapped(folder, view) for view in views]


def on_earth(shape: BaseGeometry) -> BaseGeometry:
    """Return a shape of the town in longitude and latitude."""
    plane = Georef(crs_wkt=PLANE.to_wkt(), transform=(1.0, 0.0, EAST, 0.0, 1.0, NORTH))
    return shapely.transform(shape, plane.to_lonlat)


def _mapped(folder: Path, view: View) -> LayerScene:
    crs = CRS.from_epsg(view.epsg)
    move = Transformer.from_crs(PLANE, crs, always_xy=True)

    def moved(points: np.ndarray) -> np.ndarray:
        return np.column_stack(move.transform(points[:, 0] + EAST, points[:, 1] + NORTH))

    count = len(view.houses)
    georef = Georef(crs_wkt=crs.to_wkt(), transform=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0))
    shapes = np.array([shapely.transform(house, moved) for house in view.houses], object)
    batch = Footprints(
        geometry=shapes,
        label=np.full(count, view.label, np.int32),
        confidence=np.array(view.sure or [0.5] * count, np.float64),
        area_m2=np.array([house.area for house in view.houses], np.float64),
        perimeter_m=np.array([house.length for house in view.houses], np.float64),
        touches_scene_edge=np.array(view.cut or [False] * count, bool),
        touches_aoi=np.zeros(count, bool),
        touches_failure=np.zeros(count, bool),
        regularised=np.zeros(count, bool),
        row=np.arange(count),
        col=np.zeros(count, np.int64),
    )
    provenance = Provenance(
        scene=view.key,
        fingerprint=f"sha256:{view.key}",
        datetime=view.datetime,
        model="made",
        classes=_CLASSES,
        height=1,
        width=1,
        georef=georef,
    )
    path = folder / f"{view.key}.parquet"
    write_geoparquet(path, [batch] if count else [], provenance)
    return LayerScene(
        key=view.key,
        parquet=path,
        coverage=shapely.to_wkb(on_earth(view.frame)),
        datetime=view.datetime,
        off_nadir=view.off_nadir,
    )


@st.composite
def views(draw: st.DrawFn, *, key: str = "a") -> View:
    """Scenes of 20 to 80 m with houses that lie anywhere, also on each other."""
    metres = st.integers(0, 60)
    west, south = draw(metres), draw(metres)
    frame = box(west, south, west + draw(st.integers(20, 80)), south + draw(st.integers(20, 80)))
    sizes = st.integers(3, 20)
    houses = [
        box(x, y, x + width, y + height)
        for x, y, width, height in draw(
            st.lists(st.tuples(metres, metres, sizes, sizes), max_size=8)
        )
    ]
    parts = [shapely.intersection(house, frame) for house in houses]
    houses = [house for house in parts if isinstance(house, Polygon) and house.area > 1]
    count = len(houses)
    year = draw(st.one_of(st.none(), st.integers(2018, 2021)))
    return View(
        key=key,
        houses=tuple(houses),
        frame=frame,
        datetime=None if year is None else f"{year}-01-01T00:00:00Z",
        off_nadir=draw(st.one_of(st.none(), st.integers(0, 30).map(float))),
        cut=tuple(not frame.buffer(-0.1).covers(house) for house in houses),
        sure=tuple(draw(st.integers(0, 9)) / 10 for _ in range(count)),
        label=draw(st.sampled_from([1, 1, 2])),
    )


@st.composite
def towns(draw: st.DrawFn) -> list[View]:
    """One to four scenes of one town."""
    return [draw(views(key=key)) for key in "abcd"[: draw(st.integers(1, 4))]]
