"""Polygons without files: traced, regularised, matched."""

from __future__ import annotations

import doctest
import importlib

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio.features
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import overtile
from overtile import match, polygonize, regularize

GRIDS = [
    Affine(0.3, 0, 500_000, 0, -0.3, 5_500_000),
    Affine(0.2, 0.1, 10, -0.1, 0.2, 20),  # turned, south up
]


@pytest.mark.parametrize(
    "name", ["arrays.polygonize", "arrays.match", "arrays.regularize", "options", "arrays.model"]
)
def test_the_examples_hold(name: str) -> None:
    module = importlib.import_module(f"pipeline.api.{name}")
    extra = {"load_model": overtile.load_model, "models": overtile.models}
    found = doctest.testmod(module, extraglobs=extra)
    assert found.attempted
    assert not found.failed


@settings(max_examples=25, deadline=None)
@given(
    mask=arrays(
        st.sampled_from(["bool", "uint8", "int16", "uint16", "int64", "float32"]),
        array_shapes(min_dims=2, max_dims=2, max_side=12),
        elements=st.integers(0, 1),
    ).flatmap(lambda one: st.tuples(st.just(one), st.sampled_from([1, 3, 255]))),
    transform=st.sampled_from(GRIDS),
)
def test_polygons_give_their_array_back(mask: tuple[np.ndarray, int], transform: Affine) -> None:
    array = mask[0] if mask[0].dtype == bool else mask[0] * np.asarray(mask[1], mask[0].dtype)
    found = polygonize(array, transform, "EPSG:32633")
    assert found.crs == "EPSG:32633"
    assert found.geometry.is_valid.all()
    assert found.pixels.sum() == (array != 0).sum()
    drawn = np.zeros(array.shape, array.dtype)
    inverse = ~transform
    for row in found.itertuples():
        pixels = shapely.transform(
            row.geometry, lambda at: np.column_stack(inverse @ (at[:, 0], at[:, 1]))
        )
        inside = rasterio.features.rasterize([pixels], array.shape) == 1
        assert (array[inside] == row.value).all()
        drawn[inside] = row.value
    np.testing.assert_array_equal(drawn, array)


def test_nodata_and_background_have_no_polygons() -> None:
    mask = np.array([[0, 0, 255], [2, 2, 255], [-5, 7, 7]])
    assert polygonize(mask, nodata=255).value.tolist() == [2, -5, 7]
    assert polygonize(mask, nodata=255, background=None).value.tolist() == [0, 2, -5, 7]
    assert polygonize(np.where(mask == 2, np.nan, mask)).value.tolist() == [255, -5, 7]
    assert polygonize(np.ma.masked_equal(mask, 7)).value.tolist() == [255, 2, -5]
    assert polygonize(np.zeros((3, 3), "uint8"), background=None).pixels.tolist() == [9]
    empty = polygonize(np.zeros((0, 4), "uint8"), crs=3857)
    assert len(empty) == 0
    assert empty.crs == "EPSG:3857"


def test_arrays_with_coordinates_know_their_place() -> None:
    pytest.importorskip("rioxarray")
    xarray = pytest.importorskip("xarray")
    array = (
        xarray.DataArray(
            np.array([[[1, 1], [9, 4]]], "uint8"),
            dims=("band", "y", "x"),
            coords={"y": [99.0, 97.0], "x": [11.0, 13.0]},
        )
        .rio.write_crs(32633)
        .rio.write_nodata(9)
    )
    found = polygonize(array)
    assert found.value.tolist() == [1, 4]
    assert found.total_bounds.tolist() == [10, 96, 14, 100]
    assert found.crs == "EPSG:32633"


@pytest.mark.parametrize("mask", [np.zeros((2, 3, 3)), np.zeros(4), np.zeros((2, 2), "complex64")])
def test_what_is_no_mask_is_refused(mask: np.ndarray) -> None:
    with pytest.raises(overtile.ConfigError, match="give numbers in rows and columns"):
        polygonize(mask)
    with pytest.raises(overtile.ConfigError, match="give an affine"):
        polygonize(np.ones((2, 2), bool), (1, 2, 3))


def _staircase(angle: float, x: float, y: float) -> shapely.Polygon:
    """Return a house of 12 x 8 m as it stands in a mask of 0.3 m."""
    house = shapely.affinity.rotate(shapely.box(0, 0, 12, 8), angle)
    grid = Affine(0.3, 0, -10, 0, -0.3, 20)
    traced = polygonize(rasterio.features.rasterize([house], (120, 120), transform=grid), grid)
    moved: shapely.Polygon = shapely.affinity.translate(traced.geometry[0], x, y)
    return moved


