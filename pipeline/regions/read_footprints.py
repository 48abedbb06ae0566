"""The footprints of mapped scenes, read one scene after the other, on the Earth."""

from __future__ import annotations

import json
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from jaxtyping import Float64, Int64, Shaped
from pyproj import CRS

from pipeline.core.georef import Georef
from pipeline.errors import SceneError
from pipeline.outputs.vectors.lonlat import to_lonlat_polygons

_BATCH = 20_000
_NEEDED = ("id", "class", "confidence", "area_m2", "geometry")
_OPTIONAL = {"model": pa.string(), "touches_scene_edge": pa.bool_(), "touches_failure": pa.bool_()}
_AT_ONCE = 2
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class FootprintTable:
    """Every footprint of all scenes; the geometry lies on disk."""

    table: pa.Table
    """id, class, confidence, area_m2, model, touches_scene_edge, touches_failure, scene."""
    bounds: Float64[np.ndarray, "n 4"]
    """Box of each in longitude and latitude; NaN where a footprint has no place there."""
    area: Float64[np.ndarray, " n"]
    """Area of each in square degrees; 0 where it has no place."""
    wkb: pa.LargeBinaryArray | pa.ChunkedArray
    """Geometry of each in longitude and latitude, mapped from a file without a name."""

    def load(self, rows: Int64[np.ndarray, " k"]) -> Shaped[np.ndarray, " k"]:
        """Return the polygons of some rows."""
        found: Shaped[np.ndarray, " k"] = shapely.from_wkb(
            self.wkb.take(pa.array(rows)).to_numpy(zero_copy_only=False)
        )
        return found


def read_footprints(sources: Sequence[Path], *, scratch: Path) -> FootprintTable:
    """Read the polygons of scenes, in order, and place them in WGS 84.

    Coordinates are those of RFC 7946: on multiples of 1e-7 degrees, cut at the antimeridian.

    Args:
        sources: GeoParquet files with the columns that ``overtile map`` writes.
        scratch: Folder on whose disk the geometry is kept meanwhile.

    Raises:
        SceneError: A file cannot be read, or lacks a column.
        OSError: There is no room for the geometry.
    """
    tables, bounds, areas, lengths = [], [], [], [np.zeros(1, np.int64)]
    with tempfile.TemporaryFile(dir=scratch) as file:
        batches = (one for at, path in enumerate(sources) for one in _batches(path, at))
        for table, shapes in _ahead(_placed, batches):
            wkb = shapely.to_wkb(shapes, byte_order=1).tolist()
            file.write(b"".join(wkb))
            lengths.append(np.fromiter(map(len, wkb), np.int64, len(wkb)))
            tables.append(table)
            bounds.append(shapely.bounds(shapes))
            areas.append(shapely.area(shapes))
        offsets = np.cumsum(np.concatenate(lengths))
        wkb = _mapped(file, offsets)
    return FootprintTable(
        table=pa.concat_tables(tables) if tables else _empty(),
        bounds=np.concatenate([np.empty((0, 4)), *bounds]),
        area=np.concatenate([np.empty(0), *areas]),
        wkb=wkb,
    )


def _mapped(file: IO[bytes], offsets: Int64[np.ndarray, " n"]) -> pa.LargeBinaryArray:
    """Return what was written as an array that is read when it is asked for."""
    file.flush()
    data = np.memmap(file, np.uint8, "r") if offsets[-1] else np.zeros(0, np.uint8)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(offsets) - 1, buffers)


def _batches(path: Path, scene: int) -> Iterator[tuple[pa.Table, Georef]]:
    try:
        with pq.ParquetFile(path) as file:
            georef = _georef(file, path)
            names = set(file.schema_arrow.names)
            if missing := [name for name in _NEEDED if name not in names]:
                raise SceneError(str(path), f"has no {', '.join(missing)}", "map the scene again")
            columns = [*_NEEDED, *(name for name in _OPTIONAL if name in names)]
            for batch in file.iter_batches(batch_size=_BATCH, columns=columns):
                yield _complete(pa.Table.from_batches([batch]), scene), georef
    except (OSError, pa.ArrowException, ValueError) as error:
        raise SceneError(str(path), f"cannot be read: {error}", "map the scene again") from error


def _georef(file: pq.ParquetFile, path: Path) -> Georef:
    """Return the grid whose pixels are the units of the file's reference system."""
    raw = (file.metadata.metadata or {}).get(b"geo")
    column = json.loads(raw)["columns"].get("geometry", {}) if raw else {}
    if not column.get("crs"):
        raise SceneError(str(path), "is not georeferenced", "map the scene again")
    crs = CRS.from_json_dict(column["crs"])
    return Georef(crs_wkt=crs.to_wkt(), transform=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0))


def _complete(table: pa.Table, scene: int) -> pa.Table:
    """Return the table with every optional column, in one order, and the scene's number."""
    count = len(table)
    for name, kind in _OPTIONAL.items():
        if name not in table.column_names:
            fill = pa.scalar(False if pa.types.is_boolean(kind) else "", kind)
            table = table.append_column(name, pa.repeat(fill, count))
    table = table.append_column("scene", pa.repeat(pa.scalar(scene, pa.int32()), count))
    return table.select([*_NEEDED, *_OPTIONAL, "scene"]).cast(_schema())


def _schema() -> pa.Schema:
    return pa.schema(
        [
            pa.field("id", pa.string()),
            pa.field("class", pa.string()),
            pa.field("confidence", pa.float64()),
            pa.field("area_m2", pa.float64()),
            pa.field("geometry", pa.binary()),
            *(pa.field(name, kind) for name, kind in _OPTIONAL.items()),
            pa.field("scene", pa.int32()),
        ]
    )


def _empty() -> pa.Table:
    return _schema().empty_table().drop_columns(["geometry"])


def _placed(batch: tuple[pa.Table, Georef]) -> tuple[pa.Table, Shaped[np.ndarray, " n"]]:
    table, georef = batch
    shapes = shapely.from_wkb(table["geometry"].to_numpy())
    placed = np.full(len(shapes), shapely.Polygon(), object)
    single = shapely.get_type_id(shapes) == shapely.GeometryType.POLYGON
    placed[single] = to_lonlat_polygons(shapes[single], georef)
    for row in np.flatnonzero(~single & ~shapely.is_missing(shapes)).tolist():
        parts = shapely.get_parts(to_lonlat_polygons(shapely.get_parts(shapes[row]), georef))
        whole = shapely.union_all(parts)
        if whole.geom_type in {"Polygon", "MultiPolygon"}:
            placed[row] = shapely.orient_polygons(whole)
    return table.drop_columns(["geometry"]), placed


def _ahead(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield what ``work`` makes of each item, in order, two items in hand."""
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > _AT_ONCE:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
