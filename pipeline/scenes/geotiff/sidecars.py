"""Sidecars of a scene (mask, world file), checked before GDAL opens them.

GDAL opens whatever is called ``SCENE.msk`` or ``SCENE.tfw``, waits for ever if that is a pipe,
and takes all of a scene as valid, without a word, if its mask was cut off.
"""

from __future__ import annotations

import stat
from pathlib import Path

from pipeline.errors import SceneError
from pipeline.scenes.access.location import (
    TIFF_MAGIC,
    companions,
    endless,
    mode_of,
    open_bytes,
    prj_files,
)
from pipeline.scenes.geotiff import tiff
from pipeline.scenes.geotiff.blocks import check_blocks
from pipeline.scenes.geotiff.directory import BrokenTiffError

_WAY_OUT = "fetch or export it again, or remove it"


def check_pipes(path: str) -> None:
    """Prove that GDAL can look beside a local raster and come back.

    Raises:
        SceneError: Its mask, world file, ``.prj`` or ``.aux.xml`` file is a pipe or a device.
    """
    for beside in map(Path, (*companions(path), *prj_files(path), f"{path}.aux.xml")):
        if endless(beside):
            raise SceneError(path, f"{beside.name} beside it is no regular file", "remove that")


def check_mask(path: str, *, height: int, width: int) -> None:
    """Prove that the mask beside a local scene, if there is one, can be one.

    What is no TIFF is none, and is left alone.

    Args:
        path: The scene.
        height: Its rows.
        width: Its columns.

    Raises:
        SceneError: It is cut off, or is of another size; it or a world file is a pipe.
    """
    check_pipes(path)
    beside = Path(path + ".msk")
    if not stat.S_ISREG(mode_of(beside)):
        return
    data = open_bytes(str(beside))
    try:
        if data.read(0, 4) not in TIFF_MAGIC:
            return
        layout = tiff.read_layout(data.read, data.size)
        for mask in layout.pages:
            check_blocks(mask, data.size)
    except BrokenTiffError as error:
        reason = f"the mask beside it, {beside.name}, is not a whole TIFF: {error}"
        raise SceneError(path, reason, _WAY_OUT) from error
    except OSError as error:
        reason = f"the mask beside it, {beside.name}, cannot be read ({error.strerror})"
        raise SceneError(path, reason, _WAY_OUT) from error
    finally:
        data.close()
    own, others = (height, width), (layout.scene.height, layout.scene.width)
    if own != others:
        raise SceneError(
            path,
            f"the mask beside it, {beside.name}, has {others[0]} x {others[1]} pixels; "
            f"the scene has {own[0]} x {own[1]}",
            _WAY_OUT,
        )
