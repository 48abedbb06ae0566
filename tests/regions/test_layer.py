"""One layer from many scenes: the order of scenes, repeats and memory change nothing."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.affinity import translate
from shapely.geometry import box

from pipeline.core.conflation.conflation import Policy
from pipeline.core.conflation.pairs import CONTAINED, IOU
from pipeline.errors import ConfigError, SceneError
from pipeline.regions.layer.layer import LayerScene, build_layer, observations_of
from pipeline.validation.validate import check_file
from tests.regions.towns import View, mapped, on_earth, square, towns
from tests.strategies import examples

POLICIES: tuple[Policy, ...] = ("newest", "confident", "nadir")
WORLD = box(-50, -50, 250, 250)


def layer(folder: Path, views: list[View], policy: Policy = "newest") -> geopandas.GeoDataFrame:
    out = folder / "layer.parquet"
    build_layer(mapped(folder, views), previous=None, out=out, policy=policy)
    assert check_file(out) == []
    return geopandas.read_parquet(out)


def year(number: int) -> str:
    return f"{number}-01-01T00:00:00Z"


@settings(max_examples=examples(8))
@given(views=towns(), policy=st.sampled_from(POLICIES), cell=st.sampled_from([1, 2, 5]))
def test_order_repeats_and_the_size_of_a_cell_change_no_byte(
    views: list[View], policy: Policy, cell: int
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        scenes = mapped(folder, views)
        outs = [folder / f"{at}.parquet" for at in range(3)]
        build_layer(scenes, previous=None, out=outs[0], policy=policy)
        build_layer(scenes[::-1], previous=None, out=outs[1], policy=policy, cell=cell)
        again = build_layer(scenes, previous=outs[0], out=outs[2], policy=policy)
        assert again.new == again.ended == 0
        assert len({out.read_bytes() for out in outs}) == 1
        assert len({observations_of(out).read_bytes() for out in outs}) == 1
        assert check_file(outs[0]) == []
        assert not [path for path in folder.iterdir() if path.name.startswith(".")]


@settings(max_examples=examples(12))
@given(views=towns(), policy=st.sampled_from(POLICIES))
def test_every_footprint_is_accounted_for_once_and_no_two_show_one_building(
    views: list[View], policy: Policy
) -> None:
    with TemporaryDirectory() as name:
        out = Path(name) / "layer.parquet"
        scenes = mapped(Path(name), views)
        summary = build_layer(scenes, previous=None, out=out, policy=policy)
        told = observations(out)
        table = geopandas.read_parquet(out)
        given = [
            (scene.key, one)
            for scene in scenes
            for one in pq.read_table(scene.parquet)["id"].to_pylist()
        ]
    assert sorted(zip(told["scene"], told["id"], strict=True)) == sorted(given)
    assert summary.given == summary.footprints + summary.united + summary.removed + summary.lost
    assert table["building_id"].is_unique
    drawn = told[told["outcome"] == "drawn"]
    assert sorted(drawn["building_id"]) == sorted(table["building_id"])
    borne = told["outcome"].isin(["drawn", "united"])
    assert told["building_id"].notna().equals(borne)
    assert set(told["building_id"].dropna()) == set(table["building_id"])
    if policy != "newest":
        assert summary.removed == 0
    for one, other in itertools.combinations(table.itertuples(), 2):
        if one[table.columns.get_loc("class") + 1] == other[table.columns.get_loc("class") + 1]:
            shared = one.geometry.intersection(other.geometry).area
            smaller = min(one.geometry.area, other.geometry.area)
            whole = one.geometry.area + other.geometry.area - shared
            assert shared < IOU * whole * (1 + 1e-6)
            assert shared < CONTAINED * smaller * (1 + 1e-6)


@settings(max_examples=examples(8))
@given(views=towns(), policy=st.sampled_from(POLICIES))
def test_a_layer_taken_as_a_scene_is_that_layer(views: list[View], policy: Policy) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        first, second = folder / "first.parquet", folder / "second.parquet"
        build_layer(mapped(folder, views), previous=None, out=first, policy=policy)
        whole = shapely.to_wkb(on_earth(WORLD))
        itself = [LayerScene(key=key, parquet=first, coverage=whole) for key in ("once", "twice")]
        build_layer(itself, previous=first, out=second, policy=policy)
        before, after = geopandas.read_parquet(first), geopandas.read_parquet(second)
    assert before["building_id"].tolist() == after["building_id"].tolist()
    assert before.geometry.to_wkb().tolist() == after.geometry.to_wkb().tolist()
    assert (after["n_obs"] == 2).all()


@settings(max_examples=examples(8))
@given(
    places=st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12),
    shifts=st.lists(
        st.tuples(st.floats(-1.5, 1.5), st.floats(-1.5, 1.5)), min_size=12, max_size=12
    ),
)
def test_ids_stay_when_outlines_shiver(
    places: set[tuple[int, int]], shifts: list[tuple[float, float]]
) -> None:
    houses = [square(30 * x, 30 * y) for x, y in sorted(places)]
    moved = [translate(one, *by) for one, by in zip(houses, shifts, strict=False)]
    with TemporaryDirectory() as name:
        folder = Path(name)
        older = View(key="a", houses=tuple(houses), frame=WORLD, datetime=year(2020))
        newer = View(key="b", houses=tuple(moved[::-1]), frame=WORLD, datetime=year(2021))
        first, second = folder / "first.parquet", folder / "second.parquet"
        build_layer(mapped(folder, [older]), previous=None, out=first, policy="newest")
        summary = build_layer(mapped(folder, [newer]), previous=first, out=second, policy="newest")
        before, after = geopandas.read_parquet(first), geopandas.read_parquet(second)
    assert (summary.kept, summary.new, summary.ended) == (len(houses), 0, 0)
    both = before.merge(after, on="building_id", suffixes=("", "_after"))
    assert (shapely.distance(both.geometry, both["geometry_after"]) == 0).all()
    assert (after["first_seen"] == pd.Timestamp(year(2020))).all()
    assert (after["last_seen"] == pd.Timestamp(year(2021))).all()


@pytest.mark.parametrize(
    ("policy", "stays"), [("newest", "new"), ("confident", "sure"), ("nadir", "upright")]
)
def test_the_policy_says_whose_outline_stays(tmp_path: Path, policy: Policy, stays: str) -> None:
    def seen(key: str, x: float, *, when: int, sure: float, angle: float | None) -> View:
        return View(
            key=key,
            houses=(square(x, 0),),
            frame=WORLD,
            datetime=year(when),
            sure=(sure,),
            off_nadir=angle,
        )

    views = [
        seen("new", 0.0, when=2022, sure=0.5, angle=None),
        seen("sure", 0.5, when=2020, sure=0.9, angle=20.0),
        seen("upright", 1.0, when=2021, sure=0.6, angle=-3.0),
    ]
    table = layer(tmp_path, views, policy)
    assert table["scene"].tolist() == [stays]
    assert table["n_obs"].tolist() == [3]
    assert table["first_seen"].tolist() == [pd.Timestamp(year(2020))]
    assert table["last_seen"].tolist() == [pd.Timestamp(year(2022))]


def test_a_building_cut_at_the_edge_of_the_newest_scene_is_drawn_whole(tmp_path: Path) -> None:
    whole = View(key="old", houses=(square(95, 0),), frame=WORLD, datetime=year(2019))
    piece = View(
        key="new",
        houses=(box(95, 0, 100, 10),),
        frame=box(0, -50, 100, 100),
        datetime=year(2022),
        cut=(True,),
    )
    table = layer(tmp_path, [whole, piece])
    assert table["scene"].tolist() == ["old"]
    assert table["n_obs"].tolist() == [2]
    assert table["last_seen"].tolist() == [pd.Timestamp(year(2022))]
    assert not table["touches_scene_edge"].any()


def test_a_piece_that_nobody_saw_whole_stays_and_says_so(tmp_path: Path) -> None:
    piece = View(key="a", houses=(square(0, 0),), frame=box(0, 0, 50, 50), cut=(True,))
    assert layer(tmp_path, [piece])["touches_scene_edge"].tolist() == [True]


def test_a_block_and_the_houses_in_it_are_drawn_once(tmp_path: Path) -> None:
    block = View(key="block", houses=(box(0, 0, 30, 10),), frame=WORLD, datetime=year(2020))
    houses = tuple(square(x, 0) for x in (0, 10, 20))
    parts = View(key="parts", houses=houses, frame=WORLD, datetime=year(2021))
    newer = layer(tmp_path / "1", [block, parts])
    assert newer["scene"].tolist() == ["parts"] * 3
    assert newer["n_obs"].tolist() == [2, 2, 2]
    older = layer(tmp_path / "2", [replace(block, datetime=year(2022)), parts])
    assert older["scene"].tolist() == ["block"]
    assert older["n_obs"].tolist() == [2]


def test_a_newer_scene_that_shows_nothing_there_removes_a_building(tmp_path: Path) -> None:
    old = View(key="old", houses=(square(0, 0), square(50, 0)), frame=WORLD, datetime=year(2019))
    new = View(key="new", houses=(), frame=box(0, 0, 20, 20), datetime=year(2022))
    assert len(layer(tmp_path / "1", [old, new])) == 1
    assert observations(tmp_path / "1" / "layer.parquet")["outcome"].tolist() == [
        "removed",
        "drawn",
    ]
    assert len(layer(tmp_path / "2", [old, new], "confident")) == 2
    same_day = replace(new, datetime=old.datetime)
    assert len(layer(tmp_path / "3", [old, same_day])) == 2
    undated = replace(new, datetime=None)
    assert len(layer(tmp_path / "4", [old, undated])) == 2
    less_than_half = replace(new, frame=box(0, 0, 4.9, 20))
    assert len(layer(tmp_path / "5", [old, less_than_half])) == 2


def test_classes_are_kept_apart(tmp_path: Path) -> None:
    house = View(key="a", houses=(square(0, 0),), frame=WORLD)
    hut = View(key="b", houses=(square(0, 0),), frame=WORLD, label=2)
    assert sorted(layer(tmp_path, [house, hut])["class"]) == ["house", "hut"]


def test_scenes_in_other_zones_meet_on_the_earth(tmp_path: Path) -> None:
    houses = tuple(square(30 * at, 10) for at in range(5))
    views = [
        View(key=str(epsg), houses=houses, frame=WORLD, epsg=epsg)
        for epsg in (32633, 32632, 3857, 3035)
    ]
    table = layer(tmp_path, views)
    assert table["n_obs"].tolist() == [4] * 5
    assert table.crs.equals("OGC:CRS84")


def test_of_a_split_building_the_larger_part_keeps_the_id(tmp_path: Path) -> None:
    def built(key: str, houses: list[shapely.Polygon], previous: Path | None) -> Path:
        out = tmp_path / f"{key}.layer.parquet"
        view = View(key=key, houses=tuple(houses), frame=WORLD)
        build_layer(mapped(tmp_path, [view]), previous=previous, out=out, policy="newest")
        return out

    def ids(path: Path) -> list[str]:
        table = geopandas.read_parquet(path)
        by_area = table.geometry.to_crs(32633).area.sort_values(ascending=False).index
        return list(table["building_id"][by_area])

    whole = built("whole", [box(0, 0, 30, 10)], None)
    parts = built("parts", [box(0, 0, 20, 10), box(21, 0, 30, 10)], whole)
    assert ids(parts)[0] == ids(whole)[0]
    assert ids(parts)[1] != ids(whole)[0]
    merged = built("merged", [box(0, 0, 30, 10)], parts)
    assert ids(merged) == ids(whole)
    # The outline that once made an id comes back beside a building that has inherited it.
    apart = built("apart", [box(0, 0, 9, 10), box(10, 0, 30, 10)], whole)
    both = [*geopandas.read_parquet(apart)["building_id"]]
    assert len(set(both)) == 2


def test_a_footprint_without_area_on_the_earth_is_told_as_lost(tmp_path: Path) -> None:
    dot = box(0, 0, 0.001, 0.001)
    scenes = mapped(tmp_path, [View(key="a", houses=(dot, square(5, 5)), frame=WORLD)])
    out = tmp_path / "layer.parquet"
    summary = build_layer(scenes, previous=None, out=out, policy="newest")
    assert (summary.given, summary.footprints, summary.lost) == (2, 1, 1)
    assert observations(out)["outcome"].tolist() == ["lost", "drawn"]


@pytest.mark.parametrize("views", [[], [View(key="a", houses=(), frame=WORLD)]])
def test_a_layer_may_be_empty(tmp_path: Path, views: list[View]) -> None:
    assert len(layer(tmp_path, views)) == 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"key": "b"}, "two scenes have the key 'b'"),
        ({"datetime": "yesterday"}, "'yesterday' is no date"),
        ({"datetime": "2024-01-01T00:00:00"}, "has no time zone"),
        ({"coverage": b"none"}, "its coverage is no WKB"),
        ({"coverage": shapely.to_wkb(shapely.Point(1, 2))}, "must be an area"),
    ],
)
def test_scenes_that_cannot_be_told_apart_or_placed_are_refused(
    tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    views = [View(key=key, houses=(square(0, 0),), frame=WORLD) for key in "ab"]
    first, second = mapped(tmp_path, views)
    out = tmp_path / "layer.parquet"
    with pytest.raises(ConfigError, match=told):
        build_layer([replace(first, **change), second], previous=None, out=out, policy="newest")
    assert not out.exists()


def test_footprints_that_cannot_be_read_are_their_scenes_fault(tmp_path: Path) -> None:
    (scene,) = mapped(tmp_path, [View(key="a", houses=(square(0, 0),), frame=WORLD)])
    out = tmp_path / "layer.parquet"
    nowhere = tmp_path / "nowhere.parquet"
    torn = tmp_path / "torn.parquet"
    torn.write_bytes(scene.parquet.read_bytes()[:-30])
    short = tmp_path / "short.parquet"
    pq.write_table(pq.read_table(scene.parquet).drop_columns(["confidence"]), short)
    bare = tmp_path / "bare.parquet"
    pq.write_table(pq.read_table(scene.parquet).replace_schema_metadata(None), bare)
    for path, told in (
        (nowhere, "cannot be read"),
        (torn, "cannot be read"),
        (short, "has no confidence"),
        (bare, "is not georeferenced"),
    ):
        with pytest.raises(SceneError, match=told):
            build_layer([replace(scene, parquet=path)], previous=None, out=out, policy="newest")
    assert not out.exists()


def test_an_earlier_layer_that_is_none_is_refused(tmp_path: Path) -> None:
    scenes = mapped(tmp_path, [View(key="a", houses=(square(0, 0),), frame=WORLD)])
    out = tmp_path / "layer.parquet"
    with pytest.raises(ConfigError, match="is no layer of a region"):
        build_layer(scenes, previous=scenes[0].parquet, out=out, policy="newest")
    with pytest.raises(ConfigError, match="cannot be read as a layer"):
        build_layer(scenes, previous=tmp_path / "nowhere", out=out, policy="newest")


def observations(layer: Path) -> pd.DataFrame:
    with pa.OSFile(str(observations_of(layer))) as file:
        table = pa.ipc.open_file(file).read_all()
    told: pd.DataFrame = table.to_pandas().astype({"scene": str, "outcome": str})
    return told


def test_observations_name_the_scene_of_each_footprint(tmp_path: Path) -> None:
    views = [View(key=key, houses=(square(0, 0),), frame=WORLD) for key in "ab"]
    layer(tmp_path, views)
    told = observations(tmp_path / "layer.parquet")
    assert told["scene"].tolist() == ["a", "b"]
    assert sorted(told["outcome"]) == ["drawn", "united"]
    assert np.unique(told["building_id"]).size == 1
