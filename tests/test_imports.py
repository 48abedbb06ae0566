"""What is loaded when: help is quick, the core is light, and a stray file changes nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "torch", "torchvision", "torchgeo", "lightning", "segmentation_models_pytorch",
    "dask", "distributed",
}  # fmt: skip
# PyYAML is not among them: numba loads it for itself.
OF_THE_EDGE = HEAVY | {"pydantic", "typer", "click", "rasterio", "rich"}

HELP = """
import contextlib, io, json, sys
from pipeline.cli.__main__ import app
with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.suppress(SystemExit):
    app(json.loads(sys.argv[1]))
print(json.dumps([shown.getvalue(), sorted({name.split(".")[0] for name in sys.modules})]))
"""
CORE = """
import importlib, json, pkgutil, sys
import pipeline.core
for module in pkgutil.walk_packages(pipeline.core.__path__, "pipeline.core."):
    importlib.import_module(module.name)
print(json.dumps(["", sorted({name.split(".")[0] for name in sys.modules})]))
"""


def _loaded(code: str, *arguments: str, cwd: Path) -> tuple[str, set[str]]:
    root = Path(__file__).resolve().parents[1]
    run = subprocess.run(
        [
            sys.executable,
            "-P",
            "-c",
            f"import sys; sys.path.append({str(root)!r})\n{code}",
            *arguments,
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd=cwd,
        timeout=200,
    )
    shown, modules = json.loads(run.stdout)
    return shown, set(modules)


@pytest.mark.parametrize("command", [[], ["map"], ["evaluate"], ["models"], ["check"], ["demo"]])
def test_help_loads_neither_torch_nor_dask(command: list[str], tmp_path: Path) -> None:
    shown, modules = _loaded(HELP, json.dumps([*command, "--help"]), cwd=tmp_path)
    assert "Usage" in shown
    assert not modules & HEAVY


def test_the_core_loads_nothing_of_the_edge(tmp_path: Path) -> None:
    _, modules = _loaded(CORE, cwd=tmp_path)
    assert not modules & OF_THE_EDGE


def test_a_stray_pipeline_file_in_the_folder_is_not_imported(tmp_path: Path) -> None:
    for name in ("pipeline", "torch", "config"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the stray file was imported')\n")
    command = Path(sys.executable).with_name("overtile")
    if not command.is_file():
        pytest.skip("the command is not installed here")
    run = subprocess.run(
        [command, "models", "list"],
        capture_output=True, text=True, cwd=tmp_path, timeout=200, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "threshold" in run.stdout
