"""What all tests share."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import is_hypothesis_test, settings

from pipeline.gdal.environment import isolate_environment
from tests.postgres import _postgis, postgis, postgres

__all__ = ["_postgis", "postgis", "postgres"]  # fixtures

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"

# Processes that tests start are faster where libraries stay compiled.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Before pyproj is loaded, which keeps the folder of the user's grids.
isolate_environment()

# No deadline: the first example compiles. On CI every run draws the same examples, so that
# a red run says something about the change.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files with slow tests first, servers of workflows before all: none is left at the end.

    Files are handed out whole and in this order (``--dist loadfile --no-loadscope-reorder``).
    """
    for item in items:
        if is_hypothesis_test(getattr(item, "obj", None)):
            item.add_marker("law")
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in slow, item.path.parent.name != "workflows"))


@pytest.fixture(autouse=True)
def _guarded() -> None:
    from pipeline.gdal.raster_guard import install_guard

    install_guard()


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return ``../shared/data``; the test is skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("../shared/data is not here")
    return SHARED


class _Durations:
    """Writes how long each test took, longest first, to ``.durations.txt``."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seconds: dict[str, float] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid] = self._seconds.get(report.nodeid, 0) + report.duration

    def pytest_sessionfinish(self) -> None:
        rows = sorted(self._seconds.items(), key=lambda row: (-row[1], row[0]))
        self._file.write_text("".join(f"{seconds:.2f} {name}\n" for name, seconds in rows))


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        config.pluginmanager.register(_Durations(config.rootpath / ".durations.txt"))
