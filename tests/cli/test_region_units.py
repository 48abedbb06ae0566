"""``overtile region units``: printed, or written as files."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from pipeline.cli.__main__ import app
from tests.regions.places import town

SCHEDULE = "schedule: {cron: '30 2 * * 1', timezone: Asia/Kathmandu}\n"


def _units(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["region", "units", *map(str, arguments)])
    return done.exit_code, done.stdout, done.stderr


def test_units_are_printed_with_whole_paths(tmp_path: Path) -> None:
    file = town(tmp_path, scenes=1, text=SCHEDULE)
    code, told, _ = _units(file, "--root", tmp_path)
    assert code == 0
    assert "# overtile-town.service\n[Unit]" in told
    assert "# overtile-town.timer\n[Unit]" in told
    assert f'"region" "run" "{file}" "--root" "{tmp_path}"' in told
    code, told, _ = _units(file, "--kind", "cron")
    assert code == 0
    assert "CRON_TZ=Asia/Kathmandu\n30 2 * * 1 /" in told


def test_units_are_written_as_files(tmp_path: Path) -> None:
    file, out = town(tmp_path, scenes=1, text=SCHEDULE), tmp_path / "units"
    out.mkdir()
    code, told, _ = _units(file, "--out", out)
    assert code == 0
    assert sorted(told.split()) == sorted(map(str, out.iterdir()))
    assert _units(file, "--out", out / "missing")[0] == 1
    assert _units(file, "--kind", "cron", "--out", out)[0] == 2


def test_a_region_without_a_schedule_has_no_units(tmp_path: Path) -> None:
    code, told, why = _units(town(tmp_path, scenes=1))
    assert (code, told) == (2, "")
    assert "region town has no schedule" in why
