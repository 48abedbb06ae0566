"""`make setup`: which Python it takes, and what it says where there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ("sh", "make", "env", "rm", "grep", "cp", "touch", "awk", "printf", "echo", "mkdir", "cat")

VENV_FAILS = 'case "$*" in *venv*) exit 1;; esac\n'

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Make a folder with the Makefile, and a search path of basic tools without any Python."""
    folder = tmp_path / "project"
    (folder / "requirements").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "requirements/all.lock", "requirements/map.lock"):
        shutil.copy(ROOT / name, folder / name)
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        if found is not None:
            (tools / name).symlink_to(found)
    return folder


def interpreter(folder: Path, name: str, version: tuple[int, int], *, first: str = "") -> Path:
    """Write an interpreter that reports a version, makes an empty .venv and notes its name.

    Args:
        folder: Where it is written.
        name: The command's name.
        version: The version that its `sys.version_info` begins with.
        first: Shell lines that run before anything else.
    """
    path = folder / name
    path.write_text(
        f"#!{shutil.which('sh')}\n{first}"
        'if test "$1" = -c; then\n'
        f'  exec {sys.executable} -c "import sys; sys.version_info = {(*version, 0)}; $2"\n'
        "fi\n"
        f"echo took {name} >&2\nmkdir -p .venv/bin\n"
        # The .venv that is made has a Python without packages: the set-up ends there.
        "printf '#!/bin/sh\\nexit 3\\n' > .venv/bin/python\n"
        f"{sys.executable} -c 'import os; os.chmod(\".venv/bin/python\", 0o755)'\n"
    )
    path.chmod(0o755)
    return path


def setup(project: Path, *arguments: str) -> str:
    """Run `make setup`, which fails, and return what it reports."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "PYTHON"))}
    environment["PATH"] = str(project.parent / "bin")
    done = subprocess.run(
        ["make", "setup", *arguments],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode != 0
    return done.stderr


def test_a_machine_without_python_is_told_what_to_install(project: Path) -> None:
    message = setup(project)
    assert "needs Python 3.11, 3.12, 3.13 or 3.14" in message
    assert "apt install python3 python3-venv" in message
    assert "make setup PYTHON=/path/to/python3.13" in message


@pytest.mark.parametrize("version", [(3, 9), (3, 10), (3, 15), (4, 0)])
def test_other_versions_are_not_taken(project: Path, version: tuple[int, int]) -> None:
    interpreter(project.parent / "bin", "python3", version)
    message = setup(project)
    assert "none of these is one: python3 " in message
    assert "took" not in message


@pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13), (3, 14)])
def test_the_python_of_the_machine_is_taken(project: Path, version: tuple[int, int]) -> None:
    interpreter(project.parent / "bin", "python3", version)
    assert "took python3\n" in setup(project)


def test_a_newer_python_beside_an_old_one_is_taken(project: Path) -> None:
    tools = project.parent / "bin"
    interpreter(tools, "python3", (3, 9))
    interpreter(tools, "python3.12", (3, 12))
    assert "took python3.12\n" in setup(project)


def test_one_that_cannot_make_environments_is_passed_over(project: Path) -> None:
    tools = project.parent / "bin"
    interpreter(tools, "python3", (3, 13), first=VENV_FAILS)
    interpreter(tools, "python3.11", (3, 11))
    assert "took python3.11\n" in setup(project)


def test_where_none_can_make_environments_the_package_is_named(project: Path) -> None:
    interpreter(project.parent / "bin", "python3", (3, 13), first=VENV_FAILS)
    message = setup(project)
    assert "python3 cannot make environments (Debian, Ubuntu: apt install python3-venv)" in message
    assert not (project / ".venv").exists()


def test_the_one_that_is_named_is_taken(project: Path) -> None:
    interpreter(project.parent / "bin", "python3", (3, 11))
    elsewhere = project.parent / "with spaces"
    elsewhere.mkdir()
    named = interpreter(elsewhere, "mine", (3, 14))
    assert "took mine\n" in setup(project, f"PYTHON={named}")


def test_one_that_is_named_and_does_not_suit_is_not_replaced(project: Path) -> None:
    interpreter(project.parent / "bin", "python3", (3, 11))
    named = interpreter(project.parent, "old", (3, 8))
    message = setup(project, f"PYTHON={named}")
    assert f"none of these is one: {named}" in message
    assert "took" not in message
