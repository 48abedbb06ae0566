"""A fresh machine: a minimal Debian in a folder, where `make demo` and mapping work from nothing.

Nothing is in it but Python with its venv module, git, make and certificates: a missing system
library, a compiler that is needed, a wheel that does not exist for this Python show here. Root
makes it with debootstrap and runs commands in it by chroot.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SUITES = {"trixie": "3.13", "bookworm": "3.11"}
"""Debian 13 and 12, and their Pythons."""
PACKAGES = "ca-certificates,python3,python3-venv,git,make"
FILES = ("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
"""How this machine reaches the network."""
TESTING = ("pytest", "pytest-timeout", "pytest-xdist", "hypothesis", "beartype", "psutil")

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0, reason="debootstrap and chroot need root"),
    pytest.mark.skipif(shutil.which("debootstrap") is None, reason="debootstrap is not here"),
]


def mirror() -> str:
    """Return the mirror of this machine's own packages; the test is skipped where it has none."""
    for file in [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]:
        text = file.read_text("utf-8") if file.is_file() else ""
        found = re.search(r"^(?:URIs:|deb) *(https?://\S+/debian/?)(?: |$)", text, re.MULTILINE)
        if found:
            return found[1]
    pytest.skip("this machine names no mirror of Debian")


class Machine:
    """A Debian in a folder."""

    def __init__(self, folder: Path, suite: str) -> None:
        """Make it; skips where packages cannot be fetched."""
        self.folder = folder
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}"]
        done = subprocess.run(
            [*command, suite, str(folder), mirror()], capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"{suite} cannot be made here: {done.stdout[-300:]}")
        for name in FILES:
            if Path(name).is_file():
                shutil.copyfile(name, folder / name[1:])
        for kind in ("wheels", "pip"):  # where pip may look besides its index
            for place in (Path("/opt") / kind, Path.home() / ".config" / kind):
                if place.is_dir():
                    shutil.copytree(place, folder / str(place)[1:], dirs_exist_ok=True)

    def run(self, command: str, *, cwd: str = "/root/overtile", user: str = "") -> str:
        """Return what a command prints in it; everything else of this machine is out of sight."""
        keep = ("PIP_", "UV_", "SSL_", "REQUESTS_", "CURL_", "HTTP", "http", "NO_PROXY", "no_proxy")
        environment = {k: v for k, v in os.environ.items() if k.startswith(keep)}
        environment |= {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
        inside = f"cd {cwd} && {command}"
        mounts = (
            f"mount -t proc proc {self.folder}/proc && mount --rbind /dev {self.folder}/dev && "
            f"exec chroot {user} {self.folder} /bin/sh -c {shlex.quote(inside)}"
        )
        done = subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "sh", "-c", mounts],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout


@pytest.fixture(scope="module", params=SUITES)
def machine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Machine]]:
    """Return each Debian, with a clone of the repository in it."""
    suite = request.param
    made = Machine(tmp_path_factory.mktemp(suite) / "debian", suite)
    clone = made.folder / "root" / "overtile"
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", ROOT, clone], check=True)
    subprocess.run(["chown", "-R", "0:0", clone], check=True)
    yield suite, made
    shutil.rmtree(made.folder, ignore_errors=True)


def test_the_demo_works_from_nothing(machine: tuple[str, Machine]) -> None:
    suite, made = machine
    printed = made.run("make demo")
    summary = json.loads(printed[printed.index("{") : printed.rindex("}") + 1])
    assert summary["f1"] > 0.8
    python = made.run(".venv/bin/python --version")
    assert f"Python {SUITES[suite]}." in python
    absent = shlex.quote("import importlib.util as u; print(u.find_spec('torch'))")
    assert made.run(f".venv/bin/python -c {absent}").strip() == "None"
    size = sum(path.lstat().st_size for path in (made.folder / "root/overtile/.venv").rglob("*"))
    assert size < 1.25e9


def test_the_doctor_finds_nothing_wrong(machine: tuple[str, Machine]) -> None:
    _, made = machine
    made.run("make demo")
    summary = json.loads(made.run(".venv/bin/overtile doctor --json"))
    assert summary["failed"] == 0


def test_mapping_keeps_its_laws(machine: tuple[str, Machine]) -> None:
    _, made = machine
    made.run("make demo")
    made.run(f".venv/bin/python -m pip install --quiet {' '.join(TESTING)}")
    printed = made.run(
        ".venv/bin/python -m pytest -q -m mapping -n 2 "
        "tests/mapping tests/gdal tests/models/test_onnx_file.py"
    )
    assert re.search(r"\d{2,} passed", printed)
    assert "failed" not in printed
