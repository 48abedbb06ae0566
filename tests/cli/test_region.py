"""``overtile region``: exit codes, JSON on standard output, nothing heavy to plan."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from pipeline.mapping.lock import lock_folder
from tests.regions.places import town


def _overtile(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline.cli.__main__", "region", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)


def test_plan_run_and_status_tell_in_json_and_lines(tmp_path: Path) -> None:
    file = str(town(tmp_path, scenes=1))
    assert json.loads(_overtile("plan", file).stdout)["counts"] == {"map": 1}
    assert not (tmp_path / "out").exists()
    done = _overtile("run", file)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["mapped"] == 1
    assert json.loads(_overtile("status", file, "--json").stdout)["scenes"] == {"done": 1}
    assert "1 done" in _overtile("status", file).stdout
    assert _overtile("changes", file, "--out", str(tmp_path / "c")).returncode == 2


def test_a_region_that_is_held_ends_with_75_and_a_bad_file_with_2(tmp_path: Path) -> None:
    file = town(tmp_path, scenes=1)
    with lock_folder(tmp_path / "out"):
        held = _overtile("run", str(file))
    assert held.returncode == 75
    assert "since" in held.stderr
    file.write_text("name: town\n")
    bad = _overtile("plan", str(file))
    assert (bad.returncode, bad.stdout) == (2, "")
    assert "sources" in bad.stderr


def test_planning_loads_neither_torch_nor_dask(tmp_path: Path) -> None:
    file = town(tmp_path, scenes=1)
    code = (
        "import sys; from pathlib import Path\n"
        "from pipeline.regions.plan import plan_summary\n"
        "from pipeline.regions.resolved_region import resolve_region\n"
        f"plan_summary(resolve_region(Path({str(file)!r})), now=0.0)\n"
        "print([name for name in ('torch', 'dask', 'distributed') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=200
    )
    assert done.stdout.strip() == "[]"
