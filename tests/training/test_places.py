"""Places: labels lie on their pixels, sizes are measured on the ground."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from pipeline.errors import ConfigError, SceneError
from pipeline.training.config import PlaceConfig, TrainingConfig, read_config
from pipeline.training.data.sources.places import read_place
from pipeline.training.data.sources.rasters import ground_pixel_m


def _config(ground: Path, **changes: object) -> PlaceConfig:
    values = {
        "name": "here",
        "scenes": (ground / "scene.tif",),
        "labels": ground / "labels.geojson",
    }
    return PlaceConfig.model_validate(values | changes)


def test_labels_in_another_crs_lie_on_their_pixels(ground: Path) -> None:
    level = read_place(_config(ground), border_sigma=4.0).levels[0]
    np.testing.assert_array_equal(level.instances > 0, level.image[0] > 120)
    assert len(np.unique(level.instances)) == 4
    assert level.pixel_size_m == pytest.approx(0.25, rel=1e-3)


def test_empty_pixels_are_not_known(ground: Path) -> None:
    with rasterio.open(ground / "scene.tif", "r+") as file:
        pixels = file.read()
        pixels[:, 90:, :] = 255
        file.write(pixels)
    level = read_place(_config(ground, image_nodata=255), border_sigma=4.0).levels[0]
    assert level.known.mean() == pytest.approx(90 / 96)


def test_a_mercator_pixel_is_smaller_on_the_ground(tmp_path: Path) -> None:
    path = tmp_path / "north.tif"
    at_60_north = from_origin(0.0, 8399737.9, 1.0, 1.0)
    shape = {"height": 2, "width": 2, "count": 3, "dtype": "uint8"}
    with rasterio.open(
        path, "w", driver="GTiff", crs="EPSG:3857", transform=at_60_north, **shape
    ) as file:
        file.write(np.zeros((3, 2, 2), np.uint8))
    with rasterio.open(path) as file:
        assert ground_pixel_m(file) == pytest.approx(0.5, rel=5e-3)


def test_labels_elsewhere_are_refused(ground: Path) -> None:
    text = (ground / "labels.geojson").read_text().replace("27.6", "12.6")
    (ground / "labels.geojson").write_text(text)
    with pytest.raises(ConfigError, match="no polygon lies inside"):
        read_place(_config(ground), border_sigma=4.0)


def test_a_missing_label_file_is_refused(ground: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.geojson"):
        read_place(_config(ground, labels=ground / "gone.geojson"), border_sigma=4.0)


def test_a_scene_of_one_band_is_refused(ground: Path) -> None:
    shape = {"height": 8, "width": 8, "count": 1, "dtype": "uint8"}
    with rasterio.open(
        ground / "grey.tif",
        "w",
        driver="GTiff",
        crs="EPSG:32645",
        transform=from_origin(10, 10, 1, 1),
        **shape,
    ) as file:
        file.write(np.zeros((1, 8, 8), np.uint8))
    with pytest.raises(SceneError, match="1 bands of uint8"):
        read_place(_config(ground, scenes=(ground / "grey.tif",)), border_sigma=4.0)


def test_an_unknown_key_is_refused(small: Path) -> None:
    small.write_text(small.read_text() + "learning: fast\n")
    with pytest.raises(ConfigError, match="learning"):
        read_config(small)


def test_phases_longer_than_the_training_are_refused(small: Path) -> None:
    small.write_text(small.read_text().replace("decay: 2", "decay: 5"))
    with pytest.raises(ConfigError, match="exceed the 6 steps"):
        read_config(small)


def test_the_shipped_config_is_valid() -> None:
    root = Path(__file__).parents[2]
    assert isinstance(read_config(root / "configs/training/buildings.yaml"), TrainingConfig)
