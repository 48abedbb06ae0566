"""Files of several layers: each caller's message names the option or key that this caller has."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
from pyproj import Transformer
from typer.testing import CliRunner

from pipeline.cli.__main__ import app
from pipeline.errors import ConfigError
from pipeline.regions.resolved_region import resolve_region
from tests.mapping.scenery import NORTH_UP, UTM, write_scene
from tests.regions.places import town

LONLAT = Transformer.from_crs(UTM, "OGC:CRS84", always_xy=True)


def house(row: int, col: int) -> Any:
    """Return a house of 20 pixels on the scene's map."""
    (left, top), (right, bottom) = NORTH_UP @ (col, row), NORTH_UP @ (col + 20, row + 20)
    return shapely.box(left, bottom, right, top)


HOUSES = [house(40, 40), house(40, 140)]
LAYERS = {"west": HOUSES[:1], "all": HOUSES, "shifted": [house(90, 40), house(90, 140)]}


def package(path: Path) -> Path:
    """Write a GeoPackage of three layers of polygons and one of points."""
    for name, shapes in LAYERS.items():
        geopandas.GeoDataFrame(geometry=shapes, crs=UTM).to_file(path, layer=name)
    geopandas.GeoDataFrame(geometry=[shapely.Point(0, 0)], crs=UTM).to_file(path, layer="wells")
    return path


def folders(path: Path) -> Path:
    """Write a KML document with the same layers as folders."""
    text = "".join(
        f"<Folder><name>{name}</name>{''.join(map(placemark, shapes))}</Folder>"
        for name, shapes in LAYERS.items()
    )
    path.write_text(
        f'<?xml version="1.0"?><kml xmlns="http://www.opengis.net/kml/2.2"><Document>{text}'
        "</Document></kml>"
    )
    return path


def placemark(shape: Any) -> str:
    lon, lat = LONLAT.transform(*shapely.get_coordinates(shape).T)
    ring = " ".join(f"{x:.9f},{y:.9f}" for x, y in zip(lon, lat, strict=True))
    return (
        "<Placemark><Polygon><outerBoundaryIs><LinearRing><coordinates>"
        f"{ring}</coordinates></LinearRing></outerBoundaryIs></Polygon></Placemark>"
    )


