"""Workers are checked before their first job, late ones too; others do what a misfit may not."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster, get_worker

from pipeline.errors import ClusterError, ConfigError, ExportError
from pipeline.executors import admission
from pipeline.executors.dask import Dask
from pipeline.executors.environment import PACKAGES, differences, environment
from pipeline.executors.executor import Conditions
from pipeline.executors.in_flight import UncheckedWorker, _attempt
from pipeline.executors.workers import ClusterWorkers

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, protocol="tcp://",
        host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL,
    ) as made:  # fmt: skip
        yield made


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def executor(cluster: LocalCluster, told: list[str]) -> Iterator[Dask]:
    made = Dask.connect(cluster.scheduler_address, setup=_nothing, report=told.append)
    yield made
    made.close()


def _nothing() -> None:
    pass


def _only(names: frozenset[int]) -> str:
    name = get_worker().name
    return "" if name in names else f"threads 2 in worker {name}, expected 1"


def _fails() -> str:
    raise ExportError("/out could not be written: no rights")


def _who(_: int) -> int:
    time.sleep(0.02)
    return int(get_worker().name)


def late(cluster: LocalCluster, count: int) -> None:
    cluster.scale(count)
    with Client(cluster.scheduler_address, set_as_default=False) as client:
        client.wait_for_workers(count, timeout=60)


def test_a_late_worker_that_does_not_fit_is_named_and_does_nothing(
    cluster: LocalCluster, executor: Dask, told: list[str]
) -> None:
    executor.require(Conditions(check=partial(_only, frozenset({0}))))
    running = executor.run(_who, range(150))
    first = next(running)
    late(cluster, 2)
    outcomes = dict([first, *running])
    assert outcomes == dict.fromkeys(range(150), 0)
    (line,) = told
    assert "takes no tiles: threads 2 in worker 1, expected 1; start it like the others" in line
    assert cluster.workers[1].address in line


def test_a_late_worker_that_fits_takes_its_share(
    cluster: LocalCluster, executor: Dask, told: list[str]
) -> None:
    executor.require(Conditions(check=partial(_only, frozenset({0, 1}))))
    running = executor.run(_who, range(200))
    first = next(running)
    late(cluster, 2)
    assert {worker for _, worker in [first, *running]} == {0, 1}
    assert not told


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ({"overtile": "9.9.9 (code 123456789abc)"}, "overtile 9.9.9 (code 123456789abc), expected"),
        ({"numpy": "1.0.0"}, "numpy 1.0.0, expected"),
        ({"Python": "3.10"}, f"Python 3.10, expected {PYTHON}"),
    ],
)
def test_a_late_worker_with_other_versions_is_asked_nothing_of_ours(
    cluster: LocalCluster,
    executor: Dask,
    told: list[str],
    monkeypatch: pytest.MonkeyPatch,
    there: dict[str, str],
    expected: str,
) -> None:
    source = f"def environment():\n    return {environment() | there!r}\n"
    executor.require(Conditions(check=_nothing_wrong))
    running = executor.run(_who, range(150))
    first = next(running)
    monkeypatch.setattr(admission, "_script", lambda: source)
    late(cluster, 2)
    assert {worker for _, worker in [first, *running]} == {0}
    assert len(told) == 1
    assert expected in told[0]


def test_a_worker_whose_check_fails_is_refused_with_the_reason(
    executor: Dask, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _hurry(executor)
    executor.require(Conditions(check=_fails))
    with pytest.raises(ClusterError, match=r"no worker can do this run .*no rights"):
        list(executor.run(_who, range(3)))
    assert "takes no tiles: /out could not be written: no rights" in told[0]
    assert "waiting up to 0.2 s for another to join" in told[1]
    # Nor is one that cannot even be asked.
    monkeypatch.setattr(admission, "_script", lambda: "import no_such_module")
    executor.require(Conditions(check=_nothing_wrong))
    assert "its check failed: ModuleNotFoundError" in told[2]


def _nothing_wrong() -> str:
    return ""


def _hurry(executor: Dask) -> None:
    assert isinstance(executor._workers, ClusterWorkers)
    executor._workers._join_s = 0.2


def test_workers_that_are_retired_end_the_run_with_a_message(
    cluster: LocalCluster, executor: Dask
) -> None:
    _hurry(executor)
    running = executor.run(_who, range(500))
    next(running)
    with Client(cluster.scheduler_address, set_as_default=False) as client:
        cluster.sync(cluster.workers[0].close)
        with pytest.raises(ClusterError, match="no worker is left; no data was lost: start others"):
            list(running)
        assert not client.scheduler_info(n_workers=-1)["workers"]


def test_a_first_worker_with_other_versions_is_an_error_of_configuration(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = f"def environment():\n    return {environment() | {'overtile': '9.9.9'}!r}\n"
    monkeypatch.setattr(admission, "_script", lambda: source)
    with pytest.raises(ConfigError, match=r"workers cannot do this run: .*overtile 9\.9\.9, expec"):
        Dask.connect(cluster.scheduler_address, setup=_nothing)


def test_a_job_that_reaches_a_worker_nobody_checked_comes_back(
    executor: Dask,
) -> None:
    # As where another process has taken the address of the one that was checked.
    executor.require(Conditions(check=_nothing_wrong))
    running = executor.run(_who, range(60))
    outcomes: dict[int, Any] = dict([next(running)])
    admission._met.clear()
    outcomes |= dict(running)
    assert outcomes == dict.fromkeys(range(60), 0)
    # It was checked again.
    assert len(admission._met) == 1


def test_a_worker_that_was_not_checked_does_not_begin(cluster: LocalCluster) -> None:
    with Client(cluster.scheduler_address, set_as_default=False) as client:
        answer = client.submit(_attempt, _who, 1, ("topic", "token"), pure=False).result(30)
        assert answer == UncheckedWorker(worker=cluster.workers[0].address)


def test_versions_are_those_of_this_process() -> None:
    found = environment()
    assert found.keys() == {"Python", "machine", *PACKAGES}
    assert found["Python"] == PYTHON
    assert found["overtile"].startswith("0.1.0 (code ")
    assert differences(found, found) == ""
    assert differences({}, {"numpy": "2"}) == "numpy none, expected 2"


def test_the_script_needs_nothing_of_ours() -> None:
    space: dict[str, Callable[[], dict[str, str]]] = {}
    exec(admission._script(), space)
    assert space["environment"]() == environment()
    assert "pipeline." not in admission._script()


def test_other_code_under_the_same_version_is_another_version(tmp_path: Path) -> None:
    code = f"import json\n{admission._script()}\nprint(json.dumps(environment()))"

    def found(path: Path | None) -> str:
        known = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        known |= {} if path is None else {"PYTHONPATH": str(path)}
        done = subprocess.run(
            [sys.executable, "-Pc", code.replace("from __future__ import annotations\n", "")],
            env=known, capture_output=True, text=True, check=True, cwd=tmp_path,
        )  # fmt: skip
        return str(json.loads(done.stdout)["overtile"])

    assert found(None) == environment()["overtile"]
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "__init__.py").write_text("# another\n")
    other = found(tmp_path)
    assert other.startswith("0.1.0 (code ")
    assert other != environment()["overtile"]
