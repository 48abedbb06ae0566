"""Resolution of arguments to scenes."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pyproj import CRS
from pyproj.exceptions import CRSError

from pipeline.errors import ConfigError, SceneError
from pipeline.scenes import image, stac
from pipeline.scenes.access.location import JPEG_2000, is_remote
from pipeline.scenes.archive.find import is_archive, named_in_archive, scenes_of_archive
from pipeline.scenes.archive.members import SUFFIX
from pipeline.scenes.geotiff.acquisition_time import rfc3339
from pipeline.scenes.kinds import GEOTIFF, kind_of
from pipeline.scenes.names import scene_place, slug, stem, unique
from pipeline.scenes.scene import SceneRef
from pipeline.scenes.seismic import segy
from pipeline.scenes.vrt.scene import SUFFIX as VRT
from pipeline.scenes.vrt.scene import vrt_scene

_SUFFIXES = (*GEOTIFF, *JPEG_2000, *image.SUFFIXES, *segy.SUFFIXES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Scenes named on a command line."""

    refs: tuple[SceneRef, ...]
    """The scenes, each once, in the order named; inside a folder in natural order."""
    failures: tuple[SceneError, ...]
    """What was named and is no scene; the others go on."""
    notes: tuple[str, ...] = ()
    """What lies in a folder or an archive and is not opened: archives."""


def find_scenes(arguments: Sequence[str], options: Mapping[str, str] | None = None) -> Found:
    """Return the scenes that files, folders, globs, STAC items and URLs stand for.

    Args:
        arguments: As the user wrote them.
        options: Settings for every scene: ``crs`` (``none``: pixel coordinates),
            ``datetime``. Two are used here: ``asset`` of STAC items, and ``slices`` of
            SEG-Y volumes (``inline`` if not given, ``crossline``, ``time``, ``section``).

    Raises:
        ConfigError: A path does not exist, a folder or glob holds no scene, or an option's
            value is none.
    """
    chosen = dict(options or {})
    _check(chosen)
    for own in ("asset", "slices"):
        chosen.pop(own, None)
    if chosen.get("crs") == "none":
        chosen["georef"] = chosen.pop("crs")
    refs: dict[tuple[str, ...], SceneRef] = {}
    failures: list[SceneError] = []
    notes: list[str] = []
    for argument in arguments:
        for place in _places(argument, failures, notes):
            try:
                found = _expand(place, options or {}, chosen, failures, notes)
            except SceneError as error:
                failures.append(error)
                continue
            for ref in found:
                settings = tuple(sorted({**dict(ref.options), **chosen}.items()))
                key = (ref.kind, scene_place(ref), dict(ref.options).get("direction", ""))
                refs.setdefault(key, replace(ref, options=settings))
    return Found(
        refs=tuple(refs.values()), failures=tuple(failures), notes=tuple(dict.fromkeys(notes))
    )


def _check(options: Mapping[str, str]) -> None:
    """Refuse what no scene could be opened with."""
    when, crs, direction = (options.get(name) for name in ("datetime", "crs", "slices"))
    if when is not None and rfc3339(when) is None:
        raise ConfigError(
            f"datetime {when!r} is no time from 1900 to 2200; write it as 2024-05-17 or "
            "2024-05-17T10:30:00Z"
        )
    if crs is not None and crs != "none":
        try:
            CRS.from_user_input(crs)
        except CRSError as error:
            raise ConfigError(
                f"crs {crs!r} is no known reference system; write it as EPSG:32645, or none for "
                "pixels"
            ) from error
    if direction is not None and direction not in segy.DIRECTIONS:
        raise ConfigError(
            f"slices {direction!r} is no direction; it is one of {', '.join(segy.DIRECTIONS)}"
        )


def unique_names(refs: Sequence[SceneRef]) -> list[str]:
    """Return a name for each scene; those that share one carry a short hash of their place."""
    return unique([slug(stem(ref)) for ref in refs], [scene_place(ref) for ref in refs])


