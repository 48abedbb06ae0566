"""Results are removed once no layer uses them, and no earlier; what is killed is made up for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ExportError
from pipeline.regions.ledger.ledger import Ledger, open_ledger
from pipeline.regions.ledger.records import SceneRow
from pipeline.regions.plan import plan_summary
from pipeline.regions.removal import remove_unused
from pipeline.regions.report.page import write_page
from pipeline.regions.resolved_region import ResolvedRegion
from tests.regions.places import Clock, cut, go, ground, site_of, town

DROP = "policies: {withdrawn: drop}\n"


def results(file: Path) -> list[str]:
    """Return the folders of results."""
    return sorted(path.name for path in (file.parent / "out" / "scenes").iterdir())


def aside(file: Path) -> list[str]:
    """Return the folders that are set aside."""
    folder = file.parent / "out" / "withdrawn"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def scene(file: Path, number: int) -> Path:
    """Return a scene of a town."""
    return file.parent / "scenes" / f"s{number}_20240101.tif"


def row(file: Path, number: int) -> SceneRow:
    """Return what the ledger says of a scene."""
    ledger = open_ledger(file.parent / "out", region="town")
    found = ledger.scenes()[f"scenes/s{number}_20240101.tif"]
    ledger.close()
    return found


def test_results_of_withdrawn_scenes_are_set_aside_and_then_removed(tmp_path: Path) -> None:
    file = town(tmp_path, scenes=3, text=DROP)
    go(file)
    before = results(file)
    scene(file, 2).unlink()
    assert plan_summary(site_of(file), now=0.0)["results"] == {
        "set_aside": ["scenes/s2_20240101.tif"],
        "removed": [],
    }
    found = go(file)
    assert (found["results"], len(results(file))) == ({"set_aside": 1, "removed": 0}, 2)
    assert len(aside(file)) == 1
    assert "withdrawn scenes that were set aside" in Path(found["report"]).read_text("utf-8")
    assert plan_summary(site_of(file), now=0.0)["results"]["removed"] == ["scenes/s2_20240101.tif"]
    found = go(file)
    assert (found["results"], found["layer_built"]) == ({"set_aside": 0, "removed": 1}, False)
    assert (len(results(file)), aside(file), row(file, 2).folder) == (2, [], None)
    assert not (tmp_path / "out" / "withdrawn").exists()
    assert go(file)["results"] == {"set_aside": 0, "removed": 0}
    # Back after all that, it is mapped like a new one.
    cut(tmp_path / "scenes", "s2", ground(), row=32, col=0, when="20240101")
    assert go(file)["mapped"] == 1
    assert results(file) == before


def test_a_scene_that_comes_back_or_has_another_name_now_is_not_mapped_again(
    tmp_path: Path,
) -> None:
    file = town(tmp_path, scenes=4, text=DROP)
    go(file)
    before = results(file)
    for number in (2, 3):
        scene(file, number).rename(tmp_path / f"{number}.tif")
    go(file)
    assert len(aside(file)) == 2
    (tmp_path / "2.tif").rename(scene(file, 2))
    (tmp_path / "3.tif").rename(tmp_path / "scenes" / "renamed_20240101.tif")
    found = go(file)
    assert (found["mapped"], found["linked"], found["layer"]["scenes"]) == (0, 1, 4)
    assert (results(file), aside(file)) == (before, [])
    assert go(file)["results"] == {"set_aside": 0, "removed": 0}
    assert results(file) == before


def test_kept_scenes_keep_their_results_and_those_set_aside_return_with_the_policy(
    tmp_path: Path,
) -> None:
    file = town(tmp_path, scenes=3, text=DROP)
    go(file)
    before = results(file)
    scene(file, 2).unlink()
    go(file)
    file.write_text(file.read_text().replace("drop", "keep"))
    for _ in range(2):
        found = go(file)
        assert (found["mapped"], results(file), aside(file)) == (0, before, [])
    assert found["layer_built"] is False


@pytest.mark.parametrize("when", ["first", "set aside"])
def test_a_source_that_cannot_be_listed_costs_no_results(tmp_path: Path, when: str) -> None:
    file = town(tmp_path, scenes=3, text=DROP)
    cut(tmp_path / "more", "m", ground(), row=9, col=9, when="20240101")
    text = file.read_text().replace("path: scenes}", "path: scenes}, {type: files, path: more}")
    file.write_text(text)
    go(file)
    if when == "set aside":
        scene(file, 2).unlink()
        go(file)
    before = results(file), aside(file)
    (tmp_path / "scenes").rename(tmp_path / "elsewhere")
    (tmp_path / "scenes").mkdir()  # where a share was mounted
    for _ in range(2):
        assert go(file)["faults"]
        assert (results(file), aside(file)) == before
    shutil.rmtree(tmp_path / "scenes")
    (tmp_path / "elsewhere").rename(tmp_path / "scenes")
    assert go(file)["mapped"] == 0


class Died(BaseException):
    """Stands for a signal that cannot be caught."""


def test_a_run_that_dies_while_it_removes_is_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = town(tmp_path, scenes=3, text=DROP)
    go(file)
    for number in (1, 2):
        scene(file, number).unlink()
    go(file)

    def dies(path: Path, **options: Any) -> None:
        if path.parent.name != "withdrawn":
            return rmtree(path, **options)
        (path / "run.json").unlink()  # half of it is gone
        raise Died

    rmtree = shutil.rmtree
    with monkeypatch.context() as killed:
        killed.setattr("shutil.rmtree", dies)
        with pytest.raises(Died):
            go(file)
    assert len(aside(file)) == 2
    # The ledger does not know them any more: one comes back and is not taken from what is half.
    cut(tmp_path / "scenes", "s1", ground(), row=0, col=32, when="20240101")
    found = go(file)
    assert (found["mapped"], found["failed"], found["layer"]["scenes"]) == (1, 0, 2)
    assert (len(results(file)), aside(file)) == (2, [])


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[ResolvedRegion, Ledger]]:
    """Return a region without scenes, and its ledger."""
    site = site_of(town(tmp_path, scenes=0, text=DROP))
    site.out.mkdir()
    ledger = open_ledger(site.out, region="town")
    yield site, ledger
    ledger.close()


def stored(site: ResolvedRegion, name: str, number: int) -> SceneRow:
    """Make a scene's folder of results; return its row."""
    folder = f"{name}-{number:012x}"
    (site.out / "scenes" / folder).mkdir(parents=True)
    (site.out / "scenes" / folder / "mask.tif").touch()
    return SceneRow(scene=name, source="s", state="done", key=folder, folder=folder)


