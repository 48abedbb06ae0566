"""What changed between two layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64

from pipeline.core.conflation.compare import CommonFootprints, Fate, Tolerance, fates
from pipeline.core.conflation.conflation import z_order
from pipeline.core.conflation.pairs import Pairs, concatenate_outlines, same_building
from pipeline.errors import ConfigError
from pipeline.outputs.atomic import write_faults
from pipeline.outputs.vectors.geoparquet import ROWS_PER_GROUP
from pipeline.outputs.vectors.layer import write_layer, write_layer_geojson
from pipeline.regions.layer.common_ground import common_footprints, common_ground, cut_footprints
from pipeline.regions.layer.layer_file import RegionLayer, read_layer

IOU, AREA = 0.5, 0.25
_MOMENT = pa.timestamp("ms", tz="UTC")
SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("change", pa.string(), nullable=False),
        pa.field("building_id", pa.string(), nullable=False),
        pa.field("class", pa.string(), nullable=False),
        pa.field("confidence", pa.float64(), nullable=False),
        pa.field("area_m2", pa.float64(), nullable=False),
        pa.field("before_ids", pa.string()),
        pa.field("before_area_m2", pa.float64()),
        pa.field("scene", pa.string(), nullable=False),
        pa.field("datetime", _MOMENT),
        pa.field("geometry", pa.binary(), nullable=False),
    ]
)
"""Columns of the changes; ``before_ids`` are the earlier ids, with blanks between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """Some footprints: how many, and how large together."""

    count: int
    """Footprints."""
    area_m2: float
    """Their geodesic area, to 0.1 square metres."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeSummary:
    """What changed between two layers, where both were mapped."""

    added: Amount
    """Footprints of the later layer on ground where the earlier has none."""
    removed: Amount
    """Footprints of the earlier layer on ground where the later has none."""
    changed: Amount
    """Footprints of the later layer that differ from the earlier by more than the tolerances."""
    changed_before: Amount
    """What these were in the earlier layer: a block may have become houses."""
    unchanged: Amount
    """Footprints of the later layer that are the earlier's, but for noise."""
    unchanged_before: Amount
    """The same in the earlier layer."""
    unseen_before: Amount
    """Footprints of the later layer on ground that the earlier run mapped in part or not at all."""
    unseen_after: Amount
    """Footprints of the earlier layer on ground that the later run mapped in part or not at all."""


def changes(
    before: Path,
    after: Path,
    out: Path,
    *,
    iou: float = IOU,
    area: float = AREA,
    name: str = "changes",
) -> ChangeSummary:
    """Write what changed between two layers as ``changes.geojson`` and ``changes.parquet``.

    Each feature has ``change``: added, removed or changed.

    Args:
        before: The earlier layer, as `build_layer` writes it.
        after: The later layer.
        out: Folder for both files; made where it is missing.
        iou: Footprints that overlap at least so much have the same outline.
        area: Footprints whose areas differ by at most this share of the larger have the
            same size. What has the same outline and size is unchanged.
        name: Of the layer in ``changes.geojson``.

    Raises:
        ConfigError: A file is no layer, or a tolerance lies outside 0..1.
        ExportError: A file could not be written.
    """
    for name, value in (("iou", iou), ("area", area)):
        if not 0 <= value <= 1:
            raise ConfigError(f"{name} is {value}, and must lie in 0..1")
    layers = read_layer(before), read_layer(after)
    labels = sorted({n for layer in layers for n in layer.table["class"].unique().to_pylist()})
    ground = common_ground(*(layer.coverage for layer in layers))
    (early, early_share), (late, late_share) = (
        common_footprints(ground, layer, labels) for layer in layers
    )
    count = len(early)
    both = concatenate_outlines(early, late)
    there = np.flatnonzero(both.area > 0)
    pairs = _counted(same_building(both.take(there), side=there >= count), there)
    ids = [one for layer in layers for one in layer.table["building_id"].to_pylist()]
    fate = fates(
        pairs,
        CommonFootprints(
            before=count,
            area=both.area,
            share=np.concatenate([early_share, late_share]),
            cut=cut_footprints(layers),
        ),
        tolerance=Tolerance(iou=iou, area=area),
        precedence=_precedence(pairs, ids),
    )
    table = _changes(layers, fate, pairs, ids)
    with write_faults(out):
        out.mkdir(parents=True, exist_ok=True)
    write_layer(out / "changes.parquet", _groups(table), schema=SCHEMA, notes={})
    write_layer_geojson(out / "changes.geojson", _groups(table), key="id", name=name)
    return _summary(layers, fate)


