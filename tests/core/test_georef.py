"""Places on the Earth: there and back, and areas as the ellipsoid has them."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS, Geod, Transformer
from shapely import Polygon, box

from pipeline.core.georef import Georef
from tests.strategies import georefs

GEOD = Geod(ellps="WGS84")

PLACES = {
    "UTM, half a metre": ("EPSG:32645", (0.5, 0.0, 354_000.0, 0.0, -0.5, 3_057_500.0)),
    "UTM, turned": ("EPSG:32645", (0.4, 0.3, 354_000.0, 0.3, -0.4, 3_057_500.0)),
    "UTM, sheared": ("EPSG:32645", (0.5, 0.2, 354_000.0, 0.0, -0.5, 3_057_500.0)),
    "UTM, south-up": ("EPSG:32645", (0.5, 0.0, 354_000.0, 0.0, 0.5, 3_057_500.0)),
    "UTM, far from its meridian": ("EPSG:32633", (10.0, 0.0, 900_000.0, 0.0, -10.0, 6_900_000.0)),
    "Web Mercator at 60 N": ("EPSG:3857", (0.6, 0.0, 2_776_000.0, 0.0, -0.6, 8_399_737.9)),
    "degrees": ("EPSG:4326", (5e-6, 0.0, 24.9, 0.0, -5e-6, 60.2)),
    "degrees, at the date line": ("EPSG:4326", (5e-6, 0.0, 179.9999, 0.0, -5e-6, -17.0)),
    "US feet": ("EPSG:2263", (1.0, 0.0, 1_000_000.0, 0.0, -1.0, 200_000.0)),
}


@cache
def _place(name: str) -> Georef:
    crs, transform = PLACES[name]
    return Georef(crs_wkt=CRS.from_user_input(crs).to_wkt(), transform=transform)


def _true_area(georef: Georef, polygon: Polygon) -> float:
    """Area from pyproj's own polygon, its edges cut finely, along another path than ours."""
    a, b, c, d, e, f = georef.transform
    move = Transformer.from_crs(georef.crs, 4326, always_xy=True)
    areas = []
    for ring in (polygon.exterior, *polygon.interiors):
        steps = np.linspace(0, ring.length, 4001)
        points = [ring.interpolate(step) for step in steps]
        lon, lat = move.transform(
            [a * p.x + b * p.y + c for p in points], [d * p.x + e * p.y + f for p in points]
        )
        areas.append(abs(GEOD.polygon_area_perimeter(lon, lat)[0]))
    return areas[0] - sum(areas[1:])


@given(georef=georefs(), seed=st.integers(0, 2**32 - 1))
def test_pixels_go_to_the_map_and_come_back(georef: Georef, seed: int) -> None:
    pixels = np.random.default_rng(seed).uniform(-10_000, 50_000, (20, 2))
    there = georef.to_map(pixels)
    a, b, c, d, e, f = georef.transform
    matrix = np.array([[a, b], [d, e]])
    np.testing.assert_allclose(there, pixels @ matrix.T + [c, f], rtol=1e-12, atol=1e-6)
    # Map coordinates of millions of metres leave about nine decimals of a pixel.
    np.testing.assert_allclose(georef.to_pixels(there), pixels, atol=1e-5)


@given(georef=georefs())
def test_a_grid_is_mirrored_where_its_pixels_turn_the_other_way(georef: Georef) -> None:
    square = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
    # Rows down the screen: this square is counter-clockwise on a north-up map.
    x, y = (georef.to_map(square) - georef.to_map(square[:1])).T
    signed = float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))
    assert georef.mirrored == (signed < 0)


@given(georef=georefs(), col=st.sampled_from([0.5, 2.0, 3.0]), row=st.sampled_from([0.5, 2.0]))
def test_a_scaled_grid_covers_the_same_ground(georef: Georef, col: float, row: float) -> None:
    scaled = georef.scaled(col_step=col, row_step=row)
    pixels = np.array([[0.0, 0.0], [10.0, 0.0], [7.0, 9.0]])
    np.testing.assert_allclose(
        scaled.to_map(pixels), georef.to_map(pixels * [col, row]), rtol=1e-9, atol=1e-6
    )


@pytest.mark.parametrize("name", PLACES)
def test_a_pixels_area_is_the_ellipsoids_to_a_millionth(name: str) -> None:
    georef = _place(name)
    found = georef.pixel_area_m2(np.array([[100.0, 200.0]]))
    wanted = _true_area(georef, box(84, 184, 116, 216)) / 32**2
    # Two ways to one number; what is left is the rounding of degrees in 16 digits.
    assert found[0] == pytest.approx(wanted, rel=3e-6)


