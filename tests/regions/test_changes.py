"""Changes between two layers: none in itself, mirrored when time runs backwards, no noise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import geopandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.affinity import translate
from shapely.geometry import Polygon, box
from shapely.geometry.base import BaseGeometry

from pipeline.errors import ConfigError
from pipeline.regions.layer.changes import ChangeSummary, changes
from pipeline.regions.layer.layer import build_layer
from pipeline.validation.validate import check_file
from tests.regions.towns import View, mapped, square, towns
from tests.strategies import examples

WORLD = box(-50, -50, 250, 250)
NOTHING = {"added": 0, "removed": 0, "changed": 0, "changed_before": 0}


def built(folder: Path, name: str, views: list[View], previous: Path | None = None) -> Path:
    out = folder / f"{name}.parquet"
    scenes = mapped(folder / name, views)
    build_layer(scenes, previous=previous, out=out, policy="newest")
    return out


def of(folder: Path, name: str, houses: Sequence[Polygon], frame: BaseGeometry = WORLD) -> Path:
    return built(folder, name, [View(key=name, houses=tuple(houses), frame=frame)])


def counts(summary: ChangeSummary) -> dict[str, int]:
    return {name: getattr(summary, name).count for name in NOTHING}


@settings(max_examples=examples(8))
@given(views=towns())
def test_a_layer_has_not_changed_from_itself(views: list[View]) -> None:
    with TemporaryDirectory() as name:
        out = built(Path(name), "a", views)
        summary = changes(out, out, Path(name) / "changes")
        footprints = len(geopandas.read_parquet(out))
        assert counts(summary) == NOTHING
        assert len(geopandas.read_parquet(Path(name) / "changes" / "changes.parquet")) == 0
        assert check_file(Path(name) / "changes" / "changes.geojson") == []
    assert summary.unchanged == summary.unchanged_before
    assert summary.unchanged.count + summary.unseen_after.count == footprints


@settings(max_examples=examples(12))
@given(before=towns(), after=towns(), iou=st.sampled_from([0.0, 0.5, 1.0]))
def test_changes_are_mirrored_when_the_layers_change_places(
    before: list[View], after: list[View], iou: float
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        early, late = built(folder, "early", before), built(folder, "late", after)
        there = changes(early, late, folder / "there", iou=iou)
        back = changes(late, early, folder / "back", iou=iou)
        forth = geopandas.read_parquet(folder / "there" / "changes.parquet")
        sizes = [len(geopandas.read_parquet(out)) for out in (early, late)]
        for way in ("there", "back"):
            for suffix in ("parquet", "geojson"):
                assert check_file(folder / way / f"changes.{suffix}") == []
    assert (there.added, there.removed) == (back.removed, back.added)
    assert (there.changed, there.changed_before) == (back.changed_before, back.changed)
    assert (there.unchanged, there.unchanged_before) == (back.unchanged_before, back.unchanged)
    assert (there.unseen_before, there.unseen_after) == (back.unseen_after, back.unseen_before)
    told = [there.removed, there.changed_before, there.unchanged_before, there.unseen_after]
    assert sum(amount.count for amount in told) == sizes[0]
    told = [there.added, there.changed, there.unchanged, there.unseen_before]
    assert sum(amount.count for amount in told) == sizes[1]
    kinds = forth["change"].value_counts().to_dict()
    expected = {"added": there.added, "removed": there.removed, "changed": there.changed}
    assert kinds == {kind: amount.count for kind, amount in expected.items() if amount.count}


@settings(max_examples=examples(5))
@given(shifts=st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=6, max_size=6))
def test_noise_of_outlines_is_no_change(shifts: list[tuple[float, float]]) -> None:
    houses = [square(30 * at, 0) for at in range(6)]
    moved = [translate(one, *by) for one, by in zip(houses, shifts, strict=True)]
    with TemporaryDirectory() as name:
        folder = Path(name)
        early, late = of(folder, "early", houses), of(folder, "late", moved)
        summary = changes(early, late, folder / "changes")
    assert counts(summary) == NOTHING
    assert summary.unchanged.count == 6


def test_what_was_built_torn_down_and_enlarged_is_told(tmp_path: Path) -> None:
    stays, goes, grows = square(0, 0), square(50, 0), square(100, 0)
    early = of(tmp_path, "early", [stays, goes, grows])
    late = of(tmp_path, "late", [stays, box(100, 0, 116, 10), square(150, 0)])
    summary = changes(early, late, tmp_path / "changes")
    assert counts(summary) == {"added": 1, "removed": 1, "changed": 1, "changed_before": 1}
    table = geopandas.read_parquet(tmp_path / "changes" / "changes.parquet").set_index("change")
    known = geopandas.read_parquet(early)
    assert table.loc["removed", "building_id"] in set(known["building_id"])
    assert table.loc["changed", "before_ids"] in set(known["building_id"])
    assert table.loc["changed", "before_area_m2"] == pytest.approx(100)
    assert table.loc["changed", "area_m2"] == pytest.approx(160)
    assert table.loc["added", "scene"] == "late"
    loose = changes(early, late, tmp_path / "loose", area=0.4)
    assert counts(loose) == {"added": 1, "removed": 1, "changed": 0, "changed_before": 0}


def test_a_block_drawn_as_houses_is_the_same_ground(tmp_path: Path) -> None:
    early = of(tmp_path, "early", [box(0, 0, 30, 10)])
    same = of(tmp_path, "same", [square(x, 0) for x in (0, 10, 20)])
    assert counts(changes(early, same, tmp_path / "1")) == NOTHING
    fewer = of(tmp_path, "fewer", [square(0, 0), box(20, 0, 25, 10)])
    summary = changes(early, fewer, tmp_path / "2")
    assert counts(summary) == {"added": 0, "removed": 0, "changed": 2, "changed_before": 1}
    table = geopandas.read_parquet(tmp_path / "2" / "changes.parquet")
    assert table["before_ids"].nunique() == 1


def test_ground_that_one_run_has_not_mapped_has_not_changed(tmp_path: Path) -> None:
    west, east = box(-50, -50, 100, 100), box(50, -50, 250, 100)
    early = of(tmp_path, "early", [square(0, 0), square(70, 0)], west)
    late = of(tmp_path, "late", [square(70, 0), square(200, 0)], east)
    summary = changes(early, late, tmp_path / "changes")
    assert counts(summary) == NOTHING
    assert (summary.unseen_before.count, summary.unseen_after.count) == (1, 1)
    assert summary.unchanged.count == 1


def test_a_building_that_one_run_saw_only_a_part_of_has_not_changed(tmp_path: Path) -> None:
    early = of(tmp_path, "early", [square(95, 0)])
    late = of(tmp_path, "late", [box(95, 0, 101, 10)], box(-50, -50, 101, 100))
    assert counts(changes(early, late, tmp_path / "1")) == NOTHING
    less = of(tmp_path, "less", [box(95, 0, 98, 10)], box(-50, -50, 98, 100))
    assert counts(changes(early, less, tmp_path / "2")) == NOTHING
    nothing = of(tmp_path, "nothing", [], box(-50, -50, 104, 100))
    assert counts(changes(early, nothing, tmp_path / "3"))["removed"] == 1


def test_a_building_that_was_cut_cannot_be_said_to_differ(tmp_path: Path) -> None:
    whole, part = square(0, 0), box(0, 0, 4, 10)
    views = [View(key="a", houses=(part,), frame=WORLD, cut=(cut,)) for cut in (True, False)]
    cut, seen = (built(tmp_path, name, [v]) for name, v in zip("ab", views, strict=True))
    late = of(tmp_path, "late", [whole])
    summary = changes(cut, late, tmp_path / "1")
    assert counts(summary) == NOTHING
    assert (summary.unseen_before.count, summary.unseen_after.count) == (1, 1)
    assert counts(changes(seen, late, tmp_path / "2"))["changed"] == 1


def test_files_that_are_no_layers_and_tolerances_beyond_one_are_refused(tmp_path: Path) -> None:
    (scene,) = mapped(tmp_path, [View(key="a", houses=(square(0, 0),), frame=WORLD)])
    layer = of(tmp_path, "layer", [square(0, 0)])
    with pytest.raises(ConfigError, match="is no layer of a region"):
        changes(layer, scene.parquet, tmp_path / "changes")
    with pytest.raises(ConfigError, match=r"iou is 1\.5, and must lie in 0\.\.1"):
        changes(layer, layer, tmp_path / "changes", iou=1.5)
    with pytest.raises(ConfigError, match=r"area is -1"):
        changes(layer, layer, tmp_path / "changes", area=-1)
    assert not (tmp_path / "changes").exists()
