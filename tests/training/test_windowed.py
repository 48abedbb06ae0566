"""Large scenes are trained on by windows: the same pixels, and memory that does not grow."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.transform import from_origin
from rasterio.windows import Window as RasterWindow
from shapely import box

from pipeline.core.window import Window
from pipeline.errors import ConfigError, SceneError
from pipeline.training.config import ClassConfig, PlaceConfig, TrainingConfig, read_config
from pipeline.training.data.batches import draw_batch
from pipeline.training.data.sampler import CropSampler, loader
from pipeline.training.data.sources.opening import Budget, open_place, read_scored
from pipeline.training.data.sources.places import BUILDING, Level, Place, read_place
from pipeline.training.data.sources.windowed import WindowedPlace
from pipeline.training.read_data import Data, read_data
from pipeline.training.score import scores
from pipeline.training.split_overlap import split_overlaps
from pipeline.training.step.network import build_network
from tests.strategies import examples

CORNER, PIXEL_M = (354000.0, 3057500.0), 0.25  # of the fixture
HUGE = 120_000
HOUSE = ClassConfig(name="house", colour="#112233", values=(1,))
TANK = ClassConfig(name="tank", colour="#445566", values=(2,))


def _place(ground: Path, **changes: Any) -> PlaceConfig:
    values = {
        "name": "here",
        "scenes": (ground / "scene.tif",),
        "labels": ground / "labels.geojson",
    }
    return PlaceConfig.model_validate(values | changes)


def _windowed(
    config: PlaceConfig, classes: tuple[ClassConfig, ...] = (BUILDING,), *, sigma: float = 4.0
) -> WindowedPlace:
    place = open_place(config, classes, sigma=sigma, budget=Budget(0))
    assert isinstance(place, WindowedPlace)
    return place


def _same(found: Level, whole: Level) -> None:
    for name in ("image", "instances", "contact", "known"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name), err_msg=name)


@contextmanager
def _at_most(megabytes: float) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < megabytes * 1e6
    finally:
        tracemalloc.stop()


def _sparse(path: Path, *, size: int = HUGE, bands: int = 3, **options: Any) -> Path:
    """Write a raster of which nothing is stored but a square of noise at its middle."""
    shape = {"height": size, "width": size, "count": bands, "dtype": "uint8"} | options
    settings = {"tiled": True, "blockxsize": 512, "blockysize": 512, "sparse_ok": True} | options
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        crs="EPSG:32645",
        transform=from_origin(*CORNER, PIXEL_M, PIXEL_M),
        bigtiff="YES",
        **(settings | shape),
    ) as file:
        noise = np.random.default_rng(0).integers(1, 90, (bands, 512, 512), np.uint8)
        noise = noise if bands == 3 else np.sort(noise // 30, axis=2) + 1
        file.write(noise, window=RasterWindow(size // 2, size // 2, 512, 512))
    return path


def _roofs(path: Path, *, size: int = HUGE, many: int = 40) -> Path:
    """Write squares of 10 m around the middle of a scene."""
    x, y = CORNER[0] + size / 2 * PIXEL_M, CORNER[1] - size / 2 * PIXEL_M
    at = [(x + 20 * (n % 8), y - 20 * (n // 8)) for n in range(many)]
    outlines = [box(left, top - 10, left + 10, top) for left, top in at]
    geopandas.GeoDataFrame(geometry=outlines, crs="EPSG:32645").to_file(path)
    return path


@settings(max_examples=examples(25), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    row=st.integers(-120, 150),
    col=st.integers(-150, 180),
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    level=st.integers(0, 1),
)
def test_a_window_is_that_of_the_scene_read_whole(
    ground: Path, row: int, col: int, height: int, width: int, level: int
) -> None:
    config = _place(ground, without=[(0.0, 0.0, 0.2, 0.3)], gap_m=2.0, image_nodata=255)
    whole = read_place(config, border_sigma=4.0).levels[level]
    found = _windowed(config).levels[level]
    assert (found.shape, found.pixel_size_m, found.crs) == (
        whole.shape,
        whole.pixel_size_m,
        whole.crs,
    )
    window = Window(row=row, col=col, height=height, width=width)
    _same(found.part(window), whole.part(window))


@pytest.mark.parametrize("area", [False, True])
def test_a_survey_finds_objects_and_classes_as_reading_does(ground: Path, area: bool) -> None:
    labels = geopandas.read_file(ground / "labels.geojson")
    labels["kind"] = [1, 2, 1]
    labels.to_file(ground / "kinds.gpkg")
    inside = labels.iloc[[0, 1]]
    inside.to_file(ground / "area.gpkg")
    config = _place(
        ground,
        labels=ground / "kinds.gpkg",
        field="kind",
        area=ground / "area.gpkg" if area else None,
    )
    whole = read_place(config, border_sigma=0, classes=(HOUSE, TANK))
    found = _windowed(config, (HOUSE, TANK), sigma=0)
    np.testing.assert_allclose(found.centres, whole.centres)
    level = whole.levels[0]
    assert found.classes == set(level.classes(np.unique(level.instances[level.known]))) - {0}
    assert found.levels[0].known_at(8).tolist() == level.known[4::8, 4::8].tolist()


@pytest.mark.parametrize("objects", [False, True])
@pytest.mark.parametrize("shift", [0.0, 0.07])
def test_windows_of_a_label_raster_hold_its_classes(
    ground: Path, objects: bool, shift: float
) -> None:
    values = np.zeros((110, 140), np.uint8)
    values[20:40, 20:50], values[45:70, 60:90], values[0:3, :] = 1, 2, 255
    transform = from_origin(CORNER[0] - 1 + shift, CORNER[1] + 1 - shift, PIXEL_M, PIXEL_M)
    with rasterio.open(
        ground / "labels.tif", "w", driver="GTiff", crs="EPSG:32645", transform=transform,
        height=110, width=140, count=1, dtype="uint8", nodata=0,
    ) as file:  # fmt: skip
        file.write(values, 1)
    classes = (BUILDING,) if objects else (HOUSE, TANK)
    config = _place(ground, labels=ground / "labels.tif", objects=objects)
    whole = read_place(config, border_sigma=4.0, classes=classes)
    found = _windowed(config, classes)
    assert sorted(map(tuple, found.centres.round(6).tolist())) == sorted(
        map(tuple, whole.centres.round(6).tolist())
    )
    for row, col in ((0, 0), (10, 5), (30, 40), (60, 70)):
        window = Window(row=row, col=col, height=36, width=57)
        here, there = found.levels[0].part(window), whole.levels[0].part(window)
        np.testing.assert_array_equal(here.classes(here.instances), there.classes(there.instances))
        np.testing.assert_array_equal(here.known, there.known)
        np.testing.assert_array_equal(here.contact, there.contact)


def test_values_of_sixteen_bits_are_stretched_alike_in_every_window(ground: Path) -> None:
    with rasterio.open(ground / "scene.tif") as file:
        pixels, profile = file.read().astype(np.uint16) * 20, file.profile
    with rasterio.open(ground / "deep.tif", "w", **(profile | {"dtype": "uint16"})) as file:
        file.write(pixels)
    config = _place(ground, scenes=(ground / "deep.tif",))
    whole = read_place(config, border_sigma=0).levels[0]
    found = _windowed(config, sigma=0).levels[0]
    window = Window(row=-5, col=20, height=60, width=70)
    _same(found.part(window), whole.part(window))


def test_batches_of_windows_are_those_of_the_whole_scene(small: Path) -> None:
    config = read_config(small)
    whole = [read_place(config.places[0], border_sigma=4.0)]
    found = [_windowed(config.places[0])]
    for step in range(3):
        one, other = (draw_batch(places, [], config, step) for places in (whole, found))
        for name in ("image", "target", "weight"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    data = Data(train=tuple(found), synthetic=(), validation=(), test=())
    sampler = CropSampler(data.draws(config), steps=range(1))
    (batch,) = loader(sampler)
    np.testing.assert_array_equal(batch.image, draw_batch(whole, [], config, 0).image)


def test_splits_that_overlap_are_found_in_windows_too(ground: Path) -> None:
    left, right = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)
    whole = read_place(_place(ground), border_sigma=0)
    for config, shared in ((_place(ground), True), (_place(ground, without=[right]), False)):
        train = (_windowed(config, sigma=0),)
        held = read_place(_place(ground, within=right), border_sigma=0)
        found = split_overlaps(
            Data(train=train, synthetic=(), validation=(held,), test=()), distance=4
        )
        assert any("ground" in overlap.why for overlap in found) is shared
    same = _windowed(_place(ground, within=left), sigma=0)
    assert same.levels[0].shape == (96, 64)
    assert split_overlaps(
        Data(train=(same,), synthetic=(), validation=(whole,), test=()), distance=4
    )


def test_of_a_scene_nothing_is_read_outside_its_block(ground: Path) -> None:
    with rasterio.open(ground / "scene.tif") as file:
        pixels, profile = file.read(), file.profile
    layout = {"tiled": True, "blockxsize": 32, "blockysize": 32, "compress": "deflate"}
    profile.update(layout, interleave="pixel")
    with rasterio.open(ground / "tiles.tif", "w", **profile) as file:
        file.write(pixels)
    with rasterio.open(ground / "tiles.tif") as file:
        at = int(file.get_tag_item("BLOCK_OFFSET_3_2", "TIFF", bidx=1))
    content = bytearray((ground / "tiles.tif").read_bytes())
    content[at : at + 64] = b"\xff" * 64
    (ground / "tiles.tif").write_bytes(content)
    left = (0.0, 0.0, 0.5, 1.0)
    whole = read_place(_place(ground, within=left), border_sigma=0).levels[0]
    found = read_place(
        _place(ground, within=left, scenes=(ground / "tiles.tif",)), border_sigma=0
    ).levels[0]
    _same(found, whole)
    with pytest.raises(SceneError, match=r"tiles\.tif: cannot be read"):
        read_place(_place(ground, scenes=(ground / "tiles.tif",)), border_sigma=0)
    nothing = _place(ground, within=(0.5, 0.5, 0.501, 0.501))
    for read in (lambda: read_place(nothing, border_sigma=0), lambda: _windowed(nothing)):
        with pytest.raises(ConfigError, match=r"no polygon lies inside|holds no pixel"):
            read()


@pytest.fixture(scope="module")
def huge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a sparse scene of 120,000 x 120,000 px and roofs at its middle."""
    folder = tmp_path_factory.mktemp("huge")
    _sparse(folder / "scene.tif")
    _roofs(folder / "labels.gpkg")
    return folder


