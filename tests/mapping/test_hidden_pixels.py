"""Pixels that nodata or alpha hide inside the data are counted in a warning, in the JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from pipeline.config import load_task
from pipeline.errors import ConfigError
from pipeline.mapping.plan_scene import plan_scene
from pipeline.mapping.planning import hidden_pixels as hidden
from pipeline.mapping.planning.hidden_pixels import hidden_warnings
from pipeline.mapping.planning.request import MapRequest
from pipeline.regions.resolved_region import resolve_region
from pipeline.scenes.open import open_scene
from pipeline.scenes.scene import SceneRef
from tests.mapping.scenery import run, write_scene
from tests.regions.places import town

CASES = Path(__file__).resolve().parents[2].parent / "shared/data/cases"
DATA = np.random.default_rng(1).integers(30, 90, (3, 300, 320), np.uint8)


def warned(path: Path, bands: tuple[int, ...] = (1, 2, 3)) -> tuple[str, ...]:
    """Return the warnings of a scene."""
    scene = open_scene(SceneRef(kind="geotiff", href=str(path)))
    try:
        return hidden_warnings(scene, bands)
    finally:
        scene.close()


def holed(value: int, *, roofs: int = 2, collar: int = 0) -> np.ndarray:
    """Return pixels with roofs of 20 x 10 px, and a collar, of one value."""
    pixels = DATA.copy()
    for number in range(roofs):
        pixels[:, 100 + 40 * number : 120 + 40 * number, 150:160] = value
    pixels[:, :collar] = value
    return pixels


def test_roofs_that_nodata_hides_are_counted_and_the_option_is_named(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "s.tif", holed(0, collar=70), nodata=0)
    (warning,) = warned(path)
    assert warning.startswith("400 of its pixels (0.4%) hold the nodata value 0 in small places")
    assert warning.endswith("map with --nodata none")


@pytest.mark.parametrize(
    ("pixels", "nodata"),
    [
        (holed(0, roofs=0, collar=1), 0),
        (holed(0, roofs=0, collar=90), 0),
        (holed(0), None),
        (holed(0), 255),
        (np.where(holed(0) == 0, -9999, DATA).astype(np.int16), -9999),
        (np.where(holed(0) == 0, np.nan, DATA).astype(np.float32), np.nan),
    ],
)
def test_collars_and_values_that_imagery_cannot_hold_are_no_matter(
    tmp_path: Path, pixels: np.ndarray, nodata: float | None
) -> None:
    assert warned(write_scene(tmp_path / "s.tif", pixels, nodata=nodata)) == ()


def test_the_count_does_not_depend_on_the_squares_and_large_scenes_are_estimated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_scene(tmp_path / "s.tif", holed(255, collar=80), nodata=255)
    whole = warned(path)
    monkeypatch.setattr(hidden, "EDGE", 110)
    assert warned(path) == whole
    monkeypatch.setattr(hidden, "MOST", 6)
    (warning,) = warned(path)
    assert "that were looked at) hold the nodata value 255" in warning


def rgba(path: Path, alpha: np.ndarray) -> Path:
    """Write a scene whose fourth band is tagged as alpha."""
    pixels = np.concatenate([DATA, alpha[None].astype(np.uint8)])
    return write_scene(path, pixels, photometric="RGB", alpha="YES")


def test_alpha_of_many_values_or_that_hides_much_inside_the_data_is_warned_of(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(0)
    near_infrared = rng.integers(0, 60, DATA.shape[1:])
    (many,) = warned(rgba(tmp_path / "many.tif", near_infrared))
    assert "band 4 is tagged as alpha, but has 60 different values and hides" in many
    assert "--bands 1,2,3,4" in many
    (holes,) = warned(rgba(tmp_path / "holes.tif", np.where(near_infrared < 2, 0, 255)))
    assert "alpha, but hides" in holes
    mask = np.full(DATA.shape[1:], 255)
    mask[:80] = mask[150:153, 150:153] = 0
    assert warned(rgba(tmp_path / "mask.tif", mask)) == ()
    assert warned(rgba(tmp_path / "again.tif", near_infrared), (1, 2, 3, 4)) == ()


def planned(path: Path, **settings: Any) -> Any:
    """Return the plan of a scene with the threshold model."""
    request = MapRequest(scenes=(str(path),), out=path.parent / "out", task="bright", **settings)
    ref = SceneRef(kind="geotiff", href=str(path))
    return plan_scene(request, request.chosen_task, ref, "s")


def test_nodata_is_part_of_a_plan_only_where_it_is_given(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "s.tif", holed(0)[:1])
    plain = planned(path)
    assert planned(path, nodata="declared").digest == plain.digest
    assert "nodata" not in json.dumps(plain.settings)
    digests = {planned(path, nodata=value).digest for value in ("none", "0", "255", "7")}
    assert len(digests) == 4
    assert planned(path, nodata="0").digest == planned(path, nodata=0.0).digest
    assert plain.digest not in digests


def test_a_task_file_names_nodata_and_the_command_goes_first(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "s.tif", holed(255)[:1])
    task = tmp_path / "t.yaml"
    bright = load_task("bright")
    task.write_text(f"name: t\nmodel: {bright.model}\nnodata: 255\n")
    assert load_task(str(task)).nodata == 255
    request = MapRequest(scenes=(), out=tmp_path, task=str(task))
    assert request.chosen_task.nodata == 255
    chosen = MapRequest(scenes=(), out=tmp_path, task=str(task), nodata="declared").chosen_task
    ref = SceneRef(kind="geotiff", href=str(path))
    assert plan_scene(request, chosen, ref, "s").draft.info.nodata is None
    assert plan_scene(request, request.chosen_task, ref, "s").draft.info.nodata == 255


@pytest.mark.parametrize("text", ["zero", "inf", "-inf", "1e999", ""])
def test_a_nodata_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="is none of declared, none, nan, and no finite number"):
        _ = MapRequest(scenes=(), out=tmp_path, task="bright", nodata=text).chosen_task


def mask_of(summary: dict[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the mask of the only scene, and its row."""
    (row,) = summary["scenes"]
    with rasterio.open(Path(row["folder"]) / "mask.tif") as file:
        return file.read(1), row


