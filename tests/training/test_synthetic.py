"""Made scenes as places: made once, the same ever after."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.training.config import SyntheticConfig
from pipeline.training.data.synthetic import synthetic_places


def test_a_kept_scene_is_the_made_one(tmp_path: Path) -> None:
    config = SyntheticConfig(share=0.2, first_seed=1000, count=1, size=256, pixel_size_m=(0.3, 0.3))
    (fresh,) = synthetic_places(config, cache=tmp_path, sigma=4.0)
    (path,) = tmp_path.iterdir()
    written = path.stat().st_mtime_ns
    (kept,) = synthetic_places(config, cache=tmp_path, sigma=4.0)
    assert path.stat().st_mtime_ns == written
    for one, other in zip(fresh.levels, kept.levels, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.instances, other.instances)
        np.testing.assert_array_equal(one.contact, other.contact)
    assert [round(level.pixel_size_m, 2) for level in kept.levels] == [0.3, 0.6]


def test_the_demo_seed_cannot_be_trained_on() -> None:
    with pytest.raises(ValidationError, match="first_seed"):
        SyntheticConfig(share=0.2, first_seed=7, count=1, size=256)
