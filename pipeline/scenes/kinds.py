"""Which module opens a file: by its name, and where that leaves it open by its first bytes."""

from __future__ import annotations

from pathlib import Path

from pipeline.scenes.access.location import JPEG_2000, PICTURES, TIFF_MAGIC, is_remote
from pipeline.scenes.jp2.boxes import MAGIC, RAW_MAGIC

GEOTIFF = (".tif", ".tiff")


def kind_of(href: str) -> str:
    """Return the kind of scene that a regular file or a URL is, as in `SceneRef.kind`.

    TIFFs and pictures keep to their names: of ten thousand scenes none is opened for this.
    """
    if is_remote(href) or href.lower().endswith(GEOTIFF):
        return "geotiff"
    if href.lower().endswith(PICTURES):
        return "image"
    try:
        with Path(href).open("rb") as file:
            head = file.read(len(MAGIC))
    except OSError:
        head = b""
    named = href.lower().endswith(JPEG_2000) and not head.startswith(TIFF_MAGIC)
    return "jp2" if named or head.startswith((MAGIC, RAW_MAGIC)) else "geotiff"
