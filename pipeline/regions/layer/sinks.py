"""A layer in the forms that its users read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from jaxtyping import Int64

from pipeline.errors import ConfigError
from pipeline.outputs.atomic import write_faults
from pipeline.outputs.catalogue.stac_collection import write_collection
from pipeline.outputs.provenance import MapClass
from pipeline.outputs.vectors.flatgeobuf import flatgeobuf_layer
from pipeline.outputs.vectors.formats import (
    FORMATS,
    FormatName,
    file_name,
    known_format,
    unknown_format,
)
from pipeline.outputs.vectors.geopackage import geopackage_layer
from pipeline.outputs.vectors.geoparquet import ROWS_PER_GROUP
from pipeline.outputs.vectors.layer import LONLAT, write_layer, write_layer_geojson
from pipeline.outputs.vectors.ogr import layer_name
from pipeline.outputs.vectors.pmtiles import HIGHEST, pmtiles_layer
from pipeline.outputs.vectors.shapefile import shapefile_layer
from pipeline.outputs.vectors.style import polygon_style
from pipeline.regions.layer.layer_file import SCHEMA, RegionLayer, read_layer
from pipeline.scenes.names import short_hash, slug

CELL_DEGREES = 0.25
"""Side of the squares that the partitioned layer is cut into: 28 km at the equator."""
STAC = "stac"
"""The form that is a catalogue; all others are formats of polygons (`FORMATS`)."""
_TILED = ("building_id", "class", "confidence", "n_obs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Title:
    """How a layer is called and drawn."""

    region: str
    """Name of the region."""
    style: str
    """QGIS style, as QML."""


SINKS = (*FORMATS, STAC)
"""The forms of a layer, by name; a database is kept up to date by `upsert_layer`."""


def write_sinks(
    layer: Path,
    out: Path,
    *,
    names: Sequence[str],
    region: str,
    classes: tuple[MapClass, ...] = (),
    items: Mapping[str, Path] | None = None,
) -> dict[str, Path]:
    """Write a layer in other forms into a folder; return where each one is.

    ::

        parquet    footprints/cell=E085.25_N27.50/footprints.parquet ...
        shapefile  footprints.shp.zip
        geojson    footprints.geojson, as every other format by its suffix
        stac       stac/collection.json, stac/<item>/<item>.json (`item_name`)

    Args:
        layer: As `build_layer` writes it.
        out: Folder; made where it is missing.
        names: Which of `SINKS`.
        region: Name of the region, and of its layer.
        classes: Classes in their colours, for styles.
        items: For ``stac``: ``item.json`` of each scene's outputs, by the scene's key.

    Raises:
        ConfigError: There is no such form, or the file is no layer.
        ExportError: A file could not be written.
    """
    for name in names:
        if fault := unknown_format(name, also=(STAC,)):
            raise ConfigError(f"outputs: {fault}")
    names = [known_format(name) for name in names]
    read, title = read_layer(layer), Title(region=region, style=polygon_style(classes))
    with write_faults(out):
        out.mkdir(parents=True, exist_ok=True)
    written: dict[str, Path] = {
        name: _written(name, read, out, title) for name in FORMATS if name in names
    }
    if STAC in names:
        files = [path for path in written.values() if path.is_file()]
        written[STAC] = write_collection(
            out / "stac",
            name=region,
            description=f"Scenes of {region} and what was mapped in them",
            items={item_name(key): path for key, path in (items or {}).items()},
            files=[layer, *files],
        )
    return written


def _written(name: FormatName, layer: RegionLayer, out: Path, title: Title) -> Path:
    """Write a layer in one format; return its file or, in squares, its folder."""
    if name == "parquet":
        return partitioned(layer, out / "footprints")
    path, known = out / file_name(name, stem="footprints"), layer_name(title.region)
    if name in ("geojson", "geojsonl"):
        whole = known if name == "geojson" else None
        write_layer_geojson(path, _tables(layer), key="building_id", name=whole)
    elif name == "pmtiles":
        schema = pa.schema([SCHEMA.field(one) for one in (*_TILED, "geometry")])
        tiled = map(_in_mercator, _batches(layer, schema))
        about = f"Footprints of {title.region}"
        pmtiles_layer(path, tiled, schema=schema, title=title.region, about=about)
    else:
        rows, crs = _batches(layer, SCHEMA), LONLAT.to_wkt()
        if name == "fgb":
            flatgeobuf_layer(path, rows, schema=SCHEMA, crs=crs, name=known)
        elif name == "gpkg":
            geopackage_layer(path, rows, schema=SCHEMA, crs=crs, name=known, style=title.style)
        else:
            shapefile_layer(path, rows, schema=SCHEMA, crs=crs, name=known, style=title.style)
    return path


def item_name(scene: str) -> str:
    """Return the id of a scene's STAC item, which is also the name of its folder.

    A scene's name is a path, a URL or an item of a catalogue: its last part is the most useful to
    people, and a hash of the whole keeps two apart.
    """
    plain = slug(scene)
    return plain if plain == scene else f"{slug(PurePath(scene).stem)}_{short_hash(scene)}"


def partitioned(layer: RegionLayer, out: Path) -> Path:
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


def _tables(layer: RegionLayer, rows: Int64[np.ndarray, " n"] | None = None) -> Iterator[pa.Table]:
    chosen = np.arange(len(layer)) if rows is None else rows
    for start in range(0, len(chosen), ROWS_PER_GROUP):
        some = pa.array(chosen[start : start + ROWS_PER_GROUP])
        geometry = pc.cast(layer.wkb.take(some), pa.binary())
        table = layer.table.take(some).append_column("geometry", geometry)
        yield table.select(SCHEMA.names).cast(SCHEMA)


def _batches(layer: RegionLayer, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
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
