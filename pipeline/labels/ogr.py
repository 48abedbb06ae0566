"""GeoPackage, Shapefile, FlatGeobuf, KML and GML, through a GDAL that follows no references."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import shapely

from pipeline.gdal.vector_guard import pyogrio
from pipeline.labels.geojson import Json
from pipeline.labels.vectors import KEPT, Vectors, from_wkb, known_crs, placeless, refusal, short


def read_ogr(path: Path, kind: str, layer: str | None) -> Vectors:
    """Return the geometries of one layer.

    Args:
        path: A file whose content has been looked at.
        kind: What it was found to be.
        layer: Which layer, where it has several with polygons.

    Raises:
        ConfigError: It cannot be read, does not say its CRS, or has several layers.
    """
    ogr = pyogrio()
    try:
        chosen = _layer(path, ogr.list_layers(path), layer)
        about = ogr.read_info(path, layer=chosen)
        names = [name for name in KEPT if name in set(about["fields"])]
        meta, _, shapes, fields = ogr.raw.read(path, layer=chosen, columns=names, force_2d=True)
        geometry = from_wkb(shapes)
    except (ogr.errors.DataSourceError, ogr.errors.DataLayerError, RuntimeError) as error:
        reason = f"it cannot be read as {kind} ({short(error)})"
        raise refusal(path, reason, "export it again") from error
    except shapely.errors.GEOSException as error:
        raise refusal(path, f"a geometry is damaged ({short(error)})", "repair it") from error
    if not meta["crs"]:
        raise placeless(path)
    return Vectors(
        source=str(path),
        geometry=np.asarray(geometry, object),
        crs=known_crs(path, meta["crs"]),
        columns={name: list(values) for name, values in zip(names, fields, strict=True)},
    )


def _layer(path: Path, layers: Json, wanted: str | None) -> str:
    names = [str(name) for name, _ in layers]
    if wanted is not None:
        if wanted in names:
            return wanted
        raise refusal(path, f"it has no layer {wanted!r}", f"its layers are {', '.join(names)}")
    spatial = [str(name) for name, kind in layers if kind is not None]
    areal = [str(name) for name, kind in layers if kind and "Polygon" in kind] or spatial
    if len(areal) > 1:
        raise refusal(
            path, f"it has {len(areal)} layers: {', '.join(areal)}", "say which: --truth-layer NAME"
        )
    if not areal:
        raise refusal(path, "it has no layer with geometries", "name another file")
    return areal[0]
