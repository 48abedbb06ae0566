"""A layer in the forms that its users read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from jaxtyping import Int64

from pipeline.errors import ConfigError
from pipeline.outputs.atomic import write_faults
from pipeline.outputs.flatgeobuf import flatgeobuf_layer
from pipeline.outputs.geoparquet import ROWS_PER_GROUP
from pipeline.outputs.layer import LONLAT, write_layer, write_layer_geojson
from pipeline.outputs.ogr import layer_name
from pipeline.outputs.pmtiles import HIGHEST, pmtiles_layer
from pipeline.outputs.stac_collection import write_collection
from pipeline.runs.region.layer_file import SCHEMA, Layer, read_layer
from pipeline.scenes.names import short_hash, slug

CELL_DEGREES = 0.25
"""Side of the squares that the partitioned layer is cut into: 28 km at the equator."""
SINKS = ("geoparquet", "geojson", "flatgeobuf", "pmtiles", "stac")
"""The forms of a layer, by name; a database is kept up to date by `upsert_layer`."""
_TILED = ("building_id", "class", "confidence", "n_obs")


def write_sinks(
    layer: Path,
    out: Path,
    *,
    names: Sequence[str],
    region: str,
    items: Mapping[str, Path] | None = None,
) -> dict[str, Path]:
    """Write a layer in other forms into a folder; return where each one is.

    ::

        geoparquet  footprints/cell=E085.25_N27.50/footprints.parquet ...
        geojson     footprints.geojson
        flatgeobuf  footprints.fgb
        pmtiles     footprints.pmtiles
        stac        stac/collection.json, stac/<item>/<item>.json (`item_name`)

    Args:
        layer: As `build_layer` writes it.
        out: Folder; made where it is missing.
        names: Which of `SINKS`.
        region: Name of the region.
        items: For ``stac``: ``item.json`` of each scene's outputs, by the scene's key.

    Raises:
        ConfigError: There is no such sink, or the file is no layer.
        ExportError: A file could not be written.
    """
    if unknown := [name for name in names if name not in SINKS]:
        raise ConfigError(f"there is no sink {unknown[0]!r}; choose among {', '.join(SINKS)}")
    read, name = read_layer(layer), layer_name(region)
    with write_faults(out):
        out.mkdir(parents=True, exist_ok=True)
    written: dict[str, Path] = {}
    if "geoparquet" in names:
        written["geoparquet"] = partitioned(read, out / "footprints")
    if "geojson" in names:
        written["geojson"] = out / "footprints.geojson"
        write_layer_geojson(written["geojson"], _tables(read), key="building_id", name=name)
    if "flatgeobuf" in names:
        written["flatgeobuf"] = out / "footprints.fgb"
        rows, crs = _batches(read, SCHEMA), LONLAT.to_wkt()
        flatgeobuf_layer(written["flatgeobuf"], rows, schema=SCHEMA, crs=crs, name=name)
    if "pmtiles" in names:
        written["pmtiles"] = out / "footprints.pmtiles"
        schema = pa.schema([SCHEMA.field(name) for name in (*_TILED, "geometry")])
        pmtiles_layer(
            written["pmtiles"],
            map(_in_mercator, _batches(read, schema)),
            schema=schema,
            title=region,
            about=f"Footprints of {region}",
        )
    if "stac" in names:
        files = [written[name] for name in ("geojson", "flatgeobuf", "pmtiles") if name in written]
        written["stac"] = write_collection(
            out / "stac",
            name=region,
            description=f"Scenes of {region} and what was mapped in them",
            items={item_name(key): path for key, path in (items or {}).items()},
            files=[layer, *files],
        )
    return written


def item_name(scene: str) -> str:
    """Return the id of a scene's STAC item, which is also the name of its folder.

    A scene's name is a path, a URL or an item of a catalogue: its last part says most to
    people, and a hash of the whole keeps two apart.
    """
    plain = slug(scene)
    return plain if plain == scene else f"{slug(PurePath(scene).stem)}_{short_hash(scene)}"


def partitioned(layer: Layer, out: Path) -> Path:
    """Write a layer as GeoParquet in a folder for each square of 0.25 degrees.

    A footprint belongs to the square that holds the middle of its box; the folder is named
    after the square's lower left corner, so that readers of hive partitions see ``cell``.

    Raises:
        ExportError: A file could not be written.
    """
    middle = (layer.bounds[:, :2] + layer.bounds[:, 2:]) / 2
    corner = np.floor(middle / CELL_DEGREES).astype(np.int64)
    squares, which = np.unique(corner, axis=0, return_inverse=True)
    with write_faults(out):
        out.mkdir(parents=True, exist_ok=True)
    for at, (x, y) in enumerate((squares * CELL_DEGREES).tolist()):
        folder = out / f"cell={cell_name(x, y)}"
        with write_faults(folder):
            folder.mkdir(exist_ok=True)
        rows = np.flatnonzero(which.ravel() == at)
        tables = _tables(layer, rows)
        write_layer(folder / "footprints.parquet", tables, schema=SCHEMA, notes={})
    return out


def cell_name(west: float, south: float) -> str:
    """Return the name of the square with this lower left corner: ``W000.25_S01.00``."""
    across, up = "W" if west < 0 else "E", "S" if south < 0 else "N"
    return f"{across}{math.fabs(west):06.2f}_{up}{math.fabs(south):05.2f}"


def _tables(layer: Layer, rows: Int64[np.ndarray, " n"] | None = None) -> Iterator[pa.Table]:
    chosen = np.arange(len(layer)) if rows is None else rows
    for start in range(0, len(chosen), ROWS_PER_GROUP):
        some = pa.array(chosen[start : start + ROWS_PER_GROUP])
        geometry = pc.cast(layer.wkb.take(some), pa.binary())
        table = layer.table.take(some).append_column("geometry", geometry)
        yield table.select(SCHEMA.names).cast(SCHEMA)


def _batches(layer: Layer, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for table in _tables(layer):
        yield from table.select(schema.names).cast(schema).to_batches()


def _in_mercator(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the rows that Web Mercator has a place for, cut where it ends."""
    shapes = shapely.from_wkb(batch["geometry"].to_numpy(zero_copy_only=False))
    bounds = shapely.bounds(shapes)
    beyond = np.flatnonzero((bounds[:, 1] < -HIGHEST) | (bounds[:, 3] > HIGHEST))
    if not len(beyond):
        return batch
    shapes[beyond] = shapely.clip_by_rect(shapes[beyond], -180, -HIGHEST, 180, HIGHEST)
    kept = shapely.area(shapes) > 0
    at = batch.schema.get_field_index("geometry")
    wkb = pa.array(shapely.to_wkb(shapes, byte_order=1), pa.binary())
    return batch.set_column(at, batch.schema.field(at), wkb).filter(pa.array(kept))