def _huge(folder: Path, **changes: Any) -> PlaceConfig:
    return _place(folder, **({"labels": folder / "labels.gpkg"} | changes))


def _config(*places: PlaceConfig, **more: Any) -> TrainingConfig:
    return TrainingConfig.model_validate(
        {
            "places": [json.loads(place.model_dump_json()) for place in places],
            "network": {"name": "unet", "width": 4, "depth": 2},
            "schedule": {"steps": 2, "warmup": 0, "decay": 0},
            "crop": 64,
            "batch": 2,
        }
        | more
    )


def test_a_huge_sparse_scene_is_trained_on_in_little_memory(huge: Path, tmp_path: Path) -> None:
    config = _config(_huge(huge))
    with _at_most(200):
        data = read_data(config, cache=tmp_path)
        (place,) = data.train
        assert isinstance(place, WindowedPlace)
        assert len(place.centres) == 40
        batch = draw_batch(data.train, [], config, 0)
    assert batch.target.sum() > 0


@pytest.mark.parametrize("objects", [False, True])
def test_a_huge_label_raster_is_read_where_it_is_needed(
    ground: Path, tmp_path: Path, objects: bool
) -> None:
    size = 40_000 if objects else 20_000
    path = _sparse(tmp_path / "labels.tif", size=size, bands=1)
    with rasterio.open(path, "r+") as file:
        file.write(np.full((1, 30, 20), 7, np.uint8), window=RasterWindow(40, 30, 20, 30))
    config = _place(ground, labels=path, objects=objects)
    with _at_most(50):
        level = read_place(config, border_sigma=0).levels[0]
    assert np.flatnonzero(level.instances.any(axis=1))[[0, -1]].tolist() == [30, 59]
    assert np.flatnonzero(level.instances.any(axis=0))[[0, -1]].tolist() == [40, 59]
    scene = _sparse(tmp_path / "scene.tif", size=size)
    everything = ClassConfig(name="a", colour="#112233", values=(1, 2, 3, 7))
    config = _place(tmp_path, scenes=(scene,), labels=path, objects=objects)
    with _at_most(300):
        place = _windowed(config, (everything,), sigma=0)
        part = place.levels[0].part(Window(row=20, col=30, height=64, width=64))
    assert (part.instances > 0).sum() == 600


