"""No edge of an outline is shorter than a written file should show, and no polygon gains ground."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, Polygon

from pipeline.core.georef import WGS84, Georef
from pipeline.core.outlines.close_vertices import least_edge, without_close_vertices
from pipeline.outputs.vectors.lonlat import to_lonlat_polygons
from tests.strategies import examples


def edges_m(polygon: shapely.Geometry) -> np.ndarray:
    """Return the lengths on the ground of all edges of a polygon in lon/lat."""
    found = []
    for ring in shapely.get_rings(shapely.get_parts(polygon)):
        coords = shapely.get_coordinates(ring)
        found.extend(WGS84.inv(*coords[:-1].T, *coords[1:].T)[2])
    return np.array(found)


def thinned(*polygons: shapely.Geometry, least: float = 0.03) -> np.ndarray:
    return without_close_vertices(
        np.array(polygons, object), scale=np.ones((len(polygons), 2)), least=least
    )


@st.composite
def ragged(draw: st.DrawFn) -> Polygon:
    """Houses whose corners are chamfered, doubled and notched by millimetres."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    corners = np.array([[0, 0], [9, 0], [9, 4], [5, 4], [5, 7], [0, 7.0]])
    points: list[np.ndarray] = []
    for corner in corners:
        count = int(rng.integers(1, 4))
        points.extend(corner + rng.uniform(-0.02, 0.02, (count, 2)))
    polygon = Polygon(
        points, [Polygon([(2, 2), (3, 2), (3, 3), (2.01, 3), (2, 2.99)]).exterior.coords]
    )
    return polygon if polygon.is_valid else Polygon(corners)


@settings(max_examples=examples(80))
@given(polygon=ragged(), least=st.sampled_from([0.01, 0.03]))
def test_edges_are_long_enough_and_ground_is_hardly_changed(polygon: Polygon, least: float) -> None:
    (found,) = thinned(polygon, least=least)
    assert found.is_valid
    for ring in shapely.get_rings(found):
        coords = shapely.get_coordinates(ring)
        assert np.hypot(*(coords[1:] - coords[:-1]).T).min() >= least
    assert shapely.hausdorff_distance(found, polygon) < 0.1
    # Only where both ends of an edge are reflex is ground gained: its length times a wall's half.
    assert shapely.difference(found, polygon).area < least * 7
    (again,) = thinned(found, least=least)
    assert again is found


def test_what_has_no_short_edge_is_the_same_object() -> None:
    house, other = (
        Polygon([(0, 0), (3, 0), (3, 2)]),
        MultiPolygon([Polygon([(0, 0), (9, 0), (9, 9)])]),
    )
    found = thinned(house, other)
    assert found[0] is house
    assert found[1] is other


@pytest.mark.parametrize("turn", [1, -1])
def test_a_chamfered_corner_loses_its_chamfer_and_no_neighbour_is_touched(turn: int) -> None:
    corners = [(0, 0), (5, 0), (5, 2.99), (4.99, 3), (0, 3)]
    (found,) = thinned(Polygon(corners[::turn]))
    assert len(found.exterior.coords) == 5
    assert shapely.difference(found, Polygon(corners)).area == 0
    assert shapely.is_ccw(found.exterior) == shapely.is_ccw(Polygon(corners[::turn]).exterior)


def test_what_would_vanish_stays() -> None:
    speck = Polygon([(0, 0), (0.01, 0), (0.01, 0.01), (0, 0.01)])
    (found,) = thinned(speck)
    assert found.equals(speck)
    hole = Polygon([(0, 0), (4, 0), (4, 4), (0, 4)], [speck.exterior.coords])
    assert not hole.is_valid or len(thinned(hole)[0].interiors) == 0


def test_pixels_of_centimetres_keep_their_steps() -> None:
    assert least_edge((0.3, 0.3)) == 0.03
    assert least_edge((0.01, 0.02)) == 0.005


@settings(max_examples=examples(60))
@given(
    seed=st.integers(0, 2**32 - 1),
    zone=st.sampled_from(["EPSG:32633", "EPSG:3857", "EPSG:4326", "EPSG:2264"]),
)
def test_after_rounding_to_seven_decimals_vertices_are_a_centimetre_apart(
    seed: int, zone: str
) -> None:
    rng = np.random.default_rng(seed)
    places = {
        "EPSG:32633": (0.3, 500_000.0, 6_800_000.0),
        "EPSG:3857": (0.5, 1_500_000.0, 8_000_000.0),
        "EPSG:4326": (3e-6, 10.0, 61.0),
        "EPSG:2264": (1.0, 1_500_000.0, 600_000.0),
    }
    step, x, y = places[zone]
    georef = Georef(crs_wkt=georef_wkt(zone), transform=(step, 0.0, x, 0.0, -step, y))
    corners = np.array([[0, 0], [20, 0], [20, 12], [0, 12.0]]) + rng.uniform(0, 1000, 2)
    near = np.repeat(corners, 3, axis=0) + rng.uniform(-0.06, 0.06, (12, 2))
    polygon = Polygon(near) if Polygon(near).is_valid else Polygon(corners)
    (found,) = to_lonlat_polygons(np.array([polygon], object), georef)
    assert found.is_valid
    assert edges_m(found).min() >= 0.0099


def georef_wkt(code: str) -> str:
    from pyproj import CRS

    return CRS.from_user_input(code).to_wkt()