@pytest.mark.parametrize("name", PLACES)
def test_a_polygons_area_is_the_ellipsoids_without_its_holes(name: str) -> None:
    georef = _place(name)
    hole = [(40, 40), (40, 80), (90, 80), (90, 40)]
    polygon = Polygon([(0, 0), (300, 20), (280, 210), (-10, 190)], [hole])
    assert georef.area_m2(polygon) == pytest.approx(_true_area(georef, polygon), rel=1e-6)
    assert georef.area_m2(Polygon(polygon.exterior)) == pytest.approx(
        georef.area_m2(polygon) + georef.area_m2(Polygon(hole)), rel=1e-9
    )


@pytest.mark.parametrize("name", PLACES)
def test_a_polygons_perimeter_is_that_of_all_its_rings_by_either_way(name: str) -> None:
    georef = _place(name)
    hole = [(40, 40), (40, 80), (90, 80), (90, 40)]
    polygon = Polygon([(0, 0), (120, 20), (100, 110), (-10, 90)], [hole])
    found = georef.perimeter_m(polygon)
    assert found == pytest.approx(
        georef.perimeter_m(Polygon(polygon.exterior)) + georef.perimeter_m(Polygon(hole)), rel=1e-9
    )
    e, f, g = georef.pixel_metric_m2(np.array([[50.0, 50.0]]))[0]
    steps = np.concatenate(
        [np.diff(r.coords, axis=0) for r in (polygon.exterior, *polygon.interiors)]
    )
    dx, dy = steps.T
    by_metric = np.sqrt(e * dx * dx + 2 * f * dx * dy + g * dy * dy).sum()
    assert by_metric == pytest.approx(found, rel=2e-4)
    assert math.sqrt(e * g - f * f) == pytest.approx(
        georef.pixel_area_m2(np.array([[50.0, 50.0]]))[0], rel=1e-9
    )


@pytest.mark.parametrize("name", PLACES)
def test_sizes_and_areas_of_pixels_agree(name: str) -> None:
    georef = _place(name)
    along_cols, along_rows = georef.ground_size_m(col=100, row=200)
    area = georef.pixel_area_m2(np.array([[100.0, 200.0]]))[0]
    _, b, _, d, _, _ = georef.transform
    if b == d == 0:
        assert along_cols * along_rows == pytest.approx(area, rel=1e-3)
    else:
        assert along_cols * along_rows >= area * (1 - 1e-6)


def test_a_pixel_of_web_mercator_at_60_north_is_half_as_long_as_it_says() -> None:
    georef = _place("Web Mercator at 60 N")
    # cos(60 degrees) of 0.6 m, and the ellipsoid's flattening: at most 0.7 % more.
    assert georef.ground_size_m(col=0, row=0) == pytest.approx((0.3, 0.3), rel=7e-3)
    assert georef.pixel_area_m2(np.zeros((1, 2)))[0] == pytest.approx(0.36 / 4, rel=7e-3)


def test_a_us_foot_is_a_foot() -> None:
    size = _place("US feet").ground_size_m(col=0, row=0)
    assert size == pytest.approx((1200 / 3937, 1200 / 3937), rel=1e-4)


def test_mirroring_a_grid_changes_no_area() -> None:
    north_up, south_up = _place("UTM, half a metre"), _place("UTM, south-up")
    assert (north_up.mirrored, south_up.mirrored) == (False, True)
    assert south_up.area_m2(box(0, 0, 100, 50)) == pytest.approx(
        north_up.area_m2(box(0, -50, 100, 0)), rel=1e-9
    )


def test_large_polygons_follow_the_maps_straight_lines() -> None:
    # A degree square: between its corners alone, geodesics would bulge from the parallels.
    georef = Georef(
        crs_wkt=CRS.from_epsg(4326).to_wkt(), transform=(1e-4, 0.0, 10.0, 0.0, -1e-4, 61.0)
    )
    square = box(0, 0, 10_000, 10_000)
    assert georef.area_m2(square) == pytest.approx(_true_area(georef, square), rel=1e-7)


def test_what_lies_off_the_earth_has_no_area_and_no_place() -> None:
    georef = Georef(
        crs_wkt=CRS.from_epsg(32633).to_wkt(), transform=(1e6, 0.0, 0.0, 0.0, -1e6, 0.0)
    )
    far = np.array([[1e9, 1e9], [0.5, 0.0]])
    assert not np.isfinite(georef.to_lonlat(far)[0]).any()
    assert np.isnan(georef.pixel_area_m2(far)[0])
