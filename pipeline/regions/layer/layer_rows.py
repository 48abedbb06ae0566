"""The rows of a layer and of its observations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64

from pipeline.core.conflation.conflation import Conflated
from pipeline.core.conflation.observations import UNDATED, Observations
from pipeline.outputs.atomic import write_atomically
from pipeline.outputs.vectors.geoparquet import ROWS_PER_GROUP
from pipeline.regions.layer.layer_file import SCHEMA, RegionLayer
from pipeline.regions.read_footprints import FootprintTable
from pipeline.regions.seams.group import NONE

OUTCOMES = ("drawn", "united", "removed", "lost")
"""What may become of a footprint, by number."""
DRAWN, UNITED, GONE, LOST = range(4)
_MOMENT = pa.timestamp("ms", tz="UTC")


def rows(
    taken: FootprintTable, drawn: Int64[np.ndarray, " n"], own: pa.Table
) -> Iterator[pa.Table]:
    """Yield the rows of a layer, as many at a time as a row group holds.

    Args:
        taken: Footprints of all scenes.
        drawn: Those of the layer, in order.
        own: The columns that these do not have in their scene's file.
    """
    for start in range(0, len(drawn), ROWS_PER_GROUP):
        some = pa.array(drawn[start : start + ROWS_PER_GROUP])
        table = taken.table.drop_columns(["scene"]).take(some)
        for name in own.column_names:
            table = table.append_column(name, own[name].slice(start, len(some)))
        table = table.append_column("geometry", pc.cast(taken.wkb.take(some), pa.binary()))
        yield table.select(SCHEMA.names).cast(SCHEMA)


def own_columns(
    ids: Sequence[str],
    seen: Observations,
    *,
    scene: tuple[Sequence[str], Int64[np.ndarray, " scenes"], Int64[np.ndarray, " n"]],
    heir: Int64[np.ndarray, " n"],
    earlier: RegionLayer | None,
) -> pa.Table:
    """Return the columns that only a layer has; dates go on from the earlier layer.

    Args:
        ids: Building ids.
        seen: Observations of each building.
        scene: Keys and dates of all scenes, and the scene that each outline comes from.
        heir: Row of the earlier layer that each building goes on from; -1 for a new one.
        earlier: The earlier layer.
    """
    keys, dates, which = scene
    first, last = seen.first, seen.last
    if earlier is not None and (heir >= 0).any():
        old = np.maximum(heir, 0)
        text = [_moments(earlier, name)[old] for name in ("first_seen", "last_seen")]
        first = np.where(heir >= 0, _earliest(first, text[0]), first)
        last = np.where(heir >= 0, np.maximum(last, text[1]), last)
    return pa.table(
        {
            "building_id": pa.array(ids, pa.string()),
            "n_obs": pa.array(seen.n_obs, pa.int32()),
            "first_seen": _dated(first),
            "last_seen": _dated(last),
            "scene": pa.array(keys, pa.string()).take(pa.array(which)),
            "datetime": _dated(dates[which]),
        }
    )


def part_owners(
    conflated: Conflated, usable: Int64[np.ndarray, " m"], stands: Int64[np.ndarray, " n"]
) -> Int64[np.ndarray, " n"]:
    """Return the drawn outline that each footprint is a part of; -1 for all others."""
    place = np.full(len(usable), -1, np.int64)
    place[conflated.drawn] = np.arange(len(conflated.drawn))
    drawn = np.full(len(stands), -1, np.int64)
    drawn[usable] = place[conflated.owner]
    return np.where(stands >= 0, drawn[stands], -1)


def date_parts(
    seen: Observations, parts: Int64[np.ndarray, " n"], dates: Int64[np.ndarray, " n"]
) -> Observations:
    """Return when buildings were seen, the parts of those that borders had cut included.

    Args:
        seen: When the drawn outlines were seen.
        parts: What `part_owners` returned.
        dates: Date of each footprint.
    """
    known = (parts >= 0) & (dates != UNDATED)
    never = np.iinfo(np.int64).max
    first, last = np.where(seen.first == UNDATED, never, seen.first), seen.last.copy()
    np.minimum.at(first, parts[known], dates[known])
    np.maximum.at(last, parts[known], dates[known])
    return Observations(n_obs=seen.n_obs, first=np.where(first == never, UNDATED, first), last=last)


def outcomes(
    conflated: Conflated, usable: Int64[np.ndarray, " m"], stands: Int64[np.ndarray, " n"]
) -> Int64[np.ndarray, " n"]:
    """Compute the outcome of each footprint, as a place in `OUTCOMES`.

    Args:
        conflated: One outline a building.
        usable: The footprints that were conflated.
        stands: The row that stands for each instead, or a negative number.
    """
    found = np.full(len(stands), LOST, np.int64)
    drawn = conflated.owner == np.arange(len(usable))
    found[usable] = np.where(conflated.removed, GONE, np.where(drawn, DRAWN, UNITED))
    found[stands == NONE] = GONE
    cut = np.flatnonzero(stands >= 0)
    found[cut] = np.where(found[stands[cut]] == DRAWN, UNITED, found[stands[cut]])
    return found


def write_observations(
    path: Path,
    taken: FootprintTable,
    keys: Sequence[str],
    outcome: Int64[np.ndarray, " n"],
    bearer: list[str | None],
) -> None:
    """Write a row for each footprint of all scenes: scene, id, outcome and building_id.

    Raises:
        ExportError: The file could not be written.
    """
    table = pa.table(
        {
            "scene": pa.DictionaryArray.from_arrays(
                taken.table["scene"].combine_chunks(), pa.array(keys, pa.string())
            ),
            "id": taken.table["id"],
            "outcome": pa.DictionaryArray.from_arrays(
                pa.array(outcome, pa.int8()), pa.array(OUTCOMES)
            ),
            "building_id": pa.array(bearer, pa.string()),
        }
    )
    with (
        write_atomically(path) as part,
        pa.OSFile(str(part), "wb") as file,
        pa.ipc.new_file(file, table.schema) as writer,
    ):
        writer.write_table(table)


def footprint_buildings(
    ids: Sequence[str],
    conflated: Conflated,
    usable: Int64[np.ndarray, " m"],
    stands: Int64[np.ndarray, " n"],
) -> list[str | None]:
    """Return the building of each footprint; None for removed or lost ones."""
    place = np.full(len(usable), -1, np.int64)
    place[conflated.drawn] = np.arange(len(ids))
    found: list[str | None] = [None] * len(stands)
    for row, at in zip(usable.tolist(), place[conflated.owner].tolist(), strict=True):
        found[row] = ids[at] if at >= 0 else None
    for row in np.flatnonzero(stands >= 0).tolist():
        found[row] = found[int(stands[row])]
    return found


def _earliest(
    one: Int64[np.ndarray, " n"], other: Int64[np.ndarray, " n"]
) -> Int64[np.ndarray, " n"]:
    """Return the earlier of two dates; `UNDATED` counts as none."""
    return np.where(one == UNDATED, other, np.where(other == UNDATED, one, np.minimum(one, other)))


def _moments(layer: RegionLayer, name: str) -> Int64[np.ndarray, " n"]:
    whole = pc.fill_null(pc.cast(layer.table[name], pa.int64()), int(UNDATED))
    return np.asarray(whole.to_numpy(), np.int64)


def _dated(moments: Int64[np.ndarray, " n"]) -> pa.Array:
    return pa.array(moments, pa.int64(), mask=moments == UNDATED).cast(_MOMENT)
