"""The job script on a SLURM that is started here: the bytes of a serial run, from two nodes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workflows.clusters import (
    PATIENCE_S,
    WORKFLOWS,
    asked,
    compare,
    processes,
    surroundings,
    until,
)  # fmt: skip
from tests.workflows.environments import ROOT
from tests.workflows.slurm import MISSING, slurm

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(bool(MISSING), reason=f"SLURM is not installed: {', '.join(MISSING)}"),
]


@pytest.fixture(scope="module")
def conf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with slurm(tmp_path_factory.mktemp("slurm")) as found:
        yield found


def _submit(*arguments: str, conf: Path, folder: Path, options: tuple[str, ...]) -> str:
    """Run the job script to its end; return what it said, with its exit code."""
    (folder / "tmp").mkdir()
    where = surroundings(SLURM_CONF=str(conf), TMPDIR=str(folder / "tmp"))
    said = folder / "said"
    submit = ("sbatch", "--wait", f"--output={said}", *options, str(WORKFLOWS / "slurm.sh"))
    done = subprocess.run(
        [*submit, *arguments], cwd=ROOT, env=where, check=False, timeout=4 * PATIENCE_S,
        capture_output=True, text=True,
    )  # fmt: skip
    told = said.read_text() if said.exists() else done.stderr
    return f"exit code {done.returncode}\n{told}"


def test_a_job_on_two_nodes_has_the_bytes_of_a_serial_run(tmp_path: Path, conf: Path) -> None:
    options = ("--nodes=2", "--cpus-per-task=1")
    told = _submit(*asked(tmp_path), conf=conf, folder=tmp_path, options=options)
    assert told.startswith("exit code 0\n"), told
    compare(tmp_path, workers=2)
    until(lambda: not processes(str(tmp_path)), told=lambda: str(processes(str(tmp_path))))
    until(lambda: not any((tmp_path / "tmp").glob("tmp.*")), told=lambda: "keys are still there")


def test_a_job_that_finds_no_overtile_says_so(tmp_path: Path, conf: Path) -> None:
    options = ("--cpus-per-task=1", "--export=ALL,BIN=/nowhere")
    told = _submit("models", "list", conf=conf, folder=tmp_path, options=options)
    assert told.startswith("exit code 2\n")
    assert "BIN=/nowhere holds no overtile; make setup, or name the folder that does" in told