@pytest.fixture(params=["gpkg", "kml"])
def several(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"three.{request.param}"
    return package(path) if request.param == "gpkg" else folders(path)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    pixels = np.zeros((1, 200, 220), np.uint8)
    pixels[0, 40:60, 40:60] = pixels[0, 40:60, 140:160] = 220
    return write_scene(tmp_path / "s.tif", pixels)


def overtile(*words: Any) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def one_line(text: str) -> str:
    return re.sub(r"[\s│]+", " ", text)


def mapped(scene: Path, *words: Any) -> Any:
    """Return how ``map`` ends; nothing is mapped."""
    settings = ("--task", "bright", "--executor", "serial", "--device", "cpu")
    return overtile("map", scene, "--out", scene.parent / "out", *settings, *words)


def test_map_asks_for_its_own_option(scene: Path, several: Path) -> None:
    done = mapped(scene, "--dry-run", "--aoi", several)
    assert done.exit_code == 2
    assert f"{several}: it has 3 layers, west, all, shifted; choose one: --aoi-layer NAME" in (
        done.stderr
    )
    assert mapped(scene, "--dry-run", "--aoi", several, "--aoi-layer", "west").exit_code == 0
    done = mapped(scene, "--dry-run", "--aoi", several, "--aoi-layer", "wets")
    assert done.exit_code == 2
    assert "it has no layer 'wets'; its layers are west, all, shifted" in done.stderr


def test_the_layer_that_is_named_is_the_area_and_the_truth(scene: Path, tmp_path: Path) -> None:
    several = package(tmp_path / "three.gpkg")
    choice = ("--aoi-layer", "west", "--truth-layer", "all")
    done = mapped(scene, "--aoi", several, "--truth", several, *choice)
    assert done.exit_code == 0, done.stderr
    (row,) = json.loads(done.stdout)["scenes"]
    # Of the two houses one lies in the area: it is found, the other is no matter.
    assert row["polygons"] == 1
    assert row["scores"]["f1"]["value"] == 1.0


def test_truth_of_map_is_named_by_its_option(scene: Path, several: Path) -> None:
    done = mapped(scene, "--truth", several)
    (row,) = json.loads(done.stdout)["scenes"]
    assert row["unscored"].endswith("choose one: --truth-layer NAME")


@pytest.mark.parametrize(
    ("option", "words", "west"),
    [
        ("--truth-layer", ("{one}", "--truth", "{several}"), (0.5, 1.0)),
        ("--predicted-layer", ("{several}", "--truth", "{one}"), (1.0, 0.5)),
        # The second house is outside.
        ("--aoi-layer", ("{one}", "--truth", "{one}", "--aoi", "{several}"), (1.0, 1.0)),
    ],
)
def test_each_input_of_evaluate_has_its_option(
    tmp_path: Path, several: Path, option: str, words: tuple[str, ...], west: tuple[float, float]
) -> None:
    one = tmp_path / "one.gpkg"
    geopandas.GeoDataFrame(geometry=HOUSES, crs=UTM).to_file(one)
    given = [word.format(one=one, several=several) for word in words]
    done = overtile("evaluate", *given, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert done.stderr.endswith(f"choose one: {option} NAME\n")
    for layer, expected in (("west", west), ("all", (1.0, 1.0))):
        done = overtile("evaluate", *given, "--out", tmp_path / layer, option, layer)
        assert done.exit_code == 0, done.stderr
        found = json.loads(done.stdout)["headline"]
        assert (found["precision"]["value"], found["recall"]["value"]) == expected


@pytest.mark.parametrize(
    "words",
    [
        ("map", "{scene}", "--aoi-layer", "west"),
        ("map", "{scene}", "--truth-layer", "west"),
        ("evaluate", "{one}", "--truth", "{one}", "--aoi-layer", "west"),
        ("evaluate", "{one}", "--truth", "{one}", "--truth-layer", "west"),
        ("evaluate", "{one}", "--truth", "{one}", "--predicted-layer", "west"),
        ("evaluate", "{scene}", "--truth", "{scene}", "--predicted-layer", "west"),
        ("evaluate", "{scene}", "--truth", "{scene}", "--truth-layer", "west"),
    ],
)
def test_a_layer_of_what_has_none_is_refused(
    tmp_path: Path, scene: Path, words: tuple[str, ...]
) -> None:
    one = tmp_path / "one.geojson"
    geopandas.GeoDataFrame(geometry=HOUSES, crs=UTM).to_crs(4326).to_file(one)
    given = [word.format(one=one, scene=scene) for word in words]
    done = overtile(*given, "--out", tmp_path / "out")
    assert done.exit_code == 2
    option = words[-2]
    assert re.search(rf"leave (it|{option}) out", done.stderr), done.stderr


def test_a_region_names_its_key(tmp_path: Path, several: Path) -> None:
    file = town(tmp_path / "town", text="aoi: {file: area.bin}\n")
    several.rename(file.parent / "area.bin")
    with pytest.raises(ConfigError, match=r"3 layers, west, all, shifted; choose one: `aoi.layer:"):
        resolve_region(file)
    text = file.read_text()
    areas = {}
    for layer in ("west", "all"):
        file.write_text(text.replace("area.bin}", f"area.bin, layer: {layer}}}"))
        site = resolve_region(file)
        assert site.area is not None
        areas[layer] = site.area.area
    assert areas["all"] == pytest.approx(2 * areas["west"], rel=1e-3)
    file.write_text(text.replace("file: area.bin", "bbox: [0, 0, 1, 1], layer: west"))
    with pytest.raises(ConfigError, match="a layer is that of a file; leave layer out"):
        resolve_region(file)


def test_the_area_of_the_collection_is_named(tmp_path: Path, shared: Path) -> None:
    case = shared / "cases" / "08-aoi-two-layers"
    words = ("map", case / "a.tif", "--out", tmp_path, "--task", "bright", "--device", "cpu")
    done = overtile(*words, "--dry-run", "--aoi", case / "two.gpkg")
    assert done.exit_code == 2
    assert done.stderr.endswith("roads, aoi; choose one: --aoi-layer NAME\n")
    done = overtile(*words, "--dry-run", "--aoi", case / "two.gpkg", "--aoi-layer", "aoi")
    assert done.exit_code == 0