def _places(argument: str, failures: list[SceneError], notes: list[str]) -> Iterator[str]:
    """Yield the files and URLs that one argument stands for, absolute."""
    if is_remote(argument):
        yield argument
        return
    if "://" in argument:
        scheme = argument.partition("://")[0]
        raise ConfigError(f"{scheme}:// is not read; use a path or an http, https, s3 or gs URL")
    try:
        path = Path(argument).expanduser().absolute()
        folder, there = path.is_dir(), path.exists() or path.is_symlink()
    except (OSError, RuntimeError) as error:  # too long a name, no such user's home
        raise ConfigError(f"{argument[:100]} cannot be looked up: {error.args[-1]}") from error
    if folder:
        yield from _in_folder(path, failures, notes)
    elif there:
        yield from _regular(path, failures)
    elif named_in_archive(str(path)):
        yield str(path)
    elif any(sign in argument for sign in "*?["):
        pattern = str(path.relative_to(path.anchor))
        files = [match for match in Path(path.anchor).glob(pattern) if match.is_file()]
        if not files:
            raise ConfigError(f"no file matches {argument}")
        for file in sorted(files, key=lambda file: natural(str(file))):
            yield str(file.resolve())
    else:
        raise ConfigError(_missing(argument, path))


def _in_folder(folder: Path, failures: list[SceneError], notes: list[str]) -> Iterator[str]:
    root = folder.resolve()
    paths = [
        path
        for path in sorted(root.iterdir(), key=lambda path: natural(path.name))
        if path.name.lower().endswith(_SUFFIXES) and not path.name.startswith(".")
    ]
    archives = sorted(
        path
        for path in root.iterdir()
        if path.name.lower().endswith(SUFFIX) and not path.name.startswith(".")
    )
    mosaics = sorted(root.glob(f"[!.]*{VRT}"))
    if not paths:
        kinds = ", ".join(_SUFFIXES)
        if archives or mosaics:
            what = "archives" if archives else "virtual mosaics"
            raise ConfigError(
                f"{folder} holds no scene ({kinds}); {what} in a folder are not opened: name "
                f"{[*archives, *mosaics][0]} itself"
            )
        raise ConfigError(f"{folder} holds no scene ({kinds}); name the files, or use a glob")
    notes.extend(
        f"{path}: not mapped: archives in a folder are not opened; name it itself"
        for path in archives
    )
    notes.extend(
        f"{path}: not mapped: its files may be in the folder too; name it itself, alone"
        for path in mosaics
    )
    for path in paths:
        if path.is_dir():
            continue
        for real in map(Path, _regular(path, failures)):
            if real.is_relative_to(root):
                yield str(real)
                continue
            reason = f"it is a link to {real}, outside its folder"
            failures.append(SceneError(str(path), reason, "name it itself"))


def _regular(path: Path, failures: list[SceneError]) -> Iterator[str]:
    """Yield the file that a path leads to, unless reading it might never end."""
    shown = str(path).encode("utf-8", "backslashreplace").decode()
    if shown != str(path):
        failures.append(SceneError(shown, "its name is no UTF-8", "give it another name"))
        return
    try:
        real = path.resolve()
    except (OSError, RuntimeError):
        failures.append(SceneError(str(path), "it is a link to itself", "name a file"))
        return
    if real.exists() and not real.is_file():
        failures.append(SceneError(str(path), "it is no regular file", "name a file"))
        return
    yield str(real)


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts ``tile_9`` before ``tile_10``."""
    parts = re.split(r"(\d+)", name)
    return tuple(
        (0, int(part), part) if part.isdecimal() and part.isascii() else (1, 0, part.casefold())
        for part in parts
        if part
    )


def _missing(argument: str, path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"{argument} does not exist, nor does the folder {folder}"
    beside = [entry.name for entry in folder.iterdir()]
    near = difflib.get_close_matches(path.name, beside, n=1, cutoff=0.6)
    hint = f"; did you mean {Path(argument).parent / near[0]}?" if near else ""
    return f"{argument} does not exist{hint}"


def _expand(
    place: str,
    options: Mapping[str, str],
    settings: Mapping[str, str],
    failures: list[SceneError],
    notes: list[str],
) -> tuple[SceneRef, ...]:
    """Return the scenes of a file or URL; ``settings`` are those that every scene is given."""
    lowered = (place.partition("?")[0] if is_remote(place) else place).lower()
    remote = is_remote(place)
    if lowered.endswith((".json", ".geojson")):
        return stac.stac_scenes(place, asset=options.get("asset", ""), failures=failures)
    if not remote and lowered.endswith(segy.SUFFIXES):
        return segy.slices(place, options.get("slices", "inline"))
    if not remote:
        inside = None if os.path.lexists(place) else named_in_archive(place)
        if inside or is_archive(place):
            return scenes_of_archive(*(inside or (place, "")), notes)
        if lowered.endswith(VRT):
            return (vrt_scene(place, settings),)
    return (SceneRef(kind=kind_of(place), href=place),)
