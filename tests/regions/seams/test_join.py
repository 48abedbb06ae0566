"""One building, one footprint: what the borders of adjoining scenes cut is put together."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyarrow as pa
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from rasterio.warp import Resampling, reproject

from pipeline.regions.layer.layer import observations_of
from tests.mapping.scenery import NORTH_UP, UTM, blobs
from tests.regions.places import go
from tests.regions.seams.cut import Scene, layer, mapped, piece, pieces, told
from tests.strategies import examples

PIXEL_M2 = 0.09 * 1.0005
"""A pixel of the scenes on the ground, where UTM is a little smaller than the Earth."""


@settings(max_examples=examples(5), phases=[Phase.explicit, Phase.generate])
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(5, 40),
    overlap=st.integers(0, 100),
    down=st.sampled_from([(), (130,)]),
    across=st.sampled_from([(140,), (120, 230)]),
)
def test_pieces_have_the_layer_of_the_whole_whatever_their_overlap(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    size: int,
    overlap: int,
    down: tuple[int, ...],
    across: tuple[int, ...],
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    pixels = blobs(seed, height=260, width=350, size=size, share=0.45)[None]
    boxes = [
        (row, col, height, width)
        for row, height in pieces(260, down, overlap)
        for col, width in pieces(350, across, overlap)
    ]
    whole, _ = layer(folder, mapped(folder / "whole", [piece(pixels, 0, 0, 260, 350)]))
    found, summary = layer(folder, mapped(folder / "cut", [piece(pixels, *box) for box in boxes]))
    assert told(found) == told(whole)
    assert summary.joined > 0


@pytest.mark.parametrize("folder", ["", "ovl"])
def test_the_case_of_two_tiles_of_a_region(tmp_path: Path, shared: Path, folder: str) -> None:
    source = shared / "cases" / "04-region-seam" / folder
    (tmp_path / "scenes").mkdir()
    for path in (source / "scenes").iterdir():
        shutil.copyfile(path, tmp_path / "scenes" / path.name)
    shutil.copyfile(source / "region.yaml", tmp_path / "region.yaml")
    summary = go(tmp_path / "region.yaml")
    table = geopandas.read_parquet(Path(summary["folder"]) / "layer.parquet")
    assert np.round(sorted(table["area_m2"])).tolist() == [108, 108, 144, 180, 270]
    assert table["n_obs"].tolist() == [1] * 5
    assert not table["touches_scene_edge"].any()
    assert summary["layer"]["joined"] == 2


def houses(*boxes: tuple[int, int, int, int], height: int = 120, width: int = 160) -> np.ndarray:
    """Return bright boxes (row, col, rows, cols) on dark ground."""
    pixels = np.full((1, height, width), 20, np.uint8)
    for row, col, rows, cols in boxes:
        pixels[0, row : row + rows, col : col + cols] = 220
    return pixels


@pytest.mark.parametrize(
    ("seed", "size", "overlap", "down", "across"),
    [
        # A part lies between seams and touches none: others hold the rest of its building.
        (299617102, 39, 53, (87, 121), (51,)),
        # Pieces that lie on each other by nine tenths of the smaller one.
        (346459297, 25, 41, (100,), (53, 94)),
    ],
)
def test_narrow_pieces_that_overlap_widely_have_the_layer_of_the_whole(
    tmp_path: Path,
    seed: int,
    size: int,
    overlap: int,
    down: tuple[int, ...],
    across: tuple[int, ...],
) -> None:
    pixels = blobs(seed, height=226, width=159, size=size, share=0.4422133821928843)[None]
    boxes = [
        (row, col, height, width)
        for row, height in pieces(226, down, overlap)
        for col, width in pieces(159, across, overlap)
    ]
    whole, _ = layer(tmp_path, mapped(tmp_path / "whole", [piece(pixels, 0, 0, 226, 159)]))
    found, _ = layer(tmp_path, mapped(tmp_path / "cut", [piece(pixels, *box) for box in boxes]))
    assert told(found) == told(whole)


def test_four_tiles_that_meet_in_a_building_have_it_once(tmp_path: Path) -> None:
    pixels = houses((40, 60, 50, 41), (10, 10, 8, 8))
    corners = [(0, 0, 60, 80), (0, 80, 60, 80), (60, 0, 60, 80), (60, 80, 60, 80)]
    scenes = mapped(tmp_path, [piece(pixels, *corner) for corner in corners])
    table, summary = layer(tmp_path, scenes)
    assert sorted(table["area_m2"] / PIXEL_M2) == pytest.approx([64, 2050], rel=1e-3)
    assert (summary.given, summary.footprints, summary.united) == (6, 2, 4)
    rows = observations(tmp_path / "layer.parquet")
    cut = rows[rows["outcome"] == "united"]
    assert sorted(cut["scene"]) == ["s0", "s1", "s2", "s3"]
    (building,) = set(cut["building_id"])
    assert building in set(table["building_id"])


def observations(out: Path) -> Any:
    with pa.ipc.open_file(observations_of(out)) as file:
        return file.read_all().to_pandas()


def test_order_of_scenes_and_memory_change_no_byte_and_ids_stay(tmp_path: Path) -> None:
    pixels = blobs(7, height=120, width=160, size=14)[None]
    scenes = mapped(tmp_path, [piece(pixels, 0, 0, 120, 90), piece(pixels, 0, 70, 120, 90)])
    layer(tmp_path, scenes)
    first = (tmp_path / "layer.parquet").read_bytes()
    seen = observations_of(tmp_path / "layer.parquet").read_bytes()
    layer(tmp_path, scenes[::-1], cell=3)
    assert (tmp_path / "layer.parquet").read_bytes() == first
    assert observations_of(tmp_path / "layer.parquet").read_bytes() == seen
    shutil.copyfile(tmp_path / "layer.parquet", tmp_path / "before.parquet")
    _, again = layer(tmp_path, scenes, previous=tmp_path / "before.parquet")
    assert (again.new, again.ended) == (0, 0)
    assert (tmp_path / "layer.parquet").read_bytes() == first


def test_a_newer_scene_over_an_older_one_is_conflated_and_not_joined(tmp_path: Path) -> None:
    # The newer one's edge cuts a building that the older one shows whole, and larger.
    old = houses((30, 50, 20, 60))
    new = houses((30, 50, 20, 40))
    scenes = mapped(
        tmp_path,
        [
            piece(old, 0, 0, 120, 160, datetime="2020-05-01T00:00:00Z"),
            piece(new, 0, 0, 120, 80, datetime="2023-05-01T00:00:00Z"),
        ],
    )
    table, summary = layer(tmp_path, scenes)
    assert summary.joined == 0
    assert table["scene"].tolist() == ["s0"]
    assert table["n_obs"].tolist() == [2]


def test_tiles_of_different_days_that_touch_are_joined_and_each_is_an_observation_of_its_ground(
    tmp_path: Path,
) -> None:
    pixels = houses((30, 60, 20, 50), (70, 10, 10, 10))
    scenes = mapped(
        tmp_path,
        [
            piece(pixels, 0, 0, 120, 80, datetime="2020-05-01T00:00:00Z"),
            piece(pixels, 0, 80, 120, 80, datetime="2020-06-01T00:00:00Z"),
        ],
    )
    table, summary = layer(tmp_path, scenes)
    assert summary.joined == 1
    assert sorted(table["area_m2"] / PIXEL_M2) == pytest.approx([100, 1000], rel=1e-3)
    assert table["n_obs"].tolist() == [1, 1]
    joined = table.loc[table["area_m2"].idxmax()]
    assert (str(joined["first_seen"])[:7], str(joined["last_seen"])[:7]) == ("2020-05", "2020-06")


def test_a_building_keeps_what_lies_outside_the_area_of_interest(tmp_path: Path) -> None:
    pixels = houses((40, 60, 40, 40), (10, 10, 8, 8))
    left, top = NORTH_UP @ (-5, -5)
    right, bottom = NORTH_UP @ (200, 60)
    area = geopandas.GeoSeries([shapely.box(left, bottom, right, top)], crs=UTM)
    area.to_crs(4326).to_file(tmp_path / "area.geojson")
    scenes = mapped(
        tmp_path / "cut",
        [piece(pixels, 0, 0, 120, 80), piece(pixels, 0, 80, 120, 80)],
        aoi=tmp_path / "area.geojson",
    )
    table, summary = layer(tmp_path, scenes)
    assert summary.joined == 1
    assert sorted(table["area_m2"] / PIXEL_M2) == pytest.approx([64, 1600], rel=3e-3)


def test_buildings_that_end_at_a_border_stay_apart_and_touch_no_edge(tmp_path: Path) -> None:
    pixels = houses((10, 60, 20, 20), (40, 80, 20, 20), (30, 70, 10, 9))
    scenes = mapped(tmp_path, [piece(pixels, 0, 0, 120, 80), piece(pixels, 0, 80, 120, 80)])
    table, _ = layer(tmp_path, scenes)
    assert len(table) == 2
    assert not table["touches_scene_edge"].any()
    assert scenes[0].parquet.is_file()


@pytest.mark.parametrize(
    ("crs", "step"), [(UTM, 0.3), (UTM, 0.37), ("EPSG:32644", 0.3), ("EPSG:3857", 0.33)]
)
def test_scenes_on_other_grids_have_the_buildings_of_the_whole_within_a_pixel(
    tmp_path: Path, crs: str, step: float
) -> None:
    rng = np.random.default_rng(3)
    pixels = houses(height=160, width=240)
    for row in range(8, 150, 24):
        for col in range(6, 230, 26):
            pixels[0, row : row + rng.integers(8, 17), col : col + rng.integers(9, 19)] = 220
    west = piece(pixels, 0, 0, 160, 120)
    east = warped(piece(pixels, 0, 100, 160, 140), crs, step)
    whole, _ = layer(tmp_path, mapped(tmp_path / "whole", [piece(pixels, 0, 0, 160, 240)]))
    found, summary = layer(tmp_path, mapped(tmp_path / "cut", [west, east]))
    assert summary.joined > 0
    assert len(found) == len(whole)
    assert found["n_obs"].tolist() == [1] * len(found)
    one, two = (table.geometry.to_crs(UTM).to_numpy() for table in (whole, found))
    pairs = shapely.STRtree(two).query(one, predicate="intersects")
    assert pairs[0].tolist() == list(range(len(one)))
    far = shapely.hausdorff_distance(one, two[pairs[1]])
    assert far.max() <= 0.3 * 2**0.5 + step


def warped(scene: Scene, crs: str, step: float) -> Scene:
    """Return a scene on another grid; what lies outside is nodata."""
    height, width = scene.pixels.shape[1:]
    bounds = rasterio.transform.array_bounds(height, width, scene.transform)
    west, south, east, north = rasterio.warp.transform_bounds(scene.crs, crs, *bounds)
    away = Affine(step, 0, west, 0, -step, north)
    rows, cols = round((north - south) / step), round((east - west) / step)
    pixels = np.zeros((1, rows, cols), np.int16)
    reproject(
        scene.pixels.astype(np.int16),
        pixels,
        src_transform=scene.transform,
        src_crs=scene.crs,
        dst_transform=away,
        dst_crs=crs,
        init_dest_nodata=True,
        dst_nodata=-9999,
        resampling=Resampling.nearest,
    )
    return Scene(pixels=pixels, transform=away, crs=crs, nodata=-9999)


def test_without_rasters_beside_them_footprints_are_conflated_as_they_are(tmp_path: Path) -> None:
    pixels = houses((30, 60, 20, 50))
    scenes = mapped(tmp_path, [piece(pixels, 0, 0, 120, 80), piece(pixels, 0, 80, 120, 80)])
    alone = []
    for scene in scenes:
        copy = tmp_path / f"{scene.key}.parquet"
        shutil.copyfile(scene.parquet, copy)
        alone.append(replace(scene, parquet=copy))
    table, summary = layer(tmp_path, alone)
    assert (len(table), summary.joined) == (2, 0)
    assert table["touches_scene_edge"].all()


def test_a_strip_of_water_across_many_tiles_is_one(tmp_path: Path) -> None:
    # Longer than what is looked at around a seam at first, and narrow as a ditch.
    pixels = houses((50, 0, 3, 1400), (0, 700, 120, 4), height=120, width=1400)
    cuts = pieces(1400, [100, 700, 1300], 10)
    scenes = mapped(tmp_path, [piece(pixels, 0, col, 120, width) for col, width in cuts])
    table, _ = layer(tmp_path, scenes)
    assert (table["area_m2"] / PIXEL_M2).tolist() == pytest.approx([3 * 1400 + 117 * 4], rel=1e-3)
    assert table["touches_scene_edge"].tolist() == [True]
