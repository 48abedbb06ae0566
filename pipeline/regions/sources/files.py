"""Scenes on disk."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.config.region import Files, resolve_path
from pipeline.errors import ConfigError
from pipeline.regions.sources.candidate import Candidate, Listing
from pipeline.scenes.access.location import companions
from pipeline.scenes.find import find_scenes
from pipeline.scenes.scene import SceneRef


def list_files(source: Files, *, root: Path) -> Listing:
    """Return the scenes of a folder, file or glob below ``root``.

    A folder that is missing or empty is taken for a disk that is not mounted.

    Raises:
        ConfigError: The path leads out of ``root``.
    """
    name = f"files {source.path}"
    resolve_path(root, source.path, field="sources.path")
    base = root.resolve()
    try:
        found = find_scenes((str(base / source.path),))
    except ConfigError as error:
        fault = f"sources: {source.path}: {error}; make it, mount its disk, or change its path"
        return Listing(source=name, faults=(fault,), complete=False)
    candidates, faults = [], [str(fault) for fault in found.failures]
    for ref in found.refs:
        if ref.kind == "zipped":
            faults.append(f"{ref.href}: archives are not opened for a region; unpack them")
            continue
        if not ref.href.startswith(f"{base}/"):
            faults.append(f"{ref.href}: a link leads there, out of {base}; give another --root")
            continue
        candidates.append(
            Candidate(scene=local_name(ref, base), source=name, ref=ref, token=local_token(ref))
        )
    return Listing(source=name, candidates=tuple(candidates), faults=tuple(faults))


def local_name(ref: SceneRef, base: Path) -> str:
    """Return a file's path below ``base``, with the number of its slice."""
    options = dict(ref.options)
    number = options.get("number", "")
    path = ref.href.removeprefix(f"{base}/")
    return f"{path}#{options.get('direction', '')}{number}" if number else path


def local_token(ref: SceneRef) -> str | None:
    """Return a sign of a file's content: size, times and inode of it and what places it.

    As long as it stays, the content counts as known. A file that is rewritten in place with
    the same size and whose times are set back escapes this; its change time is among them,
    which no program sets, so that only a clock set back to the same nanosecond does.
    """
    signs = []
    for at, file in enumerate((ref.href, *companions(ref.href))):
        try:
            status = os.stat(file)  # noqa: PTH116
        except OSError:
            if at == 0:
                return None
            continue
        signs.append(
            f"{at}:{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}:{status.st_ino}"
        )
    return " ".join(signs)
