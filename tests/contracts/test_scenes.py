"""Every kind of scene keeps the promises of `Scene`."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
import segyio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.transform import from_origin

from pipeline.core.georef import Georef
from pipeline.core.window import Window
from pipeline.errors import SceneError
from pipeline.gdal.raster_guard import install_guard
from pipeline.scenes.memory import MemoryScene
from pipeline.scenes.open import fingerprint, open_scene
from pipeline.scenes.resample import Resampled
from pipeline.scenes.scene import Scene, SceneRef
from tests.strategies import examples

HEIGHT, WIDTH = 150, 210


def _pixels(bands: int, dtype: str) -> np.ndarray:
    rng = np.random.default_rng(bands)
    pixels = rng.integers(1, 200, (bands, HEIGHT, WIDTH)).astype(dtype)
    pixels[:, :, 170:] = 0
    pixels[:, 40:60, 50:90] = 0
    return pixels


def _write(path: Path, pixels: np.ndarray, **profile: object) -> str:
    usual = {
        "driver": "GTiff",
        "count": len(pixels),
        "height": HEIGHT,
        "width": WIDTH,
        "dtype": pixels.dtype,
        "crs": "EPSG:32633",
        "transform": from_origin(500_000, 5_500_000, 0.5, 0.5),
        "tiled": True,
        "blockxsize": 64,
        "blockysize": 48,
    }
    if profile.get("driver") == "PNG":
        usual = {key: usual[key] for key in ("count", "height", "width", "dtype")}
    with rasterio.open(path, "w", **(usual | profile)) as file:
        file.write(pixels)
    return str(path)


def _masked(folder: Path) -> SceneRef:
    path = folder / "masked.tif"
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES"):
        _write(path, _pixels(3, "uint8"))
        with rasterio.open(path, "r+") as file:
            file.write_mask(np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % 5 > 0)
    return SceneRef(kind="geotiff", href=str(path))


def _floats(folder: Path) -> SceneRef:
    pixels = _pixels(2, "float32")
    pixels[0, 3:9, 4:20] = np.nan
    pixels[1, 100, 100] = np.inf
    pixels[1, 20, 30] = -9999
    return SceneRef(kind="geotiff", href=_write(folder / "floats.tif", pixels, nodata=-9999))


def _segy(folder: Path) -> SceneRef:
    path = str(folder / "volume.sgy")
    cube = np.random.default_rng(5).normal(size=(3, WIDTH, HEIGHT)).astype(np.float32)
    segyio.tools.from_array3D(path, cube)
    options = (("direction", "inline"), ("name", "volume_inline_2"), ("number", "2"))
    return SceneRef(kind="segy", href=path, options=options)


def _memory(_: Path) -> SceneRef:
    valid = _pixels(1, "uint8")[0] > 0
    georef = Georef(crs_wkt="EPSG:32633", transform=(0.5, 0.0, 5e5, 0.0, -0.5, 5.5e6))
    return MemoryScene(_pixels(3, "uint16"), valid=valid, georef=georef).keep()


REFS: dict[str, Callable[[Path], SceneRef]] = {
    "nodata": lambda folder: SceneRef(
        kind="geotiff", href=_write(folder / "nodata.tif", _pixels(3, "uint8"), nodata=0)
    ),
    "striped, planar": lambda folder: SceneRef(
        kind="geotiff",
        href=_write(
            folder / "planar.tif", _pixels(4, "uint16"), tiled=False, interleave="band", nodata=0
        ),
    ),
    "alpha": lambda folder: SceneRef(
        kind="geotiff",
        href=_write(folder / "alpha.tif", _pixels(4, "uint8"), photometric="rgb", alpha="yes"),
    ),
    "sparse": lambda folder: SceneRef(
        kind="geotiff",
        href=_write(folder / "sparse.tif", _pixels(1, "uint8"), sparse_ok=True),
    ),
    "mask": _masked,
    "floats": _floats,
    "image": lambda folder: SceneRef(
        kind="image", href=_write(folder / "image.png", _pixels(1, "uint8"), driver="PNG")
    ),
    "image16": lambda folder: SceneRef(
        kind="image", href=_write(folder / "image16.png", _pixels(4, "uint16"), driver="PNG")
    ),
    "segy": _segy,
    "memory": _memory,
}
GRIDS = {"as it is": (HEIGHT, WIDTH), "smaller": (64, 111), "larger": (333, 250)}


@pytest.fixture(scope="module")
def refs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, SceneRef]:
    """Return a reference to a scene of every kind."""
    install_guard()
    folder = tmp_path_factory.mktemp("scenes")
    return {kind: make(folder) for kind, make in REFS.items()}


@pytest.fixture(params=REFS)
def ref(request: pytest.FixtureRequest, refs: dict[str, SceneRef]) -> SceneRef:
    """Return each of them in turn."""
    return refs[request.param]


@pytest.fixture(params=GRIDS)
def scene(request: pytest.FixtureRequest, ref: SceneRef) -> Iterator[Scene]:
    """Return it open, on its own grid and on others."""
    opened = open_scene(ref)
    height, width = GRIDS[request.param]
    found = opened if request.param == "as it is" else Resampled(opened, height=height, width=width)
    yield found
    found.close()


@given(data=st.data())
@settings(
    deadline=None,
    max_examples=examples(12),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_window_is_that_part_of_the_whole(scene: Scene, data: st.DataObject) -> None:
    info = scene.info
    bands = tuple(band.index for band in info.bands)
    whole = Window(row=0, col=0, height=info.height, width=info.width)
    pixels, valid = scene.read(whole, bands)
    row, col = data.draw(st.integers(0, info.height - 1)), data.draw(st.integers(0, info.width - 1))
    height = data.draw(st.integers(1, info.height - row))
    width = data.draw(st.integers(1, info.width - col))
    window = Window(row=row, col=col, height=height, width=width)
    rows, cols = window.within(whole)
    part, part_valid = scene.read(window, bands)
    np.testing.assert_array_equal(part, pixels[:, rows, cols])
    np.testing.assert_array_equal(part_valid, valid[rows, cols])


def test_what_comes_is_what_info_says(scene: Scene) -> None:
    info = scene.info
    bands = tuple(band.index for band in info.bands)
    whole = Window(row=0, col=0, height=info.height, width=info.width)
    pixels, valid = scene.read(whole, bands)
    assert pixels.shape == (len(bands), info.height, info.width)
    assert pixels.dtype == info.dtype
    assert valid.dtype == bool
    assert valid.any()
    assert all(band.colour != "alpha" and band.name == band.name.lower() for band in info.bands)


def test_bands_come_in_the_order_asked(scene: Scene) -> None:
    window = Window(row=5, col=7, height=3, width=4)
    bands = tuple(band.index for band in scene.info.bands)
    forth, valid = scene.read(window, bands)
    back, again = scene.read(window, bands[::-1])
    np.testing.assert_array_equal(back, forth[::-1])
    np.testing.assert_array_equal(valid, again)


def test_a_window_outside_the_scene_is_refused(scene: Scene) -> None:
    with pytest.raises(ValueError, match=r"inside|outside"):
        scene.read(Window(row=scene.info.height - 1, col=0, height=2, width=1), (1,))


def test_what_was_read_may_be_written_to(scene: Scene) -> None:
    window = Window(row=0, col=0, height=4, width=4)
    pixels, valid = scene.read(window, (1,))
    before = pixels.copy()
    pixels += 1
    valid[:] = False
    np.testing.assert_array_equal(scene.read(window, (1,))[0], before)


def test_opening_again_finds_the_same(ref: SceneRef) -> None:
    first, second = open_scene(ref), open_scene(pickle.loads(pickle.dumps(ref)))
    assert first.info == second.info
    assert hash(first.info) == hash(second.info)
    assert fingerprint(ref) == first.info.fingerprint
    assert open_scene(ref, known=first.info).info is first.info
    first.close()
    second.close()


@pytest.mark.parametrize("kind", ["geotiff", "image", "segy", "memory"])
def test_a_missing_file_is_an_error_of_that_scene(kind: str, tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="gone"):
        open_scene(SceneRef(kind=kind, href=str(tmp_path / "gone.tif")))
