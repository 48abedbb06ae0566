"""Polygons as rows of Arrow tables: one list of fields for every format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from jaxtyping import Shaped

from pipeline.core.polygons.footprints import Footprints
from pipeline.outputs.provenance import Provenance
from pipeline.outputs.vectors.attributes import (
    FLAGS,
    NUMBERS,
    Columns,
    Written,
    polygon_columns,
    rebatched,
)

ATTRIBUTES = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("class", pa.string(), nullable=False),
        *(pa.field(name, pa.float64(), nullable=False) for name in NUMBERS),
        pa.field("scene", pa.string(), nullable=False),
        pa.field("datetime", pa.timestamp("ms", tz="UTC")),
        pa.field("model", pa.string(), nullable=False),
        *(pa.field(name, pa.bool_(), nullable=False) for name in FLAGS),
    ]
)
"""Attributes of each polygon, the measures and flags of `Footprints` among them."""
GEOMETRY = pa.field("geometry", pa.binary(), nullable=False)
"""The polygon as little-endian WKB."""
ROWS_AT_ONCE = 5_000

Placing = Callable[[Shaped[np.ndarray, " n"]], Shaped[np.ndarray, " n"]]
"""From polygons in pixels to polygons in coordinates; empty ones where there is no place."""


def attribute_columns(batch: Footprints, provenance: Provenance) -> dict[str, Any]:
    """Return the values of each of `ATTRIBUTES`, a row a polygon."""
    table: Columns = polygon_columns(batch, provenance)
    when = provenance.datetime and datetime.fromisoformat(provenance.datetime)
    return {
        "id": table.id,
        "class": table.label,
        **table.numbers,
        "scene": [provenance.scene] * len(batch),
        "datetime": [when or None] * len(batch),
        "model": [provenance.model] * len(batch),
        **table.flags,
    }


class Rows:
    """Polygons as record batches of WKB and attributes, counted while they are drawn."""

    def __init__(
        self,
        batches: Iterable[Footprints],
        provenance: Provenance,
        *,
        place: Placing,
        names: Sequence[str] = ATTRIBUTES.names,
    ) -> None:
        """Take polygons, what places them, and which attributes they keep."""
        self._batches = batches
        self._provenance = provenance
        self._place = place
        self.schema = pa.schema([*(ATTRIBUTES.field(name) for name in names), GEOMETRY])
        self.features = 0
        self.dropped = 0

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield 5,000 polygons at a time, in the order given; those without a place left out."""
        for batch in rebatched(self._batches, ROWS_AT_ONCE):
            shapes = self._place(batch.geometry)
            kept = ~shapely.is_empty(shapes)
            self.features += int(kept.sum())
            self.dropped += int((~kept).sum())
            values = attribute_columns(batch.take(kept), self._provenance)
            values["geometry"] = shapely.to_wkb(shapes[kept], byte_order=1)
            arrays = [pa.array(values[field.name], field.type) for field in self.schema]
            yield pa.record_batch(arrays, schema=self.schema)

    @property
    def written(self) -> Written:
        """What became of the polygons drawn so far."""
        return Written(features=self.features, dropped=self.dropped)
