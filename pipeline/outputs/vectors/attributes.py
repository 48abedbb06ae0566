"""Attributes of polygons, in columns ready to be written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
import shapely
from jaxtyping import Shaped

from pipeline.core.polygons.footprints import Footprints
from pipeline.outputs.provenance import Provenance

_DECIMALS = {"confidence": 4}
_NOT_WRITTEN = {"geometry", "label", "row", "col"}

FLAGS = tuple(f.name for f in fields(Footprints) if str(f.type).startswith("Bool"))
"""Columns of `Footprints` that are true or false: written under their own names."""
NUMBERS = tuple(f.name for f in fields(Footprints) if f.name not in {*FLAGS, *_NOT_WRITTEN})
"""Columns of `Footprints` that are measures: written under their own names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The attributes of a batch that differ from polygon to polygon."""

    id: list[str]
    """First 16 hex digits of the sha256 of scene fingerprint and pixel coordinates."""
    label: list[str]
    """Name of the class; written as ``class``."""
    numbers: dict[str, list[float]]
    """Measures by name: confidence to 4 decimals, the others to 2."""
    flags: dict[str, list[bool]]
    """What is true or false, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Counts of polygons written and dropped."""

    features: int
    """Polygons written."""
    dropped: int = 0
    """Polygons that are not georeferenced or no area left after rounding."""


def polygon_columns(batch: Footprints, provenance: Provenance) -> Columns:
    """Compute the attributes of each polygon of ``batch``.

    Raises:
        ValueError: A polygon is of a class that ``provenance`` does not name.
    """
    names = {value: provenance.class_name(value) for value in np.unique(batch.label).tolist()}
    return Columns(
        id=_ids(batch.geometry, provenance.fingerprint),
        label=[names[value] for value in batch.label.tolist()],
        numbers={
            name: np.round(getattr(batch, name), _DECIMALS.get(name, 2)).tolist()
            for name in NUMBERS
        },
        flags={name: getattr(batch, name).tolist() for name in FLAGS},
    )


def rebatched(batches: Iterable[Footprints], size: int) -> Iterator[Footprints]:
    """Yield the same polygons in the same order, ``size`` at a time, the last batch less.

    Files that are written batch by batch then do not depend on how the polygons came.
    """
    waiting: list[Footprints] = []
    for batch in batches:
        waiting.append(batch)
        while sum(map(len, waiting)) >= size:
            together = concatenate_batches(waiting)
            yield together.take(slice(size))
            waiting = [together.take(slice(size, None))]
    if sum(map(len, waiting)):
        yield concatenate_batches(waiting)


def concatenate_batches(batches: list[Footprints]) -> Footprints:
    """Return one batch that holds the polygons of ``batches``, at least one, in order."""
    return Footprints(
        **{
            f.name: np.concatenate([getattr(batch, f.name) for batch in batches])
            for f in fields(Footprints)
        }
    )


def _ids(polygons: Shaped[np.ndarray, " n"], fingerprint: str) -> list[str]:
    if not len(polygons):
        return []
    _, points, (ring_ends, polygon_ends) = shapely.to_ragged_array(
        shapely.normalize(polygons), include_z=False
    )
    first_points = ring_ends[polygon_ends].tolist()
    # Rings are closed, so their points alone show where each ends.
    # + 0.0 turns -0.0 into 0.0: equal coordinates, equal bytes.
    raw = np.ascontiguousarray(points + 0.0, "<f8")
    salt = fingerprint.encode() + b"\0"
    return [
        hashlib.sha256(salt + raw[begin:end].tobytes()).hexdigest()[:16]
        for begin, end in pairwise(first_points)
    ]
