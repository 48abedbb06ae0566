"""Polygons from files that others made, read without trusting them.

A file is told by its first bytes, never by its name: an OGR VRT called
``truth.geojson`` would read any file or URL of this machine. GeoJSON and
GeoParquet are decoded here; GeoPackage, Shapefile, FlatGeobuf, KML and GML go
to pyogrio, whose GDAL is stripped of every driver that follows references.
"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from pipeline.labels.geojson import read_geojson
from pipeline.labels.sniff import sniff
from pipeline.labels.vectors import KEPT, Vectors, from_wkb, known_crs, placeless, refusal, short
from pipeline.scenes.placing import unearthly


def read_vectors(path: Path, *, layer: str | None = None) -> Vectors:
    """Return the geometries of a vector file.

    Args:
        path: A local file.
        layer: Which layer, where the file has several with polygons.

    Raises:
        ConfigError: It is no vector file, is damaged, or does not say what its
            coordinates mean, or not in a way that leads to the Earth.
    """
    found = _as_they_stand(path, layer)
    fault = "" if found.crs is None else unearthly(found.crs)
    if fault:
        raise refusal(path, f"its {fault}", "reproject it to EPSG:4326")
    return found


def _as_they_stand(path: Path, layer: str | None) -> Vectors:
    kind = sniff(path)
    if layer is not None and kind in ("geojson", "parquet"):
        raise refusal(path, f"it has no layers, and so no {layer!r}", "leave the layer out")
    if kind == "geojson":
        return _from_geojson(path)
    if kind == "parquet":
        return _from_parquet(path)
    from pipeline.labels.ogr import read_ogr

    return read_ogr(path, kind, layer)


def _from_geojson(path: Path) -> Vectors:
    found = read_geojson(path, wanted=KEPT)
    return Vectors(
        source=str(path),
        geometry=found.geometry,
        crs=found.crs,
        columns=found.columns,
        notes=found.notes,
    )


def _from_parquet(path: Path) -> Vectors:
    try:
        with pq.ParquetFile(path) as file:
            meta = json.loads((file.schema_arrow.metadata or {})[b"geo"])
            primary = meta["primary_column"]
            about = meta["columns"][primary]
            if about["encoding"] != "WKB":
                raise refusal(path, f"its encoding is {about['encoding']}", "write it as WKB")
            names = [name for name in KEPT if name in file.schema_arrow.names]
            table = file.read(columns=[primary, *names])
        geometry = from_wkb(table.column(primary).to_numpy(zero_copy_only=False))
    except (KeyError, TypeError, ValueError) as error:
        raise refusal(
            path, "it is Parquet without usable geo metadata", "write GeoParquet"
        ) from error
    except (pa.ArrowException, shapely.errors.GEOSException, OSError) as error:
        raise refusal(path, f"it is damaged ({short(error)})", "export it again") from error
    if "crs" in about and about["crs"] is None:
        raise placeless(path)
    return Vectors(
        source=str(path),
        geometry=shapely.force_2d(geometry),
        # Without the key the standard says longitude and latitude.
        crs=known_crs(path, json.dumps(about["crs"]) if "crs" in about else "OGC:CRS84"),
        columns={name: table.column(name).to_pylist() for name in names},
    )
