"""Labels of every kind lie on their pixels; what is not labelled is not known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.transform import from_origin
from shapely import box

from pipeline.errors import ConfigError
from pipeline.training.config import ClassConfig, PlaceConfig
from pipeline.training.data.sources.labels import number_objects, read_place_labels
from pipeline.training.data.sources.places import BUILDING, read_place
from pipeline.training.data.sources.rasters import SceneGrid
from tests.strategies import examples

CORNER, PIXEL_M = (354000.0, 3057500.0), 0.25  # of the fixture
HOUSE = ClassConfig(name="house", colour="#112233", values=("yes", 1))
TANK = ClassConfig(name="tank", colour="#445566", values=("tank", 2))


def _place(ground: Path, **changes: Any) -> PlaceConfig:
    values = {
        "name": "here",
        "scenes": (ground / "scene.tif",),
        "labels": ground / "labels.geojson",
    }
    return PlaceConfig.model_validate(values | changes)


def _raster(path: Path, values: np.ndarray, *, crs: str | None = "EPSG:32645") -> Path:
    transform = from_origin(*CORNER, PIXEL_M, PIXEL_M)
    shape = {"height": values.shape[0], "width": values.shape[1], "count": 1}
    with rasterio.open(
        path, "w", driver="GTiff", dtype=values.dtype, crs=crs, transform=transform, **shape
    ) as file:
        file.write(values, 1)
    return path


@pytest.mark.parametrize("name", ["labels.gpkg", "labels.shp", "labels.geojson"])
def test_polygons_of_every_format_are_the_same_pixels(ground: Path, name: str) -> None:
    expected = read_place(_place(ground), border_sigma=0).levels[0]
    labels = geopandas.read_file(ground / "labels.geojson").to_crs("EPSG:3857")
    if not name.endswith("geojson"):
        labels.to_file(ground / name)
    found = read_place(_place(ground, labels=ground / name), border_sigma=0).levels[0]
    np.testing.assert_array_equal(found.instances, expected.instances)
    assert found.known.all()


def test_a_field_tells_classes_and_other_values_are_ground(ground: Path) -> None:
    labels = geopandas.read_file(ground / "labels.geojson")
    labels["kind"] = ["yes", "tank", "fence"]
    labels.to_file(ground / "kinds.gpkg")
    config = _place(ground, labels=ground / "kinds.gpkg", field="kind")
    level = read_place(config, border_sigma=0, classes=(HOUSE, TANK)).levels[0]
    kinds = level.classes(level.instances)
    image = level.image[0] > 120
    assert np.unique(kinds[15:25, 12:28]).tolist() == [1]
    assert np.unique(kinds[15:25, 32:50]).tolist() == [2]
    assert (kinds[image] == 0).sum() == 40 * 30  # the fence
    with pytest.raises(ConfigError, match="has no field 'knd'; there are id, kind"):
        read_place(
            _place(ground, labels=ground / "kinds.gpkg", field="knd"),
            border_sigma=0,
            classes=(HOUSE, TANK),
        )
    with pytest.raises(ConfigError, match="2 classes need a `field`"):
        read_place(_place(ground), border_sigma=0, classes=(HOUSE, TANK))


def test_a_package_of_two_layers_needs_a_name(ground: Path) -> None:
    labels = geopandas.read_file(ground / "labels.geojson")
    for layer in ("roofs", "roads"):
        labels.to_file(ground / "two.gpkg", layer=layer)
    config = _place(ground, labels=ground / "two.gpkg")
    several = r"has 2 layers, (roofs, roads|roads, roofs); choose one: `layer: NAME`"
    with pytest.raises(ConfigError, match=several):
        read_place(config, border_sigma=0)
    named = config.model_copy(update={"layer": "roofs"})
    assert read_place(named, border_sigma=0).levels[0].instances.max() == 3
    with pytest.raises(ConfigError, match="no layer 'rofs'"):
        read_place(config.model_copy(update={"layer": "rofs"}), border_sigma=0)


def test_an_area_of_two_layers_needs_a_name(ground: Path) -> None:
    labels = geopandas.read_file(ground / "labels.geojson")
    for layer, rows in (("all", labels), ("first", labels[:1])):
        rows.to_file(ground / "two.gpkg", layer=layer)
    config = _place(ground, area=ground / "two.gpkg")
    with pytest.raises(ConfigError, match="has 2 layers, all, first; choose one: `area_layer: "):
        read_place(config, border_sigma=0)
    known = {
        layer: int(
            read_place(config.model_copy(update={"area_layer": layer}), border_sigma=0)
            .levels[0]
            .known.sum()
        )
        for layer in ("all", "first")
    }
    assert 0 < known["first"] < known["all"]
    with pytest.raises(ConfigError, match=r"no layer 'frist'; its layers are all, first"):
        read_place(config.model_copy(update={"area_layer": "frist"}), border_sigma=0)


def test_labels_that_do_not_say_their_crs_are_refused(ground: Path) -> None:
    geopandas.read_file(ground / "labels.geojson").to_file(ground / "bare.shp")
    (ground / "bare.prj").unlink()
    with pytest.raises(ConfigError, match="its CRS is not known"):
        read_place(_place(ground, labels=ground / "bare.shp"), border_sigma=0)


@pytest.mark.parametrize("name", ["other.geojson", "other.fgb", "other.gpkg"])
@pytest.mark.parametrize("what", ["labels", "area"])
def test_documents_that_refer_to_other_files_are_no_labels(
    ground: Path, name: str, what: str
) -> None:
    source = ground / "labels.geojson"
    documents = [
        f'<OGRVRTDataSource><OGRVRTLayer name="labels"><SrcDataSource>{source}</SrcDataSource>'
        "</OGRVRTLayer></OGRVRTDataSource>",
        "<OGRWFSDataSource><URL>http://127.0.0.1:9/</URL></OGRWFSDataSource>",
        '{"type": "gdal_streamed_alg", "command_line": "gdal vector pipeline ! read '
        f'{source} ! limit 9"}}',
    ]
    for document in documents:
        (ground / name).write_text(document)
        with pytest.raises(ConfigError, match=f"{name}: "):
            read_place(_place(ground, **{what: ground / name}), border_sigma=0)


def test_a_field_of_geoparquet_tells_classes_as_well(ground: Path) -> None:
    labels = geopandas.read_file(ground / "labels.geojson")
    labels["kind"] = [1, 2, 3]
    labels.to_parquet(ground / "kinds.parquet")
    config = _place(ground, labels=ground / "kinds.parquet", field="kind")
    level = read_place(config, border_sigma=0, classes=(HOUSE, TANK)).levels[0]
    assert np.unique(level.classes(level.instances)).tolist() == [0, 1, 2]


def test_outside_the_labelled_area_nothing_is_known(ground: Path) -> None:
    x, y = CORNER
    half = box(x, y - 96 * PIXEL_M, x + 64 * PIXEL_M, y)
    geopandas.GeoDataFrame(geometry=[half], crs="EPSG:32645").to_file(ground / "area.gpkg")
    level = read_place(_place(ground, area=ground / "area.gpkg"), border_sigma=0).levels[0]
    assert level.known[:, :64].all()
    assert not level.known[:, 64:].any()
    away = geopandas.GeoDataFrame(geometry=[box(0, 0, 1, 1)], crs="EPSG:32645")
    away.to_file(ground / "away.gpkg")
    with pytest.raises(ConfigError, match="no part of the labelled area"):
        read_place(_place(ground, area=ground / "away.gpkg"), border_sigma=0)


def test_a_raster_of_labels_is_taken_as_it_lies(ground: Path) -> None:
    expected = read_place(_place(ground), border_sigma=0).levels[0]
    values = (expected.instances > 0).astype(np.uint8)
    values[90:] = 255
    path = _raster(ground / "mask.tif", values)
    level = read_place(_place(ground, labels=path), border_sigma=0).levels[0]
    np.testing.assert_array_equal(level.instances > 0, values == 1)
    np.testing.assert_array_equal(level.known, values != 255)


@pytest.mark.parametrize(("top", "nodata"), [(255, None), (255, 0), (255, 255), (128, 0)])
def test_a_mask_of_one_class_is_drawn_with_any_value(
    ground: Path, top: int, nodata: int | None
) -> None:
    drawn = read_place(_place(ground), border_sigma=0).levels[0].instances > 0
    path = _raster(ground / "mask.tif", (drawn * top).astype(np.uint8))
    with rasterio.open(path, "r+") as file:
        file.nodata = nodata
    level = read_place(_place(ground, labels=path), border_sigma=0).levels[0]
    np.testing.assert_array_equal(level.instances > 0, drawn)
    assert level.known.all()


def test_nodata_of_a_label_raster_is_not_labelled_whatever_its_value(ground: Path) -> None:
    drawn = read_place(_place(ground), border_sigma=0).levels[0].instances > 0
    values = drawn.astype(np.uint8)
    values[90:] = 7
    path = _raster(ground / "mask.tif", values)
    with rasterio.open(path, "r+") as file:
        file.nodata = 7
    named = ClassConfig(name="a", colour="#112233", values=(1,))
    for classes in ((), (named,)):
        level = read_place(_place(ground, labels=path), border_sigma=0, classes=classes).levels[0]
        np.testing.assert_array_equal(level.known, values != 7)
        np.testing.assert_array_equal(level.instances > 0, values == 1)


def test_values_mean_what_they_mean_in_the_whole_raster(ground: Path) -> None:
    values = np.zeros((96, 300), np.uint8)
    values[10:20, 10:20] = 255
    path = _raster(ground / "wide.tif", values)
    config = _place(ground, labels=path)
    level = read_place(config, border_sigma=0).levels[0]
    assert (level.instances > 0).sum() == 100
    # A class far outside the scene: 255 is not labelled anywhere.
    values[50:60, 250:260] = 1
    config = _place(ground, labels=_raster(ground / "other.tif", values))
    assert level.transform is not None
    grid = SceneGrid(
        source="scene", shape=level.known.shape, transform=level.transform, crs=level.crs
    )
    found = read_place_labels(config, (), grid)
    assert not found.instances.any()
    assert (~found.known).sum() == 100


def test_labels_that_are_fractions_are_refused() -> None:
    values = np.array([[0, 0.25, 1, np.nan]], np.float32)
    with pytest.raises(ConfigError, match=r"fractions, such as 0\.25; cut them at a threshold"):
        number_objects(values, (), ignore_value=255, objects=False, source=Path("m.tif"))
    found = number_objects(
        np.rint(values), (), ignore_value=255, objects=False, source=Path("m.tif")
    )
    assert found.instances.tolist() == [[0, 0, 1, 0]]
    assert found.known.tolist() == [[True, True, True, False]]


def test_a_raster_of_labels_in_another_crs_is_laid_onto_the_scene(ground: Path) -> None:
    expected = read_place(_place(ground), border_sigma=0).levels[0]
    values = expected.instances.astype(np.uint8)
    source = from_origin(CORNER[0] - 8 * PIXEL_M, CORNER[1] + 8 * PIXEL_M, PIXEL_M, PIXEL_M)
    shifted = np.pad(values, 8)[:60]
    shape = {"height": shifted.shape[0], "width": shifted.shape[1], "count": 1}
    path = ground / "shifted.tif"
    with rasterio.open(
        path, "w", driver="GTiff", dtype="uint8", crs="EPSG:32645", transform=source, **shape
    ) as file:
        file.write(shifted, 1)
    level = read_place(_place(ground, labels=path, objects=True), border_sigma=0).levels[0]
    np.testing.assert_array_equal(level.instances[:52] > 0, expected.instances[:52] > 0)
    # Past the end of the label raster nothing is known.
    assert level.known[:52].all()
    assert not level.known[52:].any()


def test_a_mask_of_another_size_without_a_place_is_refused(ground: Path) -> None:
    path = _raster(ground / "small.tif", np.ones((50, 60), np.uint8), crs=None)
    with pytest.raises(ConfigError, match=r"50 x 60 pixels.*96 x 128.*one size"):
        read_place(_place(ground, labels=path), border_sigma=0)


def test_a_value_of_no_class_is_refused() -> None:
    values = np.array([[0, 1], [2, 7]], np.uint8)
    with pytest.raises(ConfigError, match=r"m\.png: values 7 are of no class"):
        number_objects(values, (HOUSE, TANK), ignore_value=255, objects=False, source=Path("m.png"))


@settings(max_examples=examples(30))
@given(seed=st.integers(0, 2**32 - 1), ignore_value=st.sampled_from([None, 255]))
def test_numbering_keeps_every_pixel_of_every_class(seed: int, ignore_value: int | None) -> None:
    values = np.random.default_rng(seed).choice(np.array([0, 0, 1, 2, 255], np.uint8), (12, 9))
    if ignore_value is None:
        values[values == 255] = 0
    found = number_objects(
        values, (HOUSE, TANK), ignore_value=ignore_value, objects=False, source=Path("m.png")
    )
    expected = np.where(values == 255, 0, values)
    np.testing.assert_array_equal(found.class_of[found.instances], expected)
    np.testing.assert_array_equal(found.known, values != 255)
    # Two pixels that touch by an edge and are of one class are one object.
    same = values[:, 1:] == values[:, :-1]
    joined = found.instances[:, 1:] == found.instances[:, :-1]
    assert (joined[same & (expected[:, 1:] > 0)]).all()


def test_a_class_that_names_the_unknown_value_wins() -> None:
    cell = ClassConfig(name="cell", colour="#112233", values=(255,))
    values = np.array([[0, 255]], np.uint8)
    found = number_objects(values, (cell,), ignore_value=255, objects=False, source=Path("m.png"))
    assert found.known.all()
    assert found.instances.tolist() == [[0, 1]]


def test_blocks_are_left_out_with_their_gap(ground: Path) -> None:
    whole = read_place(_place(ground), border_sigma=0).levels[0]
    right = (0.5, 0.0, 1.0, 1.0)
    held = read_place(_place(ground, within=right), border_sigma=0).levels[0]
    rest = read_place(_place(ground, without=[right], gap_m=2.0), border_sigma=0).levels[0]
    assert held.known[:, 64:].all()
    assert not held.known[:, :64].any()
    assert not held.image[:, :, :64].any()
    gap = 8 + 1  # pixels are a hair smaller than 0.25 m on the ground
    assert not rest.known[:, 64 - gap + 1 :].any()
    assert rest.known[:, : 64 - gap].all()
    # The gap may be seen, the block may not.
    np.testing.assert_array_equal(rest.image[:, :, :64], whole.image[:, :, :64])
    assert not rest.image[:, :, 64:].any()
    assert not rest.instances[:, 64 - gap + 1 :].any()


def test_an_empty_block_is_refused(ground: Path) -> None:
    with pytest.raises(ValueError, match="is empty"):
        _place(ground, within=(0.5, 0, 0.5, 1))


def test_a_scene_of_16_bits_is_stretched_and_one_band_repeated(ground: Path) -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(2000, 6000, (96, 128)).astype(np.uint16)
    values[:, 100:] = 0
    path = _raster(ground / "deep.tif", values)
    with rasterio.open(path, "r+") as file:
        file.nodata = 0
    level = read_place(
        _place(ground, scenes=(path,), bands=(1,)), border_sigma=0, classes=(BUILDING,)
    ).levels[0]
    assert level.image.shape == (3, 96, 128)
    assert not level.known[:, 100:].any()
    seen = level.image[0][level.known]
    assert (seen.min(), seen.max()) == (0, 255)
    assert np.corrcoef(seen, values[level.known])[0, 1] > 0.99
