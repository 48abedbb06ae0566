"""Convert arguments to files that a child process can open.

Arrays and geometries are written below ``FOLDER`` of the output folder, each under the digest of
its content, so that the same call names the same files again.
"""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pipeline.api.extras import optional
from pipeline.errors import ConfigError

FOLDER = ".inputs"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def scene_paths(scenes: Any, folder: Path) -> list[str]:
    """Return paths and URLs of scenes.

    Args:
        scenes: A path, glob or URL, an open rasterio dataset, a DataArray with a CRS, or several
            of these.
        folder: Where arrays are written.

    Raises:
        ConfigError: Something is none of these, or there is nothing.
    """
    several = isinstance(scenes, Iterable) and not (
        isinstance(scenes, str | os.PathLike) or _is_dataset(scenes) or _is_array(scenes)
    )
    found = [_scene_path(one, folder) for one in (scenes if several else [scenes])]
    if not found:
        raise ConfigError("no scenes: give a path, or a list of at least one")
    return found


def vector_path(given: Any, folder: Path, *, name: str) -> str:
    """Return the path of polygons: a file, a GeoDataFrame or GeoSeries, or a geometry with a CRS.

    Args:
        given: A path, a GeoDataFrame, a GeoSeries, a tuple ``(geometry, crs)``, or a geometry
            whose SRID is its EPSG code.
        folder: Where geometries are written, as GeoParquet.
        name: Stem of the file written.

    Raises:
        ConfigError: It is none of these, or has no CRS.
    """
    if isinstance(given, str | os.PathLike):
        return os.fspath(given)
    frame = _frame(given, name)

    def write(path: Path) -> None:
        frame.to_parquet(path)

    return str(_written(folder, f"{name}.parquet", write))


def is_frame(given: Any) -> bool:
    """Return whether something is a GeoDataFrame or GeoSeries."""
    return type(given).__name__ in ("GeoDataFrame", "GeoSeries")


def _frame(given: Any, name: str) -> Any:
    """Return a GeoDataFrame with the columns that readers of labels know."""
    import geopandas as gpd
    import shapely

    if isinstance(given, tuple) and len(given) == 2:
        given = gpd.GeoSeries([given[0]], crs=given[1])
    elif isinstance(given, shapely.Geometry):
        code = int(shapely.get_srid(given))
        if not code:
            raise ConfigError(
                f"{name}: a geometry has no CRS of its own; give (geometry, 'EPSG:...') or a "
                "GeoDataFrame"
            )
        given = gpd.GeoSeries([given], crs=f"EPSG:{code}")
    if isinstance(given, gpd.GeoSeries):
        given = given.to_frame("geometry")
    if not isinstance(given, gpd.GeoDataFrame):
        raise ConfigError(
            f"{name}: {type(given).__name__} is none of a path, a GeoDataFrame and a "
            "(geometry, crs)"
        )
    if given.crs is None:
        raise ConfigError(f"{name}: the GeoDataFrame has no CRS; set it with .set_crs('EPSG:...')")
    kept = [column for column in ("class", "confidence") if column in given.columns]
    # Results name objects by the caller's index.
    frame = given[[*kept, given.geometry.name]].assign(id=[str(one) for one in given.index])
    frame = frame.reset_index(drop=True)
    return frame if given.geometry.name == "geometry" else frame.rename_geometry("geometry")


def _scene_path(one: Any, folder: Path) -> str:
    if _is_dataset(one):
        return _dataset_path(one, folder)
    if _is_array(one):
        return _array_path(one, folder)
    if not isinstance(one, str | os.PathLike):
        raise ConfigError(
            f"{type(one).__name__} is no scene: give a path, a URL, an open rasterio dataset or a "
            "DataArray with a CRS"
        )
    return os.fspath(one)


def _is_dataset(one: Any) -> bool:
    return type(one).__module__.startswith("rasterio.") and hasattr(one, "profile")


def _is_array(one: Any) -> bool:
    return type(one).__module__.startswith("xarray.") and hasattr(one, "dims")


def _dataset_path(dataset: Any, folder: Path) -> str:
    """Return where an open dataset was read from; one in memory is copied to a GeoTIFF."""
    name = str(dataset.name)
    if os.path.exists(name) or _URL.match(name):  # noqa: PTH110 - may be a URL
        return name

    def write(path: Path) -> None:
        import rasterio.shutil

        rasterio.shutil.copy(dataset, path, driver="GTiff")

    stem = re.sub(r"\W+", "_", Path(name).stem).strip("_") or "dataset"
    return str(_written(folder, f"{stem}.tif", write))


def _array_path(array: Any, folder: Path) -> str:
    """Write a DataArray as GeoTIFF and return its path.

    Raises:
        ConfigError: It has no CRS, or other axes than bands, y and x.
    """
    optional("rioxarray", purpose="mapping a DataArray")
    if not hasattr(array, "name"):
        raise ConfigError(
            "a Dataset has several arrays: give one, such as dataset['red'], or stack"
        )
    try:
        spatial = array.rio.y_dim, array.rio.x_dim
    except Exception as error:
        raise ConfigError(f"the DataArray has no axes y and x: {error}") from error
    others = [name for name in array.dims if name not in spatial]
    if len(others) > 1:
        raise ConfigError(f"the DataArray has the axes {array.dims}; give (band, y, x)")
    if array.rio.crs is None:
        raise ConfigError("the DataArray has no CRS; set it with .rio.write_crs('EPSG:...')")
    array = array.transpose(*others, *spatial)
    if array.dtype == bool:
        array = array.astype("uint8")

    def write(path: Path) -> None:
        array.rio.to_raster(path, driver="GTiff", tiled=True)

    stem = re.sub(r"\W+", "_", str(array.name or "array")).strip("_") or "array"
    return str(_written(folder, f"{stem}.tif", write))


def _written(folder: Path, name: str, write: Callable[[Path], None]) -> Path:
    """Write a file once, in a folder named by the digest of its content."""
    root = folder / FOLDER
    root.mkdir(parents=True, exist_ok=True)
    draft = root / f".{uuid.uuid4().hex}{Path(name).suffix}"
    try:
        write(draft)
        with draft.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
        target = root / digest / name
        target.parent.mkdir(exist_ok=True)
        if not target.exists():
            draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return target
