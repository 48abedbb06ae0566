"""Mapping from Python: results, inputs of every kind, and the caller's own GDAL."""

from __future__ import annotations

import base64
import gc
import re
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import rasterio
import shapely

import overtile
from pipeline.api.inputs import scene_paths, vector_path
from tests.api.conftest import CORNER, QUICK, Write


def _building() -> shapely.Polygon:
    x, y = CORNER
    return shapely.box(x + 40, y - 55, x + 80, y - 30)


def test_the_callers_drivers_are_what_they_were(scene: Path) -> None:
    code = (
        "import sys, rasterio, pyogrio, overtile\n"
        "def drivers():\n"
        "    with rasterio.Env() as env:\n"
        "        return env.drivers(), pyogrio.list_drivers()\n"
        "before = drivers()\n"
        "overtile.map(sys.argv[1], task='bright', options={'device': 'cpu'})\n"
        "assert drivers() == before and len(before[0]) > 100 and len(before[1]) > 50\n"
        "print('same')\n"
    )
    # Without `if __name__ == "__main__"`, in a folder of its own, with a path of the user's own.
    import subprocess
    import sys

    run = subprocess.run(
        [sys.executable, "-c", code, str(scene)],
        capture_output=True, text=True, check=False, timeout=200,
        cwd=Path(__file__).resolve().parents[2],
    )  # fmt: skip
    assert run.stdout == "same\n", run.stderr
    assert "100 %" in run.stderr


def test_polygons_lie_in_the_scenes_system(mapped: overtile.MapResults) -> None:
    (result,) = mapped
    assert (result.name, result.state, result.reason) == ("a_scene", "done", None)
    found = result.polygons
    assert found.crs == "EPSG:32633"
    assert found.geometry.iloc[0].equals(_building())
    assert found["class"].tolist() == ["bright"]
    assert mapped.polygons.scene_name.tolist() == ["a_scene"]
    assert result.folder is not None
    assert mapped.folder == result.folder.parent


def test_masks_are_lazy_and_know_nodata(mapped: overtile.MapResults) -> None:
    pytest.importorskip("rioxarray")
    mask = mapped[0].mask
    assert not mask.variable._in_memory
    assert (mask.dims, mask.shape, str(mask.dtype)) == (("y", "x"), (200, 260), "uint8")
    assert mask.rio.nodata == 255
    assert mask.rio.crs == "EPSG:32633"
    assert int((mask == 1).sum()) == 50 * 80
    assert (mask[:20, :20] == 255).all()
    assert int((mask == 255).sum()) == 400


def test_probabilities_are_shares_with_nan(mapped: overtile.MapResults) -> None:
    pytest.importorskip("rioxarray")
    found = mapped.probability
    assert not found.variable._in_memory
    assert (found.dims, str(found.dtype)) == (("y", "x"), "float32")
    assert float(found[80, 100]) == pytest.approx(250 / 255, abs=0.003)
    assert float(found.max()) <= 1
    assert float(found.min()) >= 0
    assert int(found.isnull().sum()) == 400


def test_results_show_themselves(mapped: overtile.MapResults) -> None:
    shown = mapped._repr_html_()
    assert "a_scene: done, 1 polygons" in shown
    data = re.search(r'src="data:image/png;base64,([^"]+)"', shown)
    assert data is not None
    assert base64.b64decode(data[1]).startswith(b"\x89PNG")


def test_explore_loads_no_map_tiles_unless_asked(mapped: overtile.MapResults) -> None:
    pytest.importorskip("folium")
    assert "tileLayer" not in mapped.explore().get_root().render()
    assert "tileLayer" in mapped[0].explore(tiles="OpenStreetMap").get_root().render()


def test_a_missing_extra_is_named(
    mapped: overtile.MapResults, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "rioxarray", None)
    monkeypatch.setitem(sys.modules, "folium", None)
    fresh = overtile.MapResults.from_summary(mapped.summary)
    with pytest.raises(overtile.ConfigError, match=r"pip install 'overtile\[notebook\]'"):
        _ = fresh.mask
    with pytest.raises(overtile.ConfigError, match=r"pip install 'overtile\[notebook\]'"):
        fresh.explore()