def test_a_block_of_a_huge_scene_is_held_whole(huge: Path) -> None:
    inside = (0.5, 0.5, 0.502, 0.503)
    with _at_most(60):
        place = open_place(_huge(huge, within=inside), (BUILDING,), sigma=0, budget=Budget(4e9))
    assert isinstance(place, Place)
    assert place.levels[0].shape == (360, 240)
    assert place.levels[0].image[:, :100].any()
    with _at_most(60):
        held = read_scored(_huge(huge, within=inside), (BUILDING,), channels=2, budget=Budget(4e9))
    np.testing.assert_array_equal(held.levels[0].image, place.levels[0].image)
    np.testing.assert_array_equal(held.levels[0].instances, place.levels[0].instances)


def test_a_scene_too_large_to_be_scored_is_refused_before_it_is_read(huge: Path) -> None:
    config = _config(_huge(huge, within=(0.5, 0.5, 0.502, 0.503)))
    config = config.model_copy(update={"validation": (_huge(huge),)})
    message = r"scene\.tif \(120000 x 120000 px\) takes \d+\.\d GB .*memory_gb is 4; .*within"
    with _at_most(20), pytest.raises(ConfigError, match=message):
        read_data(config, cache=huge)


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ({"blockxsize": 16_384, "blockysize": 16_384}, "a single block of it takes 768 MiB"),
        ({"tiled": False, "blockysize": 2000}, "a single block of it takes 687 MiB"),
    ],
)
def test_a_scene_of_huge_blocks_is_refused(
    tmp_path: Path, layout: dict[str, Any], message: str
) -> None:
    path = tmp_path / "scene.tif"
    shape = {"height": HUGE, "width": HUGE, "count": 3, "dtype": "uint8", "tiled": True} | layout
    if not shape["tiled"]:
        del shape["tiled"]
    with rasterio.open(
        path, "w", driver="GTiff", crs="EPSG:32645", bigtiff="YES", sparse_ok=True,
        transform=from_origin(*CORNER, PIXEL_M, PIXEL_M), **shape,
    ):  # fmt: skip
        pass
    _roofs(tmp_path / "labels.gpkg")
    with _at_most(50), pytest.raises(SceneError, match=message):
        open_place(_huge(tmp_path), (BUILDING,), sigma=0, budget=Budget(4e9))


