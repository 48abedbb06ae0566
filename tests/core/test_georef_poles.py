"""Areas are right at the poles, where north is another direction a few pixels on."""

from __future__ import annotations

import numpy as np
import pytest
from pyproj import CRS
from shapely import box

from pipeline.core.georef import Georef


def polar(epsg: int) -> Georef:
    """Return 160 x 160 pixels of half a metre with the pole in their middle."""
    return Georef(
        crs_wkt=CRS.from_epsg(epsg).to_wkt(), transform=(0.5, 0.0, -40.0, 0.0, -0.5, 40.0)
    )


@pytest.mark.parametrize("epsg", [3031, 3413])
def test_a_pixel_has_its_area_however_near_the_pole(epsg: int) -> None:
    georef = polar(epsg)
    # True scale lies 19 or 20 degrees away, so one map metre is more than one on the ground.
    whole = georef.area_m2(box(0, 0, 160, 160)) / 160**2
    places = np.array([[80.0, 80.0], [80.5, 79.5], [75.0, 91.0], [120.0, 30.0], [3.0, 158.0]])
    np.testing.assert_allclose(georef.pixel_area_m2(places), whole, rtol=1e-5)
