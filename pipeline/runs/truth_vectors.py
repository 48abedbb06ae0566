"""Polygons from files that others made, read without trusting them.

A file is told by its first bytes, never by its name: an OGR VRT called
``truth.geojson`` would read any file or URL of this machine. GeoJSON and
GeoParquet are decoded here; GeoPackage, Shapefile, FlatGeobuf, KML and GML go
to pyogrio, whose GDAL is stripped of every driver that follows references.
"""

from __future__ import annotations

import glob
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from jaxtyping import Shaped
from pyproj import CRS
from pyproj.exceptions import CRSError

from pipeline.errors import ConfigError
from pipeline.runs.truth_geojson import read_geojson
from pipeline.scenes.location import endless
from pipeline.scenes.placing import unearthly

MAX_BYTES = 2 * 2**30
"""Larger text files are refused: they are read whole."""
KEPT = ("id", "class", "label", "class_name", "category", "confidence", "score", "probability")
"""Attributes that mean something here; all others stay in the file."""

_MAGIC = (
    ("parquet", 0, b"PAR1"),
    ("fgb", 0, b"fgb\x03"),
    ("gpkg", 68, b"GPKG"),
    ("gpkg", 68, b"GP10"),
    ("gpkg", 68, b"GP11"),
)
_KNOWN = (
    (b"PK\x03\x04", "it is a ZIP archive", "unpack it and name the file inside"),
    (
        b"version https://git-lfs",
        "it is a pointer of Git LFS",
        "fetch the file itself: git lfs pull",
    ),
    (b"\xff\xfe", "it is UTF-16 text", "save it as UTF-8"),
    (b"[", "it is a bare JSON array", "give a FeatureCollection"),
)
_FORMATS = "GeoJSON, GeoParquet, GeoPackage, Shapefile, FlatGeobuf, KML or GML"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """The geometries of a file as they stand there, and what they are called."""

    source: str
    """The file, for messages."""
    geometry: Shaped[np.ndarray, " n"]
    """Shapely geometries of any kind in two dimensions, valid or not; None where there is none."""
    crs: CRS | None
    """What their coordinates mean; None for pixels ``(x=col, y=row)``."""
    columns: dict[str, list[Any]]
    """Attributes named in `KEPT`, one value a geometry."""
    notes: tuple[str, ...] = field(default=())
    """What was repaired while reading."""


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
    from pipeline.runs.truth_ogr import read_ogr

    return read_ogr(path, kind, layer)


def sniff(path: Path) -> str:
    """Return ``geojson``, ``parquet``, ``gpkg``, ``shp``, ``fgb``, ``kml`` or ``gml``.

    Raises:
        ConfigError: It is none of them, or not a file that can be read.
    """
    head = _head(path)
    for kind, place, magic in _MAGIC:
        if head.startswith(magic, place):
            return kind
    if head.startswith(b"\x00\x00\x27\x0a"):
        return _whole_shapefile(path)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n\x1e")
    if text.startswith((b"{", b"<")):
        size = path.stat().st_size
        if size > MAX_BYTES:
            reason = f"it has {size / 2**30:.1f} GiB; the limit is 2"
            raise refusal(path, reason, "convert it to GeoParquet")
        return "geojson" if text.startswith(b"{") else _markup(path, text)
    for start, what, way_out in _KNOWN:
        if head.startswith(start):
            raise refusal(path, what, way_out)
    raise refusal(path, "its content is no vector format that is read", f"give {_FORMATS}")


def _head(path: Path) -> bytes:
    """Return a file's first bytes, at least one."""
    if endless(path):
        raise refusal(path, "it is no regular file", "name a file")
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise refusal(path, reason, "check the path and its rights") from error
    if not head:
        raise refusal(path, "it is empty (0 bytes)", "export it again")
    return head


def refusal(path: Path, reason: str, way_out: str) -> ConfigError:
    """Return the error that names a file, what is wrong with it, and what to do."""
    return ConfigError(f"{path}: {reason}; {way_out}")


def _whole_shapefile(path: Path) -> str:
    beside = list(path.parent.glob(f"{glob.escape(path.stem)}.*"))
    for other in beside:
        if endless(other):
            raise refusal(path, f"{other.name} beside it is no regular file", "remove that")
    present = {other.suffix.lower() for other in beside}
    missing = [suffix for suffix in (".shx", ".dbf", ".prj") if suffix not in present]
    if missing:
        parts = " and ".join(missing)
        verb = "is" if len(missing) == 1 else "are"
        raise refusal(path, f"{parts} {verb} not beside it", "copy all files of the Shapefile")
    return "shp"


def _markup(path: Path, head: bytes) -> str:
    """Tell KML and GML from all other XML, and refuse what XML can be abused for."""
    lowered = path.read_bytes().lower()
    if b"<!doctype" in lowered or b"<!entity" in lowered:
        raise refusal(path, "it declares XML entities", "export it again, as GeoJSON")
    if b"ogrvrt" in lowered or b"xlink:href" in lowered or b"<networklink" in lowered:
        raise refusal(path, "it refers to other files", "export it again, as GeoJSON")
    if b"<kml" in head:
        return "kml"
    if b"opengis.net/gml" in head and b"featurecollection" in head.lower():
        return "gml"
    raise refusal(path, "it is markup, but neither KML nor GML", f"give {_FORMATS}")


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


def from_wkb(shapes: Shaped[np.ndarray, " n"]) -> Shaped[np.ndarray, " n"]:
    """Return geometries of well-known binary; NaN among their coordinates is no complaint yet."""
    with np.errstate(invalid="ignore"):
        return np.asarray(shapely.from_wkb(shapes), object)


def known_crs(path: Path, text: str) -> CRS:
    """Return the reference system that a file names.

    Raises:
        ConfigError: Nobody knows it.
    """
    try:
        return CRS.from_user_input(text)
    except CRSError as error:
        raise refusal(
            path, f"its CRS {text[:80]!r} is not known", "reproject it to EPSG:4326"
        ) from error


def placeless(path: Path) -> ConfigError:
    """Return the error for coordinates that could be anywhere."""
    return refusal(path, "it does not say its CRS", "write it with one, or as GeoJSON in degrees")


def short(error: BaseException) -> str:
    """Return the first words of an error on one line."""
    return " ".join(str(error).split())[:160]
