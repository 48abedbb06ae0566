"""Made polygons and grids of every kind."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import numpy as np
import pytest
import shapely
from pyproj import CRS
from shapely.geometry import Polygon

from pipeline.core.georef import Georef
from pipeline.core.polygons.footprints import Footprints
from pipeline.outputs.provenance import MapClass, Provenance

CLASSES = (
    MapClass(value=1, name="building", colour=(255, 170, 30)),
    MapClass(value=2, name='salt "x" 100%', colour=(40, 160, 255)),
)


def _georef(crs: str, *transform: float) -> Georef:
    a, b, c, d, e, f = map(float, transform)
    return Georef(crs_wkt=CRS(crs).to_wkt(), transform=(a, b, c, d, e, f))


GRIDS: dict[str, Georef | None] = {
    "north-up metres": _georef("EPSG:32645", 0.3, 0, 3e5, 0, -0.3, 3e6),
    "south-up metres": _georef("EPSG:32645", 0.3, 0, 3e5, 0, 0.3, 3e6),
    "mirrored": _georef("EPSG:32645", -0.3, 0, 3e5, 0, -0.3, 3e6),
    "rotated": _georef("EPSG:32645", 0.26, 0.15, 3e5, 0.15, -0.26, 3e6),
    "degrees": _georef("EPSG:4326", 3e-6, 0, 85.3, 0, -3e-6, 27.7),
    "feet": _georef("EPSG:2263", 1, 0, 98e4, 0, -1, 2e5),
    "web mercator": _georef("EPSG:3857", 0.6, 0, 2.7e6, 0, -0.6, 8.4e6),
    "over the antimeridian": _georef("EPSG:32660", 20, 0, 812_000, 0, -20, 2e6),
    "degrees beyond 180": _georef("EPSG:4326", 1e-4, 0, 179.99, 0, -1e-4, -16.0),
    "around the south pole": _georef("EPSG:3031", 400, 0, -50_000, 0, -400, 50_000),
    "not georeferenced": None,
}


def make_provenance(georef: Georef | None, *, height: int = 256, width: int = 256) -> Provenance:
    """Return where made outputs come from."""
    return Provenance(
        scene="made",
        fingerprint="sha256:0123",
        datetime="2024-02-03T04:05:06Z",
        model="threshold 1.0",
        classes=CLASSES,
        height=height,
        width=width,
        georef=georef,
    )


def make_footprints(seed: int, *, count: int = 64, side: int = 256) -> Footprints:
    """Return polygons with 3 to 12 corners on pixel corners or between, a third with holes."""
    rng = np.random.default_rng(seed)
    cells = int(np.ceil(np.sqrt(count)))
    cell = side // cells
    polygons = []
    for at in range(count):
        corner = np.array([at % cells, at // cells]) * cell + cell / 2
        angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 13)))
        radius = cell * rng.uniform(0.2, 0.48, len(angles))
        outline = corner + np.column_stack([np.cos(angles), np.sin(angles)]) * radius[:, None]
        shape = Polygon(np.round(outline) if at % 2 else outline)
        if at % 3 == 0:
            shape = Polygon(corner + cell * 0.45 * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]))
            hole = shapely.box(*(corner - cell / 5), *(corner + cell / 5))
            shape = cast(Polygon, shape.difference(hole))
        if shape.is_valid and shape.geom_type == "Polygon" and shape.area > 0.5:
            polygons.append(shape)
    return footprints_of(polygons, seed=seed)


def footprints_of(polygons: list[Polygon], *, seed: int = 0) -> Footprints:
    """Return polygons as a batch in order, with made attributes."""
    rng = np.random.default_rng(seed)
    shapes = np.array(polygons, dtype=object)
    first = [min((y, x) for x, y in shapely.get_coordinates(p).tolist()) for p in polygons]
    order = sorted(range(len(first)), key=lambda at: first[at])
    return Footprints(
        geometry=shapes[order],
        label=rng.integers(1, 3, len(shapes)).astype(np.int32),
        confidence=rng.random(len(shapes)),
        area_m2=shapely.area(shapes[order]) * 0.09,
        perimeter_m=shapely.length(shapes[order]) * 0.3,
        touches_scene_edge=rng.random(len(shapes)) < 0.1,
        touches_aoi=rng.random(len(shapes)) < 0.1,
        touches_failure=rng.random(len(shapes)) < 0.1,
        regularised=rng.random(len(shapes)) < 0.1,
        row=np.array([int(first[at][0] * 1000) for at in order], np.int64),
        col=np.array([int(first[at][1] * 1000) for at in order], np.int64),
    )


@contextmanager
def _disk_of(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(params=[name for name, grid in GRIDS.items() if grid is not None])
def georef(request: pytest.FixtureRequest) -> Georef:
    """Each grid that is georeferenced."""
    found = GRIDS[request.param]
    if found is None:
        raise LookupError(request.param)
    return found


@pytest.fixture(scope="session")
def utm() -> Georef:
    """A common grid."""
    return _georef("EPSG:32645", 0.3, 0, 3e5, 0, -0.3, 3e6)


@pytest.fixture(scope="session")
def footprints() -> Callable[..., Footprints]:
    """What makes polygons from a seed."""
    return make_footprints


@pytest.fixture(scope="session")
def batch_of() -> Callable[..., Footprints]:
    """What makes a batch of given polygons."""
    return footprints_of


@pytest.fixture(scope="session")
def provenance() -> Callable[..., Provenance]:
    """What makes a provenance of a grid."""
    return make_provenance


@pytest.fixture(scope="session")
def disk_of() -> Callable[[int], object]:
    """A context in which no file can grow beyond so many bytes, as on a full disk."""
    return _disk_of
