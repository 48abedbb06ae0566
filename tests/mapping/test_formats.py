"""Formats have one name everywhere, and what is written in one is read back from it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from pipeline.config import load_region, load_task
from pipeline.errors import ConfigError
from pipeline.evaluation.evaluate import Options, evaluate_scene
from pipeline.evaluation.predictions import open_predicted
from pipeline.mapping.planning.request import MapRequest
from pipeline.outputs.vectors.formats import FORMATS, FormatName, file_name, unknown_format
from pipeline.regions.layer.sinks import SINKS
from pipeline.validation.validate import CHECKS
from tests.mapping.scenery import blobs, run, write_scene

pytestmark = pytest.mark.mapping

QUICK = Options(intervals=False)
LIST = "geojson, geojsonl, parquet, fgb, gpkg, shapefile, pmtiles"
OTHERS = {
    "flatgeobuf": "fgb",
    "GeoPackage": "gpkg",
    "geoparquet": "parquet",
    "shp": "shapefile",
}


def region(path: Path, name: str) -> Path:
    about = {"name": "t", "sources": [{"type": "files", "path": "s"}], "outputs": [name]}
    path.write_text(yaml.safe_dump(about))
    return path


def task(path: Path, name: str) -> Path:
    path.write_text(yaml.safe_dump({"name": "t", "model": "threshold", "formats": [name]}))
    return path


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_has_one_name_in_commands_tasks_and_regions(
    tmp_path: Path, name: FormatName
) -> None:
    request = MapRequest(scenes=(), out=tmp_path, task="bright", formats=(name,))
    assert request.chosen_task.formats == (name,)
    assert load_task(str(task(tmp_path / "t.yaml", name))).formats == (name,)
    assert load_region(region(tmp_path / "r.yaml", name)).outputs == (name,)
    assert name in SINKS
    assert Path(file_name(name)).suffix in CHECKS


@pytest.mark.parametrize(("name", "meant"), list(OTHERS.items()))
def test_names_that_others_give_a_format_mean_it_everywhere(
    tmp_path: Path, name: str, meant: FormatName
) -> None:
    request = MapRequest(scenes=(), out=tmp_path, task="bright", formats=(name,))
    assert request.chosen_task.formats == (meant,)
    assert load_task(str(task(tmp_path / "t.yaml", name))).formats == (meant,)
    assert load_region(region(tmp_path / "r.yaml", name)).outputs == (meant,)


@pytest.mark.parametrize(("name", "meant"), [("GPKG", "gpkg"), ("dwg", None), ("", None)])
def test_unknown_names_are_refused_with_the_list(
    tmp_path: Path, name: str, meant: str | None
) -> None:
    hint = f"; write '{meant}'" if meant else ""
    with pytest.raises(ConfigError) as error:
        _ = MapRequest(scenes=(), out=tmp_path, task="bright", formats=(name,)).chosen_task
    assert str(error.value) == f"--format {name!r} is none of {LIST}{hint}"
    with pytest.raises(ConfigError) as error:
        load_task(str(task(tmp_path / "t.yaml", name)))
    assert f"formats.0: {name!r} is none of {LIST}{hint}" in str(error.value)
    with pytest.raises(ConfigError) as error:
        load_region(region(tmp_path / "r.yaml", name))
    assert f"outputs.0: {name!r} is none of {LIST}, stac{hint}" in str(error.value)
    assert unknown_format("stac", also=("stac",)) is None


def test_what_is_written_in_any_format_is_read_back(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "s.tif", blobs(1, height=96, width=128)[None])
    run(scene, tmp_path / "out", formats=FORMATS)
    folder = tmp_path / "out" / "s"
    item = json.loads((folder / "item.json").read_text())
    hrefs = {one["href"] for one in item["assets"].values()}
    assert {f"./{file_name(name)}" for name in FORMATS} <= hrefs
    shapefile = item["assets"]["shapefile"]
    assert (shapefile["type"], shapefile["href"]) == ("application/zip", "./polygons.shp.zip")
    count = len(open_predicted(folder).objects)
    assert count > 10
    truth = folder / "polygons.parquet"
    for name in ("geojson", "fgb", "gpkg", "shapefile"):
        path = folder / file_name(name)
        for one, other in ((path, truth), (truth, path)):
            found = evaluate_scene(one, other, options=QUICK).report["headline"]
            assert found["f1"]["value"] == 1.0, (one, other)
        # A run of this format alone is read by its polygons, not by its mask.
        alone = tmp_path / name / "s"
        run(scene, alone.parent, formats=(name,))
        assert len(open_predicted(alone).objects) == count
    truths = tmp_path / "truths"
    truths.mkdir()
    (truths / "s.shp.zip").write_bytes((folder / "polygons.shp.zip").read_bytes())
    found = evaluate_scene(folder, truths, options=QUICK).report
    assert found["headline"]["f1"]["value"] == 1.0
    assert found["inputs"]["reference"]["path"].endswith("s.shp.zip")
