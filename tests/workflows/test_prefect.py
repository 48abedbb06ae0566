"""Prefect really serves a region's deployment and runs its flow, which leaves the rest to us."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from pipeline.regions.ledger.ledger import open_ledger
from pipeline.regions.ledger.lock import lock_region_folder
from tests.regions.places import town
from tests.workflows.clusters import PATIENCE_S, answers, daemon, free_port, processes, until
from tests.workflows.environments import ROOT, environment, surroundings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
SCHEDULE = "schedule: {cron: '30 2 * * 1', timezone: Asia/Kathmandu}\n"
QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
    "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
    "PREFECT_SERVER_UI_ENABLED": "false",
    "PREFECT_RUNNER_POLL_FREQUENCY": "1",
}


def _flow(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Run the flow; return the state that it ends with."""
    assert process.stdin
    assert process.stdout
    process.stdin.write("again\n")
    process.stdin.flush()
    return dict(json.loads(process.stdout.readline()))


def test_a_served_region_is_mapped_once_and_a_locked_one_is_skipped(tmp_path: Path) -> None:
    programs = environment("prefect")
    file = town(tmp_path / "town", scenes=2, text=SCHEDULE)
    port = free_port()
    home = {"PREFECT_HOME": str(tmp_path / "home"), "HOME": str(tmp_path)}
    where = surroundings(PREFECT_API_URL=f"http://127.0.0.1:{port}/api", **home, **QUIET)
    logs = (tmp_path / "server.log", tmp_path / "serve.log")
    server = ("server", "start", "--host", "127.0.0.1", "--port", str(port))
    python = programs / "python"
    with ExitStack() as stack:
        stack.enter_context(daemon(programs / "prefect", *server, log=logs[0], env=where))
        until(lambda: answers(port), told=logs[0].read_text)
        serve = (python, "-m", "workflows.prefect_region", file)
        stack.enter_context(daemon(*serve, log=logs[1], env=where))
        looking = stack.enter_context(
            subprocess.Popen(
                [python, "-m", "tests.workflows.look_prefect", file, str(PATIENCE_S)],
                cwd=ROOT, env=where, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )
        )  # fmt: skip
        assert looking.stdin
        assert looking.stdout
        told = looking.stdout.readline()
        assert told, "\n".join(log.read_text() for log in logs)
        assert json.loads(told) == {
            "deployment": "town", "cron": "30 2 * * 1", "timezone": "Asia/Kathmandu",
            "active": True, "type": "COMPLETED", "name": "Completed",
            "message": "run 1, mapped 2, linked 0, unchanged 0",
        }, logs[1].read_text()  # fmt: skip
        assert _flow(looking) == {
            "type": "COMPLETED",
            "name": "Completed",
            "message": "run 2, mapped 0, linked 0, unchanged 2",
        }
        with lock_region_folder(file.parent / "out"):
            state = _flow(looking)
        assert (state["type"], state["name"]) == ("COMPLETED", "Skipped")
        assert f"process {os.getpid()} on" in state["message"]
        file.write_text(file.read_text("utf-8").replace("bright", "dark"), "utf-8")
        state = _flow(looking)
        assert (state["type"], state["message"][:13]) == ("FAILED", "exit code 2: ")
        looking.stdin.close()
        assert json.loads(looking.stdout.readline())["tries"] == [1, 1, 1, 1]
    with closing(open_ledger(file.parent / "out", region="town")) as ledger:
        assert [(run.state, run.mapped) for run in ledger.runs()] == [("done", 2), ("done", 0)]
    assert not processes(str(tmp_path / "home"))
