"""Environments of their own for orchestrators, beside Overtile's, made once and kept."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OVERTILE = Path(sys.executable).with_name("overtile")
_NO_NETWORK = ("Failed to fetch", "error sending request", "dns error", "Connection refused")


def environment(name: str) -> Path:
    """Return the folder of programs of what `workflows/requirements-NAME.txt` pins.

    The test is skipped where the packages cannot be fetched.
    """
    needs = ROOT / "workflows" / f"requirements-{name}.txt"
    digest = hashlib.sha256(needs.read_bytes()).hexdigest()[:12]
    folder = Path(sys.prefix) / "beside" / f"{name}-{digest}"
    if (folder / "done").exists():
        return folder / "bin"
    _uv("venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
    python = ("--python", str(folder / "bin" / "python"))
    all_told = ("--no-deps", "--require-hashes", "-r", str(needs))
    _uv("pip", "install", "--quiet", *python, *all_told)
    (folder / "done").touch()
    return folder / "bin"


def surroundings(**more: str) -> dict[str, str]:
    """Return the environment of a process that finds the repository and `overtile`."""
    quiet = {"DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return os.environ | quiet | {"OVERTILE": str(OVERTILE)} | more


def _uv(*arguments: str) -> None:
    uv = Path(sys.executable).with_name("uv")
    if not uv.is_file() or not OVERTILE.is_file():
        pytest.skip("uv and overtile are not installed here: make setup")
    done = subprocess.run([uv, *arguments], capture_output=True, text=True, check=False)
    if done.returncode and any(sign in done.stderr for sign in _NO_NETWORK):
        pytest.skip(f"packages cannot be fetched: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
