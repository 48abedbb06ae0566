"""What a process runs on: versions of packages, Python, and Overtile's own code.

Workers are sent the text of this module, because one with another version of Overtile, or
none, could not import it: it uses the standard library alone.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import platform
from collections.abc import Mapping
from pathlib import Path

PACKAGES = (
    "overtile",
    "numba",
    "numpy",
    "pillow",
    "pyproj",
    "rasterio",
    "scipy",
    "segyio",
    "shapely",
)
"""Packages that decide bytes of a tile, whichever engine predicts; engines name their own."""


def environment() -> dict[str, str]:
    """Return the versions of this process by name.

    The version of Overtile is followed by a digest of its code: two checkouts may share a
    version.
    """
    found = {name: _version(name) for name in PACKAGES}
    found["overtile"] += f" (code {_code('pipeline')})"
    python = ".".join(platform.python_version_tuple()[:2])
    return {"Python": python, "machine": platform.machine(), **found}


def differences(there: Mapping[str, str], here: Mapping[str, str]) -> str:
    """Return where two sets of values differ: ``numpy 2.3.0, expected 2.4.6``."""
    return "; ".join(
        f"{name} {there.get(name, 'none')}, expected {value}"
        for name, value in here.items()
        if there.get(name, "none") != value
    )


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def _code(package: str) -> str:
    """Return a digest of a package's modules, by path and content."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        spec = None
    folders = [] if spec is None else list(spec.submodule_search_locations or [])
    if not folders:
        return "none"
    digest = hashlib.sha256()
    for folder in map(Path, folders):
        for path in sorted(folder.rglob("*.py")):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(folder)}:{len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()[:12]
