"""Polygons of an array, without files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, SupportsFloat

import numpy as np
import numpy.typing as npt
import shapely

from pipeline.api.extras import optional
from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

Array = npt.NDArray[Any]


def polygonize(
    mask: Any,
    transform: Any = None,
    crs: Any = None,
    *,
    nodata: SupportsFloat | None = None,
    background: SupportsFloat | None = 0,
) -> GeoDataFrame:
    """Trace the regions of equal value of an array, connected by edges, as polygons.

    Rasterised again, the polygons give the array back. GDAL is not needed.

    Args:
        mask: (rows, cols), booleans, whole numbers, or floats that stand for classes; or a
            DataArray, whose transform, CRS and nodata are taken where none are given.
        transform: From pixel corners (col, row) to map coordinates: an `affine.Affine`, or its
            first six numbers; None: pixels, x = column, y = row.
        crs: Of the map coordinates.
        nodata: Value of pixels without data, which have no polygons; NaN has none anyway.
        background: Value that has no polygons either; None: all values have.

    Returns:
        A row for each region, in reading order of its first pixel: ``value``, ``pixels`` and the
        outline.

    Raises:
        ConfigError: The mask is no array of two axes.

    Example:
        >>> import numpy as np
        >>> polygonize(np.eye(2, dtype=bool)).geometry.area.tolist()
        [1.0, 1.0]
    """
    import geopandas as gpd

    from pipeline.core.polygons.trace import LIMIT, trace

    if type(mask).__module__.startswith("xarray."):
        mask, transform, crs, nodata = _of_array(mask, transform, crs, nodata)
    values, valid = _values(mask)
    if values.size > LIMIT:
        raise ConfigError(f"{values.size} pixels, at most {LIMIT}: polygonize it in parts")
    for left_out in (nodata, background):
        if left_out is not None and not np.isnan(float(left_out)):
            valid &= values != float(left_out)
    labels, kinds = _labels(values, valid)
    found = trace(labels, np.zeros(labels.shape, np.uint8))
    shapes: Any = shapely.transform(found.to_shapely(), _mapping(transform)) if len(found) else []
    return gpd.GeoDataFrame(
        {"value": kinds[found.label - 1], "pixels": found.pixels}, geometry=list(shapes), crs=crs
    )


def _values(mask: Any) -> tuple[Array, Array]:
    """Return the values, and where there are any."""
    values = np.ma.getdata(mask) if np.ma.isMaskedArray(mask) else np.asarray(mask)
    if values.ndim == 3 and values.shape[0] == 1:
        values, mask = values[0], mask[0]
    if values.ndim != 2 or values.dtype.kind not in "biuf":
        raise ConfigError(
            f"the mask has {values.ndim} axes of {values.dtype}: give numbers in rows and columns"
        )
    valid = ~np.isnan(values) if values.dtype.kind == "f" else np.ones(values.shape, bool)
    if np.ma.isMaskedArray(mask):
        valid &= ~np.ma.getmaskarray(mask)
    return values, valid


def _labels(values: Array, valid: Array) -> tuple[Array, Array]:
    """Return labels from 1 (0: nothing), and the value of each."""
    if values.dtype in (np.bool_, np.uint8):
        kinds = np.arange(1, 256).astype(np.uint8) if values.dtype == np.uint8 else np.array([True])
        if not (valid & (values == 0)).any():
            return np.where(valid, values, 0).astype(np.uint8), kinds
    kinds, codes = np.unique(values[valid], return_inverse=True)
    labels = np.zeros(values.shape, np.int32)
    labels[valid] = codes + 1
    return labels, kinds


def _of_array(
    mask: Any, transform: Any, crs: Any, nodata: SupportsFloat | None
) -> tuple[Any, Any, Any, SupportsFloat | None]:
    """Return a DataArray's values, and what it knows of its place where the caller is silent."""
    optional("rioxarray", purpose="polygonize() of a DataArray")
    mask = mask.squeeze()
    if mask.ndim != 2:
        raise ConfigError(f"the mask has the axes {mask.dims}: give (y, x)")
    mask = mask.transpose(mask.rio.y_dim, mask.rio.x_dim)
    return (
        mask.values,
        mask.rio.transform() if transform is None else transform,
        mask.rio.crs if crs is None else crs,
        mask.rio.nodata if nodata is None else nodata,
    )


def _mapping(transform: Any) -> Any:
    """Return the function from pixel corners to map coordinates.

    Raises:
        ConfigError: It is no affine transform.
    """
    if transform is None:
        return lambda points: points
    try:
        a, b, c, d, e, f = (float(one) for one in tuple(transform)[:6])
    except (TypeError, ValueError):
        raise ConfigError(
            f"transform {transform!r}: give an affine.Affine or six numbers a, b, c, d, e, f"
        ) from None
    matrix, corner = np.array([[a, b], [d, e]]), np.array([c, f])
    return lambda points: points @ matrix.T + corner
