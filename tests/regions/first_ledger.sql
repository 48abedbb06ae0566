CREATE TABLE version (version INTEGER);
CREATE TABLE scenes (
    region TEXT NOT NULL, scene TEXT NOT NULL, source TEXT NOT NULL, token TEXT,
    fingerprint TEXT, wanted TEXT, state TEXT NOT NULL, attempts INTEGER NOT NULL,
    tried_at DOUBLE PRECISION, reason TEXT, key TEXT, folder TEXT, datetime TEXT,
    off_nadir DOUBLE PRECISION, coverage TEXT, pixels BIGINT, km2 DOUBLE PRECISION,
    first_run INTEGER, last_run INTEGER, PRIMARY KEY (region, scene));
CREATE TABLE runs (
    region TEXT NOT NULL, run INTEGER NOT NULL, state TEXT NOT NULL, holder TEXT NOT NULL,
    began_at DOUBLE PRECISION NOT NULL, ended_at DOUBLE PRECISION, mapped INTEGER,
    failed INTEGER, layer TEXT, layer_key TEXT, summary TEXT, PRIMARY KEY (region, run));
CREATE TABLE tiles_failed (
    region TEXT NOT NULL, scene TEXT NOT NULL, tile INTEGER NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (region, scene, tile));
CREATE TABLE outputs (
    region TEXT NOT NULL, run INTEGER NOT NULL, path TEXT NOT NULL, bytes BIGINT NOT NULL,
    sha256 TEXT NOT NULL, PRIMARY KEY (region, run, path));
CREATE TABLE holders (
    region TEXT NOT NULL PRIMARY KEY, holder TEXT NOT NULL);
INSERT INTO version VALUES (1);
INSERT INTO scenes VALUES ('town', 'scenes/a.tif', 'files scenes', '0:1:2:3:4', 'sha256:ab', 'k1',
    'partial', 2, 1700000000.5, '1 tiles failed', 'k1', 'a-k1', '2024-01-01T00:00:00Z', 3.5, '0103',
    1099511627776, 1.5, 1, 1);
INSERT INTO scenes VALUES ('village', 'b.tif', 'files b', NULL, NULL, NULL, 'done', 0, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO tiles_failed VALUES ('town', 'scenes/a.tif', 3, 'no memory');
INSERT INTO runs VALUES ('town', 1, 'done', 'process 7 on ship', 1700000000, 1700000100, 1, 0,
    'runs/000001', 'layer key', '{"layer": {"footprints": 4}}');
INSERT INTO outputs VALUES ('town', 1, 'runs/000001/layer.parquet', 1099511627776, 'ab');
