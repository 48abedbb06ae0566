"""The locks: what maps and everything, for each Python and platform that is supported."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MAP, ALL = "map.lock", "all.lock"
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
PLATFORMS = [("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A line of a lock: an exact version, where it is meant for, and its files' hashes."""

    name: str
    """The package, as registries compare names."""
    version: str
    """The one version that is installed."""
    marker: Marker | None
    """The environments that it is for; all, where there is none."""
    hashes: tuple[str, ...]
    """SHA-256 of each file that may be installed."""

    def applies(self, environment: dict[str, str]) -> bool:
        """Tell whether the package is installed in an environment."""
        return self.marker is None or self.marker.evaluate(environment)


def pins(lock: str) -> Iterator[Pin]:
    """Parse a lock."""
    text = (ROOT / "requirements" / lock).read_text().replace("\\\n", " ")
    for line in text.splitlines():
        stated, *hashes = line.split("--hash=sha256:")
        requirement = Requirement(stated.strip())
        (exact,) = requirement.specifier
        assert exact.operator == "=="
        name = canonicalize_name(requirement.name)
        found = tuple(text.strip() for text in hashes)
        yield Pin(name=name, version=exact.version, marker=requirement.marker, hashes=found)


def environment(python: str, platform: tuple[str, str]) -> dict[str, str]:
    """Describe an environment to markers."""
    system, machine = platform
    return {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": system,
        "platform_machine": machine,
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }


def installed(lock: str, python: str, platform: tuple[str, str]) -> dict[str, str]:
    """Return the version of each package that a lock installs in an environment."""
    there = environment(python, platform)
    chosen = [pin for pin in pins(lock) if pin.applies(there)]
    versions = {pin.name: pin.version for pin in chosen}
    assert len(versions) == len(chosen), "a package is locked twice for one environment"
    return versions


def required(texts: list[str], there: dict[str, str]) -> list[Requirement]:
    """Return the requirements that hold in an environment."""
    parsed = map(Requirement, texts)
    return [one for one in parsed if one.marker is None or one.marker.evaluate(there)]


@pytest.mark.parametrize("platform", PLATFORMS, ids="-".join)
@pytest.mark.parametrize("python", PYTHONS)
def test_each_set_meets_what_the_project_declares(python: str, platform: tuple[str, str]) -> None:
    project = PROJECT["project"]
    small = project["dependencies"]
    named = project["optional-dependencies"].values()
    extras = [text for extra in named for text in extra if not text.startswith("overtile[")]
    everything = [*small, *extras, *PROJECT["dependency-groups"]["dev"]]
    for lock, texts in ((MAP, small), (ALL, everything)):
        versions = installed(lock, python, platform)
        for requirement in required(texts, environment(python, platform)):
            assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)])


@pytest.mark.parametrize("platform", PLATFORMS, ids="-".join)
@pytest.mark.parametrize("python", PYTHONS)
def test_what_maps_is_part_of_everything(python: str, platform: tuple[str, str]) -> None:
    small, everything = (installed(lock, python, platform) for lock in (MAP, ALL))
    assert small.items() <= everything.items()
    assert not small.keys() & {"torch", "torchvision", "torchgeo", "lightning", "onnx"}
    assert "openvino" in small


@pytest.mark.parametrize("lock", [MAP, ALL])
def test_every_pin_has_hashes_and_no_address(lock: str) -> None:
    assert "://" not in (ROOT / "requirements" / lock).read_text()
    digest = re.compile("[0-9a-f]{64}")
    for pin in pins(lock):
        assert pin.hashes
        assert all(digest.fullmatch(one) for one in pin.hashes)


@pytest.mark.parametrize(
    ("python", "rasterio", "torchgeo"),
    [("3.11", "1.4.", "0.8.1"), ("3.12", "1.5.", "0.10."), ("3.14", "1.5.", "0.10.")],
)
def test_releases_that_differ_between_pythons(python: str, rasterio: str, torchgeo: str) -> None:
    versions = installed(ALL, python, ("linux", "x86_64"))
    assert versions["rasterio"].startswith(rasterio)
    assert versions["torchgeo"].startswith(torchgeo)


@pytest.mark.parametrize("python", PYTHONS)
def test_what_has_no_wheel_for_a_platform_is_not_locked_for_it(python: str) -> None:
    linux, arm, mac = (installed(ALL, python, platform) for platform in PLATFORMS)
    assert "jsonnet" not in arm
    assert ("atheris" in linux) == (python != "3.14")
    assert not {"atheris", "triton"} & mac.keys()


def test_cuda_is_for_linux_alone() -> None:
    there, elsewhere = (installed(ALL, "3.13", platform) for platform in PLATFORMS[1:])
    assert any(name.startswith("nvidia-") for name in there)
    assert not any(name.startswith("nvidia-") for name in elsewhere)


@pytest.mark.parametrize("python", PYTHONS)
def test_the_wheel_names_each_python(python: str) -> None:
    classifiers = PROJECT["project"]["classifiers"]
    assert f"Programming Language :: Python :: {python}" in classifiers
    assert PROJECT["project"]["requires-python"] == ">=3.11"
