"""Atomic publishing of a scene's outputs, with digests in a manifest."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.core.redaction import redact_values
from pipeline.errors import ConfigError, SceneError
from pipeline.outputs.atomic import write_faults
from pipeline.outputs.catalogue.assets import KINDS

MANIFEST = "run.json"
ITEM = "item.json"


def refuse_links(*paths: Path) -> None:
    """Refuse to write where links lead: others may have put them there.

    Raises:
        ConfigError: One of the paths is a link.
    """
    for path in paths:
        if path.is_symlink():
            raise ConfigError(
                f"{path} is a link to {path.readlink()}; outputs are not written through links: "
                "remove it, or choose another --out"
            )


def refuse_other_plan(target: Path, source: str, digest: str, settings: Mapping[str, Any]) -> None:
    """Refuse a folder that holds anything but the results of one plan.

    Args:
        target: Folder of the outputs.
        source: What is mapped, as errors name it.
        digest: The plan's.
        settings: What the plan's outputs depend on.

    Raises:
        SceneError: It does; names the difference.
    """
    there, hint = manifest_of(target), "choose another --out, or remove it"
    if there is None:
        if target.exists() and any(target.iterdir()):
            raise SceneError(source, f"{target} holds other files and no run.json", hint)
        return
    if there.get("plan") == digest:
        return
    before = there.get("settings", {})
    differing = ", ".join(sorted(key for key in settings if before.get(key) != settings[key]))
    text = f"{target} holds the results of another plan (other {differing or 'version'})"
    raise SceneError(source, text, hint)


def publish_outputs(final: Path, target: Path, log: list[dict[str, Any]]) -> None:
    """Make the outputs appear under their own name, all at once.

    What others put beside earlier outputs stays there.

    Args:
        final: Folder in which they were put together; its own is on the disk of ``target``.
        target: Folder to be.
        log: What becomes ``log.jsonl``.

    Raises:
        ExportError: The folder could not be renamed.
    """
    with write_faults(target):
        lines = "".join(json.dumps(redact_values(entry)) + "\n" for entry in log)
        (final / "log.jsonl").write_text(lines, "utf-8")
        old = final.with_name("replaced")
        if old.exists() and not target.exists():
            old.rename(target)  # an earlier run was killed between the two renames below
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            _carry_over(target, final)
            target.rename(old)
        final.rename(target)
        handle = os.open(target.parent, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
        shutil.rmtree(old, ignore_errors=True)


def current_manifest(target: Path) -> dict[str, Any] | None:
    """Return the manifest of outputs that are there, whole and unchanged; else None."""
    manifest = manifest_of(target)
    if manifest is None or not outputs_intact(target, manifest):
        return None
    item = _read_json(target / ITEM)
    try:
        run = item["assets"].pop("run")
        known = run["file:checksum"].endswith(sha256(target / MANIFEST))
    except (KeyError, TypeError, AttributeError):
        return None
    return manifest if known and json_digest(item) == manifest.get("item") else None


def outputs_intact(target: Path, manifest: dict[str, Any]) -> bool:
    """Return whether all outputs of a manifest are there, with its sizes and digests."""
    return all(
        (target / name).is_file() and sha256(target / name) == known["sha256"]
        for name, known in manifest.get("outputs", {}).items()
    )


def manifest_of(target: Path) -> dict[str, Any] | None:
    """Return ``run.json`` of a folder; None where there is none that can be read."""
    return _read_json(target / MANIFEST) or None


def sha256(path: Path) -> str:
    """Return the digest of a file."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _carry_over(target: Path, final: Path) -> None:
    """Copy what is no output of a run from an earlier folder into the new one."""
    outputs = {*KINDS, ITEM, "log.jsonl", *(manifest_of(target) or {}).get("outputs", {})}
    for path in sorted(target.iterdir()):
        if path.name in outputs:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.copytree(path, final / path.name, symlinks=True)
        else:
            shutil.copy2(path, final / path.name, follow_symlinks=False)


def json_digest(value: dict[str, Any]) -> str:
    """Return the digest of a JSON file's values, independent of the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
