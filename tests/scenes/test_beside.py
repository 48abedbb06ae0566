"""Masks beside a scene, and files that hold more than a scene: refused in words, at once."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from pipeline.errors import SceneError
from pipeline.scenes.access.location import content_digest
from pipeline.scenes.open import open_scene
from pipeline.scenes.scene import SceneInfo, SceneRef

RGB = np.full((3, 60, 80), 90, np.uint8)
TERABYTE = 10**12


@pytest.fixture(autouse=True)
def _at_once() -> Iterator[None]:
    signal.alarm(60)
    yield
    signal.alarm(0)


@pytest.fixture
def masked(geotiff: Callable[..., Path]) -> Path:
    """Return a scene with a sound mask beside it."""
    path = geotiff(RGB)
    mask = np.ones((60, 80), bool)
    mask[:25] = False
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK="NO"), rasterio.open(path, "r+") as file:
        file.write_mask(mask)
    return path


def beside(path: Path) -> Path:
    """Return where the mask of a scene lies."""
    return Path(f"{path}.msk")


def opened(path: Path) -> SceneInfo:
    """Return what is found of a scene."""
    scene = open_scene(SceneRef(kind="geotiff", href=str(path)))
    scene.close()
    return scene.info


def test_a_mask_that_is_cut_off_is_no_word_that_all_is_valid(masked: Path) -> None:
    whole = beside(masked).read_bytes()
    beside(masked).write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(SceneError, match=r"the mask beside it, scene\.tif\.msk, is not a whole"):
        opened(masked)


def test_a_mask_of_another_size_is_refused(masked: Path, geotiff: Callable[..., Path]) -> None:
    small = geotiff(RGB[:, :20, :30], name="small.tif")
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK="NO"), rasterio.open(small, "r+") as file:
        file.write_mask(np.ones((20, 30), bool))
    shutil.move(beside(small), beside(masked))
    with pytest.raises(SceneError, match="has 20 x 30 pixels; the scene has 60 x 80; fetch"):
        opened(masked)


@pytest.mark.parametrize("kind", ["pipe", "link to a device"])
def test_a_mask_that_never_ends_is_not_waited_for(masked: Path, kind: str) -> None:
    beside(masked).unlink()
    if kind == "pipe":
        os.mkfifo(beside(masked))
    else:
        beside(masked).symlink_to("/dev/zero")
    with pytest.raises(SceneError, match="beside it is no regular file; remove that"):
        opened(masked)


@pytest.mark.parametrize("suffix", [".tfw", ".TFW", ".tifw", ".wld"])
def test_a_world_file_that_never_ends_is_not_waited_for(
    geotiff: Callable[..., Path], suffix: str
) -> None:
    path = geotiff(RGB, transform=None)
    os.mkfifo(path.with_suffix(suffix))
    with pytest.raises(SceneError, match=rf"{suffix} beside it is no regular file; remove that"):
        opened(path)


@pytest.mark.parametrize("suffix", [".pgw", ".pngw", ".wld", ".png.msk"])
def test_nor_beside_an_image(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(RGB[0]).save(path)
    os.mkfifo(tmp_path / f"a{suffix}")
    with pytest.raises(SceneError, match="beside it is no regular file; remove that"):
        open_scene(SceneRef(kind="image", href=str(path)))


@pytest.mark.parametrize("suffix", [".tfw", ".TFW"])
def test_a_world_file_is_part_of_the_fingerprint(geotiff: Callable[..., Path], suffix: str) -> None:
    path = geotiff(RGB, transform=None)
    seen = set()
    for left in (500_000, 600_000):
        path.with_suffix(suffix).write_text(f"0.5\n0\n0\n-0.5\n{left}.25\n5499999.75\n")
        info = opened(path)
        assert info.georef is not None
        assert info.georef.transform == (0.5, 0, left, 0, -0.5, 5_500_000)
        seen.add(info.fingerprint)
    assert len(seen) == 2


def test_a_name_as_long_as_a_file_may_have_leaves_no_room_for_a_mask(
    geotiff: Callable[..., Path],
) -> None:
    assert opened(geotiff(RGB, name="n" * 251 + ".tif")).height == 60


@pytest.mark.parametrize("what", ["folder", "text", "image without a mask"])
def test_what_is_no_mask_is_ignored_with_a_warning(
    masked: Path, geotiff: Callable[..., Path], what: str
) -> None:
    beside(masked).unlink()
    match what:
        case "folder":
            beside(masked).mkdir()
        case "text":
            beside(masked).write_text("no mask")
        case _:
            shutil.move(geotiff(RGB, name="other.tif"), beside(masked))
    assert "the .msk file beside it is not a mask of it, and is ignored" in opened(masked).warnings


@pytest.mark.parametrize("suffix", [".tif.msk", ".tfw"])
def test_terabytes_beside_a_scene_are_not_read(masked: Path, suffix: str) -> None:
    with masked.with_suffix(suffix).open("wb") as file:
        file.truncate(TERABYTE)
    assert content_digest(str(masked)).startswith("sha256:")
    assert opened(masked).height == 60


@pytest.mark.parametrize("kept", [8, None])
def test_terabytes_of_holes_behind_a_small_image_are_not_read(
    geotiff: Callable[..., Path], kept: int | None
) -> None:
    path = geotiff(RGB)
    path.write_bytes(path.read_bytes()[:kept])
    os.truncate(path, TERABYTE)
    with pytest.raises(SceneError, match=r"claims 0 entries|takes 1000\.0 GB, of which its images"):
        opened(path)
