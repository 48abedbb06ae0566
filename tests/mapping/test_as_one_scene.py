"""Adjoining files mapped as one scene: what mapping one file that holds them all gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas
import geopandas.testing
import numpy as np
import pytest
import rasterio
from affine import Affine

from pipeline.errors import ConfigError
from pipeline.mapping.plan_scene import dry_run
from pipeline.mapping.planning.request import MapRequest
from tests.mapping.scenery import NORTH_UP, blobs, classic, run, write_scene

CUTS = ((0, 0, 90, 130), (70, 0, 90, 110), (0, 130, 100, 110))
"""Row, column, height and width of files that overlap, touch, and leave a gap at the corner."""


def files(folder: Path, pixels: np.ndarray, **profile: Any) -> tuple[Path, ...]:
    """Write the windows `CUTS` of an array, each in its place."""
    folder.mkdir()
    return tuple(
        write_scene(
            folder / f"part_{at}.tif",
            pixels[:, row : row + height, col : col + width],
            transform=NORTH_UP @ Affine.translation(col, row),
            **profile,
        )
        for at, (row, col, height, width) in enumerate(CUTS)
    )


def merged(path: Path, pixels: np.ndarray, nodata: int) -> Path:
    """Write the same pixels as one file; what no window holds is nodata."""
    covered = np.zeros(pixels.shape[1:], bool)
    for row, col, height, width in CUTS:
        covered[row : row + height, col : col + width] = True
    return write_scene(path, np.where(covered, pixels, nodata).astype(pixels.dtype), nodata=nodata)


def same(one: Path, other: Path) -> None:
    """Assert that two folders hold equal results but for names of scenes and ids."""
    for name in ("mask.tif", "probability.tif"):
        with rasterio.open(one / name) as left, rasterio.open(other / name) as right:
            assert (left.crs, left.transform) == (right.crs, right.transform)
            np.testing.assert_array_equal(left.read(), right.read())
    tables = [geopandas.read_parquet(folder / "polygons.parquet") for folder in (one, other)]
    named = ["id", "scene"]
    geopandas.testing.assert_geodataframe_equal(*(table.drop(columns=named) for table in tables))
    assert len(tables[0])


@pytest.mark.parametrize(
    ("dtype", "nodata"), [("uint16", 65_535), ("int16", -9_999), ("uint16", 0)]
)
def test_parts_with_one_stretch_over_all_equal_the_merged_file(
    tmp_path: Path, dtype: str, nodata: int
) -> None:
    # Darker to the east: percentiles of a part are not those of the whole.
    shade = np.linspace(20, 2, 240)
    pixels = (blobs(3, height=160, width=240, size=9) * shade).astype(dtype)[None]
    parts = files(tmp_path / "parts", pixels, nodata=nodata)
    whole = run(merged(tmp_path / "merged.tif", pixels, nodata), tmp_path / "whole")
    assert whole["failed"] == 0
    found = run(parts, tmp_path / "one", as_one_scene=True, tile=64)
    (row,) = found["scenes"]
    assert Path(row["folder"]).name == "part_0"
    same(Path(row["folder"]), tmp_path / "whole" / "merged")
    manifest = json.loads((Path(row["folder"]) / "run.json").read_text())
    assert manifest["scene"]["source"].endswith("part_0.tif and 2 more")
    assert "href" not in json.dumps(manifest["settings"])
    again = run(parts, tmp_path / "one", as_one_scene=True, tile=64)
    assert [one["state"] for one in again["scenes"]] == ["unchanged"]


def test_a_network_sees_the_neighbours_as_context(tmp_path: Path) -> None:
    pixels = np.stack([blobs(seed, height=160, width=240, size=9) for seed in (1, 2, 3)])
    model = tmp_path / "small.safetensors"
    classic(model)
    parts = files(tmp_path / "parts", pixels, photometric="RGB")
    chosen = {"model": str(model), "threshold": 0.5}
    whole = merged(tmp_path / "merged.tif", pixels, 0)
    run(whole, tmp_path / "whole", **chosen)
    run(parts, tmp_path / "one", as_one_scene=True, name="town", **chosen)
    same(tmp_path / "one" / "town", tmp_path / "whole" / "merged")


def test_a_part_that_changed_is_another_scene_and_a_dry_run_says_what_is_mapped(
    tmp_path: Path,
) -> None:
    pixels = blobs(5, height=160, width=240)[None]
    parts = files(tmp_path / "parts", pixels)
    request = MapRequest(
        scenes=(str(tmp_path / "parts"),),
        out=tmp_path / "out",
        task="bright",
        as_one_scene=True,
        name="a town",
    )
    (planned,) = dry_run(request)["scenes"]
    assert planned["pixels"] == 160 * 240
    assert planned["folder"] == str(tmp_path / "out" / "a_town")
    assert not (tmp_path / "out").exists()
    run(parts, tmp_path / "out", as_one_scene=True, name="a town")
    write_scene(
        parts[2], pixels[:, :100, 130:] ^ 1, transform=NORTH_UP @ Affine.translation(130, 0)
    )
    found = run(parts, tmp_path / "out", as_one_scene=True, name="a town")
    assert found["failed"] == 1
    assert "another plan (other scene)" in found["scenes"][0]["reason"]


def test_what_does_not_fit_is_refused_and_nothing_is_mapped(tmp_path: Path) -> None:
    pixels = blobs(6, height=64, width=64)[None]
    first = write_scene(tmp_path / "first.tif", pixels)
    off = write_scene(
        tmp_path / "off.tif", pixels, transform=NORTH_UP @ Affine.translation(64.5, 0)
    )
    found = run((first, off), tmp_path / "out", as_one_scene=True)
    assert found["failed"] == 1
    assert (
        "off.tif: its grid lies +0 rows and +0.5 columns beside" in (found["scenes"][0]["reason"])
    )
    assert not [path for path in (tmp_path / "out").iterdir() if path.is_dir()]
    with pytest.raises(ConfigError, match="--overlap is for --as-one-scene alone"):
        run(first, tmp_path / "out", overlap="last")
    with pytest.raises(ConfigError, match="--name is for --as-one-scene alone"):
        run(first, tmp_path / "out", name="x")


def test_a_virtual_mosaic_maps_as_the_file_that_holds_the_same_pixels(tmp_path: Path) -> None:
    pixels = np.stack([blobs(seed, height=160, width=240, size=9) for seed in (1, 2, 3)])
    parts = files(tmp_path / "parts", pixels)
    sources = [
        [
            f'<SimpleSource><SourceFilename relativeToVRT="1">parts/{part.name}</SourceFilename>'
            f"<SourceBand>{band}</SourceBand>"
            f'<SrcRect xOff="0" yOff="0" xSize="{width}" ySize="{height}"/>'
            f'<DstRect xOff="{col}" yOff="{row}" xSize="{width}" ySize="{height}"/></SimpleSource>'
            for part, (row, col, height, width) in zip(parts, CUTS, strict=True)
        ]
        for band in range(1, len(pixels) + 1)
    ]
    t = NORTH_UP
    with rasterio.open(parts[0]) as first:
        head = f"<SRS>{first.crs.to_wkt().replace('&', '&amp;')}</SRS>"
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{band}"><NoDataValue>0</NoDataValue>'
        f"{''.join(own)}</VRTRasterBand>"
        for band, own in enumerate(sources, 1)
    )
    (tmp_path / "town.vrt").write_text(
        f'<VRTDataset rasterXSize="240" rasterYSize="160">{head}<GeoTransform>{t.c!r},{t.a!r},0,'
        f"{t.f!r},0,{t.e!r}</GeoTransform>{bands}</VRTDataset>"
    )
    whole = merged(tmp_path / "town.tif", pixels, 0)
    for scene, out in ((tmp_path / "town.vrt", "virtual"), (whole, "plain")):
        assert run(scene, tmp_path / out)["failed"] == 0
    same(tmp_path / "virtual" / "town", tmp_path / "plain" / "town")
    manifest = json.loads((tmp_path / "virtual" / "town" / "run.json").read_text())
    assert manifest["scene"]["source"] == str(tmp_path / "town.vrt")
