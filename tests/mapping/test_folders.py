"""A scene finds its folder again: alone or beside others, in any order, under a renewed URL."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.mapping.folders import WORK, NamedScene, folders, note_source, scene_folders
from pipeline.mapping.plan_scene import dry_run
from pipeline.mapping.planning.request import MapRequest
from pipeline.mapping.run import map_scenes
from pipeline.scenes.find import find_scenes
from pipeline.scenes.scene import SceneRef
from tests.mapping.scenery import blobs, write_scene
from tests.strategies import examples


def refs(*hrefs: str) -> list[SceneRef]:
    """Return scenes by path or URL."""
    return [SceneRef(kind="geotiff", href=href) for href in hrefs]


def finish(out: Path, *scenes: SceneRef) -> list[str]:
    """Leave what a run leaves of scenes; return their folders."""
    names = scene_folders(out, scenes)
    for name, ref in zip(names, scenes, strict=True):
        manifest = {"scene": {"source": ref.href.partition("?")[0], "fingerprint": "x"}}
        (out / name).mkdir(parents=True, exist_ok=True)
        (out / name / "run.json").write_text(json.dumps(manifest))
    return names


def request(out: Path, *scenes: Path | str, **options: Any) -> MapRequest:
    """Return what maps scenes in an instant."""
    return MapRequest(
        scenes=tuple(map(str, scenes)),
        out=out,
        task="bright",
        executor="serial",
        device="cpu",
        tile=64,
        **options,
    )


def mapped(out: Path, *scenes: Path | str) -> list[tuple[str, str]]:
    """Map scenes; return state and folder of each."""
    rows = map_scenes(request(out, *scenes), report=lambda _: None)["scenes"]
    return [(row["state"], Path(row["folder"]).name) for row in rows]


@pytest.fixture
def twins(tmp_path: Path) -> tuple[Path, Path]:
    """Return two scenes of one name in two folders."""
    found = []
    for number, folder in enumerate("ab"):
        (tmp_path / folder).mkdir()
        pixels = blobs(number, height=40, width=50)[None]
        found.append(write_scene(tmp_path / folder / "x.tif", pixels))
    return found[0], found[1]


def test_a_scene_that_has_a_folder_keeps_it_beside_another_of_its_name(
    tmp_path: Path, twins: tuple[Path, Path]
) -> None:
    (a, b), out = twins, tmp_path / "out"
    assert mapped(out, a) == [("done", "x")]
    (first, second) = mapped(out, a, b)
    assert first == ("unchanged", "x")
    assert second[0] == "done"
    assert second[1].startswith("x_")
    for scenes, expected in (((b,), [second[1]]), ((b, a), [second[1], "x"]), ((a,), ["x"])):
        assert mapped(out, *scenes) == [("unchanged", name) for name in expected]
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == ["x", second[1]]


def test_scenes_of_a_batch_keep_their_folders_when_they_come_alone(
    tmp_path: Path, twins: tuple[Path, Path]
) -> None:
    (a, b), out = twins, tmp_path / "out"
    told = [Path(row["folder"]).name for row in dry_run(request(out, a, b))["scenes"]]
    both = mapped(out, a, b)
    assert [name for _, name in both] == told
    assert mapped(out, a) == [("unchanged", both[0][1])]
    assert mapped(out, b) == [("unchanged", both[1][1])]
    assert mapped(tmp_path / "turned", b, a) == both[::-1]


def test_a_scene_of_another_folder_is_no_other_plan_of_the_first(
    tmp_path: Path, twins: tuple[Path, Path]
) -> None:
    (a, b), out = twins, tmp_path / "out"
    assert mapped(out, b) == [("done", "x")]
    ((state, name),) = mapped(out, a)
    assert (state, name.startswith("x_")) == ("done", True)
    assert mapped(out, b) == [("unchanged", "x")]


def test_a_scene_that_was_moved_is_known_by_its_content_and_a_copy_is_another(
    tmp_path: Path, twins: tuple[Path, Path]
) -> None:
    (a, _), out = twins, tmp_path / "out"
    mapped(out, a)
    (tmp_path / "c").mkdir()
    shutil.copy(a, tmp_path / "c" / "x.tif")
    (copied,) = scene_folders(out, refs(str(tmp_path / "c" / "x.tif")))
    assert copied != "x"
    a.unlink()
    assert mapped(out, tmp_path / "c" / "x.tif") == [("unchanged", "x")]


def test_a_run_that_was_killed_goes_on_in_its_folder(tmp_path: Path) -> None:
    a, b = refs("/a/x.tif", "/b/x.tif")
    (plain,) = scene_folders(tmp_path, [a])
    (tmp_path / WORK / plain).mkdir(parents=True)
    note_source(tmp_path / WORK / plain, a.href)
    (other,) = scene_folders(tmp_path, [b])
    assert (plain, other != plain) == ("x", True)
    (tmp_path / WORK / other).mkdir()
    note_source(tmp_path / WORK / other, b.href)
    shutil.rmtree(tmp_path / WORK / plain)
    assert scene_folders(tmp_path, [b]) == [other]
    assert scene_folders(tmp_path, [b, a])[0] == other


def test_a_record_that_a_power_cut_left_empty_is_none(tmp_path: Path) -> None:
    (a,) = refs("/a/t.tif")
    (tmp_path / WORK / "t").mkdir(parents=True)
    (tmp_path / WORK / "t" / "source").touch()
    assert scene_folders(tmp_path, [a]) == ["t"]


def test_a_record_replaces_an_earlier_one_at_once(tmp_path: Path) -> None:
    note_source(tmp_path, "/a/t.tif")
    with (tmp_path / "source").open() as before:
        note_source(tmp_path, "/b/t.tif")
        assert before.read() == "/a/t.tif"
    assert (tmp_path / "source").read_text() == "/b/t.tif"


def test_a_renewed_signature_is_the_same_scene(tmp_path: Path) -> None:
    url = "https://host/{}/x.tif?sv=2022-11-02&sig={}"
    (one,) = finish(tmp_path, *refs(url.format("a", "first")))
    pair = refs(url.format("b", "second"), url.format("a", "third"))
    assert scene_folders(tmp_path, pair)[1] == one == "x"
    fresh = tmp_path / "fresh"
    names = [scene_folders(fresh, refs(url.format("a", t), url.format("b", t))) for t in "12"]
    assert names[0] == names[1]
    found = find_scenes([url.format("a", "first"), url.format("a", "second")])
    assert len(found.refs) == 1


def test_queries_that_are_no_signature_tell_scenes_apart(tmp_path: Path) -> None:
    pair = refs("https://host/get?id=1&token=a", "https://host/get?id=2&token=a")
    names = scene_folders(tmp_path, pair)
    assert len(set(names)) == 2
    assert names == scene_folders(tmp_path, refs(*(r.href.replace("=a", "=b") for r in pair)))


def test_slices_of_volumes_of_one_name_have_folders_of_their_own(tmp_path: Path) -> None:
    slices = [
        SceneRef(
            kind="segy",
            href=f"/{folder}/v.sgy",
            options=(("direction", "inline"), ("name", f"v_inline_{n}"), ("number", str(n))),
        )
        for folder in "ab"
        for n in (1, 2)
    ]
    assert finish(tmp_path, *slices[:2]) == ["v_inline_1", "v_inline_2"]
    names = finish(tmp_path, *slices)
    assert names[:2] == ["v_inline_1", "v_inline_2"]
    assert len(set(names)) == 4
    assert scene_folders(tmp_path, slices[::-1]) == names[::-1]


def test_names_that_systems_take_for_one_get_folders_of_their_own(tmp_path: Path) -> None:
    odd = refs("/a/x.tif", "/b/X.tif", "/c/caf\u00e9.tif", "/d/cafe\u0301.tif", "/e/CON.tif")
    for batch in (odd, odd[::-1], *([one] for one in odd)):
        finish(tmp_path, *batch)
    names = scene_folders(tmp_path, odd)
    assert len({name.casefold() for name in names}) == len(odd)
    assert names[4].startswith("scene_")


def test_a_name_that_looks_like_anothers_digest_is_not_shared(tmp_path: Path) -> None:
    a, b = refs("/a/x.tif", "/b/x.tif")
    digest = scene_folders(tmp_path, [a, b])[0]
    impostor = refs(f"/c/{digest}.tif")[0]
    names = finish(tmp_path, a, impostor, b)
    assert len(set(names)) == 3
    assert scene_folders(tmp_path, [b]) == [names[2]]
    assert scene_folders(tmp_path, [a]) == [names[0]]


def test_folders_of_earlier_versions_are_found(tmp_path: Path) -> None:
    old = tmp_path / "x_70464824"
    old.mkdir()
    (old / "run.json").write_text(json.dumps({"scene": {"source": "/a/x.tif"}}))
    assert scene_folders(tmp_path, refs("/a/x.tif")) == ["x_70464824"]
    assert scene_folders(tmp_path, refs("/b/x.tif")) == ["x"]


@settings(max_examples=examples(25))
@given(
    batches=st.lists(
        st.lists(st.sampled_from(["a/x", "b/x", "b/X", "c/y", "c/x_1"]), unique=True, min_size=1),
        min_size=1,
        max_size=5,
    ),
    seed=st.integers(0, 99),
)
def test_whatever_the_batches_a_scene_has_one_folder(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[str]], seed: int
) -> None:
    out = tmp_path_factory.mktemp("out")
    known: dict[str, str] = {}
    for batch in batches:
        scenes = refs(*(f"/{name}.tif" for name in batch))
        shuffled = random.Random(seed).sample(scenes, len(scenes))
        planned = dict(zip(shuffled, scene_folders(out, shuffled), strict=True))
        names = finish(out, *scenes)
        assert names == [planned[ref] for ref in scenes]
        for ref, name in zip(scenes, names, strict=True):
            assert known.setdefault(ref.href, name) == name
    assert len({name.casefold() for name in known.values()}) == len(known)


def test_a_thousand_scenes_are_named_without_reading_them(tmp_path: Path) -> None:
    def never() -> str | None:
        raise AssertionError

    many = [
        NamedScene(name=f"s{at % 500}", place=f"/{at}", source=f"/{at}", content=never)
        for at in range(1000)
    ]
    assert len(set(folders(tmp_path, many))) == 1000
