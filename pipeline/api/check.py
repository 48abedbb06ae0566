"""Validate output files from Python."""

from __future__ import annotations

import os
from dataclasses import dataclass

from pipeline.api.child_process.call import call
from pipeline.api.results import MapResult, MapResults
from pipeline.errors import ConfigError


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A rule that a file breaks."""

    file: str
    """The file."""
    message: str
    """What is wrong with it."""

    def __str__(self) -> str:
        """Return ``file: message``."""
        return f"{self.file}: {self.message}"


def validate(*paths: str | os.PathLike[str] | MapResult | MapResults) -> list[Finding]:
    """Validate outputs against their formats: COG, GeoJSON, GeoParquet, STAC and others.

    Args:
        *paths: Files, folders of outputs, or results of `map`.

    Returns:
        What is wrong, a finding for each broken rule; empty where nothing is.

    Raises:
        ConfigError: A path does not exist, or holds nothing that can be validated.

    Example:
        >>> overtile.validate("out/scene")                              # doctest: +SKIP
        []
    """
    if not paths:
        raise ConfigError("nothing to validate: give a file, a folder or a result")
    found = call("validate", {"paths": [_path(one) for one in paths]})
    return [Finding(file, line) for file, lines in found.items() for line in lines]


def _path(one: str | os.PathLike[str] | MapResult | MapResults) -> str:
    if isinstance(one, MapResults):
        return str(one.folder)
    if isinstance(one, MapResult):
        return str(one.file("run.json").parent)
    return os.fspath(one)
