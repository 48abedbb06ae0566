"""A scene of 35 tiles, and what an undisturbed run makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mapping.scenery import blobs, contents, run, write_scene


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("scene")
    return write_scene(place / "s.tif", blobs(4, height=300, width=400)[None])


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, scene: Path) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("undisturbed")
    run(scene, out, tile=64)
    return contents(out / "s")