def swept(site: ResolvedRegion, ledger: Ledger, *, gone: set[str]) -> tuple[int, int]:
    """Clear away; return how many folders were set aside and removed."""
    found = remove_unused(site, ledger, withdrawn=gone, layer="runs/1")
    return found.set_aside, found.removed


def names(folder: Path) -> set[str]:
    """Return what is in a folder."""
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def test_after_many_runs_there_are_as_many_folders_as_scenes(
    place: tuple[ResolvedRegion, Ledger],
) -> None:
    site, ledger = place
    ledger.put([stored(site, f"s{at}", at) for at in range(30)])
    for run in range(25):
        # One leaves, one comes, the content of a third is another.
        gone = {name for name, one in ledger.scenes().items() if one.state == "withdrawn"}
        left = ledger.scenes()[f"s{run}"]
        changed = stored(site, f"s{run + 1}", 1000 + run)
        ledger.put([replace(left, state="withdrawn"), stored(site, f"s{30 + run}", 30 + run)])
        ledger.put([changed])
        set_aside, removed = swept(site, ledger, gone=gone | {left.scene})
        assert (set_aside, removed) == (1, 1 if run == 0 else 2)
        assert len(names(site.out / "scenes")) == 30
        assert len(names(site.out / "withdrawn")) == 1
    live = {one.folder for one in ledger.scenes().values() if one.state == "done"}
    assert names(site.out / "scenes") == live


def test_what_another_region_refers_to_and_what_is_nobodys_stay(
    place: tuple[ResolvedRegion, Ledger], tmp_path: Path
) -> None:
    site, ledger = place
    mine, theirs = stored(site, "a", 1), stored(site, "b", 2)
    Ledger(ledger.engine, "village").put([theirs, replace(mine, scene="c")])
    ledger.put([replace(mine, state="withdrawn")])
    (site.out / "scenes" / "notes").mkdir()
    (site.out / "scenes" / "old-0123456789ab").mkdir()
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter").touch()
    (site.out / "scenes" / "link-0123456789ab").symlink_to(tmp_path / "home")
    for _ in range(3):
        swept(site, ledger, gone={"a"})
    kept = {str(mine.folder), str(theirs.folder), "notes", "link-0123456789ab"}
    assert names(site.out / "scenes") == kept
    assert (tmp_path / "home" / "letter").exists()
    # A region of another ledger publishes here: what only it can know stays.
    (site.out / "runs" / "000007").mkdir(parents=True)
    (site.out / "runs" / "000007" / "complete.json").write_text('{"region": "hamlet"}')
    (site.out / "scenes" / "its-0123456789ab").mkdir()
    assert swept(site, ledger, gone=set()) == (0, 0)


def test_nothing_is_removed_through_links(
    place: tuple[ResolvedRegion, Ledger], tmp_path: Path
) -> None:
    site, ledger = place
    ledger.put([replace(stored(site, "a", 1), state="withdrawn")])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (site.out / "withdrawn").symlink_to(elsewhere)
    with pytest.raises(ExportError, match="is a link; nothing is removed through links"):
        swept(site, ledger, gone={"a"})
    assert (len(names(site.out / "scenes")), names(elsewhere)) == (1, set())
    (site.out / "withdrawn").unlink()
    (site.out / "scenes").rename(tmp_path / "disk")
    (site.out / "scenes").symlink_to(tmp_path / "disk")
    swept(site, ledger, gone={"a"})
    assert len(names(tmp_path / "disk")) == 1


def test_while_no_layer_is_published_results_stay(place: tuple[ResolvedRegion, Ledger]) -> None:
    site, ledger = place
    ledger.put([replace(stored(site, "a", 1), state="withdrawn")])
    for _ in range(2):
        found = remove_unused(site, ledger, withdrawn={"a"}, layer=None)
        assert (found.set_aside, found.removed) == (0, 0)
    assert len(names(site.out / "scenes")) == 1
    assert write_page(site, ledger, now=Clock()()).is_file()
