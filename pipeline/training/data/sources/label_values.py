"""What the values of label rasters mean: by the values of classes, else as in evaluation."""

from __future__ import annotations

import logging
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path

from pipeline.errors import ConfigError, SceneError
from pipeline.labels.formats.raster import label_ref
from pipeline.labels.values import (
    OWN,
    UNLABELLED,
    Meaning,
    RasterValues,
    decide_meaning,
    is_own,
    survey_values,
    usable_nodata,
)
from pipeline.scenes.open import open_scene

log = logging.getLogger(__name__)


def label_meaning(
    values: RasterValues,
    named: Collection[int],
    *,
    ignore_value: int | None,
    objects: bool = False,
    nodata: float | None = None,
) -> Meaning:
    """Return what values mean: by name where classes have values, else as in evaluation.

    Args:
        values: Those of all of the labels.
        named: Values of classes.
        ignore_value: Value that means: not labelled; 255 only where there are other classes.
        objects: Whether values number objects.
        nodata: The value that the file declares.
    """
    if named or objects:
        missing = {float(one) for one in (ignore_value, nodata) if one is not None}
        return Meaning(nodata=nodata, unlabelled=frozenset(missing - {0.0} - set(named)))
    convention = ignore_value == UNLABELLED
    return decide_meaning(
        values,
        nodata=nodata,
        convention=convention,
        ignore_value=None if convention else ignore_value,
    )


def meaning_of_file(
    path: Path, named: tuple[int, ...], *, ignore_value: int | None, objects: bool
) -> Meaning:
    """Return what the values of a label raster mean, whichever part of it is used.

    It is surveyed once in a process. Arguments are those of `label_meaning`.

    Raises:
        ConfigError: It cannot be read.
    """
    return _surveyed(
        path, path.stat().st_mtime_ns, named, ignore_value=ignore_value, objects=objects
    )


@lru_cache(maxsize=256)
def _surveyed(
    path: Path, _stamp: int, named: tuple[int, ...], *, ignore_value: int | None, objects: bool
) -> Meaning:
    try:
        scene = open_scene(label_ref(path, georef=False))
        try:
            nodata = usable_nodata(scene.info.nodata, scene.info.dtype)
            if named or objects:
                return label_meaning(
                    RasterValues(), named, ignore_value=ignore_value, objects=objects, nodata=nodata
                )
            if is_own(scene.info) and ignore_value == UNLABELLED:
                return OWN
            found = label_meaning(
                survey_values(scene), named, ignore_value=ignore_value, nodata=nodata
            )
        finally:
            scene.close()
    except SceneError as error:
        if named or objects:
            return label_meaning(RasterValues(), named, ignore_value=ignore_value, objects=objects)
        raise ConfigError(f"{path}: {error.reason}; {error.hint}") from error
    if found.reasons:
        log.info("%s: %s", path, ", ".join(found.reasons))
    return found
