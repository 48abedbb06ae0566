"""Inputs that once were answered with more than a refusal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from pipeline.labels.read import read_objects

NESTED = '{"type":"GeometryCollection","geometries":[' * 50 + "]}" * 50


@pytest.mark.parametrize(
    "geometry",
    [
        '{"type":"Polygon","coordinates":[[[],[0,0],[1,1],[0,0]]]}',
        '{"type":"Polygon","coordinates":[[[1],[0,0],[1,1],[0,0]]]}',
        '{"type":"Polygon","coordinates":[[[1' + "0" * 400 + ",0],[0,0],[1,1],[0,0]]]}",
        '{"type":"Polygon","coordinates":[[[NaN,0],[0,0],[1,1],[0,0]]]}',
        '{"type":"Polygon","coordinates":[[[1e308,0],[0,0],[1,1],[0,0]]]}',
    ],
    ids=["empty position", "half a position", "400 digits", "not a number", "far away"],
)
def test_a_geometry_that_is_none_is_refused_in_words(tmp_path: Path, geometry: str) -> None:
    path = tmp_path / "truth.geojson"
    feature = '{"type":"Feature","properties":{},"geometry":' + geometry + "}"
    path.write_text('{"type":"FeatureCollection","features":[' + feature + "]}")
    with pytest.raises(ConfigError, match=r"truth\.geojson"):
        read_objects(path)


def test_deep_nesting_is_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "truth.geojson"
    path.write_text('{"type":"Feature","properties":{},"geometry":' + NESTED + "}")
    assert len(read_objects(path)) == 0
    path.write_text(json.dumps({"type": "Feature"})[:-1] + ',"geometry":' + NESTED * 40)
    with pytest.raises(ConfigError):
        read_objects(path)