def test_nodata_is_left_out_of_mask_polygons_and_stretch(tmp_path: Path) -> None:
    pixels = DATA[:1].astype(np.uint16) * 10
    pixels[:, 40:60, 40:60] = 1800
    clean = write_scene(tmp_path / "clean.tif", pixels)
    pixels = pixels.copy()
    pixels[:, 200:245, 200:260] = 65535
    path = write_scene(tmp_path / "s.tif", pixels)
    expected, _ = mask_of(run(clean, tmp_path / "a"))
    mask, row = mask_of(run(path, tmp_path / "b", nodata="65535"))
    assert (mask[200:245, 200:260] == 255).all()
    outside = np.ones(mask.shape, bool)
    outside[200:245, 200:260] = False
    assert (mask[outside] == expected[outside]).mean() > 0.99
    assert not (mask[outside] == 255).any()
    assert row["polygons"] >= 1
    marked = write_scene(tmp_path / "m.tif", pixels, nodata=65535)
    np.testing.assert_array_equal(mask_of(run(marked, tmp_path / "c", tile=128))[0], mask)


@pytest.mark.data
@pytest.mark.skipif(not CASES.is_dir(), reason="../shared/data/cases is not here")
def test_the_case_of_declared_holes(tmp_path: Path) -> None:
    scene = CASES / "02-nodata-hole/synthetic_hole255.tif"
    with rasterio.open(scene) as file:
        holes = (file.read() == 255).all(axis=0)
    mask, row = mask_of(run(scene, tmp_path / "o"))
    np.testing.assert_array_equal(mask == 255, holes)
    assert row["polygons"] == 4
    assert f"{holes.sum()} of its pixels" in row["warnings"][0]


@pytest.mark.data
@pytest.mark.skipif(not CASES.is_dir(), reason="../shared/data/cases is not here")
def test_the_case_of_near_infrared_tagged_as_alpha(tmp_path: Path) -> None:
    _, row = mask_of(run(CASES / "05-alpha-is-nir/nir_alpha.tif", tmp_path / "o"))
    assert "band 4 is tagged as alpha" in row["warnings"][0]
    mask, row = mask_of(run(CASES / "05-alpha-is-nir/nir_alpha.tif", tmp_path / "p", bands=("4",)))
    assert not (mask == 255).any()
    assert row["warnings"] == []


def test_a_region_names_nodata_and_its_digest_changes_only_then(tmp_path: Path) -> None:
    settings = {}
    for name, text in (("a", ""), ("b", "nodata: declared\n"), ("c", "nodata: 255\n")):
        site = resolve_region(town(tmp_path / name, text=text, scenes=1))
        settings[name] = site.settings
        assert site.task.nodata == (255 if name == "c" else "declared")
    assert settings["a"] == settings["b"] != settings["c"]
