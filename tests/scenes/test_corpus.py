"""The collection of odd rasters: what is decided when a scene is opened is decided right."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from pipeline.core.window import Window
from pipeline.errors import SceneError
from pipeline.scenes.open import open_scene
from pipeline.scenes.scene import SceneRef

ODD = Path(__file__).resolve().parents[2].parent / "shared/data/odd"

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not ODD.is_dir(), reason="../shared/data/odd is not here"),
]

# Refused by the buildings task for what only the model card can report: bands, dtype.
CARD = {
    "generated/int64.tif",
    "generated/nbits1.tif",
    "generated/gray_1band.tif",
    "generated/ms_8band_uint16.tif",
}
# The limit on pixels refuses it, which its row allows.
LIMIT = {"generated/bomb_sparse_200k.tif"}
# The doubt is about values, told by whoever samples them.
VALUES = {"generated/int16_negative.tif"}
SIDECARS = (".ovr", ".msk")


def rasters() -> list[dict[str, str]]:
    """Return the rows of the manifest that are rasters to open."""
    if not ODD.is_dir():
        return []
    with (ODD / "MANIFEST.tsv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [
        row
        for row in rows
        if not row["file"].startswith("vectors/") and not row["file"].endswith(SIDECARS)
    ]


def _ref(name: str) -> SceneRef:
    return SceneRef(kind="geotiff", href=str(ODD / name))


@pytest.mark.parametrize("row", rasters(), ids=lambda row: row["file"])
def test_each_file_gets_what_it_is_owed(row: dict[str, str]) -> None:
    name = row["file"]
    owed = row["other_task"] or row["expect"]
    refused = (owed.startswith("reject") and "ignoring" not in owed and name not in CARD) or (
        name in LIMIT
    )
    if refused:
        with pytest.raises(SceneError) as caught:
            open_scene(_ref(name))
        text = str(caught.value)
        assert name in text
        assert "Traceback" not in text
        assert "previous exception" not in text
        assert caught.value.hint
        return
    scene = open_scene(_ref(name))
    info = scene.info
    bands = tuple(band.index for band in info.bands)
    rows, cols = min(info.height, 512), min(info.width, 512)
    pixels, valid = scene.read(Window(row=0, col=0, height=rows, width=cols), bands)
    assert pixels.shape == (len(bands), rows, cols)
    assert valid.shape == (rows, cols)
    assert bool(info.warnings) or not owed.startswith("warn") or name in VALUES
    scene.close()


def valid_share(name: str) -> float:
    """Return how much of a scene is valid."""
    scene = open_scene(_ref(name))
    info = scene.info
    bands = tuple(band.index for band in info.bands)
    whole = Window(row=0, col=0, height=info.height, width=info.width)
    return float(scene.read(whole, bands)[1].mean())


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("generated/nodata0_black_roof.tif", 0.7219),
        ("generated/external_msk.tif", 0.6875),
        ("generated/rgba_alpha.tif", 0.6875),
        ("generated/rgba_alpha_and_nodata.tif", 0.6875),
        ("generated/sparse_tiles.tif", 0.0625),
        ("generated/float32_nan_no_nodata.tif", 0.8125),
        ("generated/nodata_float_min.tif", 0.875),
        ("copied/rio__all-nodata.tif", 0.0),
        ("copied/rio__alpha.tif", 0.0155),
        ("copied/rio__goes.tif", 0.7831),
        ("copied/tiler__cog_uint8_rgb_nodata.tif", 0.75),
        ("copied/tiler__cog_uint8_rgba.tif", 0.75),
        ("copied/tiler__cog_rgb_mask.tif", 0.9692),
    ],
)
def test_data_is_valid_where_the_file_says(name: str, share: float) -> None:
    assert valid_share(name) == pytest.approx(share, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("generated/us_feet_2263.tif", 0.5),
        ("generated/webmercator_60n.tif", 0.5),
        ("generated/rotated_30deg.tif", 0.5),
        ("generated/pixel_is_point.tif", 0.5),
        ("generated/gcps_only.tif", 0.5),
        ("generated/compound_crs.tif", 0.5),
    ],
)
def test_ground_is_measured_on_the_ground(name: str, size: float) -> None:
    info = open_scene(_ref(name)).info
    assert info.georef is not None
    along = info.georef.ground_size_m(col=info.width / 2, row=info.height / 2)
    assert along == pytest.approx((size, size), rel=0.02)


def test_an_mrf_under_another_name_writes_nothing() -> None:
    with pytest.raises(SceneError, match="MRF"):
        open_scene(_ref("generated/mrf_writes_file.tif"))
    assert not list((ODD / "generated").glob("mrf_was_written*"))


def test_a_mask_that_is_a_virtual_raster_is_not_followed() -> None:
    scene = open_scene(_ref("generated/sidecar_vrt_msk.tif"))
    assert any(".msk" in warning for warning in scene.info.warnings)
    assert valid_share("generated/sidecar_vrt_msk.tif") == 1.0
