"""Dagster's daemon really maps a region: a partition a scene, asked for once by our key."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from pipeline.mapping.lock import lock_folder
from pipeline.regions.ledger.ledger import open_ledger
from pipeline.regions.plan import plan_summary
from tests.regions.places import site_of, town
from tests.workflows.environments import ROOT, environment, surroundings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
SCHEDULE = "schedule: {cron: '30 2 * * 1', timezone: Asia/Kathmandu}\n"
PATIENT = {
    "DAGSTER_GRPC_TIMEOUT_SECONDS": "600",
    "DAGSTER_REPOSITORY_GRPC_TIMEOUT_SECONDS": "600",
    "DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS": "600",
}
"""Dagster gives a busy machine a minute to begin a run."""


def _statuses(home: Path) -> list[str]:
    file = home / "history" / "runs.db"
    if not file.is_file():
        return []
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=20) as database:
        try:
            return [status for (status,) in database.execute("SELECT status FROM runs")]
        except sqlite3.OperationalError:
            return []  # tables are being made


def _asked(log: Path) -> bool:
    """Return whether the daemon has been through its queue, and a run found the region held."""
    told = log.read_text()
    return "Launched " in told and "STEP_UP_FOR_RETRY" in told


def test_the_daemon_maps_each_scene_once_and_the_layer_follows(tmp_path: Path) -> None:
    programs = environment("dagster")
    file = town(tmp_path / "town", scenes=2, text=SCHEDULE)
    planned = plan_summary(site_of(file), now=0.0)["scenes"]
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(ROOT / "workflows" / "dagster.yaml", home)
    where = surroundings(DAGSTER_HOME=str(home), OVERTILE_REGION=str(file), **PATIENT)
    command = [str(programs / "dagster-daemon"), "run", "-m", "workflows.dagster_region"]
    with (
        (tmp_path / "daemon.log").open("w+") as log,
        subprocess.Popen(command, cwd=ROOT, env=where, stdout=log, stderr=log) as daemon,
    ):
        try:
            end = time.monotonic() + 1000
            with lock_folder(file.parent / "out"):  # as a run by hand does
                while not _asked(tmp_path / "daemon.log") and time.monotonic() < end:
                    assert daemon.poll() is None, (tmp_path / "daemon.log").read_text()
                    time.sleep(0.5)
                assert sorted(_statuses(home)) == ["QUEUED", "STARTED"], "one run at a time"
            while sorted(_statuses(home)) != ["SUCCESS"] * 2 and time.monotonic() < end:
                assert daemon.poll() is None, (tmp_path / "daemon.log").read_text()
                assert "FAILURE" not in _statuses(home), (tmp_path / "daemon.log").read_text()
                time.sleep(0.5)
        finally:
            daemon.send_signal(signal.SIGINT)
            daemon.wait(60)
    looked = subprocess.run(
        [programs / "python", "-m", "tests.workflows.look_dagster"],
        cwd=ROOT, env=where, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert looked.returncode == 0, looked.stderr
    found = json.loads(looked.stdout)
    assert found["runs"] == sorted(
        [one["scene"], f"{one['key']}-0-{one['scene']}", "SUCCESS"] for one in planned
    )
    assert found["partitions"] == sorted(one["scene"] for one in planned)
    (_, first_ended), (second_began, _) = found["times"]
    assert first_ended <= second_began, "one run of a region at a time, from the first look on"
    assert (found["due"], found["layer"], found["waits"]) == (0, True, True)
    ledger = open_ledger(file.parent / "out", region="town")
    (run,) = ledger.runs()
    ledger.close()
    assert (run.state, run.mapped, run.layer) == ("done", 0, "runs/000001")
