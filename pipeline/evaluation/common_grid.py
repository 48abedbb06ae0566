"""Common grid of a comparison: metres on the ground, and the scene's pixels.

Areas and distances are measured in an equal-area projection centred on the scene,
whatever CRS each file has; drawing, seams and pixel figures use the scene's pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from jaxtyping import Float64, Shaped
from pyproj import CRS, Transformer

from pipeline.core.georef import Georef
from pipeline.errors import ConfigError
from pipeline.labels.objects import Objects, PixelGrid

MOST_PIXELS = 64_000_000
"""Pixels of a grid made up where no raster gives one."""
FINEST_M = 0.25
"""Pixel size of such a grid in metres, where it fits."""

Change = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonGrid:
    """A plane and the pixels upon it."""

    crs: CRS | None
    """Equal-area projection in metres; None where the plane is the image's pixels."""
    grid: PixelGrid
    """The scene's pixels."""
    step_m: float | None
    """Edge of a pixel on the ground, the mean of both directions; None without a place."""

    @property
    def unit(self) -> str:
        """Unit of length of the plane."""
        return "px" if self.crs is None else "m"

    def to_pixels(
        self, polygons: Shaped[np.ndarray, " n"], crs: CRS | None
    ) -> Shaped[np.ndarray, " n"]:
        """Return polygons of any CRS in the scene's pixels; those without a place as empty."""
        georef = self.grid.georef
        if crs is None or georef is None:
            return polygons
        return _moved(reproject_polygons(polygons, crs, georef.crs), georef.to_pixels)

    def project(self, polygons: Shaped[np.ndarray, " n"]) -> Shaped[np.ndarray, " n"]:
        """Return polygons given in the scene's pixels in the plane."""
        georef = self.grid.georef
        if self.crs is None or georef is None:
            return polygons
        return reproject_polygons(_moved(polygons, georef.to_map), georef.crs, self.crs)


def make_common_grid(predicted: Objects, reference: Objects, grid: PixelGrid | None) -> CommonGrid:
    """Return the frame in which a prediction and its truth meet.

    Args:
        predicted: Predicted objects.
        reference: True objects.
        grid: The scene's pixels, where they are known.

    Raises:
        ConfigError: One is in pixels and the other on the Earth, with nothing to join them.
    """
    grid = grid or reference.grid
    if grid is None and predicted.crs is not None and reference.crs is not None:
        grid = made_up_grid([predicted, reference])
    if grid is None or grid.georef is None:
        _check_pixels(predicted, reference)
    if grid is None:
        raise ConfigError(f"{predicted.source}: its pixels are not known; name the image, --scene")
    if grid.georef is None:
        return CommonGrid(crs=None, grid=grid, step_m=None)
    if reference.crs is None and reference.grid and _size(reference.grid) != _size(grid):
        raise ConfigError(
            f"{reference.source}: it has {_size(reference.grid)} pixels, the scene {_size(grid)}; "
            "give truth on the scene's own pixels, or with a CRS"
        )
    across, down = grid.georef.ground_size_m(col=grid.width / 2, row=grid.height / 2)
    middle = np.array([[grid.width / 2, grid.height / 2]])
    lon, lat = grid.georef.to_lonlat(middle)[0]
    return CommonGrid(
        crs=_around(float(lon), float(lat)),
        grid=grid,
        step_m=float(np.sqrt(across * down)),
    )


def _check_pixels(predicted: Objects, reference: Objects) -> None:
    """Refuse georeferenced objects where their pixels are unknown.

    Raises:
        ConfigError: One of the two, or both, is not in pixels.
    """
    if predicted.crs is not None and reference.crs is not None:
        raise ConfigError(
            f"{predicted.source} and {reference.source} are georeferenced, but the scene is not; "
            "name georeferenced imagery with --scene"
        )
    if reference.crs is not None:
        raise ConfigError(
            f"{reference.source}: it is georeferenced, but {predicted.source} is not; "
            "give truth in pixels (COCO JSON or a PNG mask)"
        )
    if predicted.crs is not None:
        raise ConfigError(
            f"{reference.source}: it is in pixels, but {predicted.source} is georeferenced; "
            "name the image with --scene"
        )


def reproject_polygons(
    polygons: Shaped[np.ndarray, " n"], source: CRS, target: CRS
) -> Shaped[np.ndarray, " n"]:
    """Return polygons in another CRS; those that have no place in it become empty."""
    if source == target or not len(polygons):
        return polygons
    turn = Transformer.from_crs(source, target, always_xy=True)

    def there(points: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n 2"]:
        return np.column_stack(turn.transform(points[:, 0], points[:, 1]))

    return _moved(polygons, there)


def _moved(polygons: Shaped[np.ndarray, " n"], change: Change) -> Shaped[np.ndarray, " n"]:
    if not len(polygons):
        return polygons
    found = np.asarray(shapely.transform(polygons, change), object)
    finite = np.isfinite(shapely.bounds(found)).all(axis=1)
    found[~finite] = shapely.Polygon()
    broken = np.flatnonzero(~shapely.is_valid(found))
    if len(broken):
        found[broken] = shapely.make_valid(found[broken], method="structure", keep_collapsed=False)
    return found


def _around(lon: float, lat: float) -> CRS:
    return CRS.from_proj4(f"+proj=laea +lat_0={lat!r} +lon_0={lon!r} +datum=WGS84 +units=m")


def made_up_grid(files: Sequence[Objects]) -> PixelGrid:
    """Return pixels of our own over vector files that came without a raster.

    They cover the first file, and each other one that lies within a kilometre of it.
    """
    degrees = CRS.from_user_input("OGC:CRS84")
    placed = [
        reproject_polygons(one.polygon, one.crs, degrees)
        for one in files
        if one.crs is not None and len(one)
    ]
    anchor = shapely.total_bounds(placed[0]) if placed else np.zeros(4)
    crs = _around(*(float(x) for x in (anchor[:2] + anchor[2:]) / 2))
    bounds = np.array(
        [shapely.total_bounds(reproject_polygons(one, degrees, crs)) for one in placed]
    )
    near = [bounds[0]] if len(bounds) else [np.array([0.0, 0, 1, 1])]
    near += [one for one in bounds[1:] if _meet(bounds[0], one)]
    left, bottom = np.min(near, axis=0)[:2] - 10
    right, top = np.max(near, axis=0)[2:] + 10
    step = max(FINEST_M, float(np.sqrt((right - left) * (top - bottom) / MOST_PIXELS)))
    georef = Georef(
        crs_wkt=crs.to_wkt(), transform=(step, 0.0, float(left), 0.0, -step, float(top))
    )
    return PixelGrid(
        height=int(np.ceil((top - bottom) / step)),
        width=int(np.ceil((right - left) / step)),
        georef=georef,
        derived=True,
    )


def _meet(one: Float64[np.ndarray, " 4"], other: Float64[np.ndarray, " 4"]) -> bool:
    return bool((one[:2] <= other[2:] + 1000).all() and (other[:2] <= one[2:] + 1000).all())


def _size(grid: PixelGrid) -> str:
    return f"{grid.height} x {grid.width}"
