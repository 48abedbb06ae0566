"""The set that maps: the wheel in an environment of its own, without torch."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.mapping.scenery import write_scene

ROOT = Path(__file__).resolve().parents[1]
ABSENT = ("torch", "torchvision", "torchgeo", "lightning", "segmentation_models_pytorch", "onnx")

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command from another folder, with nothing of this environment."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRT"))
    }
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == code, done.stderr[-3000:]
    return done


@pytest.fixture(scope="module")
def binaries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of commands of an environment made from the lock and the wheel."""
    folder = tmp_path_factory.mktemp("small")
    build: list[str | Path] = [
        sys.executable,
        "-m",
        "hatchling",
        "build",
        "-t",
        "wheel",
        "-d",
        folder / "dist",
    ]
    run(*build, cwd=ROOT)
    (wheel,) = (folder / "dist").glob("*.whl")
    run(sys.executable, "-m", "venv", folder / "env", cwd=folder)
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or "uv"
    install: list[str | Path] = [
        uv,
        "pip",
        "install",
        "--quiet",
        "--compile-bytecode",
        "--python",
        folder / "env" / "bin" / "python",
    ]
    lock = ROOT / "requirements" / "map.lock"
    try:
        run(*install, "--require-hashes", "-r", lock, cwd=folder)
    except AssertionError as error:
        if any(text in str(error) for text in ("dns error", "Connection refused", "timed out")):
            pytest.skip("packages cannot be fetched here")
        raise
    run(*install, "--no-deps", wheel, cwd=folder)
    return folder / "env" / "bin"


def test_torch_is_not_there(binaries: Path, tmp_path: Path) -> None:
    code = f"from importlib.util import find_spec as f; print([n for n in {ABSENT} if f(n)])"
    assert run(binaries / "python", "-c", code, cwd=tmp_path).stdout.strip() == "[]"


def test_the_chain_runs_from_another_folder(binaries: Path, tmp_path: Path) -> None:
    overtile = binaries / "overtile"
    demo = json.loads(run(overtile, "demo", "--out", "demo", cwd=tmp_path).stdout)
    assert demo["f1"] > 0.8
    scene, truth = demo["truth"].replace(".geojson", ".tif"), demo["truth"]
    mapped = run(
        overtile, "map", scene, "--out", "out", "--truth", truth, "--device", "cpu", cwd=tmp_path
    )
    (row,) = json.loads(mapped.stdout)["scenes"]
    manifest = json.loads((tmp_path / "out" / "made_7" / "run.json").read_text())
    assert row["state"] == "done"
    assert manifest["engine"].startswith("openvino ")
    folder = tmp_path / "out" / "made_7"
    run(overtile, "check", folder, cwd=tmp_path)
    run(overtile, "evaluate", folder, "--truth", truth, "--out", "report", cwd=tmp_path)
    names = [
        row["name"] for row in json.loads(run(overtile, "models", "list", cwd=tmp_path).stdout)
    ]
    assert names == ["threshold", "buildings", "salt"]
    region = "name: town\ntask: buildings\nout: town\n"
    region += "sources:\n  - {type: files, path: demo/input}\n"
    (tmp_path / "town.yaml").write_text(region)
    ran = json.loads(run(overtile, "region", "run", "town.yaml", cwd=tmp_path).stdout)
    assert ran["state"] == "done"


def test_python_maps_too(binaries: Path, tmp_path: Path) -> None:
    code = (
        "import overtile, numpy as np, sys\n"
        "model = overtile.load_model('buildings')\n"
        "print(model.predict(np.zeros((3, 64, 96), np.uint8)).shape, 'torch' in sys.modules)"
    )
    assert run(binaries / "python", "-c", code, cwd=tmp_path).stdout.strip() == "(1, 64, 96) False"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("train", "c.yaml", "--out", "t"), "training needs: pip install 'overtile[train]'"),
        (("map", "s.tif", "--out", "o", "--device", "cuda"), "pip install 'overtile[gpu]'"),
        (("map", "s.tif", "--out", "o", "--device", "torch"), "pip install 'overtile[train]'"),
        (("map", "s.tif", "--out", "o", "--device", "onnxruntime"), "pip install 'overtile[ort]'"),
        (("models", "export", "buildings", "--out", "b.onnx"), "pip install 'overtile[train]'"),
    ],
)
def test_what_is_missing_is_named_with_the_line_to_type(
    binaries: Path, tmp_path: Path, command: tuple[str, ...], message: str
) -> None:
    (tmp_path / "c.yaml").write_text("{}")
    blobs = np.random.default_rng(0).integers(0, 255, (3, 256, 256), np.uint8)
    write_scene(tmp_path / "s.tif", blobs)
    done = run(binaries / "overtile", *command, cwd=tmp_path, code=2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
