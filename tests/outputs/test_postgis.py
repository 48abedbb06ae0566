"""Footprints in PostGIS: upserted as a whole or not at all, the password never told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyproj import CRS

from pipeline.core.georef import Georef
from pipeline.core.polygons.footprints import Footprints
from pipeline.errors import ConfigError, ExportError
from pipeline.outputs.postgis import connect as postgis_connect
from pipeline.outputs.postgis.connect import database_place
from pipeline.outputs.postgis.layer_table import Upserted, upsert, upsert_layer
from pipeline.outputs.provenance import Provenance
from pipeline.outputs.vectors.geoparquet import write_geoparquet
from pipeline.validation.postgis import check_layer
from tests.postgres import PASSWORD, Server
from tests.strategies import examples

Make = Callable[..., Footprints]
Where = Callable[..., Provenance]
SCHEMA = pa.schema(
    [
        pa.field("building_id", pa.string(), nullable=False),
        pa.field("confidence", pa.float64()),
        pa.field("n_obs", pa.int32()),
        pa.field("first_seen", pa.timestamp("ms", tz="UTC")),
        pa.field("sources", pa.list_(pa.string())),
        pa.field("geometry", pa.binary(), nullable=False),
    ]
)


def rows(known: dict[str, int]) -> pa.RecordBatch:
    """Return buildings by name, each with the state it is in."""
    return pa.record_batch(
        {
            "building_id": list(known),
            "confidence": [state / 10 for state in known.values()],
            "n_obs": list(known.values()),
            "first_seen": [1_700_000_000_000 + state for state in known.values()],
            "sources": [["a", f"b{state}"] for state in known.values()],
            "geometry": [
                shapely.to_wkb(shapely.box(at, 1, at + 0.5, 1 + 0.1 * (state + 1)))
                for at, state in enumerate(known.values())
            ],
        },
        schema=SCHEMA,
    )


def put(url: str, known: dict[str, int], run: str = "r1") -> Upserted:
    """Upsert buildings into the table ``buildings``."""
    return upsert(url, "buildings", [rows(known)], schema=SCHEMA, run_id=run)


def standing(url: str) -> dict[str, tuple[int, str]]:
    """Return the state of each building and the run that last wrote it."""
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT building_id, n_obs, run_id FROM buildings").fetchall()
    return {name: (state, run) for name, state, run in found}


def ask(url: str, question: str) -> Any:
    """Return the first value of an answer."""
    with psycopg.connect(url) as connection:
        row = connection.execute(question.encode()).fetchone()
    return row[0] if row else None


BUILDINGS = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 3), max_size=8)


@settings(max_examples=examples(15), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=BUILDINGS, after=BUILDINGS)
def test_the_table_holds_the_last_layer_and_the_counts_add_up(
    postgis: str, before: dict[str, int], after: dict[str, int]
) -> None:
    put(postgis, before, "r0")
    # Where a building lies depends on its place in the layer: what is the same is rows' matter.
    old, new = (
        {row["building_id"]: row for row in rows(known).to_pylist()} for known in (before, after)
    )
    done = put(postgis, after, "r1")
    same = {name for name in new if old.get(name) == new[name]}
    assert done == Upserted(
        inserted=len(new.keys() - old.keys()),
        updated=len(new.keys() & old.keys() - same),
        removed=len(old.keys() - new.keys()),
        unchanged=len(same),
    )
    runs = {name: run for name, (_, run) in standing(postgis).items() if name not in same}
    assert {name: state for name, (state, _) in standing(postgis).items()} == after
    assert set(runs.values()) <= {"r1"}
    assert put(postgis, after, "r2") == Upserted(
        inserted=0, updated=0, removed=0, unchanged=len(after)
    )


def test_a_scenes_layer_arrives_in_degrees_with_its_attributes_and_an_index(
    postgis: str, footprints: Make, provenance: Where, georef: Georef, tmp_path: Path
) -> None:
    batch = footprints(3)
    path = tmp_path / "p.parquet"
    written = write_geoparquet(path, [batch], provenance(georef))
    done = upsert_layer(postgis, "layer", path, run_id="r1")
    assert done == Upserted(inserted=written.features, updated=0, removed=0, unchanged=0)
    assert check_layer(postgis, "layer", path) == []
    again = upsert_layer(postgis, "layer", path, run_id="r2")
    assert again.unchanged == written.features
    with psycopg.connect(postgis) as connection:
        found = connection.execute(
            "SELECT class, touches_aoi, datetime, ST_SRID(geometry), ST_Area(geometry::geography),"
            " area_m2 FROM layer"
        ).fetchall()
        plan = connection.execute(
            "SELECT indexdef FROM pg_indexes WHERE tablename = 'layer' ORDER BY 1"
        ).fetchall()
    assert {row[3] for row in found} == {4326}
    assert {row[2].isoformat() for row in found} == {"2024-02-03T04:05:06+00:00"}
    assert sum(row[1] for row in found) == int(batch.touches_aoi.sum())
    assert any("gist" in line for (line,) in plan)


def test_areas_survive_the_way_into_the_database(
    postgis: str, footprints: Make, provenance: Where, utm: Georef, tmp_path: Path
) -> None:
    batch = footprints(3)
    write_geoparquet(tmp_path / "p.parquet", [batch], provenance(utm))
    upsert_layer(postgis, "layer", tmp_path / "p.parquet", run_id="r1")
    total = ask(postgis, "SELECT sum(ST_Area(geometry::geography)) FROM layer")
    assert total == pytest.approx(shapely.area(batch.geometry).sum() * 0.09, rel=2e-3)


def test_a_schema_may_be_named(postgis: str) -> None:
    with psycopg.connect(postgis) as connection:
        connection.execute("CREATE SCHEMA maps")
    upsert(postgis, "maps.buildings", [rows({"a": 1})], schema=SCHEMA, run_id="r1")
    assert ask(postgis, "SELECT count(*) FROM maps.buildings") == 1


def test_a_connection_that_breaks_half_way_changes_nothing(postgis: str) -> None:
    put(postgis, {"a": 1, "b": 2}, "r0")
    before = standing(postgis)

    def breaking() -> Iterator[pa.RecordBatch]:
        yield rows({"a": 3})
        with psycopg.connect(postgis, autocommit=True) as other:
            cut = other.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE application_name = 'overtile' AND datname = current_database()"
            ).fetchone()
        assert cut == (1,)
        for at in range(200):
            yield rows({f"c{at}-{number}": 1 for number in range(100)})

    with pytest.raises(ExportError, match="nothing in it was changed") as caught:
        upsert(postgis, "buildings", breaking(), schema=SCHEMA, run_id="r1")
    assert "127.0.0.1" in str(caught.value)
    assert standing(postgis) == before
    assert put(postgis, {"a": 3}, "r2") == Upserted(inserted=0, updated=1, removed=1, unchanged=0)


def test_an_error_of_the_layer_changes_nothing(postgis: str) -> None:
    put(postgis, {"a": 1}, "r0")

    def failing() -> Iterator[pa.RecordBatch]:
        yield rows({"b": 3})
        raise ConfigError("no more")

    with pytest.raises(ConfigError, match="no more"):
        upsert(postgis, "buildings", failing(), schema=SCHEMA, run_id="r1")
    assert standing(postgis) == {"a": (1, "r0")}


def test_two_writers_at_once_take_turns(postgis: str) -> None:
    layers = {f"r{at}": {f"{at}-{n}": n for n in range(30)} | {"shared": at} for at in range(4)}
    start = threading.Barrier(len(layers))
    done: dict[str, Upserted] = {}

    def write(run: str) -> None:
        start.wait()
        done[run] = put(postgis, layers[run], run)

    threads = [threading.Thread(target=write, args=(run,)) for run in layers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(done) == set(layers)
    # The last of them wins as a whole, whichever it was; none saw another's half.
    found = {name: state for name, (state, _) in standing(postgis).items()}
    assert found in layers.values()
    assert sum(one.inserted for one in done.values()) - sum(
        one.removed for one in done.values()
    ) == len(found)
    assert sorted(one.removed for one in done.values()) == [0, 30, 30, 30]


def test_a_writer_that_waits_too_long_says_so(
    postgis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(postgis, {"a": 1})
    monkeypatch.setattr(postgis_connect, "WAIT_S", 1)
    with psycopg.connect(postgis) as other:
        other.execute("LOCK TABLE buildings IN ROW EXCLUSIVE MODE")
        with pytest.raises(ExportError, match="another writer held it for 1 s; nothing in it"):
            put(postgis, {"b": 1})
    assert put(postgis, {"b": 1}).removed == 1


def test_readers_see_the_old_rows_until_the_end(postgis: str) -> None:
    put(postgis, {"a": 1}, "r0")
    seen: list[dict[str, tuple[int, str]]] = []

    def watching() -> Iterator[pa.RecordBatch]:
        yield rows({"b": 2})
        seen.append(standing(postgis))

    upsert(postgis, "buildings", watching(), schema=SCHEMA, run_id="r1")
    assert seen == [{"a": (1, "r0")}]
    assert standing(postgis) == {"b": (2, "r1")}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("ALTER TABLE buildings DROP COLUMN n_obs", "no column 'n_obs' (integer)"),
        ("ALTER TABLE buildings ALTER n_obs TYPE text", "'n_obs' is text, not integer"),
        (
            "ALTER TABLE buildings ALTER geometry TYPE geometry(MultiPolygon,3857)"
            " USING ST_Transform(geometry, 3857)",
            "'geometry' is geometry(MultiPolygon,3857), not geometry(MultiPolygon,4326)",
        ),
        ("ALTER TABLE buildings DROP CONSTRAINT buildings_pkey", "'building_id' is not unique"),
        (
            "ALTER TABLE buildings ADD street text NOT NULL DEFAULT 'x';"
            "ALTER TABLE buildings ALTER street DROP DEFAULT",
            "'street' must be filled",
        ),
    ],
)
def test_a_table_of_another_shape_is_refused_and_left_as_it_is(
    postgis: str, change: str, told: str
) -> None:
    put(postgis, {"a": 1}, "r0")
    with psycopg.connect(postgis) as connection:
        connection.execute(change.encode())
    with pytest.raises(ConfigError) as caught:
        put(postgis, {"b": 2}, "r1")
    assert told in str(caught.value)
    assert "ALTER TABLE" in str(caught.value)
    assert ask(postgis, "SELECT string_agg(building_id, '') FROM buildings") == "a"


def test_columns_that_others_added_are_kept(postgis: str) -> None:
    put(postgis, {"a": 1})
    with psycopg.connect(postgis) as connection:
        connection.execute("ALTER TABLE buildings ADD note text")
        connection.execute("UPDATE buildings SET note = 'mine'")
    assert put(postgis, {"a": 2}).updated == 1
    assert ask(postgis, "SELECT note FROM buildings") == "mine"


def test_a_missing_index_is_made_again(postgis: str) -> None:
    put(postgis, {"a": 1})
    with psycopg.connect(postgis) as connection:
        connection.execute("DROP INDEX buildings_geometry_idx")
    put(postgis, {"a": 1})
    assert ask(postgis, "SELECT count(*) FROM pg_indexes WHERE indexdef LIKE '%gist%'") == 1


def test_a_key_that_stands_twice_is_refused(postgis: str) -> None:
    put(postgis, {"a": 1})
    twice = [rows({"b": 1}), rows({"b": 2})]
    with pytest.raises(ExportError, match=r"\(b\) is duplicated"):
        upsert(postgis, "buildings", twice, schema=SCHEMA, run_id="r1")
    assert standing(postgis) == {"a": (1, "r1")}


def test_a_database_without_postgis_is_refused(postgres: Server) -> None:
    with pytest.raises(ConfigError, match="CREATE EXTENSION postgis"):
        put(postgres.database(), {"a": 1})


@pytest.mark.parametrize("name", ["", "Buildings", "a.b.c", 'x"; DROP TABLE y', "x" * 49, "1a"])
def test_a_name_that_is_none_for_a_table_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="no name for a table"):
        upsert("postgresql://localhost/x", name, [], schema=SCHEMA, run_id="r1")


def test_a_layer_without_a_key_is_refused() -> None:
    with pytest.raises(ConfigError, match="neither building_id nor id"):
        upsert("postgresql://h/x", "t", [], schema=pa.schema([SCHEMA.field(1)]), run_id="r1")


def test_a_column_without_a_type_is_refused() -> None:
    odd = pa.schema([SCHEMA.field(0), pa.field("what", pa.duration("s")), SCHEMA.field("geometry")])
    with pytest.raises(ConfigError, match="'what' of type duration"):
        upsert("postgresql://h/x", "t", [], schema=odd, run_id="r1")


def test_what_is_no_geoparquet_is_refused(postgis: str, tmp_path: Path) -> None:
    (tmp_path / "p.parquet").write_bytes(b"PAR1")
    with pytest.raises(ConfigError, match="not read as GeoParquet"):
        upsert_layer(postgis, "t", tmp_path / "p.parquet", run_id="r1")
    with pytest.raises(ConfigError, match="not read as GeoParquet"):
        upsert_layer(postgis, "t", tmp_path / "missing.parquet", run_id="r1")


def told_of(url: str) -> str:
    """Return everything that an error tells, causes included."""
    with pytest.raises((ExportError, ConfigError)) as caught:
        put(url, {"a": 1})
    told, error = "", caught.value
    seen: BaseException | None = error
    while seen is not None:
        told += f"{seen!r} {seen} "
        seen = seen.__cause__ or seen.__context__
    return told


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://overtile:WORD@127.0.0.1:1/x",
        "postgresql://overtile:WORD@127.0.0.1:PORT/postgres?connect_timeout=3",
        "postgresql://overtile@127.0.0.1:PORT/postgres?password=WORD",
        "postgresql://overtile:WORD@127.0.0.1:PORT/none?application_nam=x",
        "postgresql://overtile:WORD@[127.0.0.1:PORT/none",
        "mysql://overtile:WORD@127.0.0.1/none",
        "overtile:WORD@127.0.0.1/none",
    ],
)
@pytest.mark.parametrize("word", ["hunter2-wrong", "hunt%20er%2F2", "a%zz-bad"])
def test_passwords_are_never_told(postgres: Server, url: str, word: str) -> None:
    told = told_of(url.replace("WORD", word).replace("PORT", str(postgres.port)))
    assert word not in told
    assert "hunt" not in told
    assert "zz-bad" not in told


def test_a_driver_in_the_url_is_passed_over(postgis: str) -> None:
    assert PASSWORD not in database_place(postgis)
    assert put(postgis.replace("postgresql://", "postgresql+psycopg://"), {"a": 1}).inserted == 1


def test_the_check_tells_what_is_missing(
    postgis: str, footprints: Make, provenance: Where, utm: Georef, tmp_path: Path
) -> None:
    path = tmp_path / "p.parquet"
    write_geoparquet(path, [footprints(3)], provenance(utm))
    assert check_layer(postgis, "layer", path) == ["there is no table layer"]
    upsert_layer(postgis, "layer", path, run_id="r1")
    with psycopg.connect(postgis) as connection:
        connection.execute("DROP INDEX layer_geometry_idx")
        connection.execute("DELETE FROM layer WHERE ctid = (SELECT min(ctid) FROM layer)")
        connection.execute(
            "UPDATE layer SET geometry = ST_GeomFromText('MULTIPOLYGON(((0 0,1 1,1 0,0 1,0 0)))',"
            " 4326) WHERE ctid = (SELECT min(ctid) FROM layer)"
        )
    (index, count, invalid) = check_layer(postgis, "layer", path)
    assert index == "its geometry has no GiST index"
    assert count.startswith("it has ")
    assert invalid == "1 footprints are not valid geometries (OGC)"
    with psycopg.connect(postgis) as connection:
        connection.execute("ALTER TABLE layer DROP COLUMN confidence")
    assert check_layer(postgis, "layer", path) == [
        "it has no column 'confidence' (double precision)"
    ]


def test_the_antimeridian_is_cut(postgis: str, tmp_path: Path, provenance: Where) -> None:
    georef = Georef(
        crs_wkt=CRS("EPSG:32660").to_wkt(), transform=(20.0, 0.0, 812_000.0, 0.0, -20.0, 2e6)
    )
    wide = shapely.box(0, 10, 600, 20)
    batch = Footprints(
        geometry=np.array([wide], object),
        label=np.ones(1, np.int32),
        confidence=np.ones(1),
        area_m2=np.ones(1),
        perimeter_m=np.full(1, 4.0),
        touches_scene_edge=np.zeros(1, bool),
        touches_aoi=np.zeros(1, bool),
        touches_failure=np.zeros(1, bool),
        regularised=np.zeros(1, bool),
        row=np.zeros(1, np.int64),
        col=np.zeros(1, np.int64),
    )
    write_geoparquet(tmp_path / "p.parquet", [batch], provenance(georef))
    upsert_layer(postgis, "layer", tmp_path / "p.parquet", run_id="r1")
    assert ask(postgis, "SELECT ST_NumGeometries(geometry) FROM layer") == 2
    assert check_layer(postgis, "layer", tmp_path / "p.parquet") == []
