"""Evaluating and validating from Python."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely

import overtile
from tests.api.conftest import CORNER

X, Y = CORNER


@pytest.fixture(scope="module")
def reference() -> gpd.GeoDataFrame:
    """Return the building, five metres longer, and one that is not there."""
    shapes = [
        shapely.box(X + 40, Y - 55, X + 85, Y - 30),
        shapely.box(X + 5, Y - 95, X + 25, Y - 80),
    ]
    return gpd.GeoDataFrame(geometry=shapes, crs="EPSG:32633", index=[70, "shed"])


@pytest.fixture(scope="module")
def found(mapped: overtile.MapResults, reference: gpd.GeoDataFrame) -> overtile.Evaluation:
    return overtile.evaluate(mapped, reference.to_crs(4326))


def test_metrics_have_values_or_reasons(found: overtile.Evaluation) -> None:
    assert found.metrics["precision"].value == 1
    assert found.metrics["recall"]["value"] == 0.5
    assert found.metrics["mean_iou"].value == pytest.approx(40 / 45, abs=0.01)
    assert found.table.loc["f1", "value"] == pytest.approx(2 / 3, abs=1e-5)
    assert all((one.value is None) != (one.reason is None) for one in found.metrics.values())
    assert found.scenes == ("a_scene",)
    assert not found.failed
    assert "<td>f1</td><td>0.667" in found._repr_html_()


def test_matches_name_the_callers_objects(found: overtile.Evaluation) -> None:
    table = found.matches
    assert table.crs == "EPSG:32633"
    assert table.state.tolist() == ["matched", "missed"]
    assert table.reference.tolist() == [70, "shed"]
    assert table.iou.tolist() == pytest.approx([40 / 45, 0], abs=0.01)
    assert table.geometry.iloc[1].equals_exact(
        shapely.box(X + 5, Y - 95, X + 25, Y - 80), 0.01
    ) or (table.geometry.area.iloc[1] == pytest.approx(300, rel=0.01))


def test_the_report_goes_where_it_is_asked(found: overtile.Evaluation, tmp_path: Path) -> None:
    page = found.report(tmp_path / "deep" / "my report.html")
    assert page.read_text("utf-8").lstrip().lower().startswith("<!doctype html")
    assert found.report(tmp_path / "folder") == tmp_path / "folder" / "report.html"
    assert (tmp_path / "folder" / "report.json").is_file()
    (tmp_path / "file").touch()
    with pytest.raises(overtile.ExportError, match="choose another path"):
        found.report(tmp_path / "file" / "a.html")


@pytest.mark.slow
def test_frames_and_several_predictions(
    mapped: overtile.MapResults, reference: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    other = gpd.GeoDataFrame(
        {"confidence": [0.4, 0.9]},
        geometry=[shapely.box(X + 90, Y - 90, X + 100, Y - 80), reference.geometry.iloc[0]],
        crs="EPSG:32633",
        index=["wrong", "right"],
    )
    one = overtile.evaluate(other, reference, scene=mapped[0].scene, iou=0.9)
    by_state = one.matches.set_index("state")
    assert by_state.loc["false", "predicted"] == "wrong"
    assert by_state.loc["matched", ["predicted", "reference"]].tolist() == ["right", 70]
    assert np.isclose(by_state.loc["matched", "confidence"], 0.9)
    both = overtile.evaluate([mapped[0], other], reference, out=tmp_path / "out", aoi=None)
    assert both.page == tmp_path / "out" / "summary.html"
    assert len(both.matches) == 2 + 3
    assert both.metrics["recall"].value == 0.5


def test_what_cannot_be_compared_is_refused(reference: gpd.GeoDataFrame) -> None:
    with pytest.raises(overtile.ConfigError, match="is no prediction"):
        overtile.evaluate(3, reference)
    with pytest.raises(overtile.ConfigError, match="give shares"):
        overtile.evaluate("a.gpkg", reference, iou=0)
    with pytest.raises(overtile.ConfigError, match=r"missing\.gpkg does not exist"):
        overtile.evaluate("missing.gpkg", reference)


def test_outputs_are_validated(mapped: overtile.MapResults, tmp_path: Path) -> None:
    broken = tmp_path / "b.geojson"
    broken.write_text('{"type": "FeatureCollection"')
    found = overtile.validate(mapped, broken)
    assert [one.file for one in found] == [str(broken)]
    assert "JSON" in str(found[0])
    with pytest.raises(overtile.ConfigError, match="nothing to validate"):
        overtile.validate()
    with pytest.raises(overtile.ConfigError, match="does not exist"):
        overtile.validate(tmp_path / "none")


def test_hidden_files_are_no_outputs(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from pipeline.cli.__main__ import app

    for folder in (".inputs/0123", "scene"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / ".inputs" / "0123" / "array.tif").write_bytes(b"no COG")
    (tmp_path / "scene" / ".draft.tif").write_bytes(b"no COG")
    (tmp_path / "scene" / "log.jsonl").write_text("{}\n")
    assert overtile.validate(tmp_path) == []
    found = CliRunner().invoke(app, ["check", str(tmp_path)])
    assert found.exit_code == 0
    assert '"checked": 1' in found.stdout