def test_made_scenes_and_crops_have_their_share_of_memory(ground: Path, tmp_path: Path) -> None:
    synthetic = {"share": 0.5, "first_seed": 1000, "count": 5000, "size": 2048}
    with pytest.raises(
        ConfigError, match=r"synthetic: 5000 scenes .* 251\.7 GB, and memory_gb is 4"
    ):
        read_data(_config(_place(ground), synthetic=synthetic), cache=tmp_path)
    wide = {"pixel_size_m": [0.1, 1000.0]}
    with pytest.raises(ConfigError, match=r"augment\.pixel_size_m: .* the limit is 8192"):
        read_data(_config(_place(ground), augment=wide), cache=tmp_path)


def test_memory_changes_the_digest_where_it_is_not_the_usual(ground: Path) -> None:
    usual = _config(_place(ground))
    assert usual.digest() == _config(_place(ground), memory_gb=4).digest()
    assert usual.digest() != _config(_place(ground), memory_gb=8).digest()


def test_columns_of_a_wide_scene_are_predicted_as_its_strips_are(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = build_network(read_config(small))
    image = np.random.default_rng(0).integers(0, 256, (3, 70, 1501), np.uint8)
    whole = scores.predict(network, image, stride=4)
    monkeypatch.setattr(scores, "WIDEST", 70 * 600)
    found = scores.predict(network, image, stride=4)
    assert found.shape == whole.shape
    np.testing.assert_allclose(found, whole, rtol=0, atol=1e-5)


def test_a_training_on_a_huge_scene_ends_with_a_model(
    huge: Path, ground: Path, tmp_path: Path
) -> None:
    from pipeline.training.fit import fit

    place = json.loads(_huge(huge).model_dump_json())
    held = json.loads(_place(ground).model_dump_json())
    config = {
        "places": [place], "validation": [held], "split_overlap": {"action": "warn"}, "crop": 64,
        "batch": 2, "threads": 1, "bfloat16": False, "log_every": 1,
        "network": {"name": "unet", "width": 4, "depth": 2},
        "schedule": {"steps": 2, "warmup": 0, "decay": 0},
    }  # fmt: skip
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    summary = fit(tmp_path / "c.yaml", tmp_path / "out")
    assert summary
    assert (tmp_path / "out" / "model" / "model.safetensors").is_file()
