"""Arrays of pixels as callers have them, and results in the same form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, SupportsFloat

import numpy as np
import numpy.typing as npt

from pipeline.core.window import Window
from pipeline.errors import ConfigError

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pixels:
    """Pixels with their validity, and the array that they came in."""

    values: Array
    """(bands, rows, cols)."""
    valid: Array
    """(rows, cols): where there is data."""
    source: Any
    """A DataArray (band, y, x); None for plain arrays."""

    def read(self, window: Window) -> tuple[Array, Array]:
        """Return pixels and validity of a window inside the array."""
        rows, cols = slice(window.row, window.bottom), slice(window.col, window.right)
        return self.values[:, rows, cols], self.valid[rows, cols]

    def like(self, found: Array, *, classes: tuple[str, ...]) -> Any:
        """Return (classes, rows, cols) as the kind of array that the pixels came in."""
        if self.source is None:
            return found
        import xarray

        rows, cols = self.source.dims[-2:]
        coords = {
            name: coord
            for name, coord in self.source.coords.items()
            if set(coord.dims) <= {rows, cols}
        }
        return xarray.DataArray(
            found,
            dims=("class", rows, cols),
            coords={**coords, "class": list(classes)},
            name="probability",
        )

    def gsd_range_m(self) -> float | None:
        """Return the edge of a pixel on the ground; None where the place is not known."""
        if self.source is None or not hasattr(self.source, "rio"):
            return None
        crs = self.source.rio.crs
        if crs is None:
            return None
        from pipeline.core.georef import Georef

        transform = tuple(self.source.rio.transform())[:6]
        georef = Georef(crs_wkt=crs.to_wkt(), transform=tuple(float(one) for one in transform))  # type: ignore[arg-type]  # six of them
        rows, cols = self.valid.shape
        across, down = georef.ground_size_m(col=cols / 2, row=rows / 2)
        size = float(np.sqrt(across * down))
        return size if np.isfinite(size) and size > 0 else None


def pixels_from(given: Any, *, nodata: SupportsFloat | None) -> Pixels:
    """Return an array's pixels, bands first, and where they are valid.

    Args:
        given: A NumPy array, a masked array or a DataArray, with two or three axes.
        nodata: Value of pixels without data: where all bands hold it.

    Raises:
        ConfigError: It is no such array.
    """
    source = None
    if type(given).__module__.startswith("xarray.") and hasattr(given, "dims"):
        source, nodata = _bands_first(given), _nodata(given, nodata)
        given = source.values
    masked = np.ma.getmaskarray(given) if np.ma.isMaskedArray(given) else None
    values = np.asarray(np.ma.getdata(given) if masked is not None else given)
    if values.ndim == 2:
        values = values[None]
        masked = None if masked is None else masked[None]
    if values.ndim != 3 or values.dtype.kind not in "biuf" or not values.size:
        raise ConfigError(
            f"an array of {values.shape} {values.dtype}: give numbers as (bands, rows, cols)"
        )
    if values.dtype == bool:
        values = values.astype(np.uint8)
    valid = np.ones(values.shape[1:], bool)
    if values.dtype.kind == "f":
        valid &= np.isfinite(values).all(axis=0)
        values = np.where(valid, values, np.zeros((), values.dtype))
    if nodata is not None and np.isfinite(float(nodata)):
        valid &= ~(values == float(nodata)).all(axis=0)
    if masked is not None:
        valid &= ~masked.any(axis=0)
    return Pixels(values=values, valid=valid, source=source)


def _bands_first(array: Any) -> Any:
    """Return a DataArray with its spatial axes last.

    Raises:
        ConfigError: It has too many axes, or none that are spatial.
    """
    names = [str(name) for name in array.dims]
    for rows, cols in (("y", "x"), ("latitude", "longitude"), ("lat", "lon"), ("rows", "cols")):
        if rows in names and cols in names:
            others = [name for name in array.dims if name not in (rows, cols)]
            if len(others) <= 1:
                return array.transpose(*others, rows, cols)
    if len(names) in (2, 3) and not {"y", "x"} & set(names):
        return array
    raise ConfigError(f"the DataArray has the axes {tuple(names)}; give (band, y, x)")


def _nodata(array: Any, nodata: SupportsFloat | None) -> SupportsFloat | None:
    if nodata is not None:
        return nodata
    found = array.attrs.get("_FillValue", array.encoding.get("_FillValue"))
    if hasattr(array, "rio"):
        found = array.rio.nodata if found is None else found
    return None if found is None else float(found)
