"""Another user, no HOME, an installation that is root's: commands run as ever.

The processes are fresh ones of user 1000. Where that user may not even reach the interpreter
(below ``/root``), they get the right to read everything, and no right to write.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mapping.scenery import blobs, write_scene
from tests.regions.places import town

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may start a process as somebody else"),
]

USER = 1000
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def stranger() -> list[str]:
    """Return what starts a command as user 1000."""
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not here")
    plain = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
    reads = [f"--{kind}-caps=-all,+dac_read_search" for kind in ("inh", "ambient")]
    for command in (plain, [*plain, *reads]):
        tried = [*command, sys.executable, "-c", "import pipeline.errors"]
        if not subprocess.run(tried, cwd="/", capture_output=True, check=False).returncode:
            return command
    pytest.skip(f"user {USER} can run neither {sys.executable} nor the package")


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """Return a folder that user 1000 owns, with a scene, a region and a folder for caches."""
    # Not below pytest's folder, which is closed to everybody else.
    with tempfile.TemporaryDirectory() as kept:
        root = Path(kept)
        write_scene(root / "s.tif", blobs(4, height=100, width=100)[None])
        town(root / "town", scenes=1)
        (root / "tmp").mkdir()
        for path in (root, *root.rglob("*")):
            os.chown(path, USER, USER)
        (root / "tmp").chmod(0o1777)
        yield root


def _run(
    stranger: list[str], place: Path, home: str | None, *arguments: str
) -> subprocess.CompletedProcess[str]:
    unset = {"HOME", "USER", "LOGNAME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR"}
    known = {name: value for name, value in os.environ.items() if name not in unset}
    # Hardly optimised, they compile in half the time.
    known |= {"TMPDIR": str(place / "tmp"), "NUMBA_OPT": "0"}
    return subprocess.run(
        [*stranger, sys.executable, *arguments],
        cwd=place,
        env=known if home is None else known | {"HOME": home},
        capture_output=True,
        text=True,
        check=False,
    )


COMMANDS = [
    ("/", "map s.tif --out out --task bright --device cpu --executor serial"),
    (None, "evaluate out/s --truth out/s/polygons.geojson --out report"),
    ("/missing/home", "region run town/region.yaml"),
    ("/root", "region status town/region.yaml --json"),
    ("", "check out/s"),
]


def test_commands_run_where_home_cannot_be_written(stranger: list[str], place: Path) -> None:
    for home, command in COMMANDS:
        ended = _run(stranger, place, home, "-m", "pipeline.cli", *command.split())
        assert ended.returncode == 0, (home, command, ended.stderr)
        assert "Traceback" not in ended.stderr
        assert "cannot cache" not in ended.stderr
        json.loads(ended.stdout)
    kept = place / "tmp" / f"overtile-{USER}"
    assert (kept.stat().st_uid, stat.S_IMODE(kept.stat().st_mode)) == (USER, 0o700)
    assert [*kept.rglob("*.nbi")]
    assert {path.name for path in place.iterdir()} == {"s.tif", "town", "tmp", "out", "report"}
    assert not Path("/.cache").exists()


LOOP = """
from pipeline.core.compiled import _is_kept, compiled

@compiled
def twice(value):
    return 2 * value

print(_is_kept(), twice(21))
"""


def test_where_nothing_can_be_kept_loops_are_compiled_again(
    stranger: list[str], place: Path
) -> None:
    # Somebody else was there first.
    planted = place / "tmp" / f"overtile-{USER}"
    shutil.rmtree(planted, ignore_errors=True)
    planted.mkdir(mode=0o777)
    planted.chmod(0o777)
    (place / "loop.py").write_text(f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{LOOP}")
    ended = _run(stranger, place, "/", "loop.py")
    assert (ended.stdout, ended.stderr) == ("False 42\n", "")
    assert list(planted.iterdir()) == []