def _counted(pairs: Pairs, rows: Int64[np.ndarray, " n"]) -> Pairs:
    """Return pairs of places in ``rows`` as pairs of rows."""
    return Pairs(left=rows[pairs.left], right=rows[pairs.right], shared=pairs.shared, iou=pairs.iou)


def _precedence(pairs: Pairs, ids: list[str]) -> Int64[np.ndarray, " pairs"]:
    """Return an order of pairs that does not change when the layers change places."""
    rank = np.unique(np.array(ids, str), return_inverse=True)[1].astype(np.int64)
    one, other = rank[pairs.left], rank[pairs.right]
    return np.asarray(np.minimum(one, other) * (len(ids) + 1) + np.maximum(one, other))


def _changes(
    layers: tuple[RegionLayer, RegionLayer],
    fate: Int64[np.ndarray, " n"],
    pairs: Pairs,
    ids: list[str],
) -> pa.Table:
    """Return a row for each change, neighbours one after the other."""
    count = len(layers[0])
    early = np.arange(len(fate)) < count
    chosen = np.flatnonzero((fate == Fate.ALONE) | ((fate == Fate.CHANGED) & ~early))
    names = ["building_id", "class", "confidence", "area_m2", "scene", "datetime"]
    table = pa.concat_tables([layer.table.select(names) for layer in layers])
    bounds = np.concatenate([layer.bounds for layer in layers])
    order = np.lexsort((chosen, z_order(bounds[chosen])))
    chosen = chosen[order]
    kind = np.where(
        fate[chosen] == Fate.CHANGED, "changed", np.where(early[chosen], "removed", "added")
    )
    area = table["area_m2"].to_numpy()
    was: dict[int, list[int]] = {}
    for left, right in zip(pairs.left.tolist(), pairs.right.tolist(), strict=True):
        if fate[right] == Fate.CHANGED:
            was.setdefault(right, []).append(left)
    before = [was.get(row, []) for row in chosen.tolist()]
    wkb = pa.chunked_array([pc.cast(layer.wkb, pa.large_binary()) for layer in layers])
    some = table.take(pa.array(chosen))
    columns = {name: some[name] for name in names}
    columns["id"] = pa.array(
        [f"{k}-{ids[row]}" for k, row in zip(kind.tolist(), chosen.tolist(), strict=True)],
        pa.string(),
    )
    columns["change"] = pa.array(kind.tolist(), pa.string())
    columns["before_ids"] = pa.array(
        [" ".join(sorted(ids[row] for row in rows)) or None for rows in before], pa.string()
    )
    columns["before_area_m2"] = pa.array(
        [round(float(area[rows].sum()), 2) if rows else None for rows in before], pa.float64()
    )
    columns["geometry"] = pc.cast(wkb.take(pa.array(chosen)), pa.binary())
    return pa.table(columns).select(SCHEMA.names).cast(SCHEMA)


def _groups(table: pa.Table) -> Iterator[pa.Table]:
    for start in range(0, len(table), ROWS_PER_GROUP):
        yield table.slice(start, ROWS_PER_GROUP)


def _summary(
    layers: tuple[RegionLayer, RegionLayer], fate: Int64[np.ndarray, " n"]
) -> ChangeSummary:
    areas = [layer.table["area_m2"].to_numpy() for layer in layers]
    count = len(areas[0])

    def amount(which: Fate, *, late: bool) -> Amount:
        chosen = (fate[count:] if late else fate[:count]) == which
        return Amount(
            count=int(chosen.sum()), area_m2=round(float(areas[late][chosen].sum()), 1) + 0.0
        )

    return ChangeSummary(
        added=amount(Fate.ALONE, late=True),
        removed=amount(Fate.ALONE, late=False),
        changed=amount(Fate.CHANGED, late=True),
        changed_before=amount(Fate.CHANGED, late=False),
        unchanged=amount(Fate.SAME, late=True),
        unchanged_before=amount(Fate.SAME, late=False),
        unseen_before=amount(Fate.UNSEEN, late=True),
        unseen_after=amount(Fate.UNSEEN, late=False),
    )
