"""Made scenes: the picture, the instances and the outlines tell the same story."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from pyproj import Transformer
from rasterio.features import rasterize

from pipeline.synthetic import Style, SyntheticScene, settlement, write_settlement
from pipeline.synthetic.light import swept

STYLES: tuple[Style, ...] = ("town", "suburb", "village")


@pytest.fixture(
    scope="module",
    params=[
        ("town", 0.3),
        ("suburb", 0.15),
        ("village", 0.6),
        ("town", 0.1),
        ("suburb", 0.5),
    ],
)
def made(request: pytest.FixtureRequest) -> SyntheticScene:
    style, pixel_size_m = request.param
    return settlement(seed=11, height=384, width=448, pixel_size_m=pixel_size_m, style=style)


def test_the_picture_and_the_instances_have_the_shape_asked_for(
    made: SyntheticScene,
) -> None:
    assert made.image.shape == (3, 384, 448)
    assert made.image.dtype == np.uint8
    assert made.instances.shape == (384, 448)
    assert made.instances.dtype == np.int32
    assert made.instances.max() == len(made.polygons) > 0


def test_each_outline_rasterizes_back_to_its_instance(made: SyntheticScene) -> None:
    for number, outline in enumerate(made.polygons, start=1):
        again = rasterize([(outline, 1)], out_shape=made.instances.shape, dtype="uint8") > 0
        drawn = made.instances == number
        assert (again & drawn).sum() > 0.9 * (again | drawn).sum()


def test_outlines_are_valid_inside_the_picture_and_do_not_overlap(
    made: SyntheticScene,
) -> None:
    outlines = np.array(made.polygons, object)
    assert shapely.is_valid(outlines).all()
    frame = shapely.box(0, 0, 448, 384).buffer(1e-9)
    assert shapely.covers(frame, outlines).all()
    first, second = shapely.STRtree(outlines).query(outlines, predicate="intersects")
    pairs = first < second
    shared = shapely.area(shapely.intersection(outlines[first[pairs]], outlines[second[pairs]]))
    assert (shared < 1e-6).all()


def test_roofs_measure_15_to_600_square_metres(made: SyntheticScene) -> None:
    areas = shapely.area(np.array(made.polygons, object)) * made.pixel_size_m**2
    assert areas.min() >= 15 - 1e-6
    assert areas.max() <= 600 + 1e-6


@pytest.mark.parametrize("style", STYLES)
def test_the_same_seed_gives_the_same_bytes(style: Style) -> None:
    first, second = (settlement(seed=5, height=160, width=224, style=style) for _ in range(2))
    assert first.image.tobytes() == second.image.tobytes()
    assert first.instances.tobytes() == second.instances.tobytes()
    assert [p.wkb for p in first.polygons] == [p.wkb for p in second.polygons]


def test_another_seed_gives_another_scene() -> None:
    first, second = (settlement(seed=seed, height=160, width=224) for seed in (5, 6))
    assert (first.image != second.image).mean() > 0.5


def test_a_pixel_size_that_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ValueError, match=r"pixel_size_m is 3\.0"):
        settlement(seed=1, height=64, width=64, pixel_size_m=3.0)


def test_the_written_truth_lands_on_the_roofs_of_the_written_scene(
    tmp_path: Path,
) -> None:
    asked = {"seed": 21, "height": 320, "width": 384}
    made = settlement(**asked, style="town")
    scene, truth = write_settlement(tmp_path, **asked, style="town")
    assert sorted(tmp_path.iterdir()) == sorted([scene, truth])
    with rasterio.open(scene) as source:
        assert source.crs.to_epsg() == 32645
        assert source.profile["tiled"]
        assert source.res == pytest.approx((0.3, 0.3))
        assert source.lnglat() == pytest.approx((85.52, 27.63), abs=0.02)
        np.testing.assert_array_equal(source.read(), made.image)
        away = source.transform
    features = json.loads(truth.read_text())["features"]
    to_map = Transformer.from_crs("EPSG:4326", "EPSG:32645", always_xy=True)
    roofs = []
    for feature in features:
        ring = np.array(feature["geometry"]["coordinates"][0])
        assert shapely.is_ccw(shapely.linearrings(ring))
        east, north = to_map.transform(ring[:, 0], ring[:, 1])
        roofs.append((shapely.Polygon(np.stack([east, north], axis=1)), feature["id"]))
    landed = rasterize(roofs, out_shape=made.instances.shape, transform=away, dtype="int32")
    assert (landed == made.instances).mean() > 0.995


def test_writing_twice_gives_the_same_files(tmp_path: Path) -> None:
    first = [p.read_bytes() for p in write_settlement(tmp_path, seed=3, height=128, width=128)]
    second = [p.read_bytes() for p in write_settlement(tmp_path, seed=3, height=128, width=128)]
    assert first == second


@pytest.mark.parametrize(("dx", "dy"), [(1, 0), (-1, 0), (0, 1), (0, -1)])
def test_a_post_casts_a_shadow_as_long_as_it_is_high(dx: int, dy: int) -> None:
    ground = np.zeros((41, 41), np.float32)
    ground[20, 20] = 8
    shaded = swept(ground, dx=dx, dy=dy, drop=1.0) > ground
    steps = [bool(shaded[20 + k * dy, 20 + k * dx]) for k in range(1, 12)]
    assert steps == [True] * 7 + [False] * 4
    assert shaded.sum() == 7
