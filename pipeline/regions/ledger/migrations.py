"""The tables of the ledger, from the first version on; written for SQLite and PostgreSQL alike."""

from __future__ import annotations

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE scenes (
            region TEXT NOT NULL, scene TEXT NOT NULL, source TEXT NOT NULL, token TEXT,
            fingerprint TEXT, wanted TEXT, state TEXT NOT NULL, attempts INTEGER NOT NULL,
            tried_at DOUBLE PRECISION, reason TEXT, key TEXT, folder TEXT, datetime TEXT,
            off_nadir DOUBLE PRECISION, coverage TEXT, pixels BIGINT, km2 DOUBLE PRECISION,
            first_run INTEGER, last_run INTEGER, PRIMARY KEY (region, scene))""",
        """CREATE TABLE runs (
            region TEXT NOT NULL, run INTEGER NOT NULL, state TEXT NOT NULL, holder TEXT NOT NULL,
            began_at DOUBLE PRECISION NOT NULL, ended_at DOUBLE PRECISION, mapped INTEGER,
            failed INTEGER, layer TEXT, layer_key TEXT, summary TEXT, PRIMARY KEY (region, run))""",
        """CREATE TABLE tiles_failed (
            region TEXT NOT NULL, scene TEXT NOT NULL, tile INTEGER NOT NULL, reason TEXT NOT NULL,
            PRIMARY KEY (region, scene, tile))""",
        """CREATE TABLE outputs (
            region TEXT NOT NULL, run INTEGER NOT NULL, path TEXT NOT NULL, bytes BIGINT NOT NULL,
            sha256 TEXT NOT NULL, PRIMARY KEY (region, run, path))""",
        """CREATE TABLE holders (
            region TEXT NOT NULL PRIMARY KEY, holder TEXT NOT NULL)""",
    ),
    (
        """CREATE TABLE timings (
            region TEXT NOT NULL, run INTEGER NOT NULL, stage TEXT NOT NULL,
            seconds DOUBLE PRECISION NOT NULL, PRIMARY KEY (region, run, stage))""",
    ),
    (
        "ALTER TABLE runs ADD COLUMN settings TEXT",
        """CREATE TABLE deliveries (
            region TEXT NOT NULL, sink TEXT NOT NULL, layer_key TEXT, reason TEXT,
            tried_at DOUBLE PRECISION NOT NULL, PRIMARY KEY (region, sink))""",
    ),
)
"""What leads from each version to the next; a step that was released never changes."""
