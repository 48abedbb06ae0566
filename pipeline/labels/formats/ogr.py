"""Shapefile, FlatGeobuf, KML and GML, through a GDAL that is left with one driver.

It runs in a child process alone: the other drivers are deregistered. GDAL sees the open file
under a name in an empty folder of ours, so it finds no other files beside it (a ``.gfs`` or
``.xsd`` of a GML, a ``.qix`` of a Shapefile), and what it writes beside it ends there.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import shapely

from pipeline.gdal.vector_guard import pyogrio
from pipeline.labels.layers import LayerChoice
from pipeline.labels.limits import Count
from pipeline.labels.opened import VectorFile
from pipeline.labels.vectors import (
    Vectors,
    first_words,
    from_wkb,
    known_crs,
    not_georeferenced,
    refusal,
)

DRIVERS = {"shp": "ESRI Shapefile", "fgb": "FlatGeobuf", "kml": "LIBKML", "gml": "GML"}
"""The one driver of each format."""
_SETTINGS = {
    "GML_DOWNLOAD_SCHEMA": "NO",
    "GML_SKIP_RESOLVE_ELEMS": "ALL",
    "GML_USE_SCHEMA_IMPORT": "NO",
}
_ROWS_AT_ONCE = 1024


class OgrReader:
    """The layers of an open file."""

    def __init__(self, file: VectorFile, kind: str, folder: Path) -> None:
        """Open a file.

        Args:
            file: An open file whose content has been looked at.
            kind: Its format, of `DRIVERS`.
            folder: An empty folder.
        """
        self._ogr = pyogrio(allowed=(DRIVERS[kind],))
        self._ogr.set_gdal_config_options(_SETTINGS)
        self._file, self._kind = file, kind
        self._source = folder / f"{file.path.stem}.{kind}"
        for path, handle in (
            (self._source, file.handle),
            *((self._source.with_suffix(name), one) for name, one in file.beside.items()),
        ):
            path.symlink_to(f"/dev/fd/{handle}")

    def read(self, *, wanted: tuple[str, ...], choice: LayerChoice, count: Count) -> Vectors:
        """Return the features of one layer.

        Raises:
            ConfigError: It cannot be read, names no CRS, has several layers, or more
                features or corners than the limit.
        """
        path = self._file.path
        errors = self._ogr.errors
        try:
            layers = [(str(name), kind) for name, kind in self._ogr.list_layers(self._source)]
            layer = choice.of(path, layers)
            fields = tuple(map(str, self._ogr.read_info(self._source, layer=layer)["fields"]))
            names = [name for name in wanted if name in fields]
            crs, shapes, columns = self._decoded(layer, names, count)
        except (errors.DataSourceError, errors.DataLayerError, RuntimeError, OSError) as error:
            if _no_memory(error):
                raise MemoryError from error
            reason = f"it cannot be read as {self._kind} ({self._said(error)})"
            raise refusal(path, reason, "export it again") from error
        except (shapely.errors.GEOSException, pa.ArrowException) as error:
            if isinstance(error, MemoryError) or _no_memory(error):
                raise MemoryError from error
            reason = f"a geometry is damaged ({self._said(error)})"
            raise refusal(path, reason, "repair it") from error
        if not crs:
            raise not_georeferenced(path)
        return Vectors(
            source=str(path),
            geometry=shapes,
            crs=known_crs(path, crs),
            columns=columns,
            fields=fields,
        )

    def _decoded(
        self, layer: str, names: list[str], count: Count
    ) -> tuple[str | None, np.ndarray, dict[str, list[Any]]]:
        shapes = [np.zeros(0, object)]
        columns: dict[str, list[Any]] = {name: [] for name in names}
        with self._ogr.raw.open_arrow(
            self._source, layer=layer, columns=names, batch_size=_ROWS_AT_ONCE, use_pyarrow=True
        ) as (meta, batches):
            geometry = meta["geometry_name"] or "wkb_geometry"
            for batch in batches:
                count.add_bytes(batch.nbytes)
                wkb = batch.column(geometry).to_numpy(zero_copy_only=False)
                shapes.append(shapely.force_2d(from_wkb(wkb)))
                count.add(shapes[-1])
                for name in names:
                    columns[name] += _values(batch.column(name))
            return meta["crs"], np.concatenate(shapes), columns

    def _said(self, error: Exception) -> str:
        """Return GDAL's words with the file's own name."""
        return first_words(error).replace(str(self._source), self._file.path.name)


def _values(column: pa.Array) -> list[Any]:
    with suppress(UnicodeDecodeError):
        return list(column.to_pylist())
    # A Shapefile whose encoding is missing or wrong.
    raw = column.cast(pa.binary()).to_pylist()
    return [None if one is None else one.decode(errors="replace") for one in raw]


def _no_memory(error: Exception) -> bool:
    reported = str(error).lower()
    return "bad_alloc" in reported or "out of memory" in reported or "cannot allocate" in reported
