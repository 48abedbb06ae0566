"""A region from Python: planned, run, reported on, compared."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio

import overtile


@pytest.mark.slow
def test_a_region_is_kept_up_to_date(scene: Path, tmp_path: Path) -> None:
    (tmp_path / "scenes").mkdir()
    shutil.copy(scene, tmp_path / "scenes" / "one.tif")
    file = tmp_path / "region.yaml"
    file.write_text(
        "name: town\nsources: [{type: files, path: scenes}]\ntask: bright\nout: out\n"
        "compute: {executor: serial, device: cpu}\n"
    )
    region = overtile.Region(file)
    with pytest.raises(overtile.ConfigError, match="no run of town has a layer yet"):
        _ = region.layer
    assert region.plan()["counts"] == {"map": 1}
    lines: list[str] = []
    assert region.run(progress=lines.append)["mapped"] == 1
    assert lines
    layer = region.layer
    assert layer.to_crs("EPSG:32633").area.tolist() == pytest.approx([25 * 40], rel=1e-3)
    assert "building_id" in layer.columns
    with rasterio.open(scene) as file_:
        pixels, profile = file_.read(), file_.profile
    pixels[:, 150:180, 150:200] = 250
    with rasterio.open(tmp_path / "scenes" / "one.tif", "w", **profile) as file_:
        file_.write(np.asarray(pixels))
    assert region.run(progress=None)["mapped"] == 1
    assert len(region.layer) == 2
    assert len(region.changes()) == 1
    assert region.status()["scenes"] == {"done": 1}


def test_a_missing_file_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(overtile.ConfigError, match="does not exist"):
        overtile.Region(tmp_path / "region.yaml")
