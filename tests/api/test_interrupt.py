"""Interrupts and deaths: the child stops in order, nothing is left, the same call goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import overtile
from pipeline.api.child_process.call import _error, _interpreter, call
from pipeline.api.child_process.serve import described
from tests.api.conftest import QUICK, Write

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import sys, overtile
overtile.map(sys.argv[1], sys.argv[2], task="bright", progress=print,
             options={"device": "cpu", "executor": "serial", "tile": 16})
"""


def _tiles(folder: Path) -> list[Path]:
    return list(folder.glob(".work/*/tiles/*"))


@pytest.mark.slow
def test_an_interrupted_call_goes_on_in_its_temporary_folder(write_scene: Write) -> None:
    scene = write_scene("large", size=(256, 256))
    folders: list[Path] = []

    def stop(line: str) -> None:
        if "%" in line:
            raise KeyboardInterrupt

    before = set(Path(os.environ.get("TMPDIR", "/tmp")).glob("overtile-*"))
    with pytest.raises(KeyboardInterrupt):
        overtile.map(scene, task="bright", options=QUICK, progress=stop)
    folders = [
        path
        for path in Path(os.environ.get("TMPDIR", "/tmp")).glob("overtile-*")
        if path not in before and _tiles(path)
    ]
    result = overtile.map(scene, task="bright", options=QUICK, progress=None)
    assert result.folder in folders
    assert '"reused": true' in result[0].file("log.jsonl").read_text()
    assert len(result.polygons) == 1


def _started(scene: Path, out: Path, folder: Path) -> subprocess.Popen[str]:
    """Start a script in a folder with a space, and return once tiles are mapped."""
    script = folder / "my script.py"
    script.write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, str(script), str(scene), str(out)],
        env={**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"},
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    until = time.monotonic() + 60
    while not _tiles(out) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    assert _tiles(out), process.communicate()
    return process


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(one) for one in text.split()]


def _ended(pid: int, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_child_ends_with_its_caller(
    number: signal.Signals, write_scene: Write, tmp_path: Path
) -> None:
    scene, out = write_scene("long", size=(1024, 1024)), tmp_path / "out put"
    (tmp_path / "my folder").mkdir()
    process = _started(scene, out, tmp_path / "my folder")
    (child,) = _children(process.pid)
    os.kill(process.pid, number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -number
    assert ("KeyboardInterrupt" in errors) == (number == signal.SIGINT)
    assert _ended(child, 30)
    assert not (out / "long").exists()


def test_a_child_that_is_killed_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    # It cannot find the package.
    monkeypatch.setattr(
        "pipeline.api.child_process.call._command",
        lambda: [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"],
    )
    with pytest.raises(overtile.PipelineError, match="SIGKILL"):
        call("map_scenes", {})


@pytest.mark.parametrize(
    "error",
    [
        overtile.ConfigError("a"),
        overtile.SceneError("a.tif", "broken", "mend it"),
        overtile.LockedError("out", "process 3"),
        overtile.ClusterError("lost"),
        PermissionError(13, "not one of ours"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_keep_their_class_and_text(error: Exception) -> None:
    found = _error(json.loads(json.dumps(described(error, redact=str))))
    if isinstance(error, overtile.PipelineError):
        assert type(found) is type(error)
        assert (str(found), found.args) == (str(error), error.args)
    else:
        assert isinstance(found, RuntimeError)
        assert "not one of ours" in str(found)


def test_errors_of_a_subclass_are_those_of_its_base() -> None:
    class Special(overtile.ModelError):
        """An error of a module."""

    found = _error(described(Special("weights"), redact=str.upper))
    assert type(found) is overtile.ModelError
    assert str(found) == "WEIGHTS"


def test_an_embedded_python_starts_that_of_its_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", "/usr/bin/true")
    assert _interpreter() == f"{sys.prefix}/bin/python3"
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    with pytest.raises(overtile.ConfigError, match="no Python interpreter"):
        _interpreter()


def test_faults_of_the_child_show_their_traceback() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)KeyError.*Traceback.*no_such_function"):
        call("no_such_function", {})


def test_python_m_pipeline_is_the_command(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-P", "-m", "pipeline", "models", "show", "threshold"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert '"name": "threshold"' in run.stdout


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_cell_that_is_stopped_goes_on(
    write_scene: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = pytest.importorskip("jupyter_client.manager")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    scene, out = write_scene("cell", size=(768, 768)), tmp_path / "out"
    code = (
        f"import overtile\nresults = overtile.map({str(scene)!r}, {str(out)!r}, task='bright', "
        "options={'device': 'cpu', 'executor': 'serial', 'tile': 16})\nresults[0].state"
    )
    kernels, client = manager.start_new_kernel(kernel_name="python3", cwd=str(tmp_path))
    try:
        message = client.execute(code)
        until = time.monotonic() + 90
        while not _tiles(out) and time.monotonic() < until:
            time.sleep(0.02)
        kernels.interrupt_kernel()
        reply = client.get_shell_msg(timeout=60)
        assert reply["parent_header"]["msg_id"] == message
        assert reply["content"]["ename"] == "KeyboardInterrupt"
        mapped = len(_tiles(out))
        assert mapped
        reply = client.execute_interactive(code, timeout=200, output_hook=lambda _: None)
        assert reply["content"]["status"] == "ok"
        assert (out / "cell" / "log.jsonl").read_text().count('"reused": true') >= mapped
    finally:
        client.stop_channels()
        kernels.shutdown_kernel(now=True)
