"""The fake: an array that keeps the promises of a scene."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import SceneError
from pipeline.scenes.memory import MemoryScene, kept_scene
from pipeline.scenes.scene import SceneRef


def test_bands_are_called_as_usual_unless_named() -> None:
    def titles(count: int, *given: str) -> list[str]:
        scene = MemoryScene(np.zeros((count, 2, 2), np.uint8), bands=given)
        return [band.name for band in scene.info.bands]

    assert titles(1) == ["gray"]
    assert titles(3) == ["red", "green", "blue"]
    assert titles(2) == ["band_1", "band_2"]
    assert titles(2, "nir", "red") == ["nir", "red"]


def test_what_is_kept_is_recalled_and_nothing_else() -> None:
    scene = MemoryScene(np.zeros((1, 2, 2), np.uint8), name="kept")
    assert kept_scene(scene.keep()) is scene
    with pytest.raises(SceneError, match="another process"):
        kept_scene(SceneRef(kind="memory", href="kept:never"))


def test_other_pixels_or_validity_make_another_fingerprint() -> None:
    pixels = np.zeros((1, 2, 2), np.uint8)
    valid = np.array([[True, False], [True, True]])
    found = {
        MemoryScene(pixels).info.fingerprint,
        MemoryScene(pixels + 1).info.fingerprint,
        MemoryScene(pixels, valid=valid).info.fingerprint,
        MemoryScene(pixels.astype(np.uint16)).info.fingerprint,
        MemoryScene(pixels.reshape(1, 1, 4)).info.fingerprint,
    }
    assert len(found) == 5
