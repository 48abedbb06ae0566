"""Optional packages, imported where they are needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from pipeline.errors import ConfigError


def optional(module: str, *, extra: str = "notebook", purpose: str) -> Any:
    """Import an optional package.

    Args:
        module: Its name.
        extra: Which extra of Overtile installs it.
        purpose: What needs it.

    Raises:
        ConfigError: It is not installed; the message names the extra.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{purpose} needs {error.name or module}: pip install 'overtile[{extra}]'"
        ) from error
