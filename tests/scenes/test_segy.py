"""Slices of a volume: amplitudes as they were written, in every direction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import segyio

from pipeline.core.window import Window
from pipeline.errors import SceneError
from pipeline.scenes.open import open_scene
from pipeline.scenes.scene import SceneRef
from pipeline.scenes.seismic.segy import slices

SEISMIC = Path(__file__).resolve().parents[2].parent / "shared/data/seismic"
CUBE = np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)


@pytest.fixture
def volume(tmp_path: Path) -> str:
    """Return a volume of 4 inlines, 5 crosslines and 6 samples."""
    path = str(tmp_path / "volume.sgy")
    segyio.tools.from_array3D(path, CUBE)
    return path


def amplitudes(ref: SceneRef) -> np.ndarray:
    """Return a whole slice."""
    scene = open_scene(ref)
    whole = Window(row=0, col=0, height=scene.info.height, width=scene.info.width)
    pixels, valid = scene.read(whole, (1,))
    assert pixels.dtype == np.float32
    assert valid.all()
    return pixels[0, :, :]


def test_slices_are_the_volume_cut_open(volume: str) -> None:
    for number, ref in enumerate(slices(volume)):
        np.testing.assert_array_equal(amplitudes(ref), CUBE[number].T)
    for number, ref in enumerate(slices(volume, "crossline")):
        np.testing.assert_array_equal(amplitudes(ref), CUBE[:, number].T)
    for number, ref in enumerate(slices(volume, "time")):
        np.testing.assert_array_equal(amplitudes(ref), CUBE[:, :, number].T)
    (ref,) = slices(volume, "section")
    np.testing.assert_array_equal(amplitudes(ref), CUBE.reshape(20, 6).T)


def test_slices_of_one_volume_have_fingerprints_of_their_own(volume: str) -> None:
    found = [open_scene(ref).info for ref in slices(volume)]
    assert len({info.fingerprint for info in found}) == 4
    assert found[0].bands[0].name == "amplitude"
    assert found[0].georef is None


def test_a_slice_that_is_not_there_is_refused(volume: str) -> None:
    options = (("direction", "inline"), ("number", "77"))
    with pytest.raises(SceneError, match="no inline 77"):
        open_scene(SceneRef(kind="segy", href=volume, options=options))
    with pytest.raises(SceneError, match="no direction"):
        slices(volume, "diagonal")


@pytest.mark.parametrize("size", [0, 100, 3600, 3700, -1, -300])
def test_a_volume_cut_anywhere_is_refused(size: int, volume: str) -> None:
    content = Path(volume).read_bytes()
    Path(volume).write_bytes(content[:size])
    with pytest.raises(SceneError, match=r"volume\.sgy"):
        slices(volume)


def test_a_format_that_does_not_exist_is_refused(volume: str) -> None:
    content = bytearray(Path(volume).read_bytes())
    content[3224:3226] = (99).to_bytes(2, "big")
    Path(volume).write_bytes(content)
    with pytest.raises(SceneError, match="format 99"):
        slices(volume)


def test_traces_without_geometry_are_refused_and_make_a_section(volume: str) -> None:
    with segyio.open(volume, "r+", ignore_geometry=True) as file:
        for trace in range(file.tracecount):
            file.header[trace] = {segyio.TraceField.INLINE_3D: 1, segyio.TraceField.CROSSLINE_3D: 1}
    with pytest.raises(SceneError, match="not a volume sorted") as caught:
        slices(volume)
    assert "section" in caught.value.hint
    assert len(slices(volume, "section")) == 1


def test_samples_that_are_not_finite_are_invalid(tmp_path: Path) -> None:
    path = str(tmp_path / "volume.sgy")
    cube = CUBE.copy()
    cube[0, 1, 2] = np.nan
    segyio.tools.from_array3D(path, cube)
    scene = open_scene(slices(path)[0])
    _, valid = scene.read(Window(row=0, col=0, height=6, width=5), (1,))
    np.testing.assert_array_equal(valid, np.isfinite(cube[0].T))


@pytest.mark.data
@pytest.mark.skipif(not SEISMIC.is_dir(), reason="../shared/data/seismic is not here")
def test_the_two_small_files_are_read_or_refused() -> None:
    refs = slices(str(SEISMIC / "f3.sgy"))
    assert dict(refs[0].options)["name"] == "f3_inline_111"
    assert len(refs) == 23
    assert amplitudes(refs[0]).shape == (75, 18)
    with pytest.raises(SceneError, match="viking_small"):
        slices(str(SEISMIC / "viking_small.segy"))
    (section,) = slices(str(SEISMIC / "viking_small.segy"), "section")
    assert amplitudes(section).shape == (600, 480)
