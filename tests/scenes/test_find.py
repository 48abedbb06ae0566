"""What a command line names becomes scenes: each once, in a natural order."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import segyio

from pipeline.errors import ConfigError
from pipeline.scenes.find import find_scenes, natural, unique_names
from pipeline.scenes.scene import SceneRef


def names(arguments: list[str], **options: str) -> list[str]:
    """Return the file names of the scenes found."""
    return [Path(ref.href).name for ref in find_scenes(arguments, options).refs]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of empty files; finding opens none of them."""
    for name in ("b_10.tif", "b_9.tif", "B_1.TIFF", "a.png", ".c.tif", "d.txt", "e.tif.msk"):
        (tmp_path / name).touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/f.jpg").touch()
    return tmp_path


def test_a_folder_is_its_scenes_in_natural_order(folder: Path) -> None:
    assert names([str(folder)]) == ["a.png", "B_1.TIFF", "b_9.tif", "b_10.tif"]


def test_the_order_of_arguments_is_kept_and_repeats_are_dropped(folder: Path) -> None:
    first = str(folder / "b_10.tif")
    assert names([first, str(folder)]) == ["b_10.tif", "a.png", "B_1.TIFF", "b_9.tif"]
    link = folder.parent / "link.tif"
    link.unlink(missing_ok=True)
    link.symlink_to(first)
    assert names([first, str(link)]) == ["b_10.tif"]
    link.unlink()


def test_globs_are_expanded(folder: Path) -> None:
    assert names([str(folder / "b_*.tif")]) == ["b_9.tif", "b_10.tif"]
    assert names([str(folder / "**/*.jpg")]) == ["f.jpg"]
    with pytest.raises(ConfigError, match="no file matches"):
        find_scenes([str(folder / "x*.tif")])


def test_a_file_whose_name_looks_like_a_glob_is_itself(folder: Path) -> None:
    (folder / "x[1].tif").touch()
    assert names([str(folder / "x[1].tif")]) == ["x[1].tif"]


def test_relative_paths_become_absolute(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (ref,) = find_scenes(["b_9.tif"]).refs
    assert Path(ref.href) == (folder / "b_9.tif").resolve()


def test_a_misspelt_path_gets_a_suggestion(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"did you mean .*b_10\.tif"):
        find_scenes([str(folder / "b_1O.tif")])
    with pytest.raises(ConfigError, match="nor does the folder"):
        find_scenes([str(folder / "none/a.tif")])


def test_a_folder_without_scenes_is_refused(folder: Path) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(ConfigError, match="holds no scene"):
        find_scenes([str(folder / "empty")])


def test_other_schemes_are_refused() -> None:
    for argument in ("vrt://a.tif", "file:///a.tif", "ftp://h/a.tif"):
        with pytest.raises(ConfigError, match="is not read"):
            find_scenes([argument])


def test_a_link_out_of_the_folder_fails_and_the_others_go_on(folder: Path) -> None:
    (folder / "z.tif").symlink_to("/etc/hostname")
    found = find_scenes([str(folder)])
    assert len(found.refs) == 4
    assert ["outside its folder" in error.reason for error in found.failures] == [True]


def test_urls_are_taken_as_they_are() -> None:
    url = "https://example.com/a.tif?sig=1"
    assert find_scenes([url, url]).refs == (SceneRef(kind="geotiff", href=url),)
    assert find_scenes(["s3://bucket/a.tif"]).refs[0].kind == "geotiff"


def test_options_reach_every_scene(folder: Path) -> None:
    refs = find_scenes([str(folder)], {"crs": "EPSG:32645"}).refs
    assert {ref.options for ref in refs} == {(("crs", "EPSG:32645"),)}


@pytest.mark.parametrize("text", ["yesterday", "2024-13-45", "", "24"])
def test_what_is_no_time_is_refused(folder: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"is no time .* write it as 2024-05-17"):
        find_scenes([str(folder)], {"datetime": text})


@pytest.mark.parametrize(
    ("option", "text", "hint"),
    [("crs", "EPSG:999999", "EPSG:32645, or none"), ("slices", "diagonal", "inline, crossline")],
)
def test_an_option_that_no_scene_understands_is_refused_before_any_is_opened(
    folder: Path, option: str, text: str, hint: str
) -> None:
    with pytest.raises(ConfigError, match=rf"{option} '{text}' is no .* {hint}"):
        find_scenes([str(folder)], {option: text})


def test_an_item_that_is_none_fails_and_the_others_go_on(folder: Path) -> None:
    (folder / "item.json").write_text(json.dumps({"type": "Feature"}))
    found = find_scenes([str(folder / "item.json"), str(folder / "b_9.tif")])
    assert [Path(ref.href).name for ref in found.refs] == ["b_9.tif"]
    assert "no STAC item" in found.failures[0].reason


def test_a_volume_becomes_its_slices(tmp_path: Path) -> None:
    path = tmp_path / "volume.sgy"
    segyio.tools.from_array3D(str(path), np.ones((2, 3, 4), np.float32))
    assert unique_names(find_scenes([str(path)]).refs) == ["volume_inline_1", "volume_inline_2"]
    assert len(find_scenes([str(path)], {"slices": "crossline"}).refs) == 3
    path.write_bytes(path.read_bytes()[:-1])
    assert "cut off" in find_scenes([str(path)]).failures[0].reason


def test_scenes_that_share_a_stem_get_names_of_their_own() -> None:
    refs = [
        SceneRef(kind="geotiff", href=f"/{folder}/{name}.tif")
        for folder, name in (("a", "x"), ("b", "x"), ("b", "X"), ("b", "y"))
    ]
    found = unique_names(refs)
    assert len({name.lower() for name in found}) == 4
    assert found[3] == "y"
    assert found == unique_names(refs)
    assert all(name.lower().startswith("x_") for name in found[:3])


def test_numbers_sort_as_numbers() -> None:
    listed = ["a10b", "a9b", "a9", "A1", "b", "10", "9", "²"]
    assert sorted(listed, key=natural) == ["9", "10", "A1", "a9", "a9b", "a10b", "b", "²"]


def test_pixel_coordinates_are_asked_for_as_a_reference_system_of_none(folder: Path) -> None:
    (ref,) = find_scenes([str(folder / "b_9.tif")], {"crs": "none"}).refs
    assert ref.options == (("georef", "none"),)