@pytest.mark.parametrize(
    ("local", "x", "y", "crs"),
    [
        (32633, 5e5, 5.5e6, 32633),
        (32633, 5e5, 5.5e6, 4326),
        (32633, 5e5, 5.5e6, 3857),
        (32633, 5e5, 5.5e6, 3035),
        (32618, 585_000, 4_511_000, 2263),  # US feet
        (32733, 5e5, 6.2e6, "OGC:CRS84"),
    ],
)
@pytest.mark.parametrize("angle", [0, 25, 71])
def test_houses_are_rectangles_in_any_system(
    local: int, x: float, y: float, crs: int | str, angle: float
) -> None:
    given = gpd.GeoDataFrame({"name": ["a"]}, geometry=[_staircase(angle, x, y)], crs=local)
    given = given.to_crs(crs).set_index(pd.Index(["i"]))
    found = regularize(given)
    assert found.crs == given.crs
    assert found.index.tolist() == ["i"]
    assert found.name.tolist() == ["a"]
    assert found.regularised.tolist() == [True]
    plane = found.to_crs(local).geometry.iloc[0]
    assert shapely.get_num_coordinates(plane) == 5
    assert plane.area == pytest.approx(96, rel=0.02)
    assert plane.minimum_rotated_rectangle.area == pytest.approx(plane.area, rel=1e-3)


def test_parts_and_what_is_no_polygon() -> None:
    two = shapely.MultiPolygon([_staircase(25, 0, 0), _staircase(25, 60, 0)])
    bow = shapely.Polygon([(0, 100), (10, 110), (10, 100), (0, 110)])
    line = shapely.Polygon([(0, 0), (1, 1), (2, 2)])
    given = gpd.GeoSeries([two, None, shapely.Point(1, 2), shapely.Polygon(), line, bow])
    found = regularize(given)
    assert found.regularised.tolist()[:5] == [True, False, False, False, False]
    assert shapely.get_num_coordinates(found.geometry[0]) == 10
    assert found.geometry[1] is None
    assert found.geometry[2] == shapely.Point(1, 2)
    assert found.geometry[5].is_valid
    assert given.geometry[0].equals(two)


def test_zones_far_apart_are_regularised_each_in_its_own() -> None:
    places = [(32633, 5e5, 5.5e6), (32733, 4e5, 6.2e6), (32601, 5e5, 7e6)]
    rows = [
        gpd.GeoSeries([_staircase(25, x, y)], crs=crs).to_crs(4326).iloc[0] for crs, x, y in places
    ]
    found = regularize(gpd.GeoDataFrame(geometry=rows, crs=4326))
    assert found.regularised.tolist() == [True] * 3
    for (crs, _, _), shape in zip(places, found.geometry, strict=True):
        plane = gpd.GeoSeries([shape], crs=4326).to_crs(crs)
        assert plane.area.iloc[0] == pytest.approx(96, rel=0.02)


def test_options_out_of_range_are_refused() -> None:
    frame = gpd.GeoSeries([shapely.box(0, 0, 1, 1)])
    for wrong in ({"tolerance_m": 0}, {"min_iou": 1.5}, {"tolerance_m": float("nan")}):
        with pytest.raises(overtile.ConfigError, match="give a length above 0"):
            regularize(frame, **wrong)
    with pytest.raises(overtile.ConfigError, match="list is no GeoDataFrame"):
        regularize([shapely.box(0, 0, 1, 1)])
    assert len(regularize(frame.iloc[:0])) == 0


def test_pairs_are_one_to_one_by_confidence() -> None:
    predicted = gpd.GeoDataFrame(
        {"confidence": [0.2, 0.9, None, 0.5]},
        geometry=[
            shapely.box(0, 0, 10, 10),
            shapely.box(0, 0, 10, 9),
            None,
            shapely.box(50, 0, 60, 10),
        ],
        crs=32633,
        index=list("abcd"),
    )
    reference = gpd.GeoDataFrame(
        geometry=[shapely.box(0, 0, 10, 10), shapely.box(53, 0, 63, 10)], crs=32633, index=[5, 6]
    )
    found = match(predicted, reference)
    assert found.to_numpy().tolist() == [["b", 5, 0.9], ["d", 6, pytest.approx(7 / 13)]]
    assert match(predicted, reference, iou=0.6).predicted.tolist() == ["b"]
    assert match(predicted.geometry, reference, iou=1).predicted.tolist() == ["a"]
    there = match(predicted, reference.to_crs(4326))
    assert there.iou.tolist() == pytest.approx(found.iou.tolist(), abs=1e-4)
    assert len(match(predicted.iloc[:0], reference)) == 0


def test_what_cannot_be_matched_is_refused() -> None:
    frame = gpd.GeoSeries([shapely.box(0, 0, 1, 1)])
    with pytest.raises(overtile.ConfigError, match="only one of predicted and reference has a CRS"):
        match(frame, frame.set_crs(3857))
    with pytest.raises(overtile.ConfigError, match="share above 0"):
        match(frame, frame, iou=0)
    with pytest.raises(overtile.ConfigError, match="reference: str is no GeoDataFrame"):
        match(frame, "a.gpkg")
