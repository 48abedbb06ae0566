"""The README's Python, executed as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import geopandas as gpd
import pytest

from pipeline.synthetic import write_settlement

README = Path(__file__).resolve().parents[2] / "README.md"


def _code() -> str:
    found = re.search(
        r"## Python in six lines\n```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL
    )
    assert found is not None
    return found[1]


def test_it_is_six_lines() -> None:
    assert len([line for line in _code().splitlines() if line.strip()]) == 6


@pytest.mark.slow
def test_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rioxarray")
    scene, reference = write_settlement(tmp_path, seed=7, height=320, width=384, style="suburb")
    scene.rename(tmp_path / "scene.tif")
    reference.rename(tmp_path / "reference.geojson")
    monkeypatch.chdir(tmp_path)
    found: dict[str, object] = {}
    exec(compile(_code(), "README.md", "exec"), found)
    assert len(gpd.read_file("buildings.gpkg")) > 10
    built_up = found["built_up"]
    assert isinstance(built_up, float)
    assert 0.05 < built_up < 0.5
    assert Path("report.html").is_file()
    assert re.match(r"0\.\d+ .*report\.html$", capsys.readouterr().out)
