"""The file of a layer: columns, metadata, reading."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely
from jaxtyping import Float64, Int32, Int64, Shaped
from shapely.geometry.base import BaseGeometry

from pipeline.core.conflation.pairs import Outlines
from pipeline.errors import ConfigError

_MOMENT = pa.timestamp("ms", tz="UTC")
SCHEMA = pa.schema(
    [
        pa.field("building_id", pa.string(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("class", pa.string(), nullable=False),
        pa.field("confidence", pa.float64(), nullable=False),
        pa.field("area_m2", pa.float64(), nullable=False),
        pa.field("n_obs", pa.int32(), nullable=False),
        pa.field("first_seen", _MOMENT),
        pa.field("last_seen", _MOMENT),
        pa.field("scene", pa.string(), nullable=False),
        pa.field("datetime", _MOMENT),
        pa.field("model", pa.string(), nullable=False),
        pa.field("touches_scene_edge", pa.bool_(), nullable=False),
        pa.field("touches_failure", pa.bool_(), nullable=False),
        pa.field("geometry", pa.binary(), nullable=False),
    ]
)
"""Columns of a layer; the file has ``bbox`` before the geometry."""
_NOTE, _COVERAGE = "overtile:layer", "overtile:coverage"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionLayer:
    """A layer as it was read."""

    path: Path
    """The file."""
    table: pa.Table
    """Its columns but geometry and bbox."""
    bounds: Float64[np.ndarray, "n 4"]
    """Box of each footprint."""
    wkb: pa.LargeBinaryArray
    """Geometry of each footprint."""
    coverage: BaseGeometry
    """Area that its scenes mapped, in longitude and latitude."""
    about: dict[str, Any]
    """Policy, rules and scenes."""

    def __len__(self) -> int:
        """Return the number of footprints."""
        return len(self.table)

    def outlines(self, labels: list[str]) -> Outlines:
        """Return the footprints as outlines whose classes are numbered as in ``labels``."""
        area = np.concatenate(
            [np.empty(0)]
            + [
                shapely.area(self.load(np.arange(at, min(at + 20_000, len(self)))))
                for at in range(0, len(self), 20_000)
            ]
        )
        label = label_indices(self.table["class"], labels)
        return Outlines(bounds=self.bounds, area=area, label=label, load=self.load)

    def load(self, rows: Int64[np.ndarray, " k"]) -> Shaped[np.ndarray, " k"]:
        """Return the polygons of some rows."""
        found: Shaped[np.ndarray, " k"] = shapely.from_wkb(
            self.wkb.take(pa.array(rows)).to_numpy(zero_copy_only=False)
        )
        return found


def notes(about: dict[str, Any], coverage: BaseGeometry) -> dict[str, str]:
    """Return the metadata of a layer's file."""
    wkb = shapely.to_wkb(coverage, byte_order=1)
    return {
        _NOTE: json.dumps(about, ensure_ascii=False, sort_keys=True, separators=(",", ":")),
        _COVERAGE: base64.b64encode(wkb).decode(),
    }


def read_layer(path: Path) -> RegionLayer:
    """Return a layer that was written by `build_layer`.

    Raises:
        ConfigError: There is no such file, or it is no layer.
    """
    try:
        with pq.ParquetFile(path) as file:
            known = file.metadata.metadata or {}
            if _NOTE.encode() not in known:
                raise ConfigError(
                    f"{path} is no layer of a region: it lacks {_NOTE}; name a file that "
                    "`overtile region run` wrote"
                )
            about = json.loads(known[_NOTE.encode()])
            coverage = shapely.from_wkb(base64.b64decode(known[_COVERAGE.encode()]))
            table = file.read()
            bbox = table["bbox"].combine_chunks()
    except (OSError, pa.ArrowException, ValueError, KeyError, shapely.GEOSException) as error:
        raise ConfigError(f"{path} cannot be read as a layer: {error}") from error
    sides = [bbox.field(name).to_numpy() for name in ("xmin", "ymin", "xmax", "ymax")]
    return RegionLayer(
        path=path,
        table=table.drop_columns(["geometry", "bbox"]),
        bounds=np.ascontiguousarray(np.column_stack(sides), np.float64),
        wkb=pc.cast(table["geometry"], pa.large_binary()).combine_chunks(),
        coverage=coverage,
        about=about,
    )


def label_indices(names: pa.ChunkedArray, labels: list[str]) -> Int32[np.ndarray, " n"]:
    """Return the place of each name in ``labels``.

    Raises:
        ValueError: A name is not among them.
    """
    found = pc.index_in(names, value_set=pa.array(labels, pa.string()))
    if found.null_count:
        raise ValueError(f"a class is not among {labels}")
    return np.asarray(found.to_numpy(), np.int32)
