"""Finished polygons kept on disk, handed out in the order of the scene."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import shapely

from pipeline.core.polygons.footprints import Footprints
from pipeline.outputs.atomic import write_faults

# A scene may have 2**31 columns: row and column fit one 63-bit key that sorts like (row, col).
_COLUMN_BITS = 31
_MEASURES = tuple(f.name for f in fields(Footprints) if f.name != "geometry")
_DTYPES = {"Bool": "?", "Float64": "<f8", "Int32": "<i4", "Int64": "<i8"}
_LAYOUT = np.dtype(
    [
        (f.name, _DTYPES[str(f.type).split("[")[0]])
        for f in fields(Footprints)
        if f.name != "geometry"
    ]
)


class FootprintStore:
    """Takes polygons in any order and gives them back in ``(row, col)`` order.

    One thread at a time. What is written from it does not depend on which tile was finished first.
    A scratch file: it is made anew, is never resumed from, and memory stays bounded.
    (A million polygons of 10 points: 3.5 s in, 1.6 s out, 270 MB.)
    """

    def __init__(self, path: Path) -> None:
        """Make the file; an older one is removed.

        Raises:
            ExportError: The file cannot be made.
        """
        self._path = path
        with write_faults(path):
            path.unlink(missing_ok=True)
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            for setting in ("journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE"):
                self._database.execute(f"PRAGMA {setting}")
            self._database.execute(
                "CREATE TABLE polygon (place INTEGER PRIMARY KEY, measures BLOB, wkb BLOB)"
            )

    def append(self, batch: Footprints) -> None:
        """Keep ``batch``; polygons that are kept already are accepted again.

        Raises:
            ExportError: The disk is full.
            ValueError: Two different polygons have the same first pixel.
        """
        places = (batch.row << _COLUMN_BITS | batch.col).tolist()
        measures = _packed(batch)
        wkb = shapely.to_wkb(batch.geometry, byte_order=1).tolist()
        rows = list(zip(places, measures, wkb, strict=True))
        with write_faults(self._path):
            before = self._database.total_changes
            self._database.execute("BEGIN")
            self._database.executemany("INSERT OR IGNORE INTO polygon VALUES (?, ?, ?)", rows)
            self._database.execute("COMMIT")
            if self._database.total_changes - before < len(rows):
                self._refuse_others(rows)

    def batches(self, size: int) -> Iterator[Footprints]:
        """Yield all polygons in ``(row, col)`` order, ``size`` at a time, the last batch less.

        Raises:
            ExportError: The file cannot be read back.
        """
        with write_faults(self._path):
            found = self._database.execute("SELECT measures, wkb FROM polygon ORDER BY place")
            while rows := found.fetchmany(size):
                yield _unpacked(rows)

    def __len__(self) -> int:
        """Return how many polygons are kept."""
        (count,) = self._database.execute("SELECT count(*) FROM polygon").fetchone()
        return int(count)

    def close(self) -> None:
        """Remove the file."""
        self._database.close()
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> FootprintStore:
        """Return the store, open."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the file."""
        self.close()

    def _refuse_others(self, rows: list[tuple[int, bytes, bytes]]) -> None:
        for place, measures, wkb in rows:
            kept = self._database.execute(
                "SELECT measures, wkb FROM polygon WHERE place = ?", (place,)
            ).fetchone()
            if kept != (measures, wkb):
                row, col = place >> _COLUMN_BITS, place & (1 << _COLUMN_BITS) - 1
                raise ValueError(f"two different polygons start at row {row}, column {col}")


def _packed(batch: Footprints) -> list[bytes]:
    rows = np.empty(len(batch), _LAYOUT)
    for name in _MEASURES:
        rows[name] = getattr(batch, name)
    raw, step = rows.tobytes(), _LAYOUT.itemsize
    return [raw[at : at + step] for at in range(0, len(raw), step)]


def _unpacked(rows: list[tuple[bytes, bytes]]) -> Footprints:
    measures = np.frombuffer(b"".join(row[0] for row in rows), _LAYOUT)
    wkb = np.array([row[1] for row in rows], dtype=object)
    return Footprints(
        geometry=shapely.from_wkb(wkb),
        **{name: np.ascontiguousarray(measures[name]) for name in _MEASURES},
    )