def test_arrays_frames_and_failures_in_one_call(scene: Path, tmp_path: Path) -> None:
    rioxarray = pytest.importorskip("rioxarray")
    array = rioxarray.open_rasterio(scene).rename("my array")
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"II*\0 and nothing else")
    area = gpd.GeoDataFrame(geometry=[_building().buffer(-5)], crs="EPSG:32633").to_crs(4326)
    lines: list[str] = []
    results = overtile.map(
        [array, str(broken)],
        task="bright",
        aoi=area,
        options=overtile.MapOptions(**QUICK, clip=True, formats=("gpkg",)),  # type: ignore[arg-type]
        progress=lines.append,
    )
    assert [one.state for one in results] == ["failed", "done"] or (
        [one.state for one in results] == ["done", "failed"]
    )
    (failed,) = results.failed
    assert "broken.tif" in str(failed.reason)
    assert any("broken" in line for line in lines)
    with pytest.raises(overtile.SceneError, match=r"broken\.tif"):
        _ = failed.polygons
    (done,) = [one for one in results if one.folder is not None]
    assert done.name == "my_array"
    assert results.polygons.area.sum() == pytest.approx(30 * 15, rel=0.05)
    assert done.file("polygons.gpkg").is_file()
    with pytest.raises(overtile.ConfigError, match=r"no mask.npy"):
        done.file("mask.npy")
    folder = results.folder
    del results, done, failed
    gc.collect()
    assert not folder.exists()


def test_errors_of_the_child_are_those_of_the_package() -> None:
    with pytest.raises(overtile.ConfigError, match=r"no_such_scene.tif does not exist"):
        overtile.map("no_such_scene.tif", task="bright", progress=None)


def test_a_plan_maps_nothing(scene: Path, tmp_path: Path) -> None:
    found = overtile.plan(scene, tmp_path / "out", task="bright", options=QUICK)
    assert [row["state"] for row in found] == ["ready"]
    assert found.table.tiles[0] == 20
    assert not found.refused
    assert "<table" in found._repr_html_()
    assert not (tmp_path / "out").exists()


def test_open_datasets_stand_for_their_files(scene: Path, tmp_path: Path) -> None:
    with rasterio.open(scene) as dataset, rasterio.MemoryFile(scene.read_bytes()) as memory:
        assert scene_paths(dataset, tmp_path) == [str(scene)]
        with memory.open() as inside:
            (copy,) = scene_paths([inside], tmp_path)
        assert Path(copy).is_relative_to(tmp_path)
        with rasterio.open(copy) as copied:
            np.testing.assert_array_equal(copied.read(), dataset.read())
            assert copied.crs == dataset.crs
            assert copied.transform == dataset.transform
    assert scene_paths((scene, "https://host/a.tif"), tmp_path) == [
        str(scene),
        "https://host/a.tif",
    ]


def test_the_same_array_is_the_same_file(write_scene: Write, tmp_path: Path) -> None:
    rioxarray = pytest.importorskip("rioxarray")
    array = rioxarray.open_rasterio(write_scene("x"), masked=True)
    (one,), (two,) = (scene_paths(array, tmp_path) for _ in range(2))
    (turned,) = scene_paths(array.transpose("y", "x", "band"), tmp_path)
    assert one == two == turned
    with rasterio.open(one) as file:
        assert file.nodata == 0
        assert file.count == 3
    with pytest.raises(overtile.ConfigError, match="no CRS"):
        scene_paths(array.drop_vars("spatial_ref"), tmp_path)
    with pytest.raises(overtile.ConfigError, match=r"give \(band, y, x\)"):
        scene_paths(array.expand_dims("time"), tmp_path)


@pytest.mark.parametrize("scenes", [[], 3, [None]])
def test_what_is_no_scene_is_refused(scenes: object, tmp_path: Path) -> None:
    with pytest.raises(overtile.ConfigError, match="give a path"):
        scene_paths(scenes, tmp_path)


def test_areas_of_every_kind_become_files(tmp_path: Path) -> None:
    shape = _building()
    given = [
        gpd.GeoSeries([shape], crs="EPSG:32633"),
        gpd.GeoDataFrame({"geom": [shape]}, geometry="geom", crs="EPSG:32633"),
        (shape, "EPSG:32633"),
        shapely.set_srid(shape, 32633),
    ]
    for one in given:
        found = gpd.read_parquet(vector_path(one, tmp_path, name="aoi"))
        assert found.crs == "EPSG:32633"
        assert found.geometry.iloc[0].equals(shape)
    for wrong in (shape, gpd.GeoSeries([shape]), {"type": "Polygon"}):
        with pytest.raises(overtile.ConfigError, match=r"CRS|none of"):
            vector_path(wrong, tmp_path, name="aoi")
    assert vector_path(Path("a b.gpkg"), tmp_path, name="aoi") == "a b.gpkg"
    assert "GPKG" in pyogrio.list_drivers()
