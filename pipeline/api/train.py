"""Train a model from Python."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pipeline.api.child_process.call import call
from pipeline.api.progress import Progress


def train(
    config: str | os.PathLike[str] | Mapping[str, Any],
    out: str | os.PathLike[str],
    *,
    resume: bool = False,
    progress: Progress = "auto",
) -> dict[str, Any]:
    """Train a model in a child process.

    Args:
        config: A YAML file such as ``configs/training/example.yaml``, or its content; paths in
            it start at the working folder.
        out: Folder of checkpoints, curves and the model (``model.safetensors``).
        resume: Go on from the newest checkpoint in it.
        progress: As in `map`.

    Returns:
        The summary: steps, scores, and where the model is.

    Raises:
        ConfigError: The configuration, the data or the checkpoint is unusable, or what training
            needs is not installed (``pip install 'overtile[train]'``).
        SceneError: A scene cannot be trained on.
        ModelError: The loss is no longer a number.

    Example:
        >>> overtile.train("configs/training/example.yaml", "out/mine")  # doctest: +SKIP
    """
    if not isinstance(config, Mapping):
        return _train(os.fspath(config), out, resume=resume, progress=progress)
    with tempfile.TemporaryDirectory(prefix="overtile-") as folder:
        path = Path(folder) / "training.yaml"
        path.write_text(yaml.safe_dump(dict(config), sort_keys=False), "utf-8")
        return _train(str(path), out, resume=resume, progress=progress)


def _train(
    config: str, out: str | os.PathLike[str], *, resume: bool, progress: Progress
) -> dict[str, Any]:
    arguments = {"config": config, "out": os.fspath(out), "resume": resume}
    found: dict[str, Any] = call("train", arguments, progress=progress)
    return found
