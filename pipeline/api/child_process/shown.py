"""Summaries without credentials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.core.redaction import redact_values

PATHS = frozenset({"out", "folder", "report", "layer"})
"""Keys whose values are opened by the caller, and so are never redacted."""


def shown(value: Any) -> Any:
    """Return a summary without credentials; paths that the caller opens stay as they are."""
    clean = redact_values(value)
    return _with_paths(clean, value)


def _with_paths(clean: Any, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key: value[key] if key in PATHS else _with_paths(clean[key], value[key])
            for key in value
        }
    if isinstance(value, list):
        return [_with_paths(one, other) for one, other in zip(clean, value, strict=True)]
    return clean
